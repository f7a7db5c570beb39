//! Files that are no trace, and such as are made to hurt, through the verbs: what is wrong is said, in bounded memory.

mod kernel;
mod verbs;

use aarch64_ftrace::trace::FrameKind;
use verbs::{
    EARLY, END, Made, OUTPUT, Part, SECOND_HEADER, VERBS, aftrace, batch, part, whole, without,
    written,
};

/// What is no trace at all, and what is said of it.
#[test]
fn files_that_are_no_trace() {
    let (whole, offsets) = written(&whole());
    let no_header = written(&without(&[0, SECOND_HEADER])).0;
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(8000, 0);
    let rows: [(&str, &[u8], &str); 7] = [
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
