//@ emu-check: writes a foreign word and a foreign literal by hand
//! Someone else's word at a callsite: the plan is refused with the address, what was expected and what was found, and no
//! callsite is changed. The callsite is quarantined and listed, the same plan works without it, the audit finds it, and an
//! init after a shutdown takes it back when the word is there again.
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
            "{what}: on {}, off {}, swapped {}, left out {}",
            applied.enabled, applied.disabled, applied.swapped, applied.quarantined
        ),
        Err(Error::Patch(PatchError {
            at,
            why,
            undone,
            stuck,
            foreign,
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
                        "{what}: refused at {at}: expected {expected}, found {found}; {undone} undone, {stuck} stuck, {foreign} foreign"
                    );
                    return;
                }
                why => why,
            };
            println!(
                "{what}: refused at {at}: {why:x?}; {undone} undone, {stuck} stuck, {foreign} foreign"
            );
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

    let say = |what: &str, answer| say(what, answer, word, literal);

    raw::overwrite_insn(word, FOREIGN);
    say("register over a foreign word", FTRACE.register(&A, &all));
    println!("  registered: {}", A.is_registered());
    listed(word);
    say("the same again", FTRACE.register(&A, &all));
    calls("A on the others");
    say("another", FTRACE.register(&B, &all));
    calls("A and B on the others");
    say("B away", FTRACE.unregister(&B));
    raw::overwrite_insn(word, Insn::NOP);
    listed(word);
    restart("the word is there again");
    listed(word);
    say("register", FTRACE.register(&A, &all));
    calls("A on all");

    let bl = raw::insn(word);
    raw::overwrite_insn(word, FOREIGN);
    say("unregister over a foreign word", FTRACE.unregister(&A));
    println!("  registered: {}, on {}", A.is_registered(), A.callsites());
    calls("A on the others");
    say("the same again", FTRACE.unregister(&A));
    println!("  registered: {}, on {}", A.is_registered(), A.callsites());
    // Whoever puts the BL back calls nobody: the literal has let go.
    raw::overwrite_insn(word, bl);
    calls("a BL without an ops");
    listed(word);
    raw::overwrite_insn(word, Insn::NOP);
    restart("the word is there again");

    say("register", FTRACE.register(&A, &Filter::at(&at[1..2])));
    let good = raw::literal(literal);
    raw::overwrite_insn(word, Insn::NOP);
    raw::overwrite_literal(literal, 0x1234_5678);
    say("register over a foreign literal", FTRACE.register(&B, &all));
    listed(literal);
    say("the same again", FTRACE.register(&B, &all));
    calls("B on the others");
    raw::overwrite_literal(literal, good);
    raw::overwrite_insn(word, bl);
    calls("A on its own, B on the others");
    unregister(&A);
    unregister(&B);
    calls("nothing");
}

/// What the tracer says of the callsite that has `at` among its words.
fn listed(at: usize) {
    let reasons = FTRACE
        .rejects()
        .filter(|reject| (reject.address..reject.address + 24).contains(&at));
    for reject in reasons {
        println!("  listed: {}", reject.reason);
    }
    let audit = FTRACE.audit(|finding| {
        let here = finding.at == at;
        let what = match finding.why {
            Why::Insn { found: FOREIGN, .. } => "the foreign word",
            Why::Literal { .. } => "the literal",
            Why::Insn { .. } => "a word",
            _ => "?",
        };
        println!(
            "  audit: {what}, here {here}, quarantined {}",
            finding.quarantined
        );
    });
    match audit {
        Ok(audit) => println!(
            "  audit: {} enabled, {} illegal, {} quarantined",
            audit.enabled, audit.illegal, audit.quarantined
        ),
        Err(error) => panic!("{error}"),
    }
}

fn restart(why: &str) {
    match FTRACE.shutdown() {
        Ok(done) => println!("shutdown: {} ops, {} left", done.ops, done.left),
        Err(error) => panic!("{error}"),
    }
    guest::init();
    println!("init, {why}");
}
