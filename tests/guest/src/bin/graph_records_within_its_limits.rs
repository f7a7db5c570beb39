//@ cpu: cortex-a53, max
//@ profile: release
//! The limits of the function graph: what they leave out leaves no event and no frame, and every function returns as it would.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::record::Item;
use aarch64_ftrace::trace::Type;
use aarch64_ftrace::{DEPTH_MAX, Filter, GraphOptions, Mode, Ops, ReturnStack};
use guest::record::{RECORDER, install, name, sure};
use guest::returns::{deep, frames, interrupted};
use guest::{FTRACE, count, irq, register, take_counts, unregister};
use virt::{print, println};

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static STACK: ReturnStack = ReturnStack::new();
static BESIDE: Ops = Ops::unguarded(count);

/// No limit.
const ALL: GraphOptions = GraphOptions::new();

fn handler() {
    assert_eq!(deep(2), 2);
}

/// Calls, and prints what it left: `(` with the function's name, and `)`.
fn show(what: &str, call: impl Fn()) {
    sure(RECORDER.reset(0));
    call();
    print!("{what}:");
    for item in sure(RECORDER.read(0)) {
        let Item::Event { event, .. } = item else {
            panic!("{item:?}")
        };
        match event.kind() {
            Some(Type::Entry) => {
                let name = alloc::format!("{}", name(event.callsite_low()));
                print!(" {}(", name.rsplit("::").next().unwrap_or_default());
            }
            Some(Type::Exit) => print!(")"),
            Some(Type::Data) => print!("."),
            other => panic!("{other:?}"),
        }
    }
    println!();
    assert_eq!((STACK.depth(), STACK.overruns()), (0, 0), "{what}");
}

fn five() {
    assert_eq!(deep(5), 5);
}

fn depth(graph: &Ops) {
    let limit = |depth| {
        let options = GraphOptions { depth, ..ALL };
        let same: &Ops = sure(RECORDER.graph_ops_with(options));
        assert!(core::ptr::eq(same, graph));
    };
    for depth in [1, 3, 6, 7, 0] {
        limit(depth);
        show(&alloc::format!("  depth {depth}"), five);
    }
    limit(3);
    show("  interrupted", || assert_eq!(interrupted(1), 4));
    limit(DEPTH_MAX);
    show("  the greatest", five);
    for depth in [DEPTH_MAX + 1, u32::MAX] {
        let refused = RECORDER.graph_ops_with(GraphOptions { depth, ..ALL });
        println!("  {depth}: {:?}", refused.err());
    }
    show("  as before", five);
}

fn main() {
    guest::init();
    virt::irq::handle(irq::SGI, handler);
    virt::irq::unmask();
    install(Mode::Overwrite, 1);
    assert_eq!(STACK.set_frames(frames(16)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    let at = [
        deep as *const () as usize,
        interrupted as *const () as usize,
    ];
    let graph = sure(RECORDER.graph_ops_with(ALL));
    register(graph, &Filter::at(&at));
    println!("alone");
    depth(graph);
    register(&BESIDE, &Filter::at(&at));
    println!("beside another tracer");
    depth(graph);
    unregister(&BESIDE);
    println!("which was called {} times", take_counts::<1>()[0]);
    unregister(graph);
}
