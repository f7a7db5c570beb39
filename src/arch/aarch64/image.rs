//! Where this kernel has its records, its text and its names: the linker's symbols.

use crate::error::Error;
use crate::image::Image;
use crate::table::TextRanges;
use crate::veneer::Veneer;
use core::arch::global_asm;

unsafe extern "C" {
    // By the linker, for every section whose name is a C identifier.
    static __start___patchable_function_entries: u8;
    static __stop___patchable_function_entries: u8;
    // By the fragment ftrace.x.
    static __ftrace_text_start: u8;
    static __ftrace_text_end: u8;
    static __ftrace_notrace_start: u8;
    static __ftrace_notrace_end: u8;
    static ftrace_names_bounds: [usize; 2];
    static ftrace_veneers_bounds: [usize; 2];
}

// Zero where the kernel reserves no space for names, or no veneer. A table in memory, because Rust takes the address of a symbol
// to be never zero.
global_asm!(
    ".weak __start_ftrace_names",
    ".weak __stop_ftrace_names",
    ".weak __start_ftrace_veneers",
    ".weak __stop_ftrace_veneers",
    ".pushsection .data.rel.ro.ftrace_names_bounds, \"aw\"",
    ".balign 8",
    "ftrace_names_bounds: .quad __start_ftrace_names, __stop_ftrace_names",
    "ftrace_veneers_bounds: .quad __start_ftrace_veneers, __stop_ftrace_veneers",
    ".popsection",
    ".global ftrace_names_bounds",
    ".global ftrace_veneers_bounds",
);

pub(crate) fn image() -> Result<Image, Error> {
    let at = (&raw const __start___patchable_function_entries) as usize;
    let len = (&raw const __stop___patchable_function_entries) as usize - at;
    if !at.is_multiple_of(align_of::<u64>()) || !len.is_multiple_of(size_of::<u64>()) {
        return Err(Error::Records { at, len });
    }
    // SAFETY: the linker placed the whole section here, in writable data; aligned and whole words, as just checked.
    // Nothing else knows of it, and `init` runs to its end once.
    let records =
        unsafe { core::slice::from_raw_parts_mut(at as *mut u64, len / size_of::<u64>()) };
    let ranges = TextRanges {
        text: (&raw const __ftrace_text_start) as usize..(&raw const __ftrace_text_end) as usize,
        notrace: (&raw const __ftrace_notrace_start) as usize
            ..(&raw const __ftrace_notrace_end) as usize,
    };
    Ok(Image {
        records,
        ranges,
        names: names(),
        veneers: veneers(),
    })
}

/// What `veneer!` left.
pub(crate) fn veneers() -> &'static [Veneer] {
    // SAFETY: defined above, never written after the link (or the kernel's own relocation).
    let [start, stop] = unsafe { (&raw const ftrace_veneers_bounds).read_volatile() };
    let count = (stop - start) / size_of::<Veneer>();
    if count == 0 {
        return &[];
    }
    // SAFETY: the linker placed the section from one symbol to the other, in read-only data, entries of 8 bytes each.
    unsafe { core::slice::from_raw_parts(start as *const Veneer, count) }
}

fn names() -> &'static [u8] {
    // SAFETY: defined above, never written after the link (or the kernel's own relocation).
    let [start, stop] = unsafe { (&raw const ftrace_names_bounds).read_volatile() };
    if start == 0 {
        return &[];
    }
    // SAFETY: the linker placed the section from one symbol to the other, in read-only data.
    unsafe { core::slice::from_raw_parts(start as *const u8, stop - start) }
}
