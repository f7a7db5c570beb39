//! The library's asm: where its entries and return handlers stand, and which of them this core and this kernel use.

use aarch64_ftrace::Mode;
use core::arch::asm;
use core::ops::Range;

/// When an entry is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Always.
    Any,
    /// No entry, but code that several share; they reach it by a branch.
    Shared,
    /// Where the core has atomic adds (FEAT_LSE), or else where it has not.
    Lse(bool),
    /// The recorder's, by that and by its mode.
    Recorder(bool, Mode),
}

/// A symbol of asm/.
#[derive(Clone, Copy, Debug)]
pub struct Symbol {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub at: usize,
    form: Form,
}

macro_rules! symbols {
    ($($name:ident: $form:expr,)*) => {
        const COUNT: usize = [$(stringify!($name)),*].len();

        fn symbols() -> [Symbol; COUNT] {
            unsafe extern "C" {
                $(fn $name();)*
            }
            [$(Symbol { name: stringify!($name), at: $name as *const () as usize, form: $form }),*]
        }
    };
}

use Form::{Any, Lse, Recorder, Shared};
use Mode::{Overwrite, StopWhenFull};

// In the order of their addresses, from the section's begin to its end.
symbols! {
    ftrace_caller_far: Any,
    ftrace_entry_nop: Any,
    ftrace_entry_call: Any,
    ftrace_entry_call_guarded: Any,
    ftrace_entry_set: Any,
    ftrace_entry_set_guarded: Any,
    ftrace_entry_set_mixed: Any,
    ftrace_entry_record: Recorder(false, Overwrite),
    ftrace_entry_record_lse: Recorder(true, Overwrite),
    ftrace_entry_record_stop: Recorder(false, StopWhenFull),
    ftrace_entry_record_stop_lse: Recorder(true, StopWhenFull),
    ftrace_entry_count_lse: Lse(true),
    ftrace_entry_count_llsc: Lse(false),
    ftrace_entry_cover: Any,
    ftrace_entry_stack: Any,
    ftrace_entry_profile: Any,
    ftrace_entry_graph: Recorder(false, Overwrite),
    ftrace_entry_graph_lse: Recorder(true, Overwrite),
    ftrace_entry_graph_stop: Recorder(false, StopWhenFull),
    ftrace_entry_graph_stop_lse: Recorder(true, StopWhenFull),
    ftrace_entry_graph_more: Recorder(false, Overwrite),
    ftrace_entry_graph_more_lse: Recorder(true, Overwrite),
    ftrace_entry_graph_more_stop: Recorder(false, StopWhenFull),
    ftrace_entry_graph_more_stop_lse: Recorder(true, StopWhenFull),
    ftrace_graph_slots: Shared,
    ftrace_entry_graph_mark: Any,
    ftrace_entry_fprobe: Any,
    ftrace_fprobe_returned: Shared,
    ftrace_return_to_profile_lse: Lse(true),
    ftrace_return_to_profile_llsc: Lse(false),
    ftrace_return_to_graph: Recorder(false, Overwrite),
    ftrace_return_to_graph_lse: Recorder(true, Overwrite),
    ftrace_return_to_graph_stop: Recorder(false, StopWhenFull),
    ftrace_return_to_graph_stop_lse: Recorder(true, StopWhenFull),
    ftrace_return_to_graph_more: Recorder(false, Overwrite),
    ftrace_return_to_graph_more_lse: Recorder(true, Overwrite),
    ftrace_return_to_graph_more_stop: Recorder(false, StopWhenFull),
    ftrace_return_to_graph_more_stop_lse: Recorder(true, StopWhenFull),
    ftrace_return_to_graph_long: Recorder(false, Overwrite),
    ftrace_return_to_graph_long_lse: Recorder(true, Overwrite),
    ftrace_return_to_graph_long_stop: Recorder(false, StopWhenFull),
    ftrace_return_to_graph_long_stop_lse: Recorder(true, StopWhenFull),
    ftrace_return_to_graph_mark: Any,
    ftrace_return_to_fprobe: Any,
    ftrace_return_handlers_end: Any,
}

impl Symbol {
    /// Whether a callsite or a function's return leads to it.
    pub fn is_entry(&self) -> bool {
        self.form != Shared
    }
}

/// How many symbols there are.
pub const SYMBOLS: usize = COUNT;

/// All of the library's asm.
#[derive(Debug)]
pub struct Asm {
    symbols: [Symbol; SYMBOLS],
    lse: bool,
}

impl Asm {
    /// Finds it.
    ///
    /// # Panics
    /// Where the symbols do not stand in the order above: asm/ has changed, and the list with it must.
    pub fn find() -> Self {
        let symbols = symbols();
        for pair in symbols.windows(2) {
            assert!(
                pair[0].at < pair[1].at,
                "{} does not stand before {}",
                pair[0].name,
                pair[1].name
            );
        }
        let features: u64;
        // SAFETY: a read of an identification register.
        unsafe { asm!("mrs {}, id_aa64isar0_el1", out(reg) features, options(nomem, nostack)) };
        Self {
            symbols,
            lse: features >> 20 & 0xf != 0,
        }
    }

    /// Its first address, and the one behind its last.
    pub fn range(&self) -> Range<usize> {
        self.symbols[0].at..self.symbols[SYMBOLS - 1].at
    }

    /// Where the return handlers stand: from the first of them on.
    pub fn handlers(&self) -> Range<usize> {
        let first = self
            .symbols
            .iter()
            .find(|symbol| symbol.name.starts_with("ftrace_return_to_"));
        first.map_or(0, |symbol| symbol.at)..self.range().end
    }

    /// The symbol that stands at an address, by its index.
    pub fn at(&self, address: usize) -> Option<usize> {
        self.symbols.iter().position(|symbol| symbol.at == address)
    }

    /// The symbol that an address belongs to, by its index.
    pub fn of(&self, address: usize) -> Option<usize> {
        let within = self.range().contains(&address);
        within.then(|| self.symbols.partition_point(|symbol| symbol.at <= address) - 1)
    }

    /// A symbol.
    pub fn symbol(&self, index: usize) -> Symbol {
        self.symbols[index]
    }

    /// Whether a guest whose recorder has this mode steps through an entry: one that this core uses, and that either depends on the
    /// mode or is left to the guest that overwrites.
    pub fn is_used(&self, index: usize, mode: Mode) -> bool {
        match self.symbols[index].form {
            Any | Shared => mode == Overwrite,
            Lse(lse) => lse == self.lse && mode == Overwrite,
            Recorder(lse, of) => lse == self.lse && of == mode,
        }
    }
}
