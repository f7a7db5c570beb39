//! Where in the source an address is, and which functions were inlined there, by the kernel's debug information.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use addr2line::{Context, gimli};
use gimli::{Dwarf, EndianRcSlice, RunTimeEndian};
use rustc_hash::FxHashMap;

use crate::demangle;
use crate::elf::Kernel;

/// Addresses whose text is kept. A trace may have more.
const KEPT_MAX: usize = 1 << 16;

/// Why a kernel does not say where its source is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// Stripped, or compiled without.
    #[error(
        "no debug information: build with `debug = \"line-tables-only\"` (or more) in the kernel's profile, and give the file before it is stripped"
    )]
    None,
    /// It is damaged, or of a kind that is not known.
    #[error("its debug information cannot be read: {0}")]
    Unreadable(#[from] gimli::Error),
}

/// One place of an address: the function, its own or inlined, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path of the function, where that is known.
    pub function: Option<String>,
    /// `FILE:LINE`.
    pub line: Option<String>,
}

/// The lines of a kernel. Addresses are those that it was linked to.
pub struct Locations {
    context: Context<EndianRcSlice<RunTimeEndian>>,
    kept: RefCell<FxHashMap<u64, Rc<[Place]>>>,
}

impl fmt::Debug for Locations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locations").finish_non_exhaustive()
    }
}

impl Locations {
    /// Those of a kernel.
    ///
    /// # Errors
    /// [`LocationError`].
    pub fn of_kernel(kernel: &Kernel<'_>) -> Result<Self, LocationError> {
        let endian = match kernel.is_little_endian() {
            true => RunTimeEndian::Little,
            false => RunTimeEndian::Big,
        };
        let lines = [".debug_info", ".debug_line"];
        if lines
            .iter()
            .any(|name| kernel.section_data(name).is_empty())
        {
            return Err(LocationError::None);
        }
        let dwarf = Dwarf::load(|section| {
            let data = Rc::from(kernel.section_data(section.name()));
            Ok::<_, gimli::Error>(EndianRcSlice::new(data, endian))
        })?;
        Ok(Self {
            context: Context::from_dwarf(dwarf)?,
            kept: RefCell::default(),
        })
    }

    /// `FILE:LINE` of the instruction, in the function that is called: what was inlined there has lines of its own.
    #[must_use]
    pub fn line(&self, address: u64) -> Option<String> {
        self.places(address).last()?.line.clone()
    }

    /// The functions that the instruction is of, from the one that was inlined the deepest to the one that is called. Empty where
    /// nothing is known, or what is known cannot be read.
    #[must_use]
    pub fn places(&self, address: u64) -> Rc<[Place]> {
        if let Some(places) = self.kept.borrow().get(&address) {
            return Rc::clone(places);
        }
        let places: Rc<[Place]> = self.find(address).unwrap_or_default().into();
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(address, Rc::clone(&places));
        places
    }

    fn find(&self, address: u64) -> Result<Vec<Place>, gimli::Error> {
        let mut frames = self.context.find_frames(address).skip_all_loads()?;
        let mut places = Vec::new();
        while let Some(frame) = frames.next()? {
            let name = frame
                .function
                .and_then(|f| f.raw_name().ok().map(Into::into));
            let line = frame.location.and_then(|at| {
                let (file, line) = (at.file?, at.line?);
                Some(format!("{file}:{line}"))
            });
            places.push(Place {
                function: name.map(|name: String| demangle::path(&name)),
                line,
            });
        }
        Ok(places)
    }
}
