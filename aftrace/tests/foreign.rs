//! Files that are no trace, and such as are made to hurt, through the verbs: what is wrong is said, in bounded memory.

mod kernel;
mod verbs;

use aarch64_ftrace::trace::{FrameKind, Type, crc32, events_head};
use verbs::{
    COUNTS, EARLY, END, Made, OUTPUT, Part, SECOND_HEADER, VERBS, aftrace, batch, part, whole,
    without, written,
};

/// The whole trace with these bytes in its one header, whose CRCs fit.
fn with_header(at: usize, bytes: &[u8]) -> Vec<Part> {
    let mut parts = without(&[SECOND_HEADER]);
    let header = &mut parts[0].payload;
    header[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32(&header[..252]);
    header[252..].copy_from_slice(&crc.to_le_bytes());
    parts
}

/// Newer minor versions only add: what is added is passed over, and all else is shown as before.
#[test]
fn what_a_newer_minor_version_adds_is_passed_over() {
    let plain = written(&without(&[SECOND_HEADER])).0;
    let mut parts = with_header(22, &[9, 0]);
    for at in [END, COUNTS] {
        parts[at - 1].payload.extend([7; 8]);
    }
    let (newer, offsets) = written(&parts);
    let show = |bytes: &[u8]| {
        let replay = aftrace(&["replay"], bytes);
        let report = aftrace(&["report"], bytes);
        assert_eq!(
            (replay.code, report.code),
            (Some(0), Some(0)),
            "{}",
            replay.says
        );
        (replay.shown, report.shown)
    };
    assert_eq!(show(&newer), show(&plain));
    // A frame of a kind that nobody knows, whose CRC fits.
    let mut strange = newer.clone();
    let last = offsets[parts.len() - 1];
    let mut unknown = newer[last..].to_vec();
    unknown[4] = 77;
    let refit = |frame: &mut [u8]| {
        let summed = [&frame[..16], &frame[24..]].concat();
        frame[16..20].copy_from_slice(&crc32(&summed).to_le_bytes());
    };
    refit(&mut unknown);
    let mut end = newer[last..].to_vec();
    end[12] += 1;
    refit(&mut end);
    strange.truncate(last);
    strange.extend(unknown.iter().chain(&end));
    assert_eq!(show(&strange), show(&plain));
    let told = String::from_utf8(aftrace(&["info"], &strange).shown).expect("text");
    assert!(told.contains("1 of them of unknown kinds"), "{told}");
}

/// What is no trace at all, and what is said of it.
#[test]
fn files_that_are_no_trace() {
    let (whole, offsets) = written(&whole());
    let no_header = written(&without(&[0, SECOND_HEADER])).0;
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(8000, 0);
    let next_major = written(&with_header(20, &[2, 0])).0;
    let no_text = written(&with_header(56, &[0; 8])).0;
    let rows: [(&str, &[u8], &str); 9] = [
        (
            "another major version",
            &next_major,
            "version 2.0; this reader knows 1.x. Read it with the aftrace of",
        ),
        ("no text", &no_text, "the header has 0x0 at offset 56"),
        ("empty", &[], "0 bytes and no frame of a trace"),
        (
            "text",
            b"hello\nworld\n",
            "12 bytes and no frame of a trace",
        ),
        (
            "another program's",
            &elf,
            "8000 bytes and no frame of a trace",
        ),
        ("zeros", &[0; 4096], "4096 bytes and no frame of a trace"),
        (
            "a head only",
            &whole[..20],
            "20 bytes and no frame of a trace",
        ),
        ("no header", &no_header, "no HEADER frame with a right CRC"),
        (
            "its middle",
            &whole[offsets[EARLY]..offsets[EARLY + 1]],
            "no HEADER frame",
        ),
    ];
    for (name, bytes, why) in rows {
        for verb in VERBS.into_iter().chain([&["info"][..]]) {
            let Made {
                code,
                shown,
                files,
                says,
            } = aftrace(verb, bytes);
            assert_eq!(
                (code, shown, files),
                (Some(2), vec![], vec![]),
                "{name}, {verb:?}: {says}"
            );
            assert!(
                says.starts_with("aftrace: x.aft: ")
                    && says.contains(why)
                    && says.lines().count() == 1,
                "{name}, {verb:?}: {says}"
            );
        }
    }
}

/// Names with what a terminal obeys: verbs show them without, and lines stay whole.
#[test]
fn names_do_nothing_to_the_terminal() {
    let mut parts = whole();
    let name = "\u{1b}[2Jfs\r\n\u{9b}31m\u{7}";
    let address = kernel::entry(1).to_le_bytes();
    parts[1] = verbs::named(
        FrameKind::Symbols,
        &[&address[..], &[0, 1, 0, 0]].concat(),
        name.as_bytes(),
    );
    parts[2] = verbs::named(FrameKind::Tasks, &7_u32.to_le_bytes(), name.as_bytes());
    // What the task does, on a core of its own.
    let at = kernel::callsite(1);
    let events = [
        kernel::event(Type::Task, 500, 0, 7),
        kernel::event(Type::Entry, 510, at, 0),
        kernel::event(Type::Exit, 620, at, 110),
    ];
    let events = events.iter().flat_map(|event| event.to_bytes());
    let payload = events_head(0, 0).into_iter().chain(events);
    let task = part(FrameKind::Events, payload.collect::<Vec<u8>>());
    parts.insert(3, Part { core: 2, ..task });
    let (bytes, _) = written(&parts);
    for verb in VERBS.into_iter().chain([&["symbols"][..], &["info"]]) {
        let made = aftrace(verb, &bytes);
        assert_eq!(made.code, Some(0), "{verb:?}: {}", made.says);
        let shown = String::from_utf8(made.shown).expect("text");
        let obeyed = |letter: char| letter.is_control() && letter != '\n';
        assert!(!(shown + &made.says).contains(obeyed), "{verb:?}");
    }
    let shown = aftrace(&["symbols"], &bytes).shown;
    assert!(
        String::from_utf8(shown)
            .expect("text")
            .ends_with("  [2Jfs   31m \n")
    );
}

/// Files of many megabytes that would have a reader keep several times as much, or say as much.
#[test]
fn hostile_files_take_no_more_memory_than_verbs_have() {
    /// Of each kind. Frames of names are as long as frames may be.
    const MANY: u32 = 3_000_000;
    const FRAME: u32 = 70_000;
    let with = |more: Vec<Part>| {
        let mut parts = whole();
        parts.splice(END..END, more);
        written(&parts).0
    };
    let frames = |kind, name: fn(u32) -> Vec<u8>| {
        let frames = (0..MANY / FRAME).map(|frame| {
            let names = (frame * FRAME..(frame + 1) * FRAME).flat_map(name);
            part(kind, names.collect::<Vec<u8>>())
        });
        with(frames.collect())
    };
    let mut damages = with(vec![]);
    let frame = written(&[part(FrameKind::Coverage, [])]).0;
    for _ in 0..100_000 {
        damages.push(b'X');
        damages.extend(&frame);
    }
    let cores = (0..1 << 14).map(|core| Part { core, ..batch(0) });
    let task = |number: u32| [&number.to_le_bytes()[..], &[0, 0]].concat();
    let rows = [
        ("damages", damages),
        ("cores", with(cores.collect())),
        ("tasks", frames(FrameKind::Tasks, task)),
        ("functions", frames(FrameKind::Symbols, |_| vec![0; 14])),
    ];
    for (name, bytes) in rows {
        // Each format that has files, and two that show.
        let formats = VERBS.into_iter().filter(|verb| verb.contains(&OUTPUT));
        for verb in formats.chain([&["info"][..], &["report"]]) {
            let made = aftrace(verb, &bytes);
            let lines = made.says.lines().count();
            let code = if name == "cores" { 0 } else { 3 };
            assert!(
                made.code == Some(code) && lines < 3000,
                "{name}, {verb:?}: {:?}, {lines} lines: {:.500}",
                made.code,
                made.says
            );
        }
    }
}
