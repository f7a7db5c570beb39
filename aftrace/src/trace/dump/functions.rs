//! Functions by small numbers, for formats that write a name once.

use rustc_hash::FxHashMap;

use crate::trace::symbols::Symbols;

/// Numbers for functions, from 1 in the order in which they are met.
pub struct Functions<'s> {
    symbols: &'s Symbols,
    by_address: FxHashMap<u64, u32>,
    /// What was asked before: callsites, and return addresses.
    callsites: FxHashMap<u32, u32>,
    parents: FxHashMap<u32, u32>,
    names: Vec<String>,
}

impl<'s> Functions<'s> {
    /// With these names.
    #[must_use]
    pub fn new(symbols: &'s Symbols) -> Self {
        Self {
            symbols,
            by_address: FxHashMap::default(),
            callsites: FxHashMap::default(),
            parents: FxHashMap::default(),
            names: Vec::new(),
        }
    }

    /// The function with this callsite.
    pub fn number(&mut self, callsite: u32) -> u32 {
        if let Some(&number) = self.callsites.get(&callsite) {
            return number;
        }
        let symbols = self.symbols;
        let number = self.add(symbols.entry(callsite), || symbols.name(callsite));
        self.callsites.insert(callsite, number);
        number
    }

    /// The function that is returned to; 0 where that is not recorded.
    pub fn caller(&mut self, parent: u32) -> u32 {
        if parent == 0 {
            return 0;
        }
        if let Some(&number) = self.parents.get(&parent) {
            return number;
        }
        let symbols = self.symbols;
        let number = self.add(symbols.entry(parent.wrapping_sub(4)), || {
            symbols.caller(parent)
        });
        self.parents.insert(parent, number);
        number
    }

    fn add(&mut self, address: u64, name: impl FnOnce() -> String) -> u32 {
        *self.by_address.entry(address).or_insert_with(|| {
            self.names.push(name());
            self.names.len() as u32
        })
    }

    /// The name of the function with this number; nothing for 0.
    #[must_use]
    pub fn name(&self, number: u32) -> &str {
        let index = (number as usize).checked_sub(1);
        index
            .and_then(|index| self.names.get(index))
            .map_or("", String::as_str)
    }

    /// The numbers and names so far.
    pub fn names(&self) -> impl Iterator<Item = (u32, &str)> {
        (1..).zip(self.names.iter().map(String::as_str))
    }
}
