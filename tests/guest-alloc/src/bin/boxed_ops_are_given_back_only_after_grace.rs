//! A box may be freed only when nobody can be running its tracer any more, which only the platform knows: where it says
//! no, the box is leaked and its memory keeps what it held; where it says yes, the box comes back. The same for sets.
//@ cpu: neoverse-n1
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{AliasError, Filter, Ftrace, Ops, Platform, Registered};
use alloc::boxed::Box;
use core::cmp::Ordering;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use guest::{note, take_log};
use virt::{heap, println};

virt::entry!(main);

/// Answers as it is told to.
struct Unsure;

static GRACE: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicU32 = AtomicU32::new(0);

// SAFETY: the text's alias, as Virt maps it; one core, no tasks, so that `true` holds at any time, and `false` is always allowed.
unsafe impl Platform for Unsure {
    fn patch_begin(&self) -> Result<isize, AliasError> {
        Ok(virt::mmu::map_alias())
    }

    fn patch_end(&self) {
        virt::mmu::unmap_alias();
    }

    fn sync_cores(&self) {}

    fn cpu_index(&self) -> usize {
        0
    }

    fn synchronize(&self) -> bool {
        ASKED.fetch_add(1, Relaxed);
        GRACE.load(Relaxed)
    }
}

static FTRACE: Ftrace = Ftrace::new(&Unsure);

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 1)
}

fn add(name: u8) -> Registered {
    let ops = Box::new(Ops::new(note).with_data(name.into()));
    match FTRACE.register_boxed(ops, &Filter::at(&[subject as *const () as usize])) {
        Ok((registered, _)) => registered,
        Err(error) => panic!("register_boxed: {error}"),
    }
}

fn take(ops: Registered) -> Option<Box<Ops>> {
    let asked = ASKED.load(Relaxed);
    let name = ops.data() as u8 as char;
    match FTRACE.unregister_boxed(ops) {
        Ok((ops, _)) => {
            println!(
                "  {name}: the platform was asked: {}, the box is back: {}",
                ASKED.load(Relaxed) > asked,
                ops.is_some()
            );
            ops
        }
        Err(error) => panic!("unregister_boxed: {error}"),
    }
}

/// Two boxes on one function, so that there is a set as well, and all of it taken away.
fn round(grace: bool) {
    GRACE.store(grace, Relaxed);
    println!("the platform says {grace}");
    let before = heap::usage().0;
    let (a, b) = (add(b'a'), add(b'b'));
    let (at_a, at_b) = (
        core::ptr::from_ref::<Ops>(&a),
        core::ptr::from_ref::<Ops>(&b),
    );
    assert_eq!(subject(1), 2);
    println!("  called: {}", take_log());
    // The one that is asked for while the set is still in use, and the other.
    let back = [take(a), take(b)];
    assert_eq!(subject(1), 2);
    println!("  called: {}", take_log());
    if grace {
        println!("  sets {:?}", FTRACE.sets());
        drop(back);
        let change = match heap::usage().0.cmp(&before) {
            Ordering::Less => "less than before: a set of the time without grace went too",
            Ordering::Equal => "as before",
            Ordering::Greater => "more than before",
        };
        println!("  heap in use: {change}");
        return;
    }
    println!(
        "  sets {:?}, more heap in use than the two boxes: {}",
        FTRACE.sets(),
        heap::usage().0 > before + 2 * size_of::<Ops>()
    );
    // Memory that were free again would be handed out first, and overwritten.
    let fresh: [Box<Ops>; 8] = core::array::from_fn(|_| Box::new(Ops::new(note)));
    // SAFETY: leaked, so they live for ever; Ops are only read.
    let (a, b) = (unsafe { &*at_a }, unsafe { &*at_b });
    println!(
        "  leaked, and as they were: {}{}, handed out again: {}",
        a.data() as u8 as char,
        b.data() as u8 as char,
        fresh.iter().any(|new| {
            let new = core::ptr::from_ref::<Ops>(new);
            new == at_a || new == at_b
        })
    );
}

fn main() {
    if let Err(error) = FTRACE.init() {
        panic!("init: {error}");
    }
    round(false);
    round(true);
    round(true);
}
