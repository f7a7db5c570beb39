//@ variant: plain, high, bti, relocated
//@ cpu: max
//@ profile: release
//@ mem: 512M
//! Text further away than a BL reaches: the nearest veneer leads its callsites to the trampoline, and tracing is as elsewhere.
//! Text that no veneer serves is refused with the reason, nothing is changed, and all else goes on.
#![no_std]
#![no_main]

use aarch64_ftrace::insn::BRANCH_RANGE;
use aarch64_ftrace::{Applied, Error, Filter, Fregs, Ops, PatchError, Why};
use core::arch::global_asm;
use core::hint::black_box;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use guest::{FTRACE, callsite, fault, raw, take_counts, unregister};
use virt::mmu::{self, Mapping};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

// One at each end of the far text: `a` is nearer to the first, `b` to the second.
aarch64_ftrace::veneer!(".far_text.0.veneer");
aarch64_ftrace::veneer!(".far_text.4.veneer");

global_asm!(
    ".pushsection .far_text.2.gap, \"ax\", %progbits",
    ".zero 4096",
    ".popsection",
    // Counts in DIRECT; stands in the near text.
    ".pushsection .text.ftrace_notrace.direct, \"ax\", %progbits",
    ".global direct_counter",
    "direct_counter:",
    "bti c",
    "adrp x12, DIRECT",
    "add x12, x12, :lo12:DIRECT",
    "ldr x13, [x12]",
    "add x13, x13, #1",
    "str x13, [x12]",
    "mov x10, x30",
    "mov x30, x9",
    "ret x10",
    ".popsection",
);

#[unsafe(no_mangle)]
static DIRECT: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    fn direct_counter();
    static __start_ftrace_veneers: [i64; 2];
    static __far_text_start: u8;
    static __far_text_end: u8;
    static __farther_text_start: u8;
}

static A: Ops = Ops::new(noted);
static B: Ops = Ops::unguarded(guest::count).with_data(1);
// SAFETY: written as Ops::straight asks for.
static STRAIGHT: Ops = unsafe { Ops::straight(direct_counter) };

/// Callsite and caller of each call since the last look, and how many registers were not as `calls` passes them.
static SEEN: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
static NEXT: AtomicUsize = AtomicUsize::new(0);
static WRONG: AtomicUsize = AtomicUsize::new(0);

aarch64_ftrace::notrace! {
    extern "C" fn noted(ip: usize, parent: usize, _: &Ops, fregs: &mut Fregs) {
        let next = NEXT.fetch_add(2, Relaxed);
        for (slot, address) in SEEN.iter().skip(next).zip([ip, parent]) {
            slot.store(address, Relaxed);
        }
        let wrong = (0..7).filter(|&i| fregs.arg(i) != Some(i as u64 + 1)).count();
        WRONG.fetch_add(wrong, Relaxed);
        guest::bump(0);
    }
}

mod subject {
    use core::hint::black_box;

    /// Passes 1 to 7 on, and the answer is made of all of them.
    pub type Function = fn(u64, u64, u64, u64, u64, u64, u64) -> u64;

    macro_rules! far {
        ($section:literal, $name:ident, $calls:ident) => {
            #[inline(never)]
            #[unsafe(link_section = $section)]
            #[rustfmt::skip]
            pub fn $name(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64) -> u64 {
                black_box($calls(a, b, c, d, e, f, g) + 1)
            }
        };
    }

    far!(".far_text.1.a", a, near);
    far!(".far_text.3.b", b, near);
    far!(".farther_text.c", c, near);

    #[inline(never)]
    pub fn near(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64) -> u64 {
        black_box(a | b << 8 | c << 16 | d << 24 | e << 32 | f << 40 | g << 48)
    }
}

const SUBJECTS: [(&str, subject::Function); 4] = [
    ("near", subject::near),
    ("a", subject::a),
    ("b", subject::b),
    ("c", subject::c),
];

fn calls(what: &str) {
    println!("{what}:");
    for (name, function) in SUBJECTS {
        let result = black_box(function)(1, 2, 3, 4, 5, 6, 7);
        println!(
            "  {name}: {result:#x}, counted {:?}, straight {}, wrong {}",
            take_counts::<2>(),
            DIRECT.swap(0, Relaxed),
            WRONG.swap(0, Relaxed)
        );
        for seen in SEEN.chunks(2).take(NEXT.swap(0, Relaxed) / 2) {
            let name = |i: usize| FTRACE.symbol(seen[i].load(Relaxed)).map(|s| s.name);
            if let (Some(function), Some(caller)) = (name(0), name(1)) {
                println!("    {function} from {caller}");
            }
        }
    }
}

fn say(what: &str, answer: Result<Applied, Error>) {
    let c = callsite(subject::c as *const ()).layout().branch();
    match answer {
        Err(Error::Patch(PatchError {
            at,
            why: Why::Range { to },
            undone: 0,
            stuck: 0,
            foreign: 0,
        })) => println!(
            "{what}: out of range at c {}, to the trampoline {}",
            at == c,
            to == raw::trampoline()
        ),
        other => guest::say(what, other),
    }
    let enabled = FTRACE.callsites().filter(|c| c.is_enabled()).count();
    let sound = FTRACE.audit(|finding| println!("{finding}"));
    println!(
        "  enabled {enabled}, illegal {:?}",
        sound.map(|audit| audit.illegal)
    );
}

/// Where the callsite's BL leads.
fn target(function: subject::Function, slots: [usize; 2]) -> &'static str {
    let at = callsite(function as *const ()).layout().branch();
    match raw::insn(at).branch_target(at) {
        Some(to) if to == raw::trampoline() => "trampoline",
        Some(to) if to == direct_counter as *const () as usize => "straight",
        Some(to) if to == slots[0] => "first veneer",
        Some(to) if to == slots[1] => "second veneer",
        Some(_) => "elsewhere",
        None => "nowhere",
    }
}

fn words(range: Range<usize>) -> u64 {
    let words = range.step_by(4).map(raw::insn);
    words.fold(0xcbf2_9ce4_8422_2325, |sum, insn| {
        (sum ^ u64::from(insn.0)).wrapping_mul(0x100_0000_01b3)
    })
}

fn main() {
    let far = &raw const __far_text_start as usize..&raw const __far_text_end as usize;
    let farther = &raw const __farther_text_start as usize;
    let reach = BRANCH_RANGE as usize;
    println!(
        "beyond a BL: {}, {}",
        far.start - mmu::text().end > reach,
        farther - far.end > reach
    );
    for (name, at) in [("far", far.start), ("farther", farther)] {
        if let Some(mapped) = Mapping::of(at) {
            println!(
                "{name}: writable {}, executable {}",
                mapped.writable(),
                mapped.executable()
            );
        }
        println!("  store: {}", fault::store(at, 0).is_some());
        let alias = Mapping::of(at.wrapping_add_signed(mmu::map_alias()));
        println!(
            "  alias: {}",
            alias.is_some_and(|m| m.writable() && !m.executable())
        );
        mmu::unmap_alias();
    }
    let gap = [far.start - 4, far.end, farther - 4];
    println!("gaps mapped: {:?}", gap.map(|at| Mapping::of(at).is_some()));

    // The block is zero behind the functions.
    let code = far.start..far.start + 2 * mmu::PAGE_BYTES;
    let loaded = words(code.clone());
    let report = guest::init();
    println!("names: {}", report.names.is_ok());
    // SAFETY: the section is there, as `veneer!` was used twice.
    let distances = unsafe { __start_ftrace_veneers };
    let mut slots = core::array::from_fn(|i| {
        let entry = &raw const __start_ftrace_veneers as usize + 8 * i;
        entry.wrapping_add_signed(distances[i] as isize)
    });
    slots.sort_unstable();
    println!("veneers: {:?}", slots.map(|slot| far.contains(&slot)));

    calls("not traced");
    say("all", FTRACE.register(&A, &Filter::ALL));
    say(
        "c alone",
        FTRACE.register(&A, &Filter::new(&["*::subject::c"])),
    );
    calls("refused");
    let filter = Filter::new(&["*::subject::*", "!*::subject::c"]);
    say("a, b, near", FTRACE.register(&A, &filter));
    for (name, function) in SUBJECTS {
        println!("  {name}: {}", target(function, slots));
    }
    calls("traced");
    say(
        "a, once more",
        FTRACE.register(&B, &Filter::new(&["*::subject::a"])),
    );
    say(
        "b, c too",
        FTRACE.set_filter(&B, &Filter::new(&["*::subject::*"])),
    );
    calls("two tracers");
    unregister(&A);
    unregister(&B);
    say(
        "straight",
        FTRACE.register(
            &STRAIGHT,
            &Filter::new(&["*::subject::[ab]", "*::subject::near"]),
        ),
    );
    for (name, function) in SUBJECTS {
        println!("  {name}: {}", target(function, slots));
    }
    calls("straight");
    unregister(&STRAIGHT);
    let all = guest::register(&B, &Filter::ALL.notrace(&["*::subject::c"]));
    println!(
        "all but c: {}",
        all.enabled as usize == report.callsites - 1
    );
    // SAFETY: one core, and nothing is traced while the words are given back.
    let done = unsafe { FTRACE.shutdown_to_compiled() };
    println!("shutdown: {:?}", done.map(|done| (done.ops, done.left)));
    println!("as loaded: {}", words(code) == loaded);
    take_counts::<2>();
    calls("afterwards");
}
