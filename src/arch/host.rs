//! Stand-ins for a host that is not AArch64: entries that are never run, memory that is read and written plainly.

use crate::cache::CacheType;
use crate::cpu::CpuArea;
use crate::error::{Error, WriteFault};
use crate::image::Image;
use crate::insn::Insn;
use crate::ops::EntryFn;
use crate::platform::Platform;
use crate::text::{ReadText, Text};
use crate::veneer::Veneer;
use core::ops::Range;

/// The asm entries.
pub(crate) mod entry {
    use crate::ops::EntryFn;

    /// Never run: there is no callsite on this host. Each differs, as the real ones do.
    macro_rules! entries {
        ($($name:ident)*) => {
            $(pub(crate) const $name: EntryFn = {
                unsafe extern "C" fn entry() { core::hint::black_box(stringify!($name)); }
                entry
            };)*
        };
    }
    entries!(NOP CALL CALL_GUARDED SET SET_GUARDED SET_MIXED RECORD RECORD_LSE RECORD_STOP RECORD_STOP_LSE COUNT COVER STACK PROFILE GRAPH_MARK FPROBE);
    pub(crate) const GRAPH: [EntryFn; 4] = [RECORD, RECORD_LSE, RECORD_STOP, RECORD_STOP_LSE];
    pub(crate) const GRAPH_MORE: [EntryFn; 4] = GRAPH;
}

/// There is nobody who serves it.
pub(crate) mod semihosting {
    use core::ffi::CStr;

    pub(crate) fn open(_: &CStr) -> Option<usize> {
        None
    }

    pub(crate) fn write(_: usize, bytes: &[u8]) -> usize {
        bytes.len()
    }

    pub(crate) fn close(_: usize) {}

    pub(crate) fn errno() -> i64 {
        i64::from(i32::MAX)
    }
}

pub(crate) fn ticks() -> u64 {
    0
}

pub(crate) fn clean_to_memory(_: Range<usize>) {}

pub(crate) fn trampoline() -> usize {
    0
}

pub(crate) fn frequency() -> u64 {
    1
}

pub(crate) fn has_lse() -> bool {
    false
}

pub(crate) fn cpu_area() -> Option<&'static CpuArea> {
    None
}

pub(crate) fn set_boot_cpu_area(_: usize) {}

pub(crate) fn set_cpu_area(area: &'static CpuArea, core: usize) {
    area.set_core(core);
}

pub(crate) fn clear_cpu_area() {}

pub(crate) fn in_tracer() -> bool {
    static AREA: CpuArea = CpuArea::new();
    AREA.in_tracer()
}

pub(crate) fn mask_all() {}

pub(crate) fn masked<R>(f: impl FnOnce() -> R) -> R {
    f()
}

pub(crate) fn wait() {
    core::hint::spin_loop();
}

pub(crate) fn count_entry() -> EntryFn {
    entry::COUNT
}

/// Where the return handlers are said to stand: at an address that is nobody's.
pub(crate) fn return_handlers() -> Range<usize> {
    8..16
}

pub(crate) fn graph_handler(form: usize) -> Option<usize> {
    (form < entry::GRAPH.len() * 3).then_some(8)
}

pub(crate) fn fprobe_handler() -> usize {
    8
}

pub(crate) fn mark_handler() -> usize {
    8
}

pub(crate) fn profile_handler() -> usize {
    8
}

pub(crate) fn without_pac(address: usize) -> usize {
    address
}

pub(crate) fn image() -> Result<Image, Error> {
    Err(Error::NoCallsites)
}

pub(crate) fn veneers() -> &'static [Veneer] {
    &[]
}

/// A kernel's text on this host, between `patch_begin` and `patch_end`: nothing is there.
pub(crate) struct LiveText(&'static dyn Platform);

impl LiveText {
    pub(crate) fn open(platform: &'static dyn Platform) -> Result<Self, Error> {
        platform.patch_begin()?;
        Ok(Self(platform))
    }
}

impl Drop for LiveText {
    fn drop(&mut self) {
        self.0.patch_end();
    }
}

/// There is no text of a kernel on this host: reads give zero.
impl ReadText for LiveText {
    fn insn(&self, _: usize) -> Insn {
        Insn(0)
    }
    fn literal(&self, _: usize) -> u64 {
        0
    }
}

/// What a kernel's text would be, to look at.
pub(crate) struct Executable;

impl ReadText for Executable {
    fn insn(&self, _: usize) -> Insn {
        Insn(0)
    }
    fn literal(&self, _: usize) -> u64 {
        0
    }
}

/// Writes fail.
impl Text for LiveText {
    fn store_insn(&self, _: usize, _: Insn) -> Result<(), WriteFault> {
        Err(WriteFault)
    }
    fn store_cold(&self, _: usize, _: Insn) -> Result<(), WriteFault> {
        Err(WriteFault)
    }
    fn store_literal(&self, _: usize, _: u64) -> Result<(), WriteFault> {
        Err(WriteFault)
    }
    fn order_stores(&self) {}
    fn clean(&self, _: usize) {}
    fn invalidate(&self, _: usize) {}
    fn complete(&self) {}
    fn synchronise(&self) {}
    fn sync_cores(&self) {}
    fn cache_type(&self) -> CacheType {
        CacheType::from_ctr(0)
    }
}

/// Reads a callsite's word.
pub(crate) fn read_insn(_: usize) -> Insn {
    Insn(0)
}
