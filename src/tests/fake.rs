//! A kernel's text that is only memory: it starts as the compiler leaves it, logs every access in order, and refuses
//! the writes that a test tells it to.
#![forbid(unsafe_code)]

use crate::cache::CacheType;
use crate::callsite::{COMPILED_LITERAL, Layout};
use crate::error::WriteFault;
use crate::insn::{INSN_SIZE, Insn};
use crate::text::{ReadText, Text};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::vec::Vec;

/// One access, as the engine asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A load of a literal.
    LoadLiteral(usize),
    /// A load of an instruction word.
    LoadWord(usize),
    /// A literal was stored.
    Literal(usize, u64),
    /// An instruction word was stored.
    Word(usize, Insn),
    /// A word with all of its maintenance, in one.
    Cold(usize, Insn),
    /// A literal was to be stored, and was not.
    LiteralFault(usize),
    /// A word was to be stored, and was not.
    WordFault(usize),
    /// A store that seemed to succeed, and changed nothing.
    Lost(usize),
    Dmb,
    Clean(usize),
    Invalidate(usize),
    Dsb,
    Isb,
    SyncCores,
}

impl Event {
    pub(super) fn is_load(&self) -> bool {
        matches!(self, Self::LoadLiteral(_) | Self::LoadWord(_))
    }
}

/// What a write stores, for those that choose which to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Literal,
    Word,
}

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// It says so.
    Loud,
    /// It says nothing, and the memory is as before.
    Silent,
}

/// Gets the text, the number of the write (from 0) and what it stores; `true` refuses it.
type Refuse = Box<dyn FnMut(&Fake, usize, Write) -> bool>;

/// CTR_EL0 of the four kinds of core: with and without IDC (no clean needed) and DIC (no invalidation needed).
pub(super) const CTR_NEITHER: u64 = 0;
pub(super) const CTR_IDC: u64 = 1 << 28;
pub(super) const CTR_DIC: u64 = 1 << 29;
pub(super) const CTR_BOTH: u64 = CTR_IDC | CTR_DIC;
pub(super) const ALL_CTRS: [u64; 4] = [CTR_NEITHER, CTR_IDC, CTR_DIC, CTR_BOTH];

/// What stands behind a callsite's words: never to be written.
pub(super) const BODY: Insn = Insn(0xd65f_03c0);

/// The text.
pub(super) struct Fake {
    base: usize,
    words: RefCell<Vec<u32>>,
    log: RefCell<Vec<Event>>,
    cache: CacheType,
    refuse: RefCell<Option<Refuse>>,
    failing: Cell<Failing>,
    writes: RefCell<usize>,
}

impl Fake {
    /// The text of these functions, as compiled: a function is whether it begins with a BTI. Also the records.
    pub(super) fn new(base: usize, functions: &[bool], ctr: u64) -> (Self, Vec<u64>) {
        let mut words = Vec::new();
        let mut records = Vec::new();
        for (i, &bti) in functions.iter().enumerate() {
            records.push((base + words.len() * INSN_SIZE) as u64);
            words.extend([Insn::NOP.0; 2]);
            words.extend(bti.then_some(Insn::BTI_C.0));
            words.extend([Insn::NOP.0; 2]);
            // Bodies of different lengths; the next record is aligned to 8.
            words.extend((0..=i % 3).map(|_| BODY.0));
            if words.len() % 2 == 1 {
                words.push(BODY.0);
            }
        }
        (Self::of_words(base, words, ctr), records)
    }

    /// Text of these words.
    pub(super) fn of_words(base: usize, words: Vec<u32>, ctr: u64) -> Self {
        Self {
            base,
            words: RefCell::new(words),
            log: RefCell::default(),
            cache: CacheType::from_ctr(ctr),
            refuse: RefCell::new(None),
            failing: Cell::new(Failing::Loud),
            writes: RefCell::new(0),
        }
    }

    pub(super) fn range(&self) -> core::ops::Range<usize> {
        self.base..self.base + self.words.borrow().len() * INSN_SIZE
    }

    /// All of the memory.
    pub(super) fn memory(&self) -> Vec<u32> {
        self.words.borrow().clone()
    }

    /// Puts a word there behind the engine's back.
    pub(super) fn poke(&self, at: usize, insn: Insn) {
        let i = self.index(at);
        self.words.borrow_mut()[i] = insn.0;
    }

    /// Puts a literal there behind the engine's back.
    pub(super) fn poke_literal(&self, at: usize, value: u64) {
        self.poke(at, Insn(value as u32));
        self.poke(at + INSN_SIZE, Insn((value >> 32) as u32));
    }

    /// Reads a word, unlogged.
    pub(super) fn peek(&self, at: usize) -> Insn {
        Insn(self.words.borrow()[self.index(at)])
    }

    /// Reads a literal, unlogged.
    pub(super) fn peek_literal(&self, at: usize) -> u64 {
        u64::from(self.peek(at).0) | u64::from(self.peek(at + INSN_SIZE).0) << 32
    }

    /// Whether the callsite is as the compiler left it.
    pub(super) fn is_compiled(&self, layout: Layout) -> bool {
        self.peek_literal(layout.literal()) == COMPILED_LITERAL
            && self.peek(layout.mov()) == Insn::NOP
            && self.peek(layout.branch()) == Insn::NOP
    }

    /// Everything since the last call, without the loads.
    pub(super) fn take_log(&self) -> Vec<Event> {
        let mut log = self.log.take();
        log.retain(|event| !event.is_load());
        log
    }

    /// From now on refuses the writes that `refuse` says; they count from 0.
    pub(super) fn refuse(&self, refuse: impl FnMut(&Self, usize, Write) -> bool + 'static) {
        self.refuse.replace(Some(Box::new(refuse)));
        self.writes.replace(0);
    }

    /// How the writes fail that are refused.
    pub(super) fn fail(&self, how: Failing) {
        self.failing.set(how);
    }

    /// Refuses no more writes.
    pub(super) fn heal(&self) {
        self.refuse.replace(None);
    }

    pub(super) fn needs(&self) -> CacheType {
        self.cache
    }

    fn index(&self, at: usize) -> usize {
        assert!(
            self.range().contains(&at),
            "{at:#x} is outside the text {:#x?}",
            self.range()
        );
        assert!(at.is_multiple_of(INSN_SIZE), "{at:#x} is misaligned");
        (at - self.base) / INSN_SIZE
    }

    fn note(&self, event: Event) {
        self.log.borrow_mut().push(event);
    }

    fn refused(&self, write: Write) -> bool {
        let n = self.writes.replace_with(|writes| *writes + 1);
        // Taken out meanwhile, so that it may heal the text or poke it.
        let Some(mut refuse) = self.refuse.take() else {
            return false;
        };
        let refused = refuse(self, n, write);
        self.refuse.replace(Some(refuse));
        refused
    }

    /// A store: `done` does it and notes it, unless it is refused, which is noted as `fault`.
    fn store(
        &self,
        at: usize,
        write: Write,
        fault: Event,
        done: impl FnOnce(),
    ) -> Result<(), WriteFault> {
        match (self.refused(write), self.failing.get()) {
            (true, Failing::Loud) => {
                self.note(fault);
                return Err(WriteFault);
            }
            (true, Failing::Silent) => self.note(Event::Lost(at)),
            (false, _) => done(),
        }
        Ok(())
    }
}

impl ReadText for Fake {
    fn insn(&self, at: usize) -> Insn {
        self.note(Event::LoadWord(at));
        self.peek(at)
    }

    fn literal(&self, at: usize) -> u64 {
        assert!(at.is_multiple_of(8), "load of misaligned literal {at:#x}");
        self.note(Event::LoadLiteral(at));
        self.peek_literal(at)
    }
}

impl Text for Fake {
    fn store_insn(&self, at: usize, insn: Insn) -> Result<(), WriteFault> {
        self.store(at, Write::Word, Event::WordFault(at), || {
            self.poke(at, insn);
            self.note(Event::Word(at, insn));
        })
    }

    fn store_cold(&self, at: usize, insn: Insn) -> Result<(), WriteFault> {
        self.store(at, Write::Word, Event::WordFault(at), || {
            self.poke(at, insn);
            self.note(Event::Cold(at, insn));
        })
    }

    fn store_literal(&self, at: usize, value: u64) -> Result<(), WriteFault> {
        assert!(at.is_multiple_of(8), "store of misaligned literal {at:#x}");
        self.store(at, Write::Literal, Event::LiteralFault(at), || {
            self.poke_literal(at, value);
            self.note(Event::Literal(at, value));
        })
    }

    fn order_stores(&self) {
        self.note(Event::Dmb);
    }

    fn clean(&self, at: usize) {
        self.note(Event::Clean(at));
    }

    fn invalidate(&self, at: usize) {
        self.note(Event::Invalidate(at));
    }

    fn complete(&self) {
        self.note(Event::Dsb);
    }

    fn synchronise(&self) {
        self.note(Event::Isb);
    }

    fn sync_cores(&self) {
        self.note(Event::SyncCores);
    }

    fn cache_type(&self) -> CacheType {
        self.cache
    }
}
