//! Tasks on one core: own stacks, round robin, cooperative by [`yield_now`] and preempted by the timer.

mod context;

use crate::sync::Lock;
use crate::tracing::{self, FTRACE, RECORDER, new_return_stack};
use aarch64_ftrace::{CpuArea, KernelStack, ReturnStack};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use virt::{cores, irq, timer};

/// Timer interrupts a second; a task that does not wait loses the core after one.
pub const HERTZ: u64 = 100;
/// Bytes of a task's stack, unless it needs more.
pub const STACK_BYTES: usize = 64 * 1024;
/// The lowest word of each stack: a stack that has grown over it has grown over other things too.
const CANARY: u128 = 0x7374_6163_6b20_656e_6473_2068_6572_6521;

/// What a task is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing: it runs, or would like to.
    Ready,
    /// This tick.
    Until(u64),
    /// A byte on the console, or this tick.
    Input(u64),
    /// Its function has returned.
    Finished,
}

struct Task {
    name: &'static str,
    main: fn(),
    /// Where real return addresses are while the tracer has hijacked them.
    returns: &'static ReturnStack,
    /// Where its stack lies: the tracer follows frames there.
    bounds: &'static KernelStack,
    state: State,
    /// Where its context is while it does not run.
    sp: usize,
    /// Ticks of the counter that it has run for, and the count at which it last began.
    ran: u64,
    since: u64,
    switches: u64,
    /// Kept for as long as the task may run; the boot task has none of its own.
    stack: Vec<u128>,
}

/// A task as `ps` shows it.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it waits for.
    pub state: State,
    /// Ticks of the counter that it has run for.
    pub ran: u64,
    /// How often it got the core.
    pub switches: u64,
}

struct Scheduler {
    #[allow(
        clippy::vec_box,
        reason = "`switch` writes to a task's `sp` while the vector grows"
    )]
    tasks: Vec<Box<Task>>,
    current: usize,
}

static SCHEDULER: Lock<Scheduler> = Lock::new(Scheduler {
    tasks: Vec::new(),
    current: 0,
});
static CURRENT: AtomicUsize = AtomicUsize::new(0);
static TICKS: AtomicU64 = AtomicU64::new(0);
/// The counter at the start.
static BEGAN: AtomicU64 = AtomicU64::new(0);
static SLICE_ENDED: AtomicBool = AtomicBool::new(false);

/// Makes the caller the idle task and starts the timer. Call [`idle`] when the others are spawned.
pub fn start() {
    let mut first = new_task("idle", || (), Vec::new());
    // SAFETY: the boot task's stack, for ever; its area has had none until now, and nothing is traced yet.
    unsafe { FTRACE.switch_return_stack(first.returns) };
    name_stack(first.bounds, cores::stack(0));
    first.since = timer::ticks();
    BEGAN.store(first.since, Ordering::Relaxed);
    add(first);
    irq::set_exit_hook(after_interrupt);
    timer::start_periodic(HERTZ, on_tick);
}

/// Starts a task with a stack of so many bytes.
pub fn spawn(name: &'static str, stack_bytes: usize, main: fn()) {
    let mut task = new_task(name, main, vec![CANARY; stack_bytes / size_of::<u128>()]);
    // A task may lose the core inside a tracer, so each has an area of its own, for ever.
    let area: &'static CpuArea = Box::leak(Box::new(CpuArea::new()));
    RECORDER.adopt(area, 0);
    task.sp = context::prepare(&mut task.stack, begin, core::ptr::from_ref(area) as usize);
    add(task);
}

fn add(task: Box<Task>) {
    let mut scheduler = SCHEDULER.lock();
    tracing::name_task(scheduler.tasks.len(), task.name);
    scheduler.tasks.push(task);
}

/// Where each task begins and ends: its area gets its return stack, for good, as the area goes with the task.
fn begin() -> ! {
    let (main, returns, bounds, stack) = {
        let scheduler = SCHEDULER.lock();
        let task = &scheduler.tasks[scheduler.current];
        let stack = task.stack.as_ptr_range();
        let stack = stack.start as usize..stack.end as usize;
        (task.main, task.returns, task.bounds, stack)
    };
    // SAFETY: a task's own stack, which lives for ever. What was entered before it found a stack without room, which
    // hijacks nothing.
    unsafe { FTRACE.switch_return_stack(returns) };
    name_stack(bounds, stack);
    main();
    irq::masked(|| reschedule(State::Finished));
    unreachable!("a finished task got the core")
}

/// Says where the running task's stack lies.
fn name_stack(bounds: &'static KernelStack, stack: Range<usize>) {
    let set = bounds.set_bounds(stack);
    assert!(set.is_ok(), "a stack is aligned and has a size");
    // SAFETY: the task's own stack, which is not given back before the task has ended, and its area goes with it.
    unsafe { FTRACE.switch_kernel_stack(bounds) };
}

fn new_task(name: &'static str, main: fn(), stack: Vec<u128>) -> Box<Task> {
    Box::new(Task {
        name,
        main,
        returns: new_return_stack(),
        bounds: Box::leak(Box::new(KernelStack::new())),
        state: State::Ready,
        sp: 0,
        ran: 0,
        since: 0,
        switches: 0,
        stack,
    })
}

aarch64_ftrace::notrace! {
    /// The number of the running task. The tracer asks for it.
    pub fn current() -> usize {
        CURRENT.load(Ordering::Relaxed)
    }
}

/// Ticks of the counter since the start.
pub fn uptime() -> u64 {
    timer::ticks() - BEGAN.load(Ordering::Relaxed)
}

/// Timer interrupts since the start; those that came due while interrupts were masked count as one.
pub fn ticks() -> u64 {
    TICKS.load(Ordering::Relaxed)
}

/// Lets the others run.
pub fn yield_now() {
    irq::masked(|| reschedule(State::Ready));
}

/// Lets the others run for at least `ticks` timer ticks.
pub fn sleep(ticks: u64) {
    irq::masked(|| reschedule(State::Until(self::ticks() + ticks)));
}

/// Waits for a byte on the console, for `ticks` timer ticks at most, unless `ready` says that there is one.
pub fn wait_for_input(ticks: u64, ready: impl FnOnce() -> bool) {
    // With interrupts masked no byte arrives between the question and the wait.
    irq::masked(|| {
        if !ready() {
            reschedule(State::Input(self::ticks() + ticks));
        }
    });
}

/// A byte has arrived.
pub fn wake_input() {
    for task in &mut SCHEDULER.lock().tasks {
        if matches!(task.state, State::Input(_)) {
            task.state = State::Ready;
        }
    }
    SLICE_ENDED.store(true, Ordering::Relaxed);
}

/// All tasks.
pub fn rows() -> Vec<Row> {
    let scheduler = SCHEDULER.lock();
    let now = timer::ticks();
    let mut rows = Vec::new();
    for (number, task) in scheduler.tasks.iter().enumerate() {
        let is_current = number == scheduler.current;
        rows.push(Row {
            name: task.name,
            state: task.state,
            ran: task.ran + if is_current { now - task.since } else { 0 },
            switches: task.switches,
        });
    }
    rows
}

/// The name of task `number`.
pub fn name(number: usize) -> &'static str {
    SCHEDULER
        .lock()
        .tasks
        .get(number)
        .map_or("?", |task| task.name)
}

/// What the core does when no task wants it.
pub fn idle() -> ! {
    loop {
        virt::quiescent::idle();
    }
}

fn on_tick() {
    let now = TICKS.fetch_add(1, Ordering::Relaxed) + 1;
    for task in &mut SCHEDULER.lock().tasks {
        if matches!(task.state, State::Until(tick) | State::Input(tick) if tick <= now) {
            task.state = State::Ready;
        }
    }
    SLICE_ENDED.store(true, Ordering::Relaxed);
}

fn after_interrupt() {
    if SLICE_ENDED.swap(false, Ordering::Relaxed) {
        reschedule(State::Ready);
    }
}

impl Scheduler {
    /// The task after the current one that is ready; the idle task only when no other is.
    fn next(&self) -> usize {
        let count = self.tasks.len();
        (1..=count)
            .map(|step| (self.current + step) % count)
            .find(|&task| task != IDLE && self.tasks[task].state == State::Ready)
            .unwrap_or(IDLE)
    }

    /// Makes `next` the running task: where the old one's SP goes, and the new one's.
    fn hand_over(&mut self, next: usize) -> (*mut usize, usize) {
        let now = timer::ticks();
        let old = &mut self.tasks[self.current];
        assert!(
            old.stack.first().is_none_or(|&word| word == CANARY),
            "task {} has used more than its stack",
            old.name
        );
        old.ran += now - old.since;
        let from = &raw mut old.sp;
        let new = &mut self.tasks[next];
        new.since = now;
        new.switches += 1;
        let to = new.sp;
        self.current = next;
        CURRENT.store(next, Ordering::Relaxed);
        tracing::switched_task(next);
        (from, to)
    }
}

/// The idle task's number.
const IDLE: usize = 0;

/// Gives the core to the next ready task, with the caller in `state`. Interrupts are masked.
fn reschedule(state: State) {
    let mut scheduler = SCHEDULER.lock();
    let current = scheduler.current;
    scheduler.tasks[current].state = state;
    let next = scheduler.next();
    if next == current {
        return;
    }
    let (from, to) = scheduler.hand_over(next);
    drop(scheduler);
    // SAFETY: interrupts are masked by all callers; tasks are never freed; `to` was stored when that task lost the core.
    unsafe { context::switch(from, to) };
}
