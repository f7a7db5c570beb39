//! The commands that are not the tracer's.

use super::{Answer, number, one};
use crate::format::{self, Align, Table};
use crate::sync::Lock;
use crate::tracing::FTRACE;
use crate::workload::{self, Outcome, Workload};
use crate::{klog, sched, tasks};
use alloc::format;
use alloc::string::ToString;
use virt::{print, println, timer};

pub fn ps(_: &[&str]) -> Answer {
    let mut table = Table::new(&[
        ("task", Align::Right),
        ("name", Align::Left),
        ("state", Align::Left),
        ("ran", Align::Right),
        ("switches", Align::Right),
    ]);
    for (number, row) in sched::rows().iter().enumerate() {
        let ran = format::seconds(timer::ticks_to_ns(row.ran));
        table.row(&[
            &number,
            &row.name,
            &format!("{:?}", row.state),
            &ran,
            &row.switches,
        ]);
    }
    print!("{table}");
    Ok(())
}

pub fn uptime(_: &[&str]) -> Answer {
    let up = format::seconds(timer::ticks_to_ns(sched::uptime()));
    let ticks = format::grouped(sched::ticks());
    println!("  {up}, {ticks} timer interrupts");
    Ok(())
}

pub fn mem(_: &[&str]) -> Answer {
    let (used, free) = virt::heap::usage();
    println!(
        "  heap: {} used, {} free",
        format::size(used as u64),
        format::size(free as u64)
    );
    let memory = FTRACE.memory();
    println!(
        "  tracer: {} for {} records, {} for {} names",
        format::size(memory.record_bytes as u64),
        format::grouped(memory.records as u64),
        format::size(memory.name_bytes as u64),
        format::grouped(memory.names as u64)
    );
    Ok(())
}

pub fn log(arguments: &[&str]) -> Answer {
    let count = match arguments {
        [] => 10,
        _ => number(one(arguments, "a number of lines")?)?,
    };
    let (lines, lost) = klog::tail(count, |line| {
        println!("  {:>8} {:<5} {}", line.time, line.level, line.text());
    });
    let (keys, height) = tasks::index_size();
    println!("  {lines} lines kept, {lost} pushed out; the index has {keys} keys, {height} levels");
    Ok(())
}

pub fn wait(arguments: &[&str]) -> Answer {
    sched::sleep(number(one(arguments, "a number of timer ticks")?)?);
    Ok(())
}

static FIRST: Lock<[Option<Outcome>; workload::ALL.len()]> = Lock::new([None; workload::ALL.len()]);

pub fn run(arguments: &[&str]) -> Answer {
    let name = one(arguments, "the name of a workload, or all,")?;
    let mut found = false;
    for (number, workload) in workload::ALL.iter().enumerate() {
        if name == "all" || name == workload.name {
            found = true;
            run_one(number, workload)?;
        }
    }
    if found {
        Ok(())
    } else {
        Err(format!("no workload {name:?}: type help"))
    }
}

fn run_one(number: usize, workload: &Workload) -> Answer {
    let begun = timer::ticks();
    let outcome = (workload.run)().map_err(|failure| failure.to_string())?;
    let took = format::seconds(timer::ticks_to_ns(timer::ticks() - begun));
    let first = *FIRST.lock()[number].get_or_insert(outcome);
    let verdict = if first == outcome {
        "same"
    } else {
        "DIFFERENT"
    };
    println!(
        "  {:8}{:>6} operations, checksum {:016x} ({verdict} as the first time), {took}",
        workload.name, outcome.operations, outcome.checksum
    );
    Ok(())
}

pub fn bench(_: &[&str]) -> Answer {
    crate::bench::run().map_err(|error| error.to_string())
}

pub fn exit(_: &[&str]) -> Answer {
    virt::exit(0)
}
