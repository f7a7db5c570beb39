//! What [`Recorder::dump_on_panic`] prints, to the letter.
#![forbid(unsafe_code)]

use super::recorder::{CORES, FTRACE, Kernel, after_a_reset, word};
use crate::areas;
use crate::record::Recorder;
use crate::ring::{Control, Mode};
use crate::trace::{DATA_ARGUMENT, DATA_RESULT, Data, Type};
use core::sync::atomic::Ordering;
use std::boxed::Box;
use std::format;
use std::string::String;
use std::vec::Vec;

/// In the text of the recorder's header, which has a million ticks a second.
const SITE: u64 = 0x4020_1000;
const CALLER: u32 = 0x4020_2000;

fn ring(kernel: &Kernel, area: usize) -> &'static Control {
    areas::ring(&kernel.areas[area])
}

fn call(ring: &Control, time: u64) {
    assert!(ring.write(Type::Function, time, SITE, CALLER));
}

fn dumped(kernel: &Kernel, count: usize) -> Vec<String> {
    let mut out = String::new();
    let printed = kernel.recorder.dump_on_panic(&mut out, count);
    printed.expect("a string has room");
    out.lines().map(String::from).collect()
}

/// Core 0: a call, one with its arguments, a call. Core 1: a call, one that is not finished, a call.
fn two_cores() -> Kernel {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let (first, second) = (ring(&kernel, 0), ring(&kernel, 1));
    call(first, 1_500_000);
    let value = |kind, index, value| Data { kind, index, value };
    let data = [value(DATA_ARGUMENT, 1, 0xab), value(DATA_RESULT, 0, 7)];
    first.write_with(Type::Entry, 12_000_001, SITE, CALLER, &data);
    call(first, 12_000_010);
    call(second, 12_000_005);
    second.reserve().expect("room");
    call(second, 12_000_020);
    kernel
}

const COUNTS: [&str; 3] = [
    "ftrace: core 0: 5 events, 0 overwritten, 0 dropped, 0 while off",
    "ftrace: core 1: 3 events, 0 overwritten, 0 dropped, 0 while off",
    "ftrace: core 2: 0 events, 0 overwritten, 0 dropped, 0 while off",
];

#[test]
fn the_last_events_of_all_cores_stand_in_order_of_time_with_what_belongs_to_them() {
    let kernel = two_cores();
    let events = [
        "     12.000001 [000] 0x40201000 entered <- 0x40202000",
        "                      argument 1: 0xab",
        "                      return value 0: 0x7",
        "     12.000005 [001] 0x40201000 <- 0x40202000",
        "     12.000010 [000] 0x40201000 <- 0x40202000",
        "     12.000020 [001] 0x40201000 <- 0x40202000",
        "ftrace: 1 events were not finished",
    ];
    assert_eq!(dumped(&kernel, 4), [&COUNTS[..], &events].concat());
    assert!(!kernel.recorder.is_on());
}

#[test]
fn data_whose_event_is_older_than_the_last_ones_is_not_shown() {
    let kernel = two_cores();
    let last = "     12.000010 [000] 0x40201000 <- 0x40202000";
    for count in 1..4 {
        let lines = dumped(&kernel, count);
        let of_first = lines.iter().filter(|line| line.contains("[000]"));
        assert!(of_first.eq([last]), "{count}: {lines:?}");
        assert!(!lines.iter().any(|line| line.contains("argument")));
    }
}

/// Its words are no time: it would stand before all others, or they would wait for it.
#[test]
fn data_whose_event_is_not_finished_is_not_shown() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let (first, second) = (ring(&kernel, 0), ring(&kernel, 1));
    call(first, 1_000_000);
    first.reserve().expect("room");
    assert!(first.write(Type::Data, 0, 0, 7));
    call(first, 5_000_000);
    call(second, 4_000_000);
    let events = [
        "      1.000000 [000] 0x40201000 <- 0x40202000",
        "      4.000000 [001] 0x40201000 <- 0x40202000",
        "      5.000000 [000] 0x40201000 <- 0x40202000",
        "ftrace: 1 events were not finished",
    ];
    assert!(dumped(&kernel, 9).iter().skip(COUNTS.len()).eq(&events));
}

#[test]
fn what_is_called_while_it_is_printed_is_counted() {
    let kernel = two_cores();
    assert_eq!(dumped(&kernel, 0), COUNTS);
    call(ring(&kernel, 0), 13_000_000);
    let counts = kernel.counts(0);
    assert_eq!((counts.written, counts.refused), (5, 1));
}

/// Of nothing it is known which build it is.
#[test]
fn the_next_boot_prints_what_the_kernel_would_have_printed() {
    let kernel = two_cores();
    for n in 0..300 {
        call(ring(&kernel, 2), 20_000_000 + n);
    }
    let memory = after_a_reset(&kernel.bytes());
    let survivor = kernel.recorder.survivor(&memory).expect("a region");
    for count in [0, 1, 4, 400] {
        let mut out = String::new();
        survivor.print(&mut out, count).expect("a string has room");
        let (head, events) = out.split_once('\n').expect("a line");
        assert_eq!(
            head,
            "ftrace: recorded by an unknown build, build id none, boot 1"
        );
        assert!(events.lines().eq(dumped(&kernel, count)), "{events}");
    }
}

/// Whoever panics may have written over control blocks before: what they say is looked at before anything is read where they say.
#[test]
fn of_damaged_control_blocks_a_line_says_what_is_wrong() {
    // Offset (docs/trace-format.md), what is written there, and whether the CRC or the field itself shows it.
    let damages = [
        (0, 8, "ring 1 has 0x8 at offset 0"),
        (0, 0x1038, "ring 1 has 0x1038 at offset 0"),
        (8, u64::MAX, "ring 1 is damaged: its CRC"),
        (16, 0x10, "ring 1 is damaged: its CRC"),
        (24, 64, "ring 1 is damaged: its CRC"),
        (32, 0, "ring 1 has 0x0 at offset 32"),
        (40, u64::MAX, "ring 1 has 0xffffffffffffffff at offset 40"),
        (48, u64::MAX, "ring 1 is damaged: its CRC"),
        (56, 7 << 32 | 1, "ring 1 has 0x7 at offset 60"),
        (72, 8, "ring 1 has 0x8 at offset 72"),
    ];
    let kernel = two_cores();
    let ring = ring(&kernel, 1);
    for (offset, value, says) in damages {
        let before = word(ring, offset).swap(value, Ordering::Relaxed);
        let lines = dumped(&kernel, 4);
        word(ring, offset).store(before, Ordering::Relaxed);
        let [first, second, third, events @ ..] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert_eq!([&first[..], &third[..]], [COUNTS[0], COUNTS[2]]);
        assert!(
            second.starts_with("ftrace: core 1: ") && second.contains(says),
            "{second}"
        );
        // Of the other core all that there is.
        assert_eq!(events.len(), 4, "{events:?}");
        assert!(events.iter().all(|line| !line.contains("[001]")));
    }
    assert_eq!(dumped(&kernel, 4).len(), 10);
}

/// A role says which of two rings is written to: also what it does not lead to is looked at.
#[test]
fn a_damaged_role_does_not_lead_to_the_spare_ring() {
    let kernel = Kernel::new(Mode::Overwrite, true);
    call(ring(&kernel, 0), 1);
    word(ring(&kernel, 0), 56).store(5 << 32, Ordering::Relaxed);
    let lines = dumped(&kernel, 4);
    assert_eq!(
        lines[0],
        "ftrace: core 0: ring 0 has 0x5 at offset 60, which cannot be"
    );
    assert!(lines[1].starts_with("ftrace: core 1: 0 events"));
}

/// Who has no memory of its own switches nobody off.
#[test]
fn a_recorder_without_memory_leaves_another_as_it_is() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let none: &Recorder = Box::leak(Box::new(Recorder::new(&FTRACE)));
    none.dump_on_panic(&mut String::new(), 1)
        .expect("a string has room");
    call(ring(&kernel, 0), 1);
    assert_eq!(kernel.counts(0).written, 1);
}

/// Each core that prints keeps recording off until it is done; who switches it off meanwhile is not undone.
#[test]
fn what_is_recorded_behind_a_pause_is_what_was_asked_for_last() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let is_kept = || {
        let before = kernel.counts(0).written;
        call(ring(&kernel, 0), 1);
        kernel.counts(0).written > before
    };
    let first = kernel.recorder.pause();
    assert!(!is_kept() && kernel.recorder.is_on());
    let second = kernel.recorder.pause();
    drop(first);
    assert!(!is_kept(), "the other one is still at it");
    drop(second);
    assert!(is_kept());
    let third = kernel.recorder.pause();
    kernel.recorder.switch(false).expect("memory");
    drop(third);
    assert!(!is_kept(), "off is off");
    let fourth = kernel.recorder.pause();
    kernel.recorder.switch(true).expect("memory");
    assert!(!is_kept(), "not yet");
    drop(fourth);
    assert!(is_kept());
}

#[test]
fn a_task_has_its_name_in_the_last_words() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let named = kernel.recorder.name_task(7, "shell");
    named.expect("room");
    for id in [7, 8] {
        ring(&kernel, 0).write(Type::Task, 1_000_000 + u64::from(id), 0, id);
    }
    let tasks = [
        "      1.000007 [000] task 7 shell",
        "      1.000008 [000] task 8",
    ];
    assert_eq!(dumped(&kernel, 4)[CORES..], tasks);
    let memory = after_a_reset(&kernel.bytes());
    let survivor = kernel.recorder.survivor(&memory).expect("a region");
    let mut out = String::new();
    survivor.print(&mut out, 4).expect("a string has room");
    assert!(out.lines().skip(1 + CORES).eq(tasks), "{out}");
}

/// More than are merged at a time.
#[test]
fn many_cores_are_printed_in_their_turn() {
    const MANY: usize = 70;
    let kernel = Kernel::of(MANY, Mode::Overwrite, false);
    let area = &kernel.areas[CORES];
    for core in [0, 31, 32, 63, 64, MANY - 1] {
        kernel.recorder.adopt(area, core);
        call(areas::ring(area), 100 - core as u64);
    }
    let lines = dumped(&kernel, 2);
    let counts = lines.iter().filter(|line| line.starts_with("ftrace: "));
    assert_eq!(counts.count(), MANY);
    let cores: Vec<&str> = lines
        .iter()
        .filter(|line| !line.starts_with("ftrace: "))
        .filter_map(|line| line.get(15..20))
        .collect();
    assert_eq!(
        cores,
        ["[031]", "[000]", "[063]", "[032]", "[069]", "[064]"]
    );
    for core in 0..MANY {
        let head = format!("ftrace: core {core}: ");
        assert!(lines.iter().any(|line| line.starts_with(&head)), "{head}");
    }
}

#[test]
fn a_recorder_without_memory_says_so() {
    let none: &Recorder = Box::leak(Box::new(Recorder::new(&FTRACE)));
    let mut out = String::new();
    none.dump_on_panic(&mut out, 1).expect("a string has room");
    assert_eq!(
        out,
        "ftrace: nothing recorded: the recorder has no memory\n"
    );
}
