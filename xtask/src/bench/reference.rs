//! What Linux costs, and what we allow ourselves: figures of shared/BASELINE.md and shared/DESIGN.md, section 7. Pure.

#[path = "../../../benches/table/src/rows.rs"]
mod rows;

pub use rows::ROWS;

/// Linux's instructions above the untraced call. From two tracers on Linux guards in any case.
#[must_use]
pub fn linux_overhead(guard: bool, relevant: u32, irrelevant: u32) -> f64 {
    match relevant {
        0 => 0.0,
        1 if guard => 164.0,
        1 => 40.0,
        many => f64::from(108 + 56 * many + 48 * irrelevant),
    }
}

/// Linux's time as a ratio to its own untraced call, where it was measured.
#[must_use]
pub fn linux_ratio(relevant: u32, irrelevant: u32) -> Option<f64> {
    match (relevant, irrelevant) {
        (1, _) => Some(6.4),
        (2, 0) => Some(28.9),
        (10, 0) => Some(86.5),
        (100, 0) => Some(704.0),
        (2, 10) => Some(81.0),
        (2, 100) => Some(530.0),
        _ => None,
    }
}

/// Our own limit for the overhead, in instructions.
#[must_use]
pub fn limit_overhead(guard: bool, relevant: u32) -> Option<f64> {
    match (relevant, guard) {
        (0, _) => Some(0.0),
        (1, false) => Some(30.0),
        (1, true) => Some(40.0),
        (2, false) => Some(44.0),
        (10, false) => Some(110.0),
        (100, false) => Some(900.0),
        _ => None,
    }
}

/// How the titles of figures begin that take further cores: those of boards are not started.
pub const MORE_CORES: &str = "three more cores idle";

/// A figure beside the table: the bench's name, the field, its unit, Linux's figure and our limit.
pub struct Figure {
    /// Value of `bench`.
    pub bench: &'static str,
    /// Value of `via`, where there is one.
    pub via: Option<&'static str>,
    /// The field that counts.
    pub field: &'static str,
    /// What a person reads.
    pub title: &'static str,
    /// Linux's.
    pub linux: Option<f64>,
    /// Ours, at most.
    pub limit: Option<f64>,
}

const fn figure(
    bench: &'static str,
    via: Option<&'static str>,
    field: &'static str,
    title: &'static str,
    linux: Option<f64>,
    limit: Option<f64>,
) -> Figure {
    Figure {
        bench,
        via,
        field,
        title,
        linux,
        limit,
    }
}

/// The entries that are measured one by one.
pub const ENTRIES: [&str; 8] = [
    "record_function",
    "record_graph",
    "record_graph_args",
    "profile_hit",
    "count_hit",
    "coverage_first",
    "coverage_after",
    "fprobe",
];

/// What is said of each.
pub const ENTRY_FIELDS: [&str; 3] = ["insns_per_call", "overhead_insns", "ns_per_call"];

/// All of them; `cargo xtask bench` fails when one is missing.
pub const FIGURES: [Figure; 28] = [
    figure(
        "disabled",
        None,
        "insns_per_call",
        "disabled callsite: instructions",
        Some(2.0),
        Some(2.0),
    ),
    figure(
        "direct",
        Some("literal"),
        "overhead_insns",
        "direct call through the literal: instructions",
        Some(4.0),
        Some(8.0),
    ),
    figure(
        "direct",
        Some("straight"),
        "overhead_insns",
        "direct call straight: instructions",
        Some(4.0),
        Some(4.0),
    ),
    figure(
        "record_function",
        None,
        "overhead_insns",
        "function event recorded: instructions",
        Some(653.0),
        Some(24.0),
    ),
    figure(
        "record_off",
        None,
        "overhead_insns",
        "function event while recording is off: instructions",
        None,
        Some(24.0),
    ),
    figure(
        "record_graph",
        None,
        "overhead_insns",
        "function graph, entry and exit recorded: instructions",
        Some(1983.0),
        Some(56.0),
    ),
    figure(
        "record_graph_args",
        None,
        "overhead_insns",
        "the same, eight arguments and the result: instructions",
        None,
        Some(130.0),
    ),
    figure(
        "fprobe",
        None,
        "overhead_insns",
        "entry and exit called, Rust that does nothing: instructions",
        None,
        Some(150.0),
    ),
    figure(
        "record_function",
        None,
        "event_bytes",
        "memory for each event: bytes",
        None,
        None,
    ),
    figure(
        "enable_all",
        None,
        "insns_per_callsite",
        "all callsites on: instructions each",
        Some(1439.0),
        Some(64.0),
    ),
    figure(
        "disable_all",
        None,
        "insns_per_callsite",
        "all callsites off: instructions each",
        Some(1200.0),
        Some(48.0),
    ),
    figure(
        "audit",
        None,
        "insns_per_callsite",
        "audit, all callsites on: instructions each",
        None,
        None,
    ),
    figure(
        "count_hit",
        None,
        "overhead_insns",
        "calls of one function counted: instructions a call",
        None,
        Some(14.0),
    ),
    figure(
        "profile_hit",
        None,
        "overhead_insns",
        "one function timed (profiler): instructions a call",
        None,
        None,
    ),
    figure(
        "coverage_first",
        None,
        "overhead_insns",
        "coverage, the first call of a function: instructions",
        None,
        None,
    ),
    figure(
        "coverage_after",
        None,
        "overhead_insns",
        "coverage, a call of a function that is covered: instructions",
        None,
        Some(0.0),
    ),
    figure(
        "stack_check",
        None,
        "overhead_insns",
        "stack tracer, a call that is no deeper: instructions",
        None,
        None,
    ),
    figure(
        "register_one",
        None,
        "insns",
        "one function on, the whole call: instructions",
        Some(7_970_000.0),
        Some(4000.0),
    ),
    figure(
        "unregister_one",
        None,
        "insns",
        "one function off, the whole call: instructions",
        Some(8_550_000.0),
        None,
    ),
    figure(
        "unregister_dynamic",
        Some("alone"),
        "insns_without",
        "a dynamic ops off, no grace period: instructions",
        None,
        None,
    ),
    figure(
        "unregister_dynamic",
        Some("alone"),
        "insns",
        "a dynamic ops off, with grace period: instructions",
        None,
        None,
    ),
    figure(
        "unregister_dynamic",
        Some("idle"),
        "insns_without",
        "three more cores idle, no grace period: all together",
        None,
        None,
    ),
    figure(
        "unregister_dynamic",
        Some("idle"),
        "insns",
        "three more cores idle, with grace period: likewise",
        None,
        None,
    ),
    figure(
        "grace_point",
        None,
        "insns",
        "a point of a core's main loop: instructions",
        None,
        None,
    ),
    figure(
        "init",
        None,
        "insns_per_callsite",
        "init: instructions for each callsite",
        None,
        None,
    ),
    figure(
        "init",
        None,
        "callsites",
        "callsites of this kernel",
        Some(54_052.0),
        None,
    ),
    figure(
        "memory",
        None,
        "bytes_per_callsite",
        "memory kept for each callsite: bytes",
        Some(16.1),
        Some(8.0),
    ),
    figure(
        "memory",
        None,
        "bytes_per_name",
        "table of names: bytes for each name",
        None,
        None,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_more_cores_says_so_first() {
        let (more, titled): (Vec<_>, Vec<_>) = FIGURES
            .iter()
            .map(|figure| {
                (
                    figure.via == Some("idle"),
                    figure.title.starts_with(MORE_CORES),
                )
            })
            .unzip();
        assert_eq!(more, titled);
        assert_eq!(more.iter().filter(|more| **more).count(), 2);
    }

    #[test]
    fn linux_follows_the_measured_rows() {
        for (relevant, irrelevant, overhead) in [
            (0, 100, 0.0),
            (1, 100, 40.0),
            (2, 0, 220.0),
            (2, 10, 700.0),
            (2, 100, 5020.0),
            (10, 0, 668.0),
            (100, 0, 5708.0),
        ] {
            assert_eq!(linux_overhead(false, relevant, irrelevant), overhead);
        }
        assert_eq!(linux_overhead(true, 1, 0), 164.0);
    }
}
