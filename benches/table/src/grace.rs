//! What it costs to take away an ops whose memory is used again: without a grace period, as for one that is leaked, and with it.

use crate::measure::Meter;
use crate::{FTRACE, PLAIN, TARGET, register, tracee, unregister};
use virt::{cores, irq, println, quiescent};

const ROUNDS: u32 = 100;
const POINTS: u32 = 1000;
const MORE_CORES: usize = 3;

/// Prints `unregister_dynamic`, on this core alone and with others that are idle, and `grace_point`.
pub fn grace(meter: Meter) {
    if !virt::pmu::has_instructions() {
        return;
    }
    // As a kernel runs: a core that waits is woken by interrupts.
    irq::unmask();
    let points = meter.open(|| (0..POINTS).for_each(|_| quiescent::point()));
    let turns = meter.open(|| (0..POINTS).for_each(|_| core::hint::black_box(())));
    let each = points.insns.saturating_sub(turns.insns) as f32 / POINTS as f32;
    println!(r#"{{"bench":"grace_point","target":"{TARGET}","insns":{each:.1}}}"#);
    row(meter, "alone");
    quiescent::promise();
    for core in 1..=MORE_CORES {
        // A core that runs nothing else is idle.
        if let Err(error) = virt::start_core(core, |_| ()) {
            return println!("bench: no row with more cores: {error}");
        }
    }
    let all = (1 << (MORE_CORES + 1)) - 1;
    while cores::online() != all {
        cores::pause();
    }
    row(meter, "idle");
}

/// Under -icount the counter is that of all cores together.
fn row(meter: Meter, via: &str) {
    let mut all = [0; 2];
    for _ in 0..ROUNDS {
        for (sum, grace) in all.iter_mut().zip([false, true]) {
            register(&PLAIN[0], tracee as *const () as usize);
            // The others sleep again before what follows is counted.
            assert!(FTRACE.synchronize());
            let cost = meter.open(|| {
                unregister(&PLAIN[0]);
                assert!(!grace || FTRACE.synchronize());
            });
            *sum += cost.insns;
        }
    }
    let [without, with] = all.map(|sum| sum as f32 / ROUNDS as f32);
    println!(
        r#"{{"bench":"unregister_dynamic","target":"{TARGET}","via":"{via}","insns_without":{without:.1},"insns":{with:.1}}}"#
    );
}
