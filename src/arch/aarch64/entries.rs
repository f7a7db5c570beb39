//! The asm of asm/, with its offsets, and the register through which it finds this core's area.

use crate::{
    callsite, cpu, fprobe, fregs, graph, insn, instances, ops, return_stack, ring, set, trace,
};
use core::arch::global_asm;
use core::mem::offset_of;
use core::ops::Range;

/// The call entries' frame: a Fregs and nothing else.
const CALL_FRAME: usize = size_of::<crate::Fregs>();

/// The set entries' frame: ip and parent, the guard slot, then the Fregs.
#[repr(C, align(16))]
struct SetFrame {
    _ip_and_parent: [u64; 2],
    slot: u64,
    fregs: crate::Fregs,
}

/// The fprobe entry's frame: what it needs behind the call, the probe's words, then the Fregs.
#[repr(C, align(16))]
struct ProbeFrame {
    _ops_and_ip: [u64; 2],
    stack_and_top: [u64; 2],
    words: [u64; crate::PROBE_WORDS],
    fregs: crate::Fregs,
}

/// That of its return handler: the words, then the Fregs.
#[repr(C, align(16))]
struct ProbeReturnFrame {
    _words: [u64; crate::PROBE_WORDS],
    fregs: crate::Fregs,
}

// Fregs::sp promises that the traced function's stack begins where the Fregs ends.
const _: () = {
    assert!(offset_of!(SetFrame, fregs) + size_of::<crate::Fregs>() == size_of::<SetFrame>());
    assert!(offset_of!(ProbeFrame, fregs) + size_of::<crate::Fregs>() == size_of::<ProbeFrame>());
    assert!(
        offset_of!(ProbeReturnFrame, fregs) + size_of::<crate::Fregs>()
            == size_of::<ProbeReturnFrame>()
    );
    // asm/fprobe.S moves the words as two pairs.
    assert!(crate::PROBE_WORDS == 4);
};

/// Whether arguments travel in vector registers on this target.
const HAS_VECTORS: usize = cfg!(target_feature = "neon") as usize;

macro_rules! entries {
    ($cpu_area:literal) => {
        global_asm!(
            concat!(".macro FTRACE_CPU_AREA\n mrs x12, ", $cpu_area, "\n.endm\n"),
            include_str!("../../../asm/frame.S"),
            include_str!("../../../asm/ftrace_caller.S"),
            include_str!("../../../asm/entry_call.S"),
            include_str!("../../../asm/entry_set.S"),
            include_str!("../../../asm/record.S"),
            include_str!("../../../asm/return_stack.S"),
            include_str!("../../../asm/entry_count.S"),
            include_str!("../../../asm/entry_cover.S"),
            include_str!("../../../asm/entry_stack.S"),
            include_str!("../../../asm/entry_profile.S"),
            include_str!("../../../asm/entry_graph.S"),
            include_str!("../../../asm/entry_graph_more.S"),
            include_str!("../../../asm/entry_graph_mark.S"),
            include_str!("../../../asm/fprobe.S"),
            include_str!("../../../asm/return_handlers.S"),
            INSN_SIZE = const insn::INSN_SIZE,
            CALLSITE_LITERAL_FROM_LR = const callsite::LITERAL_FROM_LR,
            OPS_ENTRY = const ops::offset::ENTRY,
            OPS_FUNC = const ops::offset::FUNC,
            OPS_DATA = const ops::offset::DATA,
            OPS_ORDER = const ops::offset::ORDER,
            OPS_OWN = const ops::offset::OWN,
            FREGS_X = const fregs::offset::X,
            FREGS_FP = const fregs::offset::FP,
            FREGS_LR = const fregs::offset::LR,
            FREGS_LINK = const fregs::offset::LINK,
            FREGS_PC = const fregs::offset::PC,
            FREGS_V = const fregs::offset::V,
            HAS_VECTORS = const HAS_VECTORS,
            CALL_FRAME = const CALL_FRAME,
            SET_FRAME = const size_of::<SetFrame>(),
            SET_SLOT = const offset_of!(SetFrame, slot),
            SET_FREGS = const offset_of!(SetFrame, fregs),
            PROBE_FRAME = const size_of::<ProbeFrame>(),
            PROBE_STACK = const offset_of!(ProbeFrame, stack_and_top),
            PROBE_KEPT = const offset_of!(ProbeFrame, words),
            PROBE_FREGS = const offset_of!(ProbeFrame, fregs),
            PROBE_RETURN_FRAME = const size_of::<ProbeReturnFrame>(),
            PROBE_RETURN_FREGS = const offset_of!(ProbeReturnFrame, fregs),
            SET_MEMBERS = const set::offset::MEMBERS,
            SET_MEMBER_SIZE = const set::offset::MEMBER_SIZE,
            CPU_GUARD = const cpu::offset::GUARD,
            CPU_REFUSED = const cpu::offset::REFUSED,
            CPU_RETURN_STACK = const cpu::offset::RETURN_STACK,
            CPU_STACK_LIMIT = const cpu::offset::STACK_LIMIT,
            CPU_COUNTERS = const cpu::offset::COUNTERS,
            STACK_TOP = const return_stack::offset::TOP,
            STACK_LIMIT = const return_stack::offset::LIMIT,
            STACK_CHILD = const return_stack::offset::CHILD,
            STACK_STATE = const return_stack::offset::STATE,
            STACK_OVERRUNS = const return_stack::offset::OVERRUNS,
            FRAME_SIZE = const size_of::<crate::ReturnFrame>(),
            FRAME_LR = const return_stack::offset::FRAME_LR,
            FRAME_IP = const return_stack::offset::FRAME_IP,
            FRAME_AUX = const return_stack::offset::FRAME_AUX,
            FRAME_TIME = const return_stack::offset::FRAME_TIME,
            BLOCK_HITS = const instances::offset::HITS,
            BLOCK_TOTAL = const instances::offset::TOTAL,
            BLOCK_OWN = const instances::offset::OWN,
            BLOCK_LONGEST = const instances::offset::LONGEST,
            BLOCK_SQUARES = const instances::offset::SQUARES,
            BLOCK_HANDLER = const instances::offset::HANDLER,
            DAIF_TO_SLOT = const cpu::offset::DAIF_TO_SLOT,
            CPU_RING = const cpu::offset::RING,
            RING_MASK = const ring::offset::MASK,
            RING_SHIFT = const ring::offset::SHIFT,
            RING_LIMIT = const ring::offset::LIMIT,
            EVENT_BYTES = const trace::EVENT_BYTES,
            EVENT_TIME_MASK = const trace::TIME_MASK,
            EVENT_LAP_SHIFT = const trace::LAP_SHIFT,
            EVENT_LAP_BITS = const trace::LAP_BITS,
            EVENT_LAP_LOW_BITS = const trace::LAP_LOW_BITS,
            EVENT_ENTRY = const (trace::Type::Entry as u64) << trace::TYPE_SHIFT,
            EVENT_EXIT = const (trace::Type::Exit as u64) << trace::TYPE_SHIFT,
            EVENT_UPPER_SHIFT = const trace::UPPER_SHIFT,
            EVENT_DATA = const (trace::Type::Data as u64) << trace::TYPE_SHIFT,
            EVENT_DATA_INDEX = const 1u64 << trace::DATA_INDEX_SHIFT,
            EVENT_DATA_RESULT = const (trace::DATA_RESULT as u64) << trace::DATA_KIND_SHIFT,
            GRAPH_ENTRY = const graph::offset::ENTRY,
            GRAPH_EXIT = const graph::offset::EXIT,
            GRAPH_MINIMUM = const graph::offset::MINIMUM,
            GRAPH_MASK = const graph::offset::MASK,
            GRAPH_OUTSIDE = const graph::OUTSIDE,
            GRAPH_BYTES_SHIFT = const graph::BYTES_SHIFT,
            GRAPH_RESULT_BIT = const graph::RESULT_BIT,
            FRAME_WORDS = const return_stack::WORDS,
            FPROBE_ENTRY = sym fprobe::called::entry,
            FPROBE_EXIT = sym fprobe::called::exit,
            FPROBE_EXIT_HIJACKED = sym fprobe::called::exit_hijacked,
        );

        /// What the register holds: the area's address, or zero.
        pub(super) fn cpu_area_register() -> u64 {
            let area: u64;
            // SAFETY: reading a software register has no effect.
            unsafe {
                core::arch::asm!(concat!("mrs {}, ", $cpu_area), out(reg) area, options(nomem, nostack, preserves_flags));
            }
            area
        }

        /// Sets the register.
        pub(super) fn set_cpu_area_register(area: u64) {
            // SAFETY: the kernel grants this register to the tracer (README, "Integration"). Not `nomem`: what is
            // stored into the area before must stand before.
            unsafe {
                core::arch::asm!(concat!("msr ", $cpu_area, ", {}"), in(reg) area, options(nostack, preserves_flags));
            }
        }
    };
}

#[cfg(not(feature = "percpu-tpidr-el1"))]
entries!("tpidrro_el0");
#[cfg(feature = "percpu-tpidr-el1")]
entries!("tpidr_el1");

/// The asm entries.
pub(crate) mod entry {
    use crate::ops::EntryFn;

    unsafe extern "C" {
        fn ftrace_entry_nop();
        fn ftrace_entry_call();
        fn ftrace_entry_call_guarded();
        fn ftrace_entry_set();
        fn ftrace_entry_set_guarded();
        fn ftrace_entry_set_mixed();
        fn ftrace_entry_record();
        fn ftrace_entry_record_lse();
        fn ftrace_entry_record_stop();
        fn ftrace_entry_record_stop_lse();
        fn ftrace_entry_count_lse();
        fn ftrace_entry_count_llsc();
        fn ftrace_entry_cover();
        fn ftrace_entry_stack();
        fn ftrace_entry_profile();
        fn ftrace_entry_graph();
        fn ftrace_entry_graph_lse();
        fn ftrace_entry_graph_stop();
        fn ftrace_entry_graph_stop_lse();
        fn ftrace_entry_graph_more();
        fn ftrace_entry_graph_more_lse();
        fn ftrace_entry_graph_more_stop();
        fn ftrace_entry_graph_more_stop_lse();
        fn ftrace_entry_graph_mark();
        fn ftrace_entry_fprobe();
    }

    pub(crate) const NOP: EntryFn = ftrace_entry_nop;
    pub(crate) const CALL: EntryFn = ftrace_entry_call;
    pub(crate) const CALL_GUARDED: EntryFn = ftrace_entry_call_guarded;
    pub(crate) const SET: EntryFn = ftrace_entry_set;
    pub(crate) const SET_GUARDED: EntryFn = ftrace_entry_set_guarded;
    pub(crate) const SET_MIXED: EntryFn = ftrace_entry_set_mixed;
    pub(crate) const RECORD: EntryFn = ftrace_entry_record;
    pub(crate) const RECORD_LSE: EntryFn = ftrace_entry_record_lse;
    pub(crate) const RECORD_STOP: EntryFn = ftrace_entry_record_stop;
    pub(crate) const RECORD_STOP_LSE: EntryFn = ftrace_entry_record_stop_lse;
    pub(crate) const COUNT: EntryFn = ftrace_entry_count_llsc;
    pub(crate) const COUNT_LSE: EntryFn = ftrace_entry_count_lse;
    pub(crate) const COVER: EntryFn = ftrace_entry_cover;
    pub(crate) const STACK: EntryFn = ftrace_entry_stack;
    pub(crate) const PROFILE: EntryFn = ftrace_entry_profile;
    pub(crate) const GRAPH_MARK: EntryFn = ftrace_entry_graph_mark;
    pub(crate) const FPROBE: EntryFn = ftrace_entry_fprobe;
    /// By mode (overwrite, stop) and by whether the cores have FEAT_LSE.
    pub(crate) const GRAPH: [EntryFn; 4] = [
        ftrace_entry_graph,
        ftrace_entry_graph_lse,
        ftrace_entry_graph_stop,
        ftrace_entry_graph_stop_lse,
    ];
    /// Likewise, with options.
    pub(crate) const GRAPH_MORE: [EntryFn; 4] = [
        ftrace_entry_graph_more,
        ftrace_entry_graph_more_lse,
        ftrace_entry_graph_more_stop,
        ftrace_entry_graph_more_stop_lse,
    ];
}

/// What the BLs reach.
pub(crate) fn trampoline() -> usize {
    unsafe extern "C" {
        fn ftrace_caller();
    }
    ftrace_caller as *const () as usize
}

/// Where the return handlers stand.
pub(crate) fn return_handlers() -> Range<usize> {
    unsafe extern "C" {
        fn ftrace_return_handlers();
        fn ftrace_return_handlers_end();
    }
    ftrace_return_handlers as *const () as usize..ftrace_return_handlers_end as *const () as usize
}

/// What profiled functions return to.
pub(super) fn profile_handler(lse: bool) -> usize {
    unsafe extern "C" {
        fn ftrace_return_to_profile_lse();
        fn ftrace_return_to_profile_llsc();
    }
    let handler = if lse {
        ftrace_return_to_profile_lse
    } else {
        ftrace_return_to_profile_llsc
    };
    handler as *const () as usize
}

/// What functions return to that an fprobe waits for.
pub(crate) fn fprobe_handler() -> usize {
    unsafe extern "C" {
        fn ftrace_return_to_fprobe();
    }
    ftrace_return_to_fprobe as *const () as usize
}

/// What functions return to that mark what they call.
pub(crate) fn mark_handler() -> usize {
    unsafe extern "C" {
        fn ftrace_return_to_graph_mark();
    }
    ftrace_return_to_graph_mark as *const () as usize
}

/// What functions return to whose entry is that of [`entry::GRAPH`]; behind those, of [`entry::GRAPH_MORE`], and of the
/// same where short calls leave no event.
pub(crate) fn graph_handler(form: usize) -> Option<usize> {
    unsafe extern "C" {
        fn ftrace_return_to_graph();
        fn ftrace_return_to_graph_lse();
        fn ftrace_return_to_graph_stop();
        fn ftrace_return_to_graph_stop_lse();
        fn ftrace_return_to_graph_more();
        fn ftrace_return_to_graph_more_lse();
        fn ftrace_return_to_graph_more_stop();
        fn ftrace_return_to_graph_more_stop_lse();
        fn ftrace_return_to_graph_long();
        fn ftrace_return_to_graph_long_lse();
        fn ftrace_return_to_graph_long_stop();
        fn ftrace_return_to_graph_long_stop_lse();
    }
    let handlers = [
        ftrace_return_to_graph,
        ftrace_return_to_graph_lse,
        ftrace_return_to_graph_stop,
        ftrace_return_to_graph_stop_lse,
        ftrace_return_to_graph_more,
        ftrace_return_to_graph_more_lse,
        ftrace_return_to_graph_more_stop,
        ftrace_return_to_graph_more_stop_lse,
        ftrace_return_to_graph_long,
        ftrace_return_to_graph_long_lse,
        ftrace_return_to_graph_long_stop,
        ftrace_return_to_graph_long_stop_lse,
    ];
    handlers
        .get(form)
        .map(|handler| *handler as *const () as usize)
}
