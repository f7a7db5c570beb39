//! The function graph: entry and exit of each call, as plain as it goes or with options.
#![forbid(unsafe_code)]

use super::{RecordError, Recorder};
use crate::arch;
use crate::arch::entry::{GRAPH, GRAPH_MARK, GRAPH_MORE};
use crate::areas;
use crate::fregs::Fregs;
use crate::graph::{ARGUMENTS_MAX, DEPTH_MAX, GraphOptions, NOT_RECORDED, OUTSIDE, Shape};
use crate::insn::INSN_SIZE;
use crate::ops::{Kind, Ops};
use crate::trace::{DATA_ARGUMENT, Data, Type};

/// The ops of a recorder's graph: by mode, and by whether the cores have atomic adds.
pub(super) struct Graph {
    plain: [Ops; 4],
    more: [Ops; 4],
    shape: Shape,
    roots: Ops,
    silent: Ops,
}

impl Graph {
    pub(super) const fn new() -> Self {
        const fn plain(form: usize) -> Ops {
            Ops::builtin(Kind::Graph, GRAPH[form], plain_from_a_set).with_data(form)
        }
        const fn more(form: usize) -> Ops {
            let ops = Ops::builtin(Kind::Graph, GRAPH_MORE[form], more_from_a_set);
            ops.with_data(GRAPH.len() + form)
        }
        const fn mark(adds: u64) -> Ops {
            Ops::builtin(Kind::Mark, GRAPH_MARK, mark_from_a_set).with_data(adds as usize)
        }
        Self {
            plain: [plain(0), plain(1), plain(2), plain(3)],
            more: [more(0), more(1), more(2), more(3)],
            shape: Shape::new(),
            roots: mark(0),
            silent: mark(NOT_RECORDED),
        }
    }
}

impl GraphOptions {
    /// # Errors
    /// Those of [`Recorder::graph_ops_with`].
    pub(crate) fn check(&self) -> Result<(), RecordError> {
        if self.arguments > ARGUMENTS_MAX {
            return Err(RecordError::Arguments(self.arguments));
        }
        if self.depth > DEPTH_MAX {
            return Err(RecordError::Depth(self.depth));
        }
        if self.minimum > 0 && self.arguments > 0 {
            return Err(RecordError::ArgumentsOfLongCalls(self.arguments));
        }
        Ok(())
    }
}

impl Recorder {
    /// The ops of the function graph: the functions that its filter takes leave an ENTRY event when they are entered and an
    /// EXIT event, with their duration in ticks, when they return. Registering it needs a return stack
    /// ([`crate::Ftrace::switch_return_stack`]); calls that find it full are counted there and leave no event.
    ///
    /// # Errors
    /// [`RecordError::NotInstalled`].
    pub fn graph_ops(&'static self) -> Result<&'static Ops, RecordError> {
        Ok(&self.graph.plain[self.installed()?.form()])
    }

    /// As [`Recorder::graph_ops`], for a graph that records more of each call. It is one ops, whatever the options: called
    /// again, also while the ops is registered, this changes the options of calls that are entered from now on.
    ///
    /// Beside the graph without options it is another ops, and a function that both take leaves the events of both.
    ///
    /// # Errors
    /// [`RecordError::NotInstalled`]; [`RecordError::Arguments`], [`RecordError::Depth`],
    /// [`RecordError::ArgumentsOfLongCalls`]. No option is changed then.
    pub fn graph_ops_with(
        &'static self,
        options: GraphOptions,
    ) -> Result<&'static Ops, RecordError> {
        let ops = &self.graph.more[self.installed()?.form()];
        options.check()?;
        self.graph.shape.set(options);
        ops.set_shape(&self.graph.shape);
        Ok(ops)
    }

    /// The roots of the graph with options, for [`GraphOptions::rooted`]: an ops to register with a filter of its own. What the
    /// functions that it takes call, and they themselves, is recorded where the graph's own filter takes it.
    ///
    /// It needs a return stack, as the graph does, and one of its frames for each call of a root that is open. It leaves no
    /// event by itself, and the graph without options does not look at it. Where it shares a function with other tracers it is
    /// called before them, whenever it was registered.
    pub fn graph_roots(&'static self) -> &'static Ops {
        &self.graph.roots
    }

    /// The opposite of [`Recorder::graph_roots`]: until a function that it takes returns, the graph with options records
    /// nothing of its task, neither the function itself nor a root inside of it.
    pub fn graph_notrace(&'static self) -> &'static Ops {
        &self.graph.silent
    }
}

/// What a set calls: the event that the asm entry writes. Hijacks the return address that the function has by now.
extern "C" fn plain_from_a_set(ip: usize, _: usize, ops: &Ops, fregs: &mut Fregs) {
    entered(ip, ops.data(), fregs, 0, &[]);
}

/// As [`plain_from_a_set`], for a root or its opposite.
extern "C" fn mark_from_a_set(ip: usize, _: usize, ops: &Ops, fregs: &mut Fregs) {
    let Some(area) = arch::cpu_area() else { return };
    let stack = area.return_stack();
    let (state, callsite) = (stack.state(), (ip + INSN_SIZE) as u64);
    let pushed = stack.hijack(fregs, callsite, arch::mark_handler(), state);
    if pushed.is_some() {
        stack.set_state(state & !OUTSIDE | ops.data() as u64);
    }
}

/// As [`plain_from_a_set`], with options.
extern "C" fn more_from_a_set(ip: usize, _: usize, ops: &Ops, fregs: &mut Fregs) {
    let (Some(shape), Some(area)) = (ops.shape(), arch::cpu_area()) else {
        return;
    };
    let stack = area.return_stack();
    let state = stack.state();
    if !shape.takes(state) {
        return;
    }
    let aux = core::ptr::from_ref(shape) as u64;
    let is_hijacked = match shape.arguments() {
        Some(count) => with_arguments(ip, ops.data(), fregs, aux, count),
        None => {
            let form = ops.data() + GRAPH_MORE.len();
            let ip = (ip + INSN_SIZE) as u64;
            arch::graph_handler(form)
                .is_some_and(|handler| stack.hijack(fregs, ip, handler, aux).is_some())
        }
    };
    if is_hijacked {
        stack.set_state(state + 1);
    }
}

fn with_arguments(ip: usize, form: usize, fregs: &mut Fregs, aux: u64, count: usize) -> bool {
    let arguments: [Data; ARGUMENTS_MAX as usize] = core::array::from_fn(|i| Data {
        kind: DATA_ARGUMENT,
        index: i as u8,
        value: fregs.arg(i).unwrap_or(0),
    });
    let arguments = arguments.get(..count).unwrap_or(&arguments);
    entered(ip, form, fregs, aux, arguments)
}

/// Whatever the frame is to hold for the return handler in `aux`. Whether the return is hijacked.
fn entered(ip: usize, form: usize, fregs: &mut Fregs, aux: u64, arguments: &[Data]) -> bool {
    let (Some(area), Some(handler)) = (arch::cpu_area(), arch::graph_handler(form)) else {
        return false;
    };
    let (callsite, parent) = ((ip + INSN_SIZE) as u64, fregs.lr() as u32);
    let stack = area.return_stack();
    let Some(time) = stack.hijack(fregs, callsite, handler, aux) else {
        return false;
    };
    areas::ring(area).write_with(Type::Entry, time, callsite, parent, arguments);
    true
}
