//@ cpu: cortex-a53, neoverse-n1
//@ smp: 2
//! Triggers: recording off, on, a snapshot, a dump, a pair, a core that is halted; each so often as it says, at its function and no
//! other; a function that does not exist, and what else is refused, sets nothing.
#![no_std]
#![no_main]

use aarch64_ftrace::record::{Action, Item, MAX_TRIGGERS, RecordError, Trigger, park};
use aarch64_ftrace::trace::Type;
use aarch64_ftrace::{CpuArea, Error, Filter, Mode};
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use guest::record::{RECORDER, counts, install_with, name, sure};
use guest::{FTRACE, register, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static OFF: Trigger = Trigger::new(&RECORDER, Action::Off).times(1);
static ON: Trigger = Trigger::new(&RECORDER, Action::On).times(2);
static SNAPSHOT: Trigger = Trigger::new(&RECORDER, Action::Snapshot);
static DUMP: Trigger = Trigger::new(&RECORDER, Action::Dump { out, events: 2 }).times(1);
static START: Trigger = Trigger::new(&RECORDER, Action::On);
static STOP: Trigger = Trigger::new(&RECORDER, Action::Off);
static HALT: Trigger = Trigger::new(&RECORDER, Action::Halt { stop_others });

static MANY: [Trigger; MAX_TRIGGERS] =
    [const { Trigger::new(&RECORDER, Action::On) }; MAX_TRIGGERS];

static OTHER_AREA: CpuArea = CpuArea::new();
static LINES: AtomicUsize = AtomicUsize::new(0);
/// Whether recording is switched off while a dump is printed, as another core may.
static SWITCHES_OFF: AtomicBool = AtomicBool::new(false);
static STOPPED: AtomicU32 = AtomicU32::new(0);
static ARRIVED: AtomicU32 = AtomicU32::new(0);
static BEHIND: AtomicU32 = AtomicU32::new(0);

#[inline(never)]
fn work(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn begins(n: u64) -> u64 {
    black_box(n + 2)
}

#[inline(never)]
fn ends(n: u64) -> u64 {
    black_box(n + 3)
}

#[inline(never)]
fn fatal(n: u64) -> u64 {
    black_box(n + 4)
}

aarch64_ftrace::notrace! {
    fn out(text: &str) {
        let lines = text.bytes().filter(|&byte| byte == b'\n').count();
        LINES.fetch_add(lines, SeqCst);
        if SWITCHES_OFF.load(SeqCst) {
            sure(RECORDER.switch(false));
        }
    }

    fn stop_others() {
        STOPPED.fetch_add(1, SeqCst);
    }
}

fn at(function: fn(u64) -> u64) -> [usize; 1] {
    [function as usize]
}

fn set(trigger: &'static Trigger, function: fn(u64) -> u64) {
    sure(trigger.set(&Filter::at(&at(function))));
}

fn fired(what: &str, trigger: &'static Trigger) {
    println!(
        "{what}: fired {}, failed {}",
        trigger.fired(),
        trigger.failed()
    );
}

/// Each event: its function, and a trigger's action.
fn events() {
    for item in sure(RECORDER.read(0)) {
        let Item::Event { event, .. } = item else {
            panic!("{item:?}");
        };
        match event.kind() {
            Some(Type::Trigger) => println!("  {}: {}", name(event.callsite_low()), event.upper()),
            kind => println!("  {}: {kind:?}", name(event.callsite_low())),
        }
    }
}

fn begin_anew() {
    sure(RECORDER.switch(false));
    sure(RECORDER.reset(0));
    sure(RECORDER.switch(true));
}

fn refused() {
    let nowhere = Filter::new(&["no::such::function"]);
    let no_match = Err(RecordError::Ftrace(Error::NoMatch { pattern: 0 }));
    assert_eq!(
        OFF.set(&Filter::at(&at(work))),
        Err(RecordError::NotInstalled)
    );
    install_with(Mode::Overwrite, 2, true);
    assert_eq!(OFF.set(&nowhere), no_match);
    let outside = RecordError::Ftrace(Error::NoCallsiteAt(0x1000));
    assert_eq!(OFF.set(&Filter::at(&[0x1000])), Err(outside));
    let here = at(work);
    let here = Filter::at(&here);
    assert_eq!(START.set_until(&nowhere, &STOP, &here), no_match.map(drop));
    assert_eq!(START.set_until(&here, &STOP, &nowhere), no_match.map(drop));
    assert_eq!(
        STOP.set_until(&here, &START, &here),
        Err(RecordError::NotAPair)
    );
    let mut registered = 0;
    assert_eq!(FTRACE.for_each_ops(|_| registered += 1), Ok(()));
    println!(
        "refused; {registered} are set, recording is on: {}",
        RECORDER.is_on()
    );
}

fn off_and_on() {
    begin_anew();
    set(&OFF, ends);
    set(&ON, begins);
    work(1);
    begins(1);
    work(2);
    ends(1);
    work(3);
    begins(2);
    begins(3);
    // It has fired its once.
    ends(2);
    work(4);
    events();
    fired("off", &OFF);
    fired("on", &ON);
    OFF.rearm(1);
    ends(3);
    ends(4);
    fired("off, armed again", &OFF);
    println!("recording is on: {}", RECORDER.is_on());
    sure(OFF.unset());
    sure(ON.unset());
    begins(4);
    println!("not set, on: {}", RECORDER.is_on());
}

fn snapshot() {
    begin_anew();
    set(&SNAPSHOT, ends);
    println!("none yet: {}", SNAPSHOT.take_snapshot().is_none());
    work(1);
    work(2);
    ends(1);
    work(3);
    ends(2);
    fired("snapshot", &SNAPSHOT);
    let Some(taken) = SNAPSHOT.take_snapshot() else {
        panic!("a snapshot was taken");
    };
    println!("in the snapshot: {}", sure(taken.counts(0)).written);
    println!("behind it: {}", sure(RECORDER.counts(0)).written);
    println!("one only: {}", SNAPSHOT.take_snapshot().is_none());
    drop(taken);
    ends(3);
    fired("let go of", &SNAPSHOT);
    println!("another: {}", SNAPSHOT.take_snapshot().is_some());
    sure(SNAPSHOT.unset());
}

fn dump() {
    begin_anew();
    set(&DUMP, ends);
    (1..=5).for_each(|n| {
        work(n);
    });
    ends(1);
    ends(2);
    fired("dump", &DUMP);
    // Of two cores one line each, and two events of this one.
    println!(
        "lines {}, recording is on: {}",
        LINES.load(SeqCst),
        RECORDER.is_on()
    );
    SWITCHES_OFF.store(true, SeqCst);
    DUMP.rearm(1);
    ends(3);
    println!("switched off meanwhile: {}", !RECORDER.is_on());
    sure(RECORDER.switch(true));
    sure(DUMP.unset());
}

fn pair() {
    begin_anew();
    sure(START.set_until(&Filter::at(&at(begins)), &STOP, &Filter::at(&at(ends))));
    work(1);
    for n in 0..3 {
        begins(n);
        work(n);
        ends(n);
        work(n);
    }
    counts("between start and stop", 0);
    sure(START.unset());
    sure(STOP.unset());
}

fn other_core(_: usize) {
    FTRACE.cpu_online(&OTHER_AREA);
    ARRIVED.store(1, SeqCst);
    fatal(1);
    BEHIND.store(1, SeqCst);
    park()
}

fn halt() {
    sure(RECORDER.switch(true));
    set(&HALT, fatal);
    if let Err(error) = virt::cores::start_core(1, other_core) {
        panic!("core 1: {error}");
    }
    while STOPPED.load(SeqCst) == 0 {
        core::hint::spin_loop();
    }
    // Time enough for a core that was not halted.
    let until = virt::timer::ticks() + virt::timer::frequency() / 50;
    while virt::timer::ticks() < until {
        core::hint::spin_loop();
    }
    println!(
        "halted: arrived {}, others stopped {}, went on {}, recording is on: {}",
        ARRIVED.load(SeqCst),
        STOPPED.load(SeqCst),
        BEHIND.load(SeqCst),
        RECORDER.is_on()
    );
    fired("halt", &HALT);
}

/// One more than there may be, and others.
fn many() {
    let nowhere = Filter::new(&["no::such::function"]);
    let answers = MANY.each_ref().map(|trigger| trigger.set(&nowhere));
    let too_many = Err(RecordError::TooManyTriggers);
    let refused = answers.iter().filter(|answer| **answer == too_many).count();
    // Those known until then are the seven above.
    println!("triggers that there is no room for: {refused}");
}

fn main() {
    guest::init();
    refused();
    register(sure(RECORDER.ops()), &Filter::at(&at(work)));
    off_and_on();
    snapshot();
    dump();
    pair();
    unregister(sure(RECORDER.ops()));
    halt();
    many();
}
