//! Perfetto's own format: protocol buffers, one packet for each event, names once (Perfetto's protos/perfetto/trace).

use std::io::{self, Write};

use rustc_hash::{FxHashMap, FxHashSet};

use self::proto::{
    Annotation, EventBundle, EventName, InternedData, Packet, ProcessDescriptor, SchedEvent,
    SchedSwitch, ThreadDescriptor, TrackDescriptor, TrackEvent,
};
use super::functions::Functions;
use super::threads::Threads;
use super::{Omitted, marks, register};
use crate::trace::brackets::Mark;
use crate::trace::calls::Task;
use crate::trace::file::Trace;
use crate::trace::filter::Filter;
use crate::trace::symbols::Symbols;
use crate::trace::values::error;

mod proto;

const BEGIN: i32 = 1;
const END: i32 = 2;
const INSTANT: i32 = 3;
/// All packets are of one sequence; its first one says that no name is known yet, the others that names may be.
const SEQUENCE: u32 = 1;
const NAMES_BEGIN: u32 = 1;
const NAMES_NEEDED: u32 = 2;
/// All tasks are threads of the kernel.
const PROCESS: i32 = 1;
/// Linux's usual priority, there being none.
const PRIORITY: i32 = 120;
/// A track of a task has its number and this, so that it is none of a core's.
const TRACK_OF_TASKS: u64 = 1 << 32;

struct Writer<'a, W> {
    out: W,
    threads: Threads<'a>,
    functions: Functions<'a>,
    symbols: &'a Symbols,
    /// Functions whose name is written, and tasks whose track is.
    known: FxHashSet<u32>,
    tracks: FxHashSet<Task>,
    running: FxHashMap<u16, Task>,
    buffer: Vec<u8>,
}

/// Writes the trace.
///
/// Times are nanoseconds, rounded down. A call whose return is missing ends where a function around it went on; calls that have not
/// returned do not end.
///
/// # Errors
/// Those of the file and of `out`.
pub fn write(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    out: impl Write,
) -> io::Result<Omitted> {
    let mut writer = Writer {
        out,
        threads: Threads::new(trace),
        functions: Functions::new(symbols),
        symbols,
        known: FxHashSet::default(),
        tracks: FxHashSet::default(),
        running: FxHashMap::default(),
        buffer: Vec::new(),
    };
    let process = ProcessDescriptor {
        pid: Some(PROCESS),
        process_name: Some("kernel".to_owned()),
    };
    writer.packet(Packet {
        sequence_flags: Some(NAMES_BEGIN),
        track_descriptor: Some(TrackDescriptor {
            uuid: Some(1),
            process: Some(process),
            ..TrackDescriptor::default()
        }),
        ..Packet::default()
    })?;
    let omitted = marks(trace, symbols, filter, |mark| writer.mark(mark))?;
    writer.out.flush()?;
    Ok(omitted)
}

impl<W: Write> Writer<'_, W> {
    /// Field 1 of the file.
    fn packet(&mut self, packet: Packet) -> io::Result<()> {
        self.buffer.clear();
        let packet = Packet {
            sequence: Some(SEQUENCE),
            ..packet
        };
        prost::encoding::message::encode(1, &packet, &mut self.buffer);
        self.out.write_all(&self.buffer)
    }

    /// The track of a task, which is described before its first event.
    fn track(&mut self, task: Task) -> io::Result<u64> {
        let number = self.threads.number(task);
        let uuid = TRACK_OF_TASKS | u64::from(number);
        if self.tracks.insert(task) {
            let thread = ThreadDescriptor {
                pid: Some(PROCESS),
                tid: Some(number as i32),
                thread_name: Some(self.threads.name(task)),
            };
            self.packet(Packet {
                track_descriptor: Some(TrackDescriptor {
                    uuid: Some(uuid),
                    thread: Some(thread),
                    ..TrackDescriptor::default()
                }),
                ..Packet::default()
            })?;
        }
        Ok(uuid)
    }

    fn event(&mut self, ticks: u64, task: Task, event: TrackEvent) -> io::Result<()> {
        let track = self.track(task)?;
        let new = event.name_iid.filter(|iid| self.known.insert(*iid as u32));
        let names = new.map(|iid| InternedData {
            event_names: vec![EventName {
                iid: Some(iid),
                name: Some(self.functions.name(iid as u32).to_owned()),
            }],
        });
        self.packet(Packet {
            timestamp: Some(self.symbols.nanoseconds(ticks)),
            sequence_flags: Some(NAMES_NEEDED),
            interned_data: names,
            track_event: Some(TrackEvent {
                track_uuid: Some(track),
                ..event
            }),
            ..Packet::default()
        })
    }

    fn mark(&mut self, mark: Mark) -> io::Result<()> {
        match mark {
            Mark::Begin(call) | Mark::Function(call) => {
                let kind = match mark {
                    Mark::Begin(_) => BEGIN,
                    _ => INSTANT,
                };
                let arguments = call.arguments.as_slice().iter().enumerate();
                let event = TrackEvent {
                    kind: Some(kind),
                    name_iid: Some(self.functions.number(call.callsite).into()),
                    annotations: arguments
                        .map(|(index, value)| value_of(register(index), *value))
                        .collect(),
                    ..TrackEvent::default()
                };
                self.event(call.time, call.task, event)
            }
            Mark::End(end) => {
                let annotation = match end.result {
                    _ if !end.returned => Some(annotation("return is missing", 1)),
                    Some(value) => Some(result_of(value)),
                    None => None,
                };
                let event = TrackEvent {
                    kind: Some(END),
                    annotations: annotation.into_iter().collect(),
                    ..TrackEvent::default()
                };
                self.event(end.time, end.call.task, event)
            }
            Mark::Missing(core, time, events) => {
                let event = TrackEvent {
                    kind: Some(INSTANT),
                    name: Some("events are missing".to_owned()),
                    annotations: vec![annotation("events", events)],
                    ..TrackEvent::default()
                };
                self.event(time, Task::Core(core), event)
            }
            Mark::Switch(core, time, next) => self.switch(core, time, next),
            Mark::Other(..) => Ok(()),
        }
    }

    /// As Linux's scheduler tells of it, so that Perfetto shows what each core runs.
    fn switch(&mut self, core: u16, ticks: u64, next: Task) -> io::Result<()> {
        let before = self.running.insert(core, next);
        let before = before.unwrap_or(Task::Core(core));
        for task in [before, next] {
            self.track(task)?;
        }
        let [from, to] = [before, next].map(|task| self.threads.number(task) as i32);
        let switch = SchedSwitch {
            prev_comm: Some(self.threads.name(before)),
            prev_pid: Some(from),
            prev_prio: Some(PRIORITY),
            prev_state: Some(0),
            next_comm: Some(self.threads.name(next)),
            next_pid: Some(to),
            next_prio: Some(PRIORITY),
        };
        let event = SchedEvent {
            timestamp: Some(self.symbols.nanoseconds(ticks)),
            pid: Some(from as u32),
            sched_switch: Some(switch),
        };
        self.packet(Packet {
            ftrace_events: Some(EventBundle {
                cpu: Some(core.into()),
                event: vec![event],
            }),
            ..Packet::default()
        })
    }
}

fn annotation(name: &str, value: u64) -> Annotation {
    Annotation {
        uint_value: Some(value),
        name: Some(name.to_owned()),
        ..Annotation::default()
    }
}

/// What may be an address, and is shown as one.
fn value_of(name: &str, value: u64) -> Annotation {
    Annotation {
        pointer_value: Some(value),
        name: Some(name.to_owned()),
        ..Annotation::default()
    }
}

/// A result: an error number as such.
fn result_of(value: u64) -> Annotation {
    match error(value) {
        Some(number) => Annotation {
            int_value: Some(number),
            name: Some("result".to_owned()),
            ..Annotation::default()
        },
        None => value_of("result", value),
    }
}
