//! The guard of one core, as asm/frame.S has it: its instructions interpreted, an interrupt at every one of them, and
//! another interrupt at every instruction of that one's.
//!
//! Only this core ever touches its area, so interrupts are all the concurrency there is; loom has no such thing.

use crate::cpu::{CpuArea, offset};
use std::collections::HashMap;

const FRAME: &str = include_str!("../../../asm/frame.S");
/// Where the area stands in the made-up memory.
const AREA: u64 = 0x1000;
/// DAIF in a task, in an interrupt handler and in a fast interrupt's handler.
const MASKS: [u64; 3] = [0, 0b0010 << 6, 0b0011 << 6];
const TOKEN: u64 = 0xffff;

/// The instructions of one macro of the source, arguments filled in, comments and empty lines left out.
fn body(name: &str, arguments: &[(&str, &str)]) -> Vec<String> {
    let begin = format!(".macro {name}");
    let mut lines = FRAME.lines().skip_while(|line| {
        let rest = line.strip_prefix(&begin);
        !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    });
    lines.next().expect("the macro is in asm/frame.S");
    let fill = |line: &str| {
        let mut line = line.split("/*").next().unwrap_or("").trim().to_owned();
        for (from, to) in arguments {
            line = line.replace(from, to);
        }
        line.replace("{CPU_GUARD}", &offset::GUARD.to_string())
            .replace("{CPU_REFUSED}", &offset::REFUSED.to_string())
            .replace("{DAIF_TO_SLOT}", &offset::DAIF_TO_SLOT.to_string())
    };
    lines
        .take_while(|line| !line.starts_with(".endm"))
        .map(fill)
        .filter(|line| !line.is_empty())
        .collect()
}

/// One traced call under the guard: taken, a tracer that calls a traced function itself (or not), given back; or refused.
fn program() -> Vec<String> {
    let arguments = [("\\busy", "refused"), ("\\token", "x30")];
    let acquire = body("FTRACE_GUARD_ACQUIRE", &arguments).into_iter();
    let mut program: Vec<_> = acquire
        .flat_map(|line| match line.starts_with("FTRACE_GUARD_TAKE ") {
            true => body("FTRACE_GUARD_TAKE", &arguments),
            false => vec![line],
        })
        .collect();
    program.push("TRACER".to_owned());
    let release = body("FTRACE_RESTORE_AND_RETURN", &[("\\extra", "x12")]);
    let release: Vec<_> = release
        .into_iter()
        .filter(|line| line.starts_with("str "))
        .collect();
    assert_eq!(release.len(), 1, "the slot is given back by one store");
    program.extend(release);
    program.extend(["b out".to_owned(), "refused:".to_owned()]);
    program.extend(body("FTRACE_COUNT_REFUSED", &[]));
    program.push("out:".to_owned());
    program
}

/// The core: its area, and what the calls came to.
#[derive(Default)]
struct Core {
    memory: HashMap<u64, u64>,
    monitor: Option<u64>,
    /// By context: calls delivered to the tracer, and calls refused.
    delivered: [u32; 3],
    refused: u64,
}

/// At which step of the context's own program the next one interrupts it.
type Plan<'a> = &'a [usize];

impl Core {
    fn interrupt(&mut self, program: &[String], context: usize, plan: Plan<'_>) {
        self.call(program, context + 1, &plan[1..], false);
        // Exception return clears the monitor (Arm ARM DDI 0487, "Exclusive access instructions and exceptions").
        self.monitor = None;
    }

    /// Runs one call in a context; `nested`: from inside its tracer. Returns how many steps it took.
    fn call(&mut self, program: &[String], context: usize, plan: Plan<'_>, nested: bool) -> usize {
        let mut x = [0_u64; 31];
        x[30] = TOKEN;
        let (mut at, mut steps) = (0, 0);
        while let Some(line) = program.get(at) {
            if plan.first() == Some(&steps) && !nested {
                self.interrupt(program, context, plan);
            }
            assert!(steps < 200, "no end in sight");
            steps += 1;
            at += 1;
            // A numeric label shares its line with an instruction.
            let words: Vec<&str> = line
                .split([' ', ',', '[', ']', '#'])
                .filter(|word| !word.is_empty() && !word.ends_with(':'))
                .collect();
            let register = |word: &str| match word {
                "xzr" => None,
                _ => Some(word[1..].parse::<usize>().expect("a register")),
            };
            let value = |x: &[u64; 31], word: &str| register(word).map_or(0, |n| x[n]);
            let number = |word: &str| word.parse::<u64>().expect("a number");
            let address =
                |x: &[u64; 31]| value(x, words[2]) + words.get(3).map_or(0, |n| number(n));
            let target = |label: &str| {
                let label = format!("{}:", label.trim_end_matches(['b', 'f']));
                let is_it = |line: &String| line.starts_with(&label);
                program.iter().position(is_it).expect("a label")
            };
            match words.as_slice() {
                [] => {}
                ["FTRACE_CPU_AREA"] => x[12] = AREA,
                ["TRACER"] => {
                    self.delivered[context] += 1;
                    assert!(!nested, "a tracer was entered from inside itself");
                    let before = self.refused;
                    self.call(program, context, &[], true);
                    assert_eq!(self.refused, before + 1, "a call from a tracer is counted");
                    // What the call clobbered, the tracer's frame has kept: x12 is the slot again.
                }
                ["b", label] => at = target(label),
                ["cbz", reg, label] => {
                    if value(&x, reg) == 0 {
                        at = target(label);
                    }
                }
                ["cbnz", reg, label] => {
                    if value(&x, reg) != 0 {
                        at = target(label);
                    }
                }
                ["mrs", reg, "daif"] => x[register(reg).unwrap()] = MASKS[context],
                ["add", to, a, b, "lsr", by] => {
                    x[register(to).unwrap()] = value(&x, a) + (value(&x, b) >> number(by));
                }
                ["add", to, a, by] => x[register(to).unwrap()] = value(&x, a) + number(by),
                ["ldr" | "ldxr", to, ..] => {
                    let place = address(&x);
                    if words[0] == "ldxr" {
                        self.monitor = Some(place);
                    }
                    x[register(to).unwrap()] = self.read(place);
                }
                ["str", from, ..] => {
                    let place = address(&x);
                    self.memory.insert(place, value(&x, from));
                }
                ["stxr", status, from, base] => {
                    let place = value(&x, base);
                    let fails = self.monitor.take() != Some(place);
                    x[register(status).unwrap()] = u64::from(fails);
                    if !fails {
                        self.memory.insert(place, value(&x, from));
                    }
                }
                other => panic!("an instruction that this test does not know: {other:?}"),
            }
            if words.first() == Some(&"stxr") && x[14] == 0 {
                self.refused += 1;
            }
        }
        steps
    }

    fn read(&self, place: u64) -> u64 {
        self.memory.get(&place).copied().unwrap_or(0)
    }
}

#[test]
fn an_interrupt_at_any_instruction_is_traced_and_no_recursion_is() {
    let program = program();
    let steps = Core::default().call(&program, 0, &[], false);
    let mut runs = 0;
    for first in 0..=steps {
        for second in 0..=steps {
            let mut core = Core::default();
            core.call(&program, 0, &[first, second], false);
            let interrupted = [1, u32::from(first < steps), {
                u32::from(first < steps && second < steps)
            }];
            assert_eq!(core.delivered, interrupted, "{first} {second}");
            for slot in 0..16 {
                let place = AREA + offset::GUARD as u64 + slot * 8;
                assert_eq!(core.read(place), 0, "slot {slot} is still taken");
            }
            let counted = core.read(AREA + offset::REFUSED as u64);
            assert_eq!(counted, u64::from(interrupted.iter().sum::<u32>()));
            runs += 1;
        }
    }
    assert!(runs > 100, "{runs}");
}

/// The same without the look at the slot: the interpreter must find the recursion.
#[test]
#[should_panic(expected = "a tracer was entered from inside itself")]
fn without_the_look_at_the_slot_a_tracer_enters_itself() {
    let mut program = program();
    let before = program.len();
    program.retain(|line| !line.starts_with("cbnz    x13"));
    assert_eq!(program.len(), before - 1, "one look is left out");
    Core::default().call(&program, 0, &[], false);
}

/// The same with one slot for all contexts: calls from interrupts in a tracer are lost.
#[test]
#[should_panic(expected = "an interrupt's call was lost")]
fn with_one_slot_for_all_contexts_an_interrupt_is_not_traced() {
    let mut program = program();
    let mrs = program.iter().position(|line| line.starts_with("mrs "));
    program[mrs.expect("the mask is read")] = "add x13, xzr, #0".to_owned();
    let taken = program
        .iter()
        .position(|line| line == "TRACER")
        .expect("called");
    let mut core = Core::default();
    core.call(&program, 0, &[taken, usize::MAX], false);
    assert_eq!(core.delivered, [1, 1, 0], "an interrupt's call was lost");
}

/// While a refused call is being counted, another one is: both are in the sum.
#[test]
fn no_refused_call_is_lost_to_an_interrupt() {
    let program = program();
    let busy = |core: &mut Core| {
        for mask in [MASKS[0], MASKS[1]] {
            let slot = AREA + offset::GUARD as u64 + (mask >> offset::DAIF_TO_SLOT);
            core.memory.insert(slot, TOKEN);
        }
    };
    let mut plain = Core::default();
    busy(&mut plain);
    let steps = plain.call(&program, 0, &[], false);
    for at in 0..steps {
        let mut core = Core::default();
        busy(&mut core);
        core.call(&program, 0, &[at], false);
        assert_eq!(core.delivered, [0, 0, 0]);
        assert_eq!(core.read(AREA + offset::REFUSED as u64), 2, "at step {at}");
    }
}

/// The slots that the asm computes are those of the Rust side: one for each mask, all within the area.
#[test]
fn slots_stand_within_the_area() {
    let last = offset::GUARD + (0b1111 << 6 >> offset::DAIF_TO_SLOT);
    assert!(last < offset::REFUSED && offset::REFUSED < size_of::<CpuArea>());
    assert_eq!(CpuArea::new().refused(), 0);
}
