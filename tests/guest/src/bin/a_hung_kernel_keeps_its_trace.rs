//@ cpu: neoverse-n1
//@ target: softfloat
//@ profile: release
//! What `cargo xtask test --only command` lets the host's command read. Told `hang`, it calls a few functions and then hangs
//! with interrupts masked, its last calls in the ring and nowhere else. Told `send`, it sends its trace between lines of text and
//! leaves with code 7. Told `offer`, it says what another kernel has left in the memory that survives a reset. Told nothing, it
//! says what its ring holds.
#![no_std]
#![no_main]

use aarch64_ftrace::sink::Stream;
use aarch64_ftrace::trace::EndReason;
use aarch64_ftrace::{Filter, Mode};
use core::hint::black_box;
use guest::record::{RECORDER, counts, install, print, sure};
use guest::{FTRACE, say};
use virt::console::TraceLine;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// More than the ring holds.
const TICKS: u64 = 1000;
/// The task that hangs, as the recorder knows it.
const TASK: u32 = 7;

#[inline(never)]
fn tick(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn take_the_lock(n: u64) -> u64 {
    black_box(tick(n) + 2)
}

#[inline(never)]
fn wait_for_the_lock(hang: bool) {
    while black_box(hang) {
        core::hint::spin_loop();
    }
}

fn send() {
    if let Err(error) = RECORDER.send(&mut Stream::serial(TraceLine::new()), EndReason::Asked) {
        panic!("{error}");
    }
}

fn offer() {
    let Some(memory) = virt::reset::persistent() else {
        panic!("it is given once")
    };
    match RECORDER.survivor(&memory) {
        Ok(found) => {
            print(&found, 4);
            let counts = found.rings().map(|ring| ring.counts());
            let unfinished: u64 = counts.map(|counts| counts.unfinished).sum();
            println!("{:?}, {unfinished} unfinished", found.build());
        }
        Err(error) => println!("refused: {error}"),
    }
}

fn main() {
    guest::init();
    let mut buffer = [0; 64];
    let word = virt::words::command_line(&mut buffer);
    if word == "offer" {
        return offer();
    }
    install(Mode::Overwrite, 1);
    let functions = [
        tick as *const () as usize,
        take_the_lock as *const () as usize,
        wait_for_the_lock as *const () as usize,
    ];
    say(
        "record",
        FTRACE.register(sure(RECORDER.ops()), &Filter::at(&functions)),
    );
    for n in 0..TICKS {
        tick(n);
    }
    sure(RECORDER.name_task(TASK, "spinner"));
    RECORDER.task_switch(TASK);
    take_the_lock(1);
    match word {
        "hang" => println!("now it hangs"),
        "send" => {
            println!("text before the frames");
            send();
            println!("text behind the frames");
            virt::exit(7);
        }
        _ => {}
    }
    wait_for_the_lock(word == "hang");
    counts("ring", 0);
}
