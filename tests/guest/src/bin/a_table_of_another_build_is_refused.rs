//@ variant: plain, bti, relocated
//@ emu-check: takes its own text back to the compiled state and initialises several times
//! Names: those of this build are used; without a table, with a damaged or truncated one, or with that of another build,
//! patterns over names are refused with the reason, and addresses work.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Error, Filter, Ftrace, Image, Ops};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::black_box;
use guest::raw;
use virt::platform::Virt;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 1)
}

/// Which error, without its numbers: those are of this build.
fn kind(error: &Error) -> alloc::string::String {
    let text = alloc::format!("{error:?}");
    text.split([' ', '{']).next().unwrap_or_default().into()
}

fn attempt(what: &str, records: &[u64], names: &[u8]) {
    let ftrace: &'static Ftrace = Box::leak(Box::new(Ftrace::new(&Virt)));
    let ops: &'static Ops = Box::leak(Box::new(Ops::new(guest::count)));
    // SAFETY: a copy of this kernel's records, for a tracer that gives every callsite back before the next one comes.
    let image = unsafe {
        Image::new(
            Box::leak(records.into()),
            raw::ranges(),
            Box::leak(names.into()),
        )
    };
    let report = match ftrace.init_with(image) {
        Ok(report) => report,
        Err(error) => panic!("{what}: {error}"),
    };
    let names = report.names.map(|count| count > 0);
    let names = names.map_err(|error| {
        alloc::format!("{error:?}")
            .split([' ', '{'])
            .next()
            .map(alloc::string::String::from)
    });
    let by_name = ftrace
        .register(ops, &Filter::new(&["*::subject"]))
        .map(|applied| applied.enabled);
    if by_name.is_ok() {
        let _ = ftrace.unregister(ops);
    }
    let by_address = ftrace
        .register(ops, &Filter::at(&[subject as *const () as usize]))
        .map(|applied| applied.enabled);
    subject(1);
    println!(
        "{what}: names {names:?}, by name {:?}, by address {by_address:?}, counted {:?}",
        by_name.map_err(|error| kind(&error)),
        guest::take_counts::<1>()
    );
    let _ = ftrace.unregister(ops);
    restore(records);
}

/// Gives the callsites back as compiled, so that the next tracer finds them so.
fn restore(records: &[u64]) {
    use aarch64_ftrace::callsite::{COMPILED_LITERAL, Layout};
    use aarch64_ftrace::insn::Insn;
    for &record in records {
        let plain = Layout::new(record as usize, false);
        let layout = Layout::new(record as usize, raw::insn(plain.entry()).is_bti());
        if record % 8 == 0 && raw::insn(layout.mov()) == Insn::MOV_X9_X30 {
            raw::overwrite_insn(layout.mov(), Insn::NOP);
            raw::overwrite_literal(layout.literal(), COMPILED_LITERAL);
        }
    }
}

fn main() {
    let names = raw::names();
    let records = Vec::from(raw::records());
    attempt("this build's", &records, names);
    attempt("none", &records, &[]);
    attempt("truncated", &records, &names[..200]);
    let mut damaged = Vec::from(names);
    damaged[150] ^= 1;
    attempt("damaged", &records, &damaged);
    let mut foreign = Vec::from(names);
    foreign[0] ^= 1;
    attempt("of something else", &records, &foreign);
    attempt("of a build with one function more", &records[1..], names);
    let mut moved = records.clone();
    moved[3] += 8;
    attempt("of a build with one function elsewhere", &moved, names);
    let reserved = aarch64_ftrace::names::Reserved::<4096>::new();
    attempt("reserved, not embedded", &records, reserved.as_bytes());
    attempt("this build's again", &records, names);
}
