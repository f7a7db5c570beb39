//@ cpu: cortex-a53, max
//@ variant: plain, blocks, high, bti, relocated
//@ smp: 2
//@ profile: release
//! W^X. A store to the text faults at its executable address; data is not executed, also where only WXN forbids it. The alias
//! is there between patch_begin and patch_end, maps the text and nothing else, and is gone afterwards on every core, also
//! on one that has used it. An alias of other memory changes nothing: stores succeed, and the error says that nothing has arrived.
#![no_std]
#![no_main]

use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::{AliasError, Error, Filter, Ftrace, Ops, Platform};
use core::arch::asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use guest::fault::{self, Fault};
use guest::{raw, take_counts};
use spin::Mutex;
use virt::mmu::{self, Mapping};
use virt::platform::Virt;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// Virt, watched while the text is open.
struct Watched;

// SAFETY: every method does what Virt's does.
unsafe impl Platform for Watched {
    fn patch_begin(&self) -> Result<isize, AliasError> {
        let distance = Virt.patch_begin()?;
        if ELSEWHERE.load(SeqCst) {
            let literal = place() - size_of::<u64>();
            return Ok((&raw const MEMORY as isize).wrapping_sub_unsigned(literal));
        }
        DISTANCE.store(distance as usize, SeqCst);
        if WATCH.load(SeqCst) {
            look(distance);
        }
        Ok(distance)
    }

    fn patch_end(&self) {
        let watched = WATCH.swap(false, SeqCst);
        let alias = place().wrapping_add(DISTANCE.load(SeqCst));
        // Both cores have it in their TLBs at the very end. Loads, because QEMU forgets soon that it may store to code.
        let both = || (fault::load(alias), on_other_core(alias | LOAD));
        let before = watched.then(both);
        Virt.patch_end();
        if let Some((None, None)) = before {
            let (own, other) = both();
            let mut seen = SEEN.lock();
            seen[4..].copy_from_slice(&[own, other]);
        }
    }

    fn sync_cores(&self) {
        Virt.sync_cores();
    }

    fn cpu_index(&self) -> usize {
        Virt.cpu_index()
    }
}

static FTRACE: Ftrace = Ftrace::new(&Watched);
static TRACER: Ops = Ops::new(guest::count);
static DISTANCE: AtomicUsize = AtomicUsize::new(0);
static WATCH: AtomicBool = AtomicBool::new(false);
static SEEN: Mutex<[Option<Fault>; 6]> = Mutex::new([None; 6]);

/// Whether the alias is of [`MEMORY`], and not of the text.
static ELSEWHERE: AtomicBool = AtomicBool::new(false);
/// Room for the words of a callsite.
static MEMORY: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// With the address: load, do not store.
const LOAD: usize = 1;
/// What core 1 is to store to; zero when it is done.
static TASK: AtomicUsize = AtomicUsize::new(0);
static ANSWER: Mutex<Option<Fault>> = Mutex::new(None);

static CONSTANT: u32 = 0x1234;
/// A function in data, a page of its own.
#[repr(align(4096))]
struct Page(AtomicUsize);
static DATA: Page = Page(AtomicUsize::new(RET));
const RET: usize = 0xd65f_03c0;

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 1)
}

fn other_core(_: usize) {
    virt::irq::unmask();
    loop {
        let at = wait_for_task();
        *ANSWER.lock() = match at & LOAD {
            0 => fault::store(at, subject_word()),
            _ => fault::load(at & !LOAD),
        };
        TASK.store(0, SeqCst);
    }
}

/// In asm: while init writes its words, this core must execute no traced function, and a build that is not optimised has a
/// function for each load of an atomic. The ISB makes it see what init has written until then.
#[inline(always)]
fn wait_for_task() -> usize {
    let at: usize;
    // SAFETY: loads of a static that lives for ever, and a barrier.
    unsafe {
        asm!(
            "2: ldar {at}, [{task}]",
            "cbz {at}, 2b",
            "isb",
            at = out(reg) at,
            task = in(reg) TASK.as_ptr(),
            options(nostack, preserves_flags),
        );
    }
    at
}

fn on_other_core(at: usize) -> Option<Fault> {
    TASK.store(at, SeqCst);
    while TASK.load(SeqCst) != 0 {
        core::hint::spin_loop();
    }
    *ANSWER.lock()
}

/// The word that is stored: the function's last NOP or BL, as it is.
fn place() -> usize {
    subject as *const () as usize
}

fn subject_word() -> u32 {
    raw::insn(place()).0
}

fn look(distance: isize) {
    let alias = |at: usize| at.wrapping_add_signed(distance);
    let tried = [
        fault::store(alias(place()), subject_word()),
        on_other_core(alias(place())),
        fault::store(alias(&raw const CONSTANT as usize), CONSTANT),
        fault::store(alias(&raw const DATA as usize), RET as u32),
    ];
    SEEN.lock()[..4].copy_from_slice(&tried);
}

fn say(what: &str, at: usize, fault: Option<Fault>) {
    match fault {
        Some(fault) => println!("{what}: {fault}, at its address {}", fault.far == at as u64),
        None => println!("{what}: done"),
    }
}

fn call() {
    println!("  {} counted {:?}", subject(1), take_counts::<1>());
}

fn main() {
    if virt::start_core(1, other_core).is_err() {
        panic!("core 1 does not start");
    }
    while virt::cores::online() != 0b11 {
        core::hint::spin_loop();
    }
    let at = place();
    println!("before init");
    say("store to text", at, fault::store(at, subject_word()));
    say("on the other core", at, on_other_core(at));
    let constant = &raw const CONSTANT as usize;
    say(
        "store to rodata",
        constant,
        fault::store(constant, CONSTANT),
    );
    let data = &raw const DATA as usize;
    println!("  a RET: {}", DATA.0.load(SeqCst) == RET);
    say("call of data", data, fault::call(data));
    let Some(mapping) = Mapping::of(data) else {
        panic!("data is mapped");
    };
    // SAFETY: nothing that is used becomes less allowed.
    unsafe { mapping.change(0, mmu::PXN) };
    say("call of data without PXN", data, fault::call(data));
    // SAFETY: data is not executed.
    unsafe { mapping.change(mmu::PXN, 0) };

    WATCH.store(true, SeqCst);
    if let Err(error) = FTRACE.init() {
        panic!("{error}");
    }
    let distance = DISTANCE.load(SeqCst) as isize;
    let alias = |at: usize| at.wrapping_add_signed(distance);
    println!("within init");
    let [own, other, rodata, writable, own_after, other_after] = *SEEN.lock();
    say("alias of text", alias(at), own);
    say("on the other core", alias(at), other);
    say("alias of rodata", alias(constant), rodata);
    say("alias of data", alias(data), writable);
    say("alias of text, closed again", alias(at), own_after);
    say("on the other core", alias(at), other_after);
    let gone = |what: &str| {
        println!("{what}");
        say(
            "alias of text",
            alias(at),
            fault::store(alias(at), subject_word()),
        );
        say("on the other core", alias(at), on_other_core(alias(at)));
        call();
    };
    gone("after init");
    let on = FTRACE.register(&TRACER, &Filter::at(&[at]));
    println!("on: {:?}", on.map(|applied| applied.enabled));
    gone("after register");
    say("store to text", at, fault::store(at, Insn::NOP.0));
    println!(
        "refused: {}",
        FTRACE.register(&TRACER, &Filter::ALL).is_err()
    );
    gone("after a refusal");
    ELSEWHERE.store(true, SeqCst);
    say_lost("off, elsewhere", FTRACE.unregister(&TRACER).err());
    ELSEWHERE.store(false, SeqCst);
    call();
    let off = FTRACE.unregister(&TRACER);
    println!("off: {:?}", off.map(|applied| applied.disabled));
    gone("after unregister");
    ELSEWHERE.store(true, SeqCst);
    let on = FTRACE.register(&TRACER, &Filter::at(&[at]));
    say_lost("on, elsewhere", on.err());
    call();
}

/// What the stores to the other memory were answered with, and what is left of them in the text.
fn say_lost(what: &str, error: Option<Error>) {
    let Some(Error::Patch(error)) = error else {
        panic!("{what}: {error:?}");
    };
    println!(
        "{what}: at the callsite {}, {:?}, stuck {}; stored: {}; registered: {}, illegal: {:?}",
        error.at.abs_diff(place()) <= 8,
        error.why,
        error.stuck,
        MEMORY.iter().any(|word| word.swap(0, SeqCst) != 0),
        TRACER.is_registered(),
        FTRACE.audit(|_| ()).map(|audit| audit.illegal),
    );
}
