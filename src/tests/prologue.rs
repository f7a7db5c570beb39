//! Frames as prologues make them. The words are those of `llvm-mc --arch=aarch64 --show-encoding` for the line beside them.
#![forbid(unsafe_code)]

use crate::insn::Insn;
use crate::prologue::Frame;

const BL: u32 = 0x9400_0000; // bl .
const RET: u32 = 0xd65f_03c0; // ret

fn read(words: &[u32]) -> Option<Frame> {
    Frame::read(words.iter().copied().map(Insn))
}

fn frame(up: u64, down: u64) -> Option<Frame> {
    let down = Some(down);
    Some(Frame { up, down })
}

#[test]
fn the_record_stands_where_x29_is_pointed() {
    // stp x29, x30, [sp, #-16]!; mov x29, sp
    assert_eq!(read(&[0xa9bf_7bfd, 0x9100_03fd, BL]), frame(16, 0));
    // sub sp, sp, #48; stp x29, x30, [sp, #32]; add x29, sp, #32
    let words = [0xd100_c3ff, 0xa902_7bfd, 0x9100_83fd, BL];
    assert_eq!(read(&words), frame(16, 32));
    // stp x29, x30, [sp, #-32]!; str x19, [sp, #16]; mov x29, sp; sub sp, sp, #512
    let words = [0xa9be_7bfd, 0xf900_0bf3, 0x9100_03fd, 0xd108_03ff, BL];
    assert_eq!(read(&words), frame(32, 512));
}

#[test]
fn everything_that_lowers_sp_counts() {
    for (word, bytes) in [
        (0xd100_83ff, 32),     // sub sp, sp, #32
        (0xd140_0bff, 0x2000), // sub sp, sp, #2, lsl #12
        (0xa9be_4ff4, 32),     // stp x20, x19, [sp, #-32]!
        (0xa9a0_4ff4, 512),    // stp x20, x19, [sp, #-512]!
        (0x6dbb_27e8, 80),     // stp d8, d9, [sp, #-80]!
        (0xadbc_27e8, 128),    // stp q8, q9, [sp, #-128]!
        (0xf81e_0ff3, 32),     // str x19, [sp, #-32]!
        (0xf810_0ff3, 256),    // str x19, [sp, #-256]!
        (0xfc19_0fe8, 112),    // str d8, [sp, #-112]!
        (0x3c9d_0fe8, 48),     // str q8, [sp, #-48]!
    ] {
        // Before the record is made, and behind it.
        let first = read(&[word, 0xa9bf_7bfd, 0x9100_03fd, BL]);
        assert_eq!(first, frame(16 + bytes, 0), "{word:#x}");
        let last = read(&[0xa9bf_7bfd, 0x9100_03fd, word, BL]);
        assert_eq!(last, frame(16, bytes), "{word:#x}");
    }
}

#[test]
fn what_lowers_something_else_does_not_count() {
    for word in [
        0xd100_83e0, // sub x0, sp, #32
        0xd100_801f, // sub sp, x0, #32
        0x9100_83ff, // add sp, sp, #32
        0xa9be_4c14, // stp x20, x19, [x0, #-32]!
        0xa902_7bfd, // stp x29, x30, [sp, #32]
        0xa982_4ff4, // stp x20, x19, [sp, #32]!
        0xf81e_0c13, // str x19, [x0, #-32]!
        0xf802_0ff3, // str x19, [sp, #32]!
        0x9100_83fc, // add x28, sp, #32
        0x9140_03fd, // add x29, sp, #0, lsl #12
        0xd503_233f, // paciasp
        0x2a00_03e0, // mov w0, w0
    ] {
        let read = read(&[word, 0xa9bf_7bfd, 0x9100_03fd, word, BL]);
        assert_eq!(read, frame(16, 0), "{word:#x}");
    }
}

#[test]
fn a_frame_is_made_before_anything_is_called() {
    let made = [0xa9bf_7bfd, 0x9100_03fd];
    for leaves in [
        BL,
        RET,
        0x1400_0002, // b .+8
        0xd61f_0200, // br x16
        0xd63f_0100, // blr x8
        0xd65f_0bff, // retaa
    ] {
        assert_eq!(read(&[leaves, made[0], made[1]]), None, "{leaves:#x}");
        let behind = read(&[made[0], made[1], leaves, 0xd100_83ff]);
        assert_eq!(behind, frame(16, 0), "{leaves:#x}");
    }
    for skips in [
        0x5400_0040, // b.eq .+8
        0xb400_0040, // cbz x0, .+8
        0x3500_0040, // cbnz w0, .+8
        0x3600_0040, // tbz w0, #0, .+8
        0xb7f8_0040, // tbnz x0, #63, .+8
    ] {
        let before = read(&[skips, made[0], made[1], BL]);
        assert_eq!(before, frame(16, 0), "{skips:#x}");
        let behind = read(&[made[0], made[1], skips, 0xd100_83ff]);
        assert_eq!(behind, frame(16, 0), "{skips:#x}");
    }
}

/// Of a frame of 40,000 bytes: each page is touched on the way down.
#[test]
fn a_loop_lowers_sp_to_its_end() {
    // stp x29, x30, [sp, #-16]!; mov x29, sp; sub x9, sp, #9, lsl #12; sub sp, sp, #1, lsl #12; cmp sp, x9; str xzr, [sp]; b.ne .-12;
    // sub sp, sp, #3152
    let words = [
        0xa9bf_7bfd,
        0x9100_03fd,
        0xd140_27e9,
        0xd140_07ff,
        0xeb29_63ff,
        0xf900_03ff,
        0x54ff_ffa1,
        0xd131_43ff,
        BL,
    ];
    assert_eq!(read(&words), frame(16, 9 * 4096 + 3152));
    // The same with an end from somewhere else.
    let mut open = words;
    open[2] = 0xd503_201f; // nop
    let none = Frame { up: 16, down: None };
    assert_eq!(read(&open), Some(none));
}

/// An exclusive store that is tried again is no part of the prologue.
#[test]
fn a_loop_behind_the_prologue_ends_it() {
    // ldaxr x0, [x9]; stlxr w11, x10, [x9]; cbnz w11, .-8
    let words = [
        0xa9bf_7bfd,
        0x9100_03fd,
        0xc85f_fd20,
        0xc80b_fd2a,
        0x35ff_ffcb,
        0xd100_83ff,
        BL,
    ];
    assert_eq!(read(&words), frame(16, 0));
    // tbnz w0, #0, .-8
    let mut words = words;
    words[4] = 0x3707_ffc0;
    assert_eq!(read(&words), frame(16, 0));
}

#[test]
fn no_words_make_a_frame_that_cannot_be() {
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[BL]), None);
    // add x29, sp, #32, with nothing below it
    assert_eq!(read(&[0x9100_83fd, BL]), None);
    // No prologue is that long.
    let mut long = std::vec![0xd503_201f; 64];
    long.extend([0xa9bf_7bfd, 0x9100_03fd]);
    assert_eq!(read(&long), None);
}

/// No compiler makes such a loop; what reads any text must not count below zero.
#[test]
fn a_loop_that_ends_above_the_record_is_no_prologue() {
    // sub x9, sp, #0; sub sp, sp, #1, lsl #12; mov x29, sp; b.ne to the sub of sp
    let words = [0xd100_03e9, 0xd140_07ff, 0x9100_03fd, 0x54ff_ffc1];
    assert_eq!(read(&words), None);
}
