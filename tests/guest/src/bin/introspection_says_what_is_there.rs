//@ variant: plain, high
//! What a shell shows: each callsite's name, whether it is and ever was enabled, its ops in calling order, all registered
//! ops; the names of addresses; the memory that is used.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Error, Filter, Ops, Reason};
use alloc::format;
use alloc::string::String;
use core::hint::black_box;
use guest::{FTRACE, callsite, note, register, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

#[inline(never)]
fn one(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn two(n: u64) -> u64 {
    black_box(n + 2)
}

aarch64_ftrace::notrace! {
    #[inline(never)]
    fn never(n: u64) -> u64 {
        black_box(n + 3)
    }
}

static A: Ops = Ops::new(note).with_data(b'A' as usize);
static B: Ops = Ops::unguarded(note).with_data(b'b' as usize);
static C: Ops = Ops::new(note).with_data(b'C' as usize);

fn show(what: &str) {
    println!("{what}");
    for function in [one as *const (), two as *const ()] {
        let callsite = callsite(function);
        let mut ops = String::new();
        if let Err(error) =
            FTRACE.ops_of(callsite.index(), |each| ops.push(each.data() as u8 as char))
        {
            panic!("{error}");
        }
        println!(
            "  {callsite}: enabled {}, touched {}, ops [{ops}]",
            callsite.is_enabled(),
            callsite.is_touched()
        );
    }
    let mut all = String::new();
    if let Err(error) = FTRACE.for_each_ops(|each| {
        all += &format!(" {}:{}", each.data() as u8 as char, each.callsites());
    }) {
        panic!("{error}");
    }
    println!(
        "  registered, newest first:{all}; enabled {}, touched {}",
        FTRACE.callsites().filter(|c| c.is_enabled()).count(),
        FTRACE.callsites().filter(|c| c.is_touched()).count()
    );
}

fn name(at: usize) -> String {
    match FTRACE.symbol(at) {
        Some(symbol) => format!("{symbol}"),
        None => "nothing".into(),
    }
}

fn main() {
    println!(
        "before init: {} callsites, {} rejects, {:?}",
        FTRACE.callsites().count(),
        FTRACE.rejects().count(),
        FTRACE.memory()
    );
    let report = guest::init();
    let memory = FTRACE.memory();
    println!(
        "callsites and rejects: {}, {}",
        FTRACE.callsites().count() == report.callsites,
        FTRACE.rejects().count() == report.rejected
    );
    println!("bytes a record: {}", memory.record_bytes / memory.records);
    println!(
        "records are both: {}",
        memory.records == report.callsites + report.rejected
    );
    println!(
        "names: {}",
        report.names == Ok(memory.names) && memory.name_bytes > 0
    );
    let entries = FTRACE.callsites().map(|c| c.entry());
    println!("in order of address: {}", entries.is_sorted());
    let unnamed = FTRACE
        .callsites()
        .filter(|c| c.names().next().is_none())
        .count();
    println!("without a name: {unnamed}");
    let reject = FTRACE
        .rejects()
        .find(|reject| reject.address + 8 == never as *const () as usize);
    println!(
        "notrace: {:?}, {:?}",
        reject.map(|reject| reject.reason == Reason::OwnCode),
        reject
            .and_then(|reject| reject.names().next())
            .map(|name| format!("{name}"))
    );
    show("nothing registered");
    let both = [one as *const () as usize, two as *const () as usize];
    register(&A, &Filter::at(&both));
    register(&B, &Filter::at(&both[1..]));
    register(&C, &Filter::at(&both[1..]));
    show("A on both, b and C on two");
    unregister(&A);
    show("A removed");
    unregister(&B);
    unregister(&C);
    show("all removed");
    let layout = callsite(both[0] as *const ()).layout();
    println!("entry: {}", name(layout.entry()));
    println!("branch: {}", name(layout.branch()));
    println!("text's start: {}", name(virt::mmu::text().start));
    println!("address 8: {}", name(8));
    let count = memory.records;
    println!(
        "no such index: {}",
        FTRACE.ops_of(count, |_| {})
            == Err(Error::NoSuchIndex {
                index: count,
                count
            })
    );
    assert_eq!(never(1), 4);
}
