//@ variant: plain, bti
//@ emu-check: writes a foreign word and a foreign literal by hand
//! Someone else's word at a callsite: the plan is refused with the address, what was expected and what was found, and no
//! callsite is changed. Put back, the same plan works.
#![no_std]
#![no_main]

use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::{Applied, Error, Filter, Ops, PatchError, Why};
use guest::subject::{first, second, third};
use guest::{FTRACE, callsite, raw, take_counts, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static A: Ops = Ops::new(guest::count);
static B: Ops = Ops::new(guest::count).with_data(1);

/// MOV X10, X10: harmless, and nothing that the tracer writes.
const FOREIGN: Insn = Insn(0xaa0a_03ea);

fn say(what: &str, answer: Result<Applied, Error>, word: usize, literal: usize) {
    match answer {
        Ok(applied) => println!(
            "{what}: on {}, off {}, swapped {}",
            applied.enabled, applied.disabled, applied.swapped
        ),
        Err(Error::Patch(PatchError {
            at,
            why,
            undone,
            stuck,
        })) => {
            let at = match at {
                at if at == word => "the word",
                at if at == literal => "the literal",
                _ => "elsewhere",
            };
            let why = match why {
                Why::Insn { expected, found } => {
                    let expected = if expected == Insn::NOP {
                        "nop"
                    } else if expected.branch_target(word) == Some(raw::trampoline()) {
                        "bl"
                    } else {
                        "?"
                    };
                    println!(
                        "{what}: refused at {at}: expected {expected}, found {found}; {undone} undone, {stuck} stuck"
                    );
                    return;
                }
                why => why,
            };
            println!("{what}: refused at {at}: {why:x?}; {undone} undone, {stuck} stuck");
        }
        Err(error) => println!("{what}: {error:?}"),
    }
}

fn calls(what: &str) {
    let sum = first(0) + second(0) + third(0);
    println!("  {what}: results {sum}, counts {:?}", take_counts::<2>());
}

fn main() {
    guest::init();
    let at = [
        first as *const () as usize,
        second as *const () as usize,
        third as *const () as usize,
    ];
    let layout = callsite(second as *const ()).layout();
    let (word, literal) = (layout.branch(), layout.literal());
    let all = Filter::at(&at);

    raw::overwrite_insn(word, FOREIGN);
    say(
        "register over a foreign word",
        FTRACE.register(&A, &all),
        word,
        literal,
    );
    println!("  registered: {}", A.is_registered());
    calls("nothing");
    say(
        "register everything",
        FTRACE.register(&A, &Filter::ALL),
        word,
        literal,
    );
    calls("nothing");
    raw::overwrite_insn(word, Insn::NOP);
    say("register", FTRACE.register(&A, &all), word, literal);
    calls("A on all");

    let bl = raw::insn(word);
    raw::overwrite_insn(word, FOREIGN);
    say(
        "unregister over a foreign word",
        FTRACE.unregister(&A),
        word,
        literal,
    );
    println!("  registered: {}", A.is_registered());
    say(
        "another over a foreign word",
        FTRACE.register(&B, &all),
        word,
        literal,
    );
    calls("A on the others");
    raw::overwrite_insn(word, bl);

    let good = raw::literal(literal);
    raw::overwrite_insn(word, Insn::NOP);
    raw::overwrite_literal(literal, 0x1234_5678);
    say(
        "register over a foreign literal",
        FTRACE.register(&B, &all),
        word,
        literal,
    );
    say(
        "narrow, past a foreign literal",
        FTRACE.set_filter(&A, &Filter::at(&at[..1])),
        word,
        literal,
    );
    raw::overwrite_literal(literal, good);
    raw::overwrite_insn(word, bl);
    calls("A on all");
    say("another", FTRACE.register(&B, &all), word, literal);
    calls("A and B on all");
    unregister(&A);
    unregister(&B);
    calls("nothing");
}
