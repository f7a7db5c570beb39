//! The guard is per context: an interrupt that arrives while a guarded tracer runs has its functions traced, and inside
//! that call the tracer is not entered again either. Afterwards the interrupted tracer's guard still holds.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Fregs, Ops};
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, Ordering};
use guest::{AREA, FTRACE, irq, note, register, take_log, unregister, write};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// Whether the tracer sends itself an interrupt.
static SEND: AtomicBool = AtomicBool::new(false);

#[inline(never)]
fn outer(n: u64) -> u64 {
    write(b'o');
    black_box(n + 1)
}

#[inline(never)]
fn in_interrupt(n: u64) -> u64 {
    write(b'i');
    black_box(n + 2)
}

#[inline(never)]
fn helper(n: u64) -> u64 {
    write(b'h');
    black_box(n + 3)
}

/// Runs with interrupts masked.
fn handler() {
    write(b'<');
    assert_eq!(in_interrupt(1), 3);
    write(b'>');
}

aarch64_ftrace::notrace! {
    extern "C" fn tracer(ip: usize, _: usize, _: &Ops, _: &mut Fregs) {
        write(b'(');
        // The name's last part says for whom: `outer`, `in_interrupt`, `helper`.
        let name = FTRACE.symbol(ip).and_then(|symbol| symbol.name.bytes().collect_last());
        write(name.unwrap_or(b'?'));
        assert_eq!(helper(1), 4);
        if SEND.swap(false, Ordering::Relaxed) {
            irq::send();
            assert_eq!(helper(2), 5);
        }
        write(b')');
    }
}

trait CollectLast {
    /// The first letter of the path's last part.
    fn collect_last(self) -> Option<u8>;
}

impl<I: Iterator<Item = u8>> CollectLast for I {
    fn collect_last(self) -> Option<u8> {
        let mut first = None;
        let mut start = true;
        for byte in self {
            if byte == b':' {
                start = true;
            } else if core::mem::take(&mut start) {
                first = Some(byte);
            }
        }
        first
    }
}

static TRACER: Ops = Ops::new(tracer);
static OTHER: Ops = Ops::new(note).with_data(b'N' as usize);
static PLAIN: Ops = Ops::unguarded(note).with_data(b'U' as usize);

fn call(what: &str) {
    let refused = AREA.refused();
    SEND.store(true, Ordering::Relaxed);
    assert_eq!(outer(1), 2);
    SEND.store(false, Ordering::Relaxed);
    println!(
        "{what}: {} refused {}",
        take_log(),
        AREA.refused() - refused
    );
}

fn main() {
    guest::init();
    virt::irq::handle(irq::SGI, handler);
    let traced = [
        outer as *const () as usize,
        in_interrupt as *const () as usize,
        helper as *const () as usize,
    ];
    register(&TRACER, &Filter::at(&traced));
    call("masked");
    // It has stayed pending, and arrives now, outside of any tracer.
    virt::irq::unmask();
    irq::wait();
    println!("pending: {}", take_log());
    call("unmasked");
    register(&OTHER, &Filter::at(&traced));
    call("two guarded");
    register(&PLAIN, &Filter::at(&traced));
    call("mixed");
    unregister(&TRACER);
    unregister(&OTHER);
    unregister(&PLAIN);
    irq::send();
    println!("untraced: {}", take_log());
}
