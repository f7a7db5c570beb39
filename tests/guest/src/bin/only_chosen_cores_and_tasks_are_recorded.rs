//@ cpu: cortex-a53/2/3, max/4/3
//@ profile: release
//! Cores and tasks that are left out while all cores record without a pause, and let in again: what they call is counted as
//! refused and nothing else of theirs is written; what interrupts a task is recorded with it.
#![no_std]
#![no_main]

use aarch64_ftrace::record::RecordError;
use aarch64_ftrace::{Counts, Mode};
use guest::record::{RECORDER, install, sure};
use guest::{irq, writers};
use virt::board::MAX_CORES;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// Calls of each other core between two looks.
const CALLS: u64 = 500;

/// Waits until each other core has called so often from now on.
fn wait(cores: usize, calls: u64) {
    (1..cores).for_each(|core| writers::wait(core..core + 1, writers::calls(core) + calls));
}

/// What a core wrote and what it was refused while it called so often, from when it had surely seen the last change.
fn growth(cores: usize) -> [(u64, u64); MAX_CORES] {
    let mut grown = [(0, 0); MAX_CORES];
    // A call that was under way at the change may still go by what was before.
    wait(cores, 2);
    let look = |core| {
        let Counts {
            written, refused, ..
        } = sure(RECORDER.counts(core));
        (written, refused)
    };
    let before: [_; MAX_CORES] = core::array::from_fn(|core| match core < cores {
        true => look(core),
        false => (0, 0),
    });
    wait(cores, CALLS);
    for core in 1..cores {
        let now = look(core);
        grown[core] = (now.0 - before[core].0, now.1 - before[core].1);
    }
    grown
}

/// Whether exactly these cores wrote, and exactly the others were refused.
fn exactly(what: &str, cores: usize, is_recorded: impl Fn(usize) -> bool) {
    let grown = growth(cores);
    let right = (1..cores).all(|core| {
        let (written, refused) = grown[core];
        match is_recorded(core) {
            true => written >= CALLS && refused == 0,
            false => written == 0 && refused >= CALLS,
        }
    });
    match right {
        true => println!("{what}: as it should be"),
        false => println!("{what}: {:?}", &grown[..cores]),
    }
}

/// How many events core 0 keeps of a call of this task, inside which an interrupt calls once more.
fn of_task(id: u32) -> u64 {
    let before = sure(RECORDER.counts(0)).written;
    RECORDER.task_switch(id);
    let switched = sure(RECORDER.counts(0)).written;
    writers::call(0);
    irq::send();
    let after = sure(RECORDER.counts(0)).written;
    println!(
        "  task {id}: {} for the switch, {} for a call and an interrupt's",
        switched - before,
        after - switched
    );
    after - before
}

fn main() {
    guest::init();
    virt::irq::handle(irq::SGI, || writers::call(0));
    virt::irq::unmask();
    let early = RECORDER.record_core(0, false);
    println!("before install: {:?}", early.err());
    install(Mode::Overwrite, MAX_CORES);
    let none = RECORDER.record_core(MAX_CORES, false);
    let refused = matches!(none, Err(RecordError::NoSuchCore { .. }));
    println!("a core that is not there is refused: {refused}");
    let cores = writers::start();
    exactly("all cores", cores, |_| true);
    sure(RECORDER.record_core(1, false));
    exactly("without core 1", cores, |core| core != 1);
    sure(RECORDER.switch(false));
    exactly("off", cores, |_| false);
    sure(RECORDER.switch(true));
    exactly("on, without core 1", cores, |core| core != 1);
    sure(RECORDER.record_core(1, true));
    exactly("all cores again", cores, |_| true);

    println!("all tasks:");
    of_task(1);
    sure(RECORDER.add_task(2));
    exactly("one task, which none of these runs", cores, |_| false);
    of_task(3);
    of_task(2);
    of_task(1);
    sure(RECORDER.add_task(1));
    println!("two tasks:");
    of_task(1);
    println!(
        "taken away: {} {}",
        RECORDER.remove_task(2),
        RECORDER.remove_task(2)
    );
    of_task(2);
    println!("the last: {}", RECORDER.remove_task(1));
    of_task(3);
    exactly("all tasks again", cores, |_| true);
    writers::stop();
}
