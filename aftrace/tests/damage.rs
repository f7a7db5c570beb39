//! Every kind of damage, through every verb that reads a trace: what is shown is what a whole file of the frames that are left shows, each
//! damage is named with its offset, and the exit code says so.

mod kernel;
mod verbs;

use std::collections::HashMap;

use aarch64_ftrace::trace::{FRAME_HEAD_BYTES, FrameKind};
use verbs::{
    CALLS, COUNTS, EARLY, END, LATE, Made, Part, SECOND_HEADER, VERBS, aftrace, named, part, whole,
    without, written,
};

/// A file that is damaged, what is left of it, and what is said.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    left: Vec<Part>,
    says: Vec<String>,
}

fn no_frame(offset: usize, bytes: usize) -> Vec<String> {
    vec![format!(
        "at offset {offset} {bytes} bytes are no frame; passed over"
    )]
}

fn no_fit(offset: usize) -> Vec<String> {
    vec![format!(
        "the frame at offset {offset} does not fit its kind; passed over"
    )]
}

fn cut_off(offset: usize) -> Vec<String> {
    vec![format!(
        "the recording is cut off at offset {offset}: no END frame before it"
    )]
}

/// Bytes of one frame changed, at an offset in it.
fn changed(name: &'static str, frame: usize, at: usize, bytes: &[u8]) -> Case {
    let (mut file, offsets) = written(&whole());
    let at = offsets[frame] + at;
    for (byte, with) in file[at..at + bytes.len()].iter_mut().zip(bytes) {
        *byte ^= with;
    }
    Case {
        name,
        bytes: file,
        left: without(&[frame]),
        says: no_frame(offsets[frame], offsets[frame + 1] - offsets[frame]),
    }
}

/// A frame of another kind or content in place of one, its CRC right; nothing of it is left.
fn replaced(name: &'static str, frame: usize, with: Part) -> Case {
    let mut parts = whole();
    parts[frame] = with;
    let (bytes, offsets) = written(&parts);
    Case {
        name,
        bytes,
        left: without(&[frame]),
        says: no_fit(offsets[frame]),
    }
}

/// Bytes put before a frame.
fn inserted(name: &'static str, frame: usize, with: &[u8]) -> Case {
    let (mut bytes, offsets) = written(&whole());
    let at = offsets[frame];
    bytes.splice(at..at, with.iter().copied());
    Case {
        name,
        bytes,
        left: whole(),
        says: no_frame(at, with.len()),
    }
}

/// Some bytes taken out; of which frames is said.
fn removed(name: &'static str, frame: usize, from: usize, until: usize) -> Case {
    let (mut bytes, offsets) = written(&whole());
    let at = offsets[frame];
    bytes.drain(at + from..at + until);
    Case {
        name,
        bytes,
        left: without(&[frame]),
        says: no_frame(at, offsets[frame + 1] - at - (until - from)),
    }
}

fn changes() -> Vec<Case> {
    const LENGTH: usize = 8;
    const CRC: usize = 16;
    let last = FRAME_HEAD_BYTES + 16 + 16 * 2 * CALLS - 1;
    vec![
        changed("an event's bit", EARLY, FRAME_HEAD_BYTES + 40, &[0x10]),
        changed("the first bit", EARLY, 0, &[1]),
        changed("the last bit", LATE, last, &[0x80]),
        changed("the kind", EARLY, 4, &[0xff]),
        changed("the core", LATE, 6, &[1]),
        changed("the number", LATE, 12, &[1]),
        changed("the CRC", LATE, CRC, &[0, 0, 0, 1]),
        changed(
            "a length beyond all limits",
            EARLY,
            LENGTH,
            &[0, 0, 0, 0xff],
        ),
        changed("a length beyond the file", LATE, LENGTH, &[0, 0, 0x0f]),
        changed("a length too short", EARLY, LENGTH, &[0x80]),
        changed("the header", 0, 100, &[2]),
        changed("the names", 1, 30, &[4]),
        changed("the counts", COUNTS, 30, &[4]),
        changed("the end", END, 30, &[4]),
        removed("a byte gone", EARLY, 70, 71),
        removed("the end of a frame gone", LATE, 100, 200),
        removed("the head of a frame gone", EARLY, 0, 20),
        inserted("something before the first", 0, b"BOOT\r\n"),
        inserted("something between", EARLY, &[0; 100]),
        inserted("magics between", LATE, &b"AFT\xf1".repeat(50)),
        inserted("one byte between", EARLY, b"A"),
    ]
}

fn misfits() -> Vec<Case> {
    let events = |bytes: usize| Part {
        core: 0,
        ..part(FrameKind::Events, vec![1; bytes])
    };
    let short = |kind: FrameKind, bytes: usize| part(kind, vec![0; bytes]);
    vec![
        replaced("events of fifteen bytes", EARLY, events(16 + 15)),
        replaced("events without their numbers", LATE, events(8)),
        replaced(
            "a short header",
            SECOND_HEADER,
            short(FrameKind::Header, 255),
        ),
        replaced(
            "a header of zeros",
            SECOND_HEADER,
            short(FrameKind::Header, 256),
        ),
        replaced("short counts", COUNTS, short(FrameKind::Counts, 39)),
        replaced("a short end", END, short(FrameKind::End, 15)),
        replaced("half a length", 2, short(FrameKind::Tasks, 5)),
        replaced(
            "a name that is no UTF-8",
            2,
            named(FrameKind::Tasks, &[7, 0, 0, 0], b"\xff\xfe"),
        ),
        replaced("half an address", 1, short(FrameKind::Symbols, 7)),
        replaced("a name of another length", 1, {
            let mut long = named(FrameKind::Symbols, &[0; 12], b"name");
            long.payload.pop();
            long
        }),
    ]
}

fn cuts() -> Vec<Case> {
    let (file, offsets) = written(&whole());
    let cut = |name, at: usize, left: usize, says: Vec<String>| Case {
        name,
        bytes: file[..at].to_vec(),
        left: whole()[..left].to_vec(),
        says,
    };
    let gap = {
        let mut bytes = file.clone();
        bytes.drain(offsets[EARLY]..offsets[EARLY + 2]);
        let at = offsets[EARLY];
        Case {
            name: "two frames gone",
            bytes,
            left: without(&[EARLY, EARLY + 1]),
            says: vec![format!(
                "before the frame at offset {at} 2 frames are missing"
            )],
        }
    };
    let mut zeros = file.clone();
    zeros[offsets[EARLY] + 10..offsets[EARLY + 2] + 10].fill(0);
    let zeros = Case {
        name: "a page of zeros over three frames",
        bytes: zeros,
        left: without(&[EARLY, EARLY + 1, EARLY + 2]),
        says: no_frame(offsets[EARLY], offsets[EARLY + 3] - offsets[EARLY]),
    };
    let mut twice = file.clone();
    twice[offsets[EARLY] + 60] ^= 1;
    twice[offsets[LATE] + 60] ^= 1;
    let of = |frame: usize| no_frame(offsets[frame], offsets[frame + 1] - offsets[frame]);
    let twice = Case {
        name: "two damages",
        bytes: twice,
        left: without(&[EARLY, LATE]),
        says: [of(EARLY), of(LATE)].concat(),
    };
    let at = offsets[LATE];
    vec![
        cut("cut off behind a frame", at, LATE, cut_off(at)),
        cut("cut off in a payload", at + 77, LATE, no_frame(at, 77)),
        cut("cut off in a head", at + 9, LATE, no_frame(at, 9)),
        cut(
            "cut off before its END",
            offsets[END],
            END,
            cut_off(offsets[END]),
        ),
        gap,
        zeros,
        twice,
    ]
}

/// What the verbs make of whole files, of which several cases leave the same.
type Known = HashMap<Vec<u8>, Vec<Made>>;

/// The damaged file beside a whole one of what is left.
fn judge(case: &Case, known: &mut Known) {
    let (rest, _) = written(&ended(case.left.clone()));
    let says: String = case
        .says
        .iter()
        .map(|what| format!("aftrace: x.aft: {what}\n"))
        .collect();
    let all = |bytes: &Vec<u8>| VERBS.map(|verb| aftrace(verb, bytes)).to_vec();
    let rest = known.entry(rest).or_insert_with_key(all);
    for (verb, wanted) in VERBS.into_iter().zip(rest) {
        let (name, of) = (case.name, verb.join(" "));
        let (made, wanted) = (aftrace(verb, &case.bytes), wanted.clone());
        assert_eq!(wanted.code, Some(0), "{name}, {of}: {}", wanted.says);
        assert!(!wanted.shown.is_empty() || !wanted.files.is_empty());
        let expected = Made {
            code: Some(3),
            says: wanted.says.clone() + &says,
            ..wanted
        };
        let show = |made: &Made| String::from_utf8_lossy(&made.shown).into_owned();
        assert!(
            made == expected,
            "{name}, {of}: {:?} for {:?}, {:?}\n{}\nfor\n{}",
            made.code,
            expected.says,
            made.says,
            show(&made),
            show(&expected)
        );
    }
    let info = aftrace(&["info"], &case.bytes);
    assert_eq!((info.code, info.says), (Some(3), says), "{}", case.name);
    let calls: usize = case.left.iter().map(|part| part.calls).sum();
    let lines = String::from_utf8(aftrace(&["replay"], &case.bytes).shown).expect("text");
    let shown = lines.lines().filter(|line| line.ends_with("();")).count();
    assert_eq!(shown, calls, "{}: {lines}", case.name);
}

fn judge_all(cases: &[Case]) {
    let mut known = Known::new();
    cases.iter().for_each(|case| judge(case, &mut known));
}

/// With an END, which it may have lost.
fn ended(mut parts: Vec<Part>) -> Vec<Part> {
    if parts.iter().all(|part| part.kind != FrameKind::End) {
        parts.extend(whole().pop());
    }
    parts
}

#[test]
fn frames_with_other_bytes() {
    judge_all(&changes());
}

#[test]
fn frames_that_do_not_fit_their_kind() {
    judge_all(&misfits());
}

#[test]
fn files_with_parts_missing() {
    judge_all(&cuts());
}
