//! Frames as `aftrace run` shows them while they come.

mod fixture;
mod kernel;

use aarch64_ftrace::trace::{
    DATA_ARGUMENT, DATA_RESULT, DATA_RETURN_ADDRESS, Data, Event, FrameKind, Header, NO_CORE, Type,
    events_head,
};
use aftrace::trace::live::Lines;
use aftrace::trace::ram::FrameWriter;
use aftrace::trace::symbols::Naming;
use fixture::Fixture;

const TEXT: u64 = fixture::TEXT;

fn frame(kind: FrameKind, core: u16, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    out.frame(kind, core, parts).expect("memory");
    bytes
}

fn header(id: u8) -> Vec<u8> {
    let mut header = Header {
        text_start: TEXT,
        link_start: TEXT,
        ..kernel::header(1)
    };
    header.build_id[..20].fill(id);
    frame(FrameKind::Header, NO_CORE, &[&header.to_bytes()])
}

/// A call of the function at 0x40 from the one at 0x80.
fn call() -> Vec<u8> {
    let event = Event::new(
        Type::Function,
        62_500_000,
        TEXT + 0x50,
        (TEXT + 0x90) as u32,
        0,
        12,
    );
    let events = [&events_head(0, 0)[..], &event.to_bytes()];
    frame(FrameKind::Events, 0, &events)
}

#[test]
fn a_frame_of_another_build_is_said_and_what_follows_is_shown() {
    let mut lines = Lines::new(
        Fixture::new(&[(0x40, "open"), (0x80, "main")]).build(),
        Naming::default(),
    )
    .expect("no lines are wanted");
    let mut shown = |frame: Vec<u8>| {
        let mut out = Vec::new();
        lines.show(&frame, &mut out).expect("memory");
        String::from_utf8(out).expect("text")
    };
    let named = "[ core 0 1.000000000 ] open <- main\n";
    let digits = "[ core 0 1.000000000 ] 0x40200050 <- 0x4020008c\n";
    assert_eq!(shown(header(0xB1)), "");
    assert_eq!(shown(call()), named);
    let (own, other) = ("b1".repeat(20), "b2".repeat(20));
    let said = format!(
        "[ aftrace ] what follows is of another build: build id {other}, the kernel's is {own}: addresses are shown\n"
    );
    assert_eq!(shown(header(0xB2)), said);
    // It is said once for as long as it is so.
    assert_eq!(shown(header(0xB2)), "");
    assert_eq!(shown(call()), digits);
    assert_eq!(shown(header(0xB1)), "");
    assert_eq!(shown(call()), named);
}

#[test]
fn a_task_is_shown_by_its_name_until_another_kernel_comes() {
    let kernel = Fixture::new(&[(0x40, "open")]).build();
    let mut lines = Lines::new(kernel, Naming::default()).expect("no lines are wanted");
    let mut shown = |frame: Vec<u8>| {
        let mut out = Vec::new();
        lines.show(&frame, &mut out).expect("memory");
        String::from_utf8(out).expect("text")
    };
    let runs = || {
        let event = Event::new(Type::Task, 62_500_000, 0, 7, 0, 12).to_bytes();
        frame(FrameKind::Events, 0, &[&events_head(0, 0), &event])
    };
    let name = [&7_u32.to_le_bytes()[..], &5_u16.to_le_bytes(), b"shell"].concat();
    let name = |length| frame(FrameKind::Tasks, NO_CORE, &[&name[..length]]);
    let (number, named) = (
        "[ core 0 1.000000000 ] task 7",
        "[ core 0 1.000000000 ] task 7 shell",
    );
    assert_eq!(shown(header(0xB1)), "");
    assert_eq!(shown(runs()).trim_end(), number);
    // One that is cut off names nobody.
    assert_eq!(shown(name(10)), "");
    assert_eq!(shown(runs()).trim_end(), number);
    assert_eq!(shown(name(11)), "");
    assert_eq!(shown(runs()).trim_end(), named);
    assert_eq!(shown(header(0xB1)), "");
    assert_eq!(shown(runs()).trim_end(), named);
    shown(header(0xB2));
    assert_eq!(shown(runs()).trim_end(), number);
    assert_eq!(lines.passed_over, 1);
}

#[test]
fn every_event_is_said_in_words() {
    let kernel = Fixture::new(&[(0x40, "open"), (0x80, "main")]).build();
    let mut lines = Lines::new(kernel, Naming::default()).expect("no lines are wanted");
    let mut shown = |frame: Vec<u8>| {
        let mut out = Vec::new();
        lines.show(&frame, &mut out).expect("memory");
        String::from_utf8(out).expect("text")
    };
    shown(header(0xB1));
    let name = [&7_u32.to_le_bytes()[..], &5_u16.to_le_bytes(), b"shell"].concat();
    assert_eq!(shown(frame(FrameKind::Tasks, NO_CORE, &[&name])), "");
    let at =
        |kind, time: u64, upper| Event::new(kind, 62_500_000 * time, TEXT + 0x50, upper, 0, 12);
    let data = |kind, index, value| Data { kind, index, value }.event(0, 12);
    let main = TEXT + 0x90;
    let events = [
        at(Type::Task, 1, 7),
        at(Type::Task, 2, 8),
        at(Type::Task, 3, 0),
        at(Type::Entry, 4, main as u32),
        data(DATA_ARGUMENT, 0, 0x2a),
        at(Type::Exit, 9, 312_500_000),
        data(DATA_RESULT, 0, 5),
        // The first function of a task returns to nobody.
        at(Type::Function, 9, 0),
        at(Type::Trigger, 10, 5),
        at(Type::Stack, 11, 1),
        data(DATA_RETURN_ADDRESS, 0, main),
    ];
    let bytes = events.map(Event::to_bytes).concat();
    let text = shown(frame(FrameKind::Events, 0, &[&events_head(0, 0), &bytes]));
    let expected = [
        "1.000000000 ] task 7 shell",
        "2.000000000 ] task 8",
        "3.000000000 ] task 0",
        "4.000000000 ] open { <- main",
        "4.000000000 ]   argument 0: 0x2a",
        "9.000000000 ] } open 5.000  s",
        "9.000000000 ]   return value 0: 0x5",
        "9.000000000 ] open <- unknown",
        "10.000000000 ] trigger stack at open",
        "11.000000000 ] stack at open:",
        "11.000000000 ]   0x40200090 main",
    ];
    let expected = expected.map(|line| format!("[ core 0 {line}\n")).concat();
    assert_eq!(text, expected);
}

#[test]
fn a_file_that_is_no_kernel_is_an_error() {
    let mut lines = Lines::new(b"no kernel".to_vec(), Naming::default()).expect("not looked at");
    let error = lines
        .show(&header(0xB1), &mut Vec::new())
        .expect_err("no kernel");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}
