//@ cpu: cortex-a72/4/3, max/8/2/single
//@ target: softfloat
//@ profile: dev, release
//@ args: 3000
//@ long-args: 100000
//@ emu-check-args: 150 once
//@ timeout: 120
//! Cores start, call traced functions, and switch themselves off, again and again, while another changes tracing: patching
//! does not wait for cores that are off, and a core that comes back sees the text as it is then.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use guest::FTRACE;
use guest::smp::{self, Random, Writer};
use virt::board::MAX_CORES;
use virt::{cores, println, quiescent};

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// How often each core was up.
static LIVES: [AtomicU32; MAX_CORES] = [const { AtomicU32::new(0) }; MAX_CORES];

/// A few bursts, then off.
fn live(me: usize) {
    smp::arrive();
    let life = LIVES[me].fetch_add(1, Ordering::Relaxed);
    let mut random = Random::new(u64::from(life) << 8 | me as u64);
    for _ in 0..random.below(6) {
        smp::burst(&mut random);
        quiescent::point();
    }
    if FTRACE.cpu_offline().is_ok() {
        cores::stop();
    }
}

fn main() {
    guest::init();
    smp::arrive();
    quiescent::promise();
    let (changes, again) = smp::asked();
    let mut writer = Writer::new(again);
    let mut random = Random::new(0);
    let mut planned = true;
    while writer.changes < changes {
        // Those that are up, on their way, or not there, refuse.
        let _ = virt::start_core(1 + random.below(MAX_CORES as u64 - 1) as usize, live);
        writer.step();
        planned &= writer.text_is_as_planned();
    }
    writer.end();
    while cores::online() != 1 {
        assert!(FTRACE.synchronize());
        core::hint::spin_loop();
    }
    let lives = LIVES.each_ref().map(|lives| lives.load(Ordering::Relaxed));
    println!(
        "three cores or more were up more than ten times: {}",
        lives.iter().filter(|&&lives| lives > 10).count() >= 3
    );
    println!("text as planned after each change: {planned}");
    smp::report(100);
}
