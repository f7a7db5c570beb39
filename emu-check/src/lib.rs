//! A plug-in for QEMU that judges how a kernel patches its own text, in the order in which its cores execute it.
//!
//! ```text
//! qemu-system-aarch64 ... -plugin libemu_check.so,elf=KERNEL,out=REPORT[,allow_none=on][,count=on][,path=FILE]
//! ```
//!
//! QEMU translates again after every store to code, so a kernel without any cache maintenance runs well in it. This
//! plug-in sees the store and asks for the steps (`judge.rs`). Text and its writable alias are tied by the physical
//! address of the access. The report ends with `result: pass` or `result: FAIL`.
//!
//! * `count=on` counts the instructions of each asm entry; `path=FILE` also writes every distinct executed path.
//! * `allow_none=on`: a run without a written word is no failure.

mod image;
mod insn;
mod judge;
mod memory;
mod walk;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use qemu_plugin::install::{Args, Info};
use qemu_plugin::{
    CallbackFlags, HasCallbacks, Instruction, MemRW, MemValue, MemoryInfo, PluginId, Register,
    RegisterDescriptor, Result, TranslationBlock, VCPUIndex, qemu_plugin_get_registers,
    qemu_plugin_register_atexit_cb,
};

use image::{Image, Role};
use insn::{CPU_OFF, Event};
use judge::{Cache, Judge, Store};
use walk::Walks;

const READ: CallbackFlags = CallbackFlags::QEMU_PLUGIN_CB_R_REGS;
const CORES: usize = 64;
const VECTOR_TABLE: u64 = 0x800;
const VECTOR: u64 = 0x80;
const LINK: usize = 30;
const PARENT: usize = 9;

struct State {
    judge: Mutex<Judge>,
    walks: Option<Mutex<Walks>>,
    disassembly: Mutex<HashMap<u32, String>>,
    registers: OnceLock<Registers>,
    out: String,
    path: Option<String>,
    allow_none: bool,
}

struct Registers {
    x: Vec<RegisterDescriptor<'static>>,
    sp: RegisterDescriptor<'static>,
    cache_type: Option<RegisterDescriptor<'static>>,
}

static STATE: OnceLock<State> = OnceLock::new();
/// Where each core's vectors are.
static VECTORS: [AtomicU64; CORES] = [const { AtomicU64::new(0) }; CORES];
/// Whether any word that is not exchangeable was written: from then on callsites are looked at when they are executed.
static WATCH: AtomicBool = AtomicBool::new(false);
static IN_CALL: [AtomicBool; CORES] = [const { AtomicBool::new(false) }; CORES];

fn state() -> &'static State {
    STATE.get().expect("callbacks come after install")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn judge() -> MutexGuard<'static, Judge> {
    lock(&state().judge)
}

fn number(register: &RegisterDescriptor) -> u64 {
    let bytes = register.read().unwrap_or_default();
    let mut word = [0; 8];
    let count = bytes.len().min(word.len());
    word[..count].copy_from_slice(&bytes[..count]);
    u64::from_le_bytes(word)
}

fn registers() -> &'static Registers {
    state()
        .registers
        .get()
        .expect("the first core was initialised before it ran")
}

/// Xt; 31 is XZR.
fn x(index: usize) -> u64 {
    registers().x.get(index).map_or(0, number)
}

struct Check;

impl Register for Check {
    fn register(&mut self, id: PluginId, args: &Args, info: &Info) -> Result<()> {
        let value = |key: &str| {
            let key = format!("{key}=");
            args.raw
                .iter()
                .find_map(|word| word.strip_prefix(&key))
                .map(str::to_owned)
        };
        let on = |key: &str| value(key).as_deref() == Some("on");
        let refuse = |why: String| -> ! {
            eprintln!("emu-check: {why}");
            std::process::exit(2)
        };
        let Some((elf, out)) = value("elf").zip(value("out")) else {
            refuse("give it elf=KERNEL,out=REPORT".to_owned())
        };
        let image = Image::read(&elf).unwrap_or_else(|why| refuse(why));
        let cores = info
            .system
            .as_ref()
            .map_or(1, |system| system.max_vcpus as usize)
            .clamp(1, CORES);
        let path = value("path");
        let walks = (on("count") || path.is_some()).then(|| Mutex::new(Walks::new(cores)));
        let state = State {
            judge: Mutex::new(Judge::new(image, cores)),
            walks,
            disassembly: Mutex::default(),
            registers: OnceLock::new(),
            out,
            path,
            allow_none: on("allow_none"),
        };
        if STATE.set(state).is_err() {
            refuse("it is loaded twice".to_owned());
        }
        qemu_plugin_register_atexit_cb(id, |_| report())
    }
}

impl HasCallbacks for Check {
    fn on_vcpu_init(&mut self, _: PluginId, _: VCPUIndex) -> Result<()> {
        if state().registers.get().is_some() {
            return Ok(());
        }
        let all = qemu_plugin_get_registers()?;
        let find = |name: &str| all.iter().find(|register| register.name == name).cloned();
        let x: Vec<_> = (0..=LINK)
            .filter_map(|index| find(&format!("x{index}")))
            .collect();
        let Some(sp) = find("sp").filter(|_| x.len() == LINK + 1) else {
            eprintln!("emu-check: this QEMU shows no registers: version 9 or newer is needed");
            std::process::exit(2);
        };
        let found = Registers {
            x,
            sp,
            cache_type: find("CTR_EL0"),
        };
        // Another core was first: the same registers.
        let _ = state().registers.set(found);
        Ok(())
    }

    fn on_translation_block_translate(
        &mut self,
        _: PluginId,
        block: TranslationBlock,
    ) -> Result<()> {
        for instruction in block.instructions() {
            let word = instruction.data().try_into().map_or(0, u32::from_le_bytes);
            watch(&instruction, word);
        }
        Ok(())
    }
}

qemu_plugin::register!(Check);

/// Asks for the callbacks that one instruction needs.
fn watch(instruction: &Instruction, word: u32) {
    let at = instruction.vaddr();
    let (role, call, behind_call) = {
        let judge = judge();
        let image = &judge.image;
        let own = image.own.contains(&at);
        let into = |at: u64| {
            let called = image.word(at).and_then(|word| insn::bl_target(at, word));
            called.is_some_and(|target| image.own.contains(&target))
        };
        (
            image.roles.get(&at).copied(),
            into(at) && !own,
            into(at.wrapping_sub(4)) && !own,
        )
    };
    instruction.register_memory_access_callback_flags(
        move |core, info, address| stored(core as usize, &info, address),
        MemRW::QEMU_PLUGIN_MEM_W,
        READ,
    );
    if let Some(event) = insn::event(word) {
        instruction
            .register_execute_callback_flags(move |core| happened(core as usize, event), READ);
    }
    if VECTORS.iter().any(|base| {
        let offset = at.wrapping_sub(base.load(Ordering::Relaxed));
        offset < VECTOR_TABLE && offset % VECTOR == 0
    }) {
        instruction.register_execute_callback(|core| {
            judge().synchronise(core as usize);
            if let Some(walks) = &state().walks {
                lock(walks).disturb(core as usize);
            }
        });
    }
    // Asked for first: behind one call may stand the next.
    if behind_call {
        instruction.register_execute_callback_flags(
            |core| {
                let sp = number(&registers().sp);
                judge().returned(core as usize, sp);
            },
            READ,
        );
    }
    if call {
        instruction.register_execute_callback_flags(
            |core| {
                let sp = number(&registers().sp);
                judge().called(core as usize, sp);
            },
            READ,
        );
    }
    if role.is_some() {
        instruction.register_execute_callback(move |core| {
            if WATCH.load(Ordering::Relaxed) {
                judge().execute(core as usize, at, word);
            }
        });
    }
    if state().walks.is_some() {
        walk(
            instruction,
            at,
            word,
            matches!(role, Some(Role::Branch(_))) && word != insn::NOP,
        );
    }
}

fn walk(instruction: &Instruction, at: u64, word: u32, begins: bool) {
    if state().path.is_some()
        && let Ok(words) = instruction.disas()
    {
        lock(&state().disassembly).insert(word, words);
    }
    let step = move |core: u32| {
        let inside = &IN_CALL[core as usize % CORES];
        if !begins && !inside.load(Ordering::Relaxed) {
            return;
        }
        let judge = judge();
        if let Some(walks) = &state().walks {
            let parent = || x(PARENT);
            let still = lock(walks).step(&judge.image, core as usize, at, word, parent);
            inside.store(still, Ordering::Relaxed);
        }
    };
    if begins {
        instruction.register_execute_callback_flags(step, READ);
    } else {
        instruction.register_execute_callback(step);
    }
}

fn happened(core: usize, event: Event) {
    let mut judge = judge();
    if judge.cache.is_none()
        && let Some(register) = &registers().cache_type
    {
        judge.cache = Some(Cache::from_ctr(number(register)));
    }
    match event {
        Event::Clean(register) => {
            let at = judge.executable_of(x(register));
            judge.clean(core, at);
        }
        // By the executable address only: a virtually indexed instruction cache is indexed by it.
        Event::Invalidate(register) => judge.invalidate(core, Some(x(register))),
        Event::InvalidateAll => judge.invalidate(core, None),
        Event::Complete => judge.complete(core),
        Event::OrderStores => judge.order(core),
        Event::Synchronise => judge.synchronise(core),
        Event::SetVectors(register) => {
            VECTORS[core % CORES].store(x(register), Ordering::Relaxed);
        }
        Event::Firmware if x(0) as u32 == CPU_OFF => judge.stop(core),
        Event::Firmware => {}
    }
}

fn stored(core: usize, info: &MemoryInfo, address: u64) {
    let Some(hardware) = info.hwaddr(address) else {
        return;
    };
    if hardware.is_io() {
        return;
    }
    let physical = hardware.hwaddr();
    let bytes = 1 << info.size_shift();
    let mut judge = judge();
    // The last byte counts too: a store may begin before the text.
    let Some(at) = judge.image.executable(physical).or_else(|| {
        judge
            .image
            .executable(physical + bytes - 1)
            .map(|last| last + 1 - bytes)
    }) else {
        return;
    };
    judge.alias = address.wrapping_sub(at);
    let value = match info.value() {
        MemValue::U8(value) => value.into(),
        MemValue::U16(value) => value.into(),
        MemValue::U32(value) => value.into(),
        MemValue::U64(value) => value,
        MemValue::U128(value) => value as u64,
    };
    let sp = number(&registers().sp);
    judge.store(&Store {
        core,
        at,
        bytes,
        value,
        sp,
        entry_of: memory::read,
    });
    WATCH.store(true, Ordering::Relaxed);
}

fn report() {
    let mut judge = judge();
    judge.finish();
    let totals = &judge.totals;
    let mut text = format!("emu-check: {}\n", judge.image.path);
    for line in &judge.shown {
        let _ = writeln!(text, "{line}");
    }
    let hidden = totals.violations - judge.shown.len() as u64;
    if hidden > 0 {
        let _ = writeln!(text, "and {hidden} violations more");
    }
    let ran = judge.cores.iter().filter(|core| core.running).count();
    let _ = writeln!(
        text,
        "callsites {}, cores running at the end {ran}\nwords written: {}\nliterals written: {}\nbatches: {}\n\
         batches judged at the end only: {}\nevents checked: {}\ncallsite words executed: {}",
        judge.image.callsites.len(),
        totals.words,
        totals.literals,
        totals.batches,
        totals.unreturned,
        totals.events,
        totals.executed
    );
    if let Some(walks) = &state().walks {
        let walks = lock(walks);
        text.push_str(&walks.summary());
        if let Some(path) = &state().path
            && let Err(error) = fs::write(path, walks.paths(&lock(&state().disassembly)))
        {
            eprintln!("emu-check: {path}: {error}");
        }
    }
    let nothing = totals.words == 0 && !state().allow_none;
    if nothing {
        text.push_str("0 words written: this run proves nothing\n");
    }
    let bad = nothing || totals.violations > 0;
    let _ = writeln!(
        text,
        "result: {} ({} violations)",
        if bad { "FAIL" } else { "pass" },
        totals.violations
    );
    if let Err(error) = fs::write(&state().out, text) {
        eprintln!("emu-check: {}: {error}", state().out);
    }
}
