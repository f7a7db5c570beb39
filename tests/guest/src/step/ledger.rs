//! The ledger: what each entry of the library's asm does to the registers and how much stack it takes, measured instruction by
//! instruction, and compared with the table that docs/architecture.md has of it.

use super::entries::{Asm, SYMBOLS, Symbol};
use crate::probe;
use crate::raw;
use aarch64_ftrace::Mode;
use aarch64_ftrace::insn::{INSN_SIZE, Insn};
use core::fmt::{self, Write as _};
use spin::Mutex;
use virt::println;
use virt::trap::TrapFrame;

/// The page with the table.
const PAGE: &str = include_str!("../../../../docs/architecture.md");

/// What a line of the table has behind its first cell: six more, and nothing.
const CELLS: usize = 7;

/// Words of asm that there is room for.
const WORDS: usize = 4096;
/// x0 to x30.
const GENERAL: usize = 31;
const VECTORS: usize = if probe::HAS_VECTORS { 32 } else { 0 };
/// The index of the trampoline, which leads to the entries.
const TRAMPOLINE: usize = 0;
const STACK_ALIGN: u64 = 16;
const SPSR_NZCV_SHIFT: u32 = 28;

/// The registers at a stop.
#[derive(Clone, Copy)]
struct Registers {
    pc: usize,
    sp: u64,
    flags: u64,
    x: [u64; GENERAL],
    q: [u128; VECTORS],
    float_state: [u64; 2],
}

impl Registers {
    fn of(frame: &TrapFrame) -> Self {
        #[cfg(target_feature = "neon")]
        let (q, float_state) = (frame.q, [frame.fpcr, frame.fpsr]);
        #[cfg(not(target_feature = "neon"))]
        let (q, float_state) = ([], [0; 2]);
        Self {
            pc: frame.elr as usize,
            // The frame is the last thing below the interrupted stack.
            sp: (core::ptr::from_ref(frame) as usize + size_of::<TrapFrame>()) as u64,
            flags: frame.spsr >> SPSR_NZCV_SHIFT & 0xf,
            x: frame.x,
            q,
            float_state,
        }
    }

    /// General registers and vectors that differ.
    fn changed(&self, other: &Self) -> [Set; 2] {
        let bits =
            |numbers: &mut dyn Iterator<Item = usize>| numbers.fold(0, |bits, n| bits | 1 << n);
        [
            Set(
                'x',
                bits(&mut (0..GENERAL).filter(|&i| self.x[i] != other.x[i])),
            ),
            Set(
                'q',
                bits(&mut (0..VECTORS).filter(|&i| self.q[i] != other.q[i])),
            ),
        ]
    }
}

/// Registers of one kind, a bit for each.
#[derive(Clone, Copy)]
struct Set(char, u32);

impl Set {
    fn less(self, other: Self) -> Self {
        Self(self.0, self.1 & !other.1)
    }
}

impl fmt::Display for Set {
    /// `x0-x8, x30`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kind, bits) = *self;
        let has = |i: u32| i < u32::BITS && bits >> i & 1 == 1;
        let mut separator = "";
        let mut i = 0;
        while i < u32::BITS {
            let first = i;
            while has(i) {
                i += 1;
            }
            if first < i {
                write!(f, "{separator}{kind}{first}")?;
                separator = ", ";
            }
            if first + 1 < i {
                write!(f, "-{kind}{}", i - 1)?;
            }
            i += 1;
        }
        if bits == 0 {
            f.write_str("none")
        } else {
            Ok(())
        }
    }
}

/// What an entry does, over all the ways through it. General registers, then vectors.
#[derive(Clone, Copy)]
struct Row {
    seen: bool,
    /// Registers that one of its instructions changed.
    writes: [Set; 2],
    /// Registers that were others when the function (a handler: its caller) went on, whoever changed them.
    destroys: [Set; 2],
    destroys_flags: bool,
    /// Bytes.
    stack: u64,
}

impl Row {
    const NOTHING: Self = Self {
        seen: false,
        writes: [Set('x', 0), Set('q', 0)],
        destroys: [Set('x', 0), Set('q', 0)],
        destroys_flags: false,
        stack: 0,
    };

    /// What one of its instructions did.
    fn note(&mut self, base: &Registers, before: &Registers, now: &Registers) {
        add(&mut self.writes, before.changed(now));
        self.stack = self.stack.max(base.sp.wrapping_sub(now.sp));
    }

    /// What is left of it in the end.
    fn note_end(&mut self, base: &Registers, now: &Registers) {
        add(&mut self.destroys, base.changed(now));
        self.destroys_flags |= base.flags != now.flags;
    }

    /// Whether a line of the page says the same. It has cells for both targets.
    fn is(&self, line: &str) -> bool {
        let mut cells = line.split('|').map(str::trim).skip(2);
        let mut cell = || cells.next().unwrap_or_default();
        let general = self.restores(0, cell()) && self.destroys(0, cell());
        let stack = shows(cell(), self.stack);
        if !probe::HAS_VECTORS {
            return general && stack;
        }
        general && self.restores(1, cell()) && self.destroys(1, cell()) && shows(cell(), self.stack)
    }

    fn restores(&self, kind: usize, text: &str) -> bool {
        shows(text, self.writes[kind].less(self.destroys[kind]))
    }

    fn destroys(&self, kind: usize, text: &str) -> bool {
        let flags = if self.destroys_flags && kind == 0 {
            ", flags"
        } else {
            ""
        };
        shows(text, format_args!("{}{flags}", self.destroys[kind]))
    }
}

impl fmt::Display for Row {
    /// The cells of this target.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (writes, destroys) in self.writes.iter().zip(self.destroys) {
            let flags = if self.destroys_flags && destroys.0 == 'x' {
                ", flags"
            } else {
                ""
            };
            write!(f, "{} | {destroys}{flags} | ", writes.less(destroys))?;
        }
        write!(f, "{}", self.stack)
    }
}

fn add(to: &mut [Set; 2], more: [Set; 2]) {
    for (to, more) in to.iter_mut().zip(more) {
        to.1 |= more.1;
    }
}

/// Whether a text is what would be printed.
fn shows(text: &str, what: impl fmt::Display) -> bool {
    struct Rest<'a>(Option<&'a str>);

    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.and_then(|rest| rest.strip_prefix(part));
            Ok(())
        }
    }

    let mut rest = Rest(Some(text));
    write!(rest, "{what}").is_ok() && rest.0 == Some("")
}

/// What is known of the way that is being stepped.
struct Way {
    before: Registers,
    /// Where it began: at the callsite's first instruction, or at a handler's.
    base: Registers,
    row: Option<usize>,
}

struct Ledger {
    asm: Asm,
    rows: [Row; SYMBOLS],
    stepped: [bool; WORDS],
    way: Option<Way>,
    faults: Faults,
}

/// What must not be at any stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// sp was not a multiple of 16.
    pub misaligned: u64,
    /// FPCR or FPSR were others than at the way's first stop.
    pub float_state: u64,
}

static LEDGER: Mutex<Option<Ledger>> = Mutex::new(None);

/// Begins a ledger.
///
/// # Panics
/// Where there is no room for the asm.
pub fn begin() {
    let asm = Asm::find();
    assert!(
        asm.range().len() <= WORDS * INSN_SIZE,
        "more than {WORDS} words of asm"
    );
    *LEDGER.lock() = Some(Ledger {
        asm,
        rows: [Row::NOTHING; SYMBOLS],
        stepped: [false; WORDS],
        way: None,
        faults: Faults::default(),
    });
}

/// What the stepper calls at each stop.
pub fn at_stop(frame: &TrapFrame) {
    with(|ledger| ledger.note(Registers::of(frame)));
}

/// The same from the probe's body on: where what happens at its entry is not what the entry does of itself.
pub fn at_stop_of_return(frame: &TrapFrame) {
    let body = (probe::entry() + 2 * INSN_SIZE) as u64;
    with(|ledger| {
        if ledger.way.is_some() || frame.elr == body {
            ledger.note(Registers::of(frame));
        }
    });
}

/// Ends a way: what must not have been on it.
pub fn end_way() -> Faults {
    with(|ledger| {
        ledger.way = None;
        core::mem::take(&mut ledger.faults)
    })
}

/// Says which rows of the page differ from what was measured, and which instructions nobody stepped.
pub fn report(mode: Mode) {
    with(|ledger| {
        ledger.report_rows(mode);
        ledger.report_steps(mode);
    });
}

fn with<R>(what: impl FnOnce(&mut Ledger) -> R) -> R {
    match LEDGER.lock().as_mut() {
        Some(ledger) => what(ledger),
        None => panic!("no ledger has begun"),
    }
}

impl Ledger {
    fn note(&mut self, now: Registers) {
        self.faults.misaligned += u64::from(!now.sp.is_multiple_of(STACK_ALIGN));
        let Some(mut way) = self.way.take() else {
            self.way = Some(Way {
                before: now,
                base: now,
                row: None,
            });
            return;
        };
        self.faults.float_state += u64::from(now.float_state != way.base.float_state);
        let range = self.asm.range();
        let (was_in, is_in) = (range.contains(&way.before.pc), range.contains(&now.pc));
        if is_in {
            self.stepped[(now.pc - range.start) / INSN_SIZE] = true;
        }
        // The trampoline, which comes first, belongs to the entry that it leads to.
        let begins = self
            .asm
            .at(now.pc)
            .filter(|&index| is_in && index != TRAMPOLINE);
        let handler = begins.filter(|_| self.asm.handlers().contains(&now.pc));
        if let Some(row) = way.row.filter(|_| was_in) {
            let row = &mut self.rows[row];
            row.note(&way.base, &way.before, &now);
            // The function goes on, or its caller. A tracer would run below.
            if now.sp == way.base.sp && (!is_in || handler.is_some()) {
                row.note_end(&way.base, &now);
            }
        }
        if handler.is_some() {
            way.base = now;
            way.row = None;
        }
        way.row = way.row.or(begins);
        if let Some(row) = way.row {
            self.rows[row].seen = true;
        }
        way.before = now;
        self.way = Some(way);
    }

    fn report_rows(&self, mode: Mode) {
        let (mut right, mut wrong) = (0, 0);
        for (index, row) in self.rows.iter().enumerate() {
            let symbol = self.asm.symbol(index);
            let name = symbol.name;
            let is_entry = symbol.is_entry() && index != TRAMPOLINE && index != SYMBOLS - 1;
            if row.seen != (is_entry && self.asm.is_used(index, mode)) {
                println!("{name}: stepped: {}", row.seen);
                wrong += 1;
            }
            if !row.seen {
                continue;
            }
            let of_this = |line: &&str| {
                let mut cells = line.split('|').skip(1);
                let cell = cells.next().unwrap_or_default().trim().trim_matches('`');
                cell == name && cells.count() == CELLS
            };
            match PAGE.lines().find(of_this) {
                Some(line) if row.is(line) => right += 1,
                line => {
                    println!("the page says {}", line.unwrap_or("nothing"));
                    println!("  measured: {name} | {row}");
                    wrong += 1;
                }
            }
        }
        println!("the ledger is as measured: {}, {right} rows", wrong == 0);
    }

    /// Every word that is no padding must have been stepped, of the entries that are used here.
    fn report_steps(&self, mode: Mode) {
        let (mut stepped, mut left) = (0, 0);
        for (at, was_stepped) in self.asm.range().step_by(INSN_SIZE).zip(self.stepped) {
            let Some(index) = self.asm.of(at) else {
                continue;
            };
            let word = raw::insn(at);
            let padding = word == Insn::NOP || word.0 == 0;
            if was_stepped {
                stepped += 1;
            } else if !padding && self.asm.is_used(index, mode) {
                left += 1;
                let Symbol {
                    name, at: start, ..
                } = self.asm.symbol(index);
                println!("not stepped: {name}+{:#x}: {:08x}", at - start, word.0);
            }
        }
        println!("instructions of the asm: {stepped} stepped, {left} left out");
    }
}
