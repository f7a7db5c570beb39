//! The table of the patch that this project implements, and what each part of the tracer costs: one JSON object a line.
//!
//! Every line whose counter this machine does not have is left out: instructions need QEMU's -icount (or a core whose PMU
//! counts INST_RETIRED), time is of no meaning under -icount. `cargo xtask bench` runs both ways and keeps what counts.
#![no_std]
#![no_main]

extern crate alloc;

mod ballast;
mod counters;
mod grace;
mod measure;
mod recording;
mod rows;

use aarch64_ftrace::{Filter, Ftrace, Ops, TracerFn};
use core::arch::global_asm;
use measure::{Cost, Meter};
use virt::platform::Virt;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static FTRACE: Ftrace = Ftrace::new(&Virt);
const CALLS: u64 = 100_000;
const MOST: usize = 100;
const TARGET: &str = if cfg!(target_feature = "neon") {
    "hardfloat"
} else {
    "softfloat"
};

// A tracer that only returns, and a direct one that does nothing. In asm, because a Rust function would have a callsite
// and a frame of its own, which are not the tracer's cost.
global_asm!(
    ".section .text.ftrace_notrace.bench, \"ax\"",
    ".balign 64",
    ".global bench_tracer",
    "bench_tracer: ret",
    ".balign 64",
    ".global bench_direct",
    "bench_direct: bti c",
    "mov x10, x30",
    "mov x30, x9",
    "ret x10",
);

unsafe extern "C" {
    safe fn bench_tracer(ip: usize, parent: usize, ops: &Ops, fregs: &mut aarch64_ftrace::Fregs);
    fn bench_direct();
}

const TRACER: TracerFn = bench_tracer;
static PLAIN: [Ops; MOST] = [const { Ops::unguarded(TRACER) }; MOST];
static GUARDED: [Ops; MOST] = [const { Ops::new(TRACER) }; MOST];
static PLAIN_ELSEWHERE: [Ops; MOST] = [const { Ops::unguarded(TRACER) }; MOST];
static GUARDED_ELSEWHERE: [Ops; MOST] = [const { Ops::new(TRACER) }; MOST];
// SAFETY: bench_direct is written as Ops::direct asks for.
static DIRECT: Ops = unsafe { Ops::direct(bench_direct) };
// SAFETY: as above; it does not read x11.
static STRAIGHT: Ops = unsafe { Ops::straight(bench_direct) };

#[inline(never)]
extern "C" fn tracee() {}

#[inline(never)]
extern "C" fn other_tracee() {
    // Different from `tracee`, so that the compiler does not merge the two.
    core::hint::black_box(0);
}

fn main() {
    let meter = Meter::new();
    init(meter);
    let base = [false, true].map(|guard| table(meter, guard))[0];
    direct(meter, &DIRECT, "literal", base);
    direct(meter, &STRAIGHT, "straight", base);
    counters::counters(meter, base);
    disabled(meter);
    recording::function(meter, base);
    patching(meter);
    audit(meter);
    memory();
    grace::grace(meter);
    println!("bench: done ({} of ballast)", ballast::run());
}

fn init(meter: Meter) {
    let mut report = None;
    let cost = meter.measure(|| report = Some(FTRACE.init()));
    match report {
        Some(Ok(report)) => {
            println!("{report}");
            let per = cost.insns as f32 / report.callsites as f32;
            if virt::pmu::has_instructions() {
                println!(
                    r#"{{"bench":"init","target":"{TARGET}","callsites":{},"insns_per_callsite":{per:.1}}}"#,
                    report.callsites
                );
            }
        }
        other => panic!("init: {other:?}"),
    }
}

/// Prints the rows; returns the cost of row 0/0.
fn table(meter: Meter, guard: bool) -> Cost {
    let (here, elsewhere) = if guard {
        (&GUARDED, &GUARDED_ELSEWHERE)
    } else {
        (&PLAIN, &PLAIN_ELSEWHERE)
    };
    let mut base = None;
    for (relevant, irrelevant) in rows::ROWS {
        let (relevant, irrelevant) = (relevant as usize, irrelevant as usize);
        here[..relevant]
            .iter()
            .for_each(|ops| register(ops, tracee as *const () as usize));
        elsewhere[..irrelevant]
            .iter()
            .for_each(|ops| register(ops, other_tracee as *const () as usize));
        // Once to warm the caches (and QEMU's translation), once to count.
        meter.calls(tracee as *const () as usize, CALLS / 10);
        let cost = meter.calls(tracee as *const () as usize, CALLS);
        row(guard, relevant, irrelevant, cost, *base.get_or_insert(cost));
        here[..relevant]
            .iter()
            .chain(&elsewhere[..irrelevant])
            .for_each(unregister);
    }
    base.unwrap_or_default()
}

fn row(guard: bool, relevant: usize, irrelevant: usize, cost: Cost, base: Cost) {
    let head = format_args!(
        r#""target":"{TARGET}","guard":{guard},"relevant":{relevant},"irrelevant":{irrelevant},"calls":{CALLS}"#
    );
    if virt::pmu::has_instructions() {
        println!(
            r#"{{"bench":"table",{head},"insns_total":{},"insns_per_call":{:.1},"overhead_insns":{:.1}}}"#,
            cost.insns,
            per_call(cost),
            per_call(cost) - per_call(base)
        );
    }
    println!(
        r#"{{"bench":"table_wall",{head},"ns_total":{:.0},"ns_per_call":{:.2},"cycles_per_call":{:.2},"ratio":{:.2}}}"#,
        cost.ns,
        cost.ns / CALLS as f32,
        cost.cycles as f32 / CALLS as f32,
        cost.ns / base.ns
    );
}

/// The row of time beside the row of instructions named `bench`.
fn wall(bench: &str, cost: Cost) {
    println!(
        r#"{{"bench":"{bench}_wall","target":"{TARGET}","ns_per_call":{:.2},"cycles_per_call":{:.2}}}"#,
        cost.ns / CALLS as f32,
        cost.cycles as f32 / CALLS as f32
    );
}

fn direct(meter: Meter, ops: &'static Ops, via: &str, base: Cost) {
    register(ops, tracee as *const () as usize);
    let cost = meter.calls(tracee as *const () as usize, CALLS);
    unregister(ops);
    if virt::pmu::has_instructions() {
        let overhead = per_call(cost) - per_call(base);
        println!(
            r#"{{"bench":"direct","target":"{TARGET}","via":"{via}","overhead_insns":{overhead:.1}}}"#
        );
    }
}

/// What the callsite's own words cost: the function called at its entry, and behind its callsite.
fn disabled(meter: Meter) {
    let entry = tracee as *const () as usize;
    let Some(callsite) = FTRACE
        .callsites()
        .find(|callsite| callsite.entry() == entry)
    else {
        panic!("the traced function has no callsite");
    };
    let with = meter.calls(entry, CALLS);
    let without = meter.calls(callsite.layout().end(), CALLS);
    if virt::pmu::has_instructions() {
        let cost = per_call(with) - per_call(without);
        println!(r#"{{"bench":"disabled","target":"{TARGET}","insns_per_call":{cost:.1}}}"#);
    }
}

fn patching(meter: Meter) {
    let ops = &PLAIN[0];
    let [on_one, off_one] = on_and_off(meter, ops, &Filter::at(&[tracee as *const () as usize]));
    let [on_all, off_all] = on_and_off(meter, ops, &Filter::ALL);
    if !virt::pmu::has_instructions() {
        return;
    }
    let callsites = on_all.1;
    for (name, all, one) in [
        ("enable_all", on_all.0, on_one.0),
        ("disable_all", off_all.0, off_one.0),
    ] {
        let per = (all.insns - one.insns) as f32 / (callsites - 1) as f32;
        let fixed = one.insns as f32 - per;
        println!(
            r#"{{"bench":"{name}","target":"{TARGET}","callsites":{callsites},"insns_per_callsite":{per:.1},"insns_fixed":{fixed:.0}}}"#
        );
    }
    println!(
        r#"{{"bench":"register_one","target":"{TARGET}","insns":{}}}"#,
        on_one.0.insns
    );
    println!(
        r#"{{"bench":"unregister_one","target":"{TARGET}","insns":{}}}"#,
        off_one.0.insns
    );
}

/// Registers and unregisters: the cost of each, and how many callsites changed.
fn on_and_off(meter: Meter, ops: &'static Ops, filter: &Filter<'_>) -> [(Cost, usize); 2] {
    let (mut on, mut off) = (None, None);
    let on_cost = meter.measure(|| on = Some(FTRACE.register(ops, filter)));
    let off_cost = meter.measure(|| off = Some(FTRACE.unregister(ops)));
    match (on, off) {
        (Some(Ok(on)), Some(Ok(off))) => [(on_cost, on.enabled), (off_cost, off.disabled)],
        other => panic!("patching: {other:?}"),
    }
}

/// The audit of a kernel of which every callsite is enabled.
fn audit(meter: Meter) {
    if let Err(error) = FTRACE.register(&PLAIN[0], &Filter::ALL) {
        panic!("register: {error}");
    }
    let mut audit = None;
    let cost = meter.measure(|| audit = Some(FTRACE.audit(|finding| panic!("{finding}"))));
    unregister(&PLAIN[0]);
    let Some(Ok(audit)) = audit else {
        panic!("audit: {audit:?}");
    };
    assert_eq!((audit.enabled, audit.illegal), (audit.callsites, 0));
    if virt::pmu::has_instructions() {
        let per = cost.insns as f32 / audit.callsites as f32;
        println!(
            r#"{{"bench":"audit","target":"{TARGET}","callsites":{},"insns_per_callsite":{per:.1}}}"#,
            audit.callsites
        );
    }
}

fn memory() {
    let memory = FTRACE.memory();
    let per_callsite = memory.record_bytes as f32 / memory.records as f32;
    let per_name = memory.name_bytes as f32 / memory.names.max(1) as f32;
    println!(
        r#"{{"bench":"memory","target":"{TARGET}","bytes_per_callsite":{per_callsite:.1},"bytes_per_name":{per_name:.1}}}"#
    );
}

fn per_call(cost: Cost) -> f32 {
    cost.insns as f32 / CALLS as f32
}

fn register(ops: &'static Ops, at: usize) {
    if let Err(error) = FTRACE.register(ops, &Filter::at(&[at])) {
        panic!("register: {error}");
    }
}

fn unregister(ops: &'static Ops) {
    if let Err(error) = FTRACE.unregister(ops) {
        panic!("unregister: {error}");
    }
}
