//@ cpu: cortex-a53/2/3, cortex-a72/2/2/single, neoverse-n1/4/2/single, neoverse-n1/4/3/single, max/8/2/single, max/8/3/single/bti
//@ target: softfloat
//@ profile: release
//@ args: 100000
//@ emu-check-args: 2000 once
//@ variant: plain
//@ timeout: 240
//! Every core calls traced functions while one core registers, unregisters, exchanges and filters ops, 100,000 times: no
//! callback before a registration begins or after an unregistration has returned, none lost, none given to another ops.
#![no_std]
#![no_main]

use guest::smp::{self, Random, Writer};
use virt::{cores, println, quiescent};

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

fn main() {
    guest::init();
    smp::arrive();
    quiescent::promise();
    let (changes, again) = smp::asked();
    let mut online = 1;
    while virt::start_core(online, smp::work).is_ok() {
        online += 1;
    }
    let all = (1 << online) - 1;
    while cores::online() != all {
        core::hint::spin_loop();
    }
    let mut writer = Writer::new(again);
    let mut random = Random::new(0);
    let mut planned = true;
    while writer.changes < changes {
        writer.step();
        if random.below(16) == 0 {
            smp::burst(&mut random);
        }
        planned &= writer.text_is_as_planned();
    }
    writer.end();
    planned &= writer.text_is_as_planned();
    // A core that has left its loop is idle for ever.
    assert!(guest::FTRACE.synchronize());
    println!(
        "more than one core, all of them calling: {}",
        online > 1 && (0..online).all(|core| smp::bursts(core) > 20)
    );
    println!("changes asked for and made: {}", writer.changes >= changes);
    println!("text as planned after each change: {planned}");
    smp::report(changes);
}
