//! The Common Trace Format, version 1.8 (diamon.org/ctf/v1.8.3), for babeltrace2 and Trace Compass: a folder with the description of
//! all in `metadata`, and a stream of packets for each core.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use super::functions::Functions;
use super::threads::Threads;
use super::{Omitted, in_one_line, marks};
use crate::trace::brackets::Mark;
use crate::trace::calls::{Call, Task};
use crate::trace::file::Trace;
use crate::trace::filter::Filter;
use crate::trace::symbols::{Symbols, hex};

const MAGIC: u32 = 0xC1FC_1FC1;
/// Magic, number of the stream; begin, end, content, size, discarded, core.
const PACKET_HEAD: usize = 2 * 4 + 5 * 8 + 4;
/// Bytes of events in a packet.
const PACKET: usize = 32 << 10;

const FUNCTION: u8 = 0;
const ENTRY: u8 = 1;
const EXIT: u8 = 2;
const SWITCH: u8 = 3;

#[derive(Default)]
struct Packet {
    begin: u64,
    end: u64,
    events: Vec<u8>,
    /// Discarded until the packet's end, and as the packet before has it; `None` before the first.
    discarded: u64,
    told: Option<u64>,
    /// The task that the core runs.
    task: Option<Task>,
}

struct Writer<'a> {
    folder: &'a Path,
    threads: Threads<'a>,
    functions: Functions<'a>,
    cores: BTreeMap<u16, Packet>,
    tasks: BTreeSet<Task>,
}

/// Writes the trace into an empty folder.
///
/// Times are the recorder's ticks, and the clock says how many a second has. An ENTRY without its return has no exit.
///
/// # Errors
/// Those of the files.
pub fn write(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    folder: &Path,
) -> io::Result<Omitted> {
    let mut writer = Writer {
        folder,
        threads: Threads::new(trace),
        functions: Functions::new(symbols),
        cores: BTreeMap::new(),
        tasks: BTreeSet::new(),
    };
    let omitted = marks(trace, symbols, filter, |mark| writer.mark(mark))?;
    let cores: Vec<u16> = writer.cores.keys().copied().collect();
    for core in cores {
        writer.flush(core)?;
        let packet = writer.cores.entry(core).or_default();
        if packet.told != Some(packet.discarded) {
            packet.begin = packet.end;
            writer.packet(core)?;
        }
    }
    fs::write(folder.join("metadata"), writer.metadata(trace))?;
    Ok(omitted)
}

/// A sequence: how many, and the values.
fn values(fields: &mut Vec<u8>, values: &[u64]) {
    fields.push(values.len() as u8);
    fields.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

impl Writer<'_> {
    fn mark(&mut self, mark: Mark) -> io::Result<()> {
        match mark {
            Mark::Begin(call) => {
                let mut fields = self.call(&call);
                values(&mut fields, call.arguments.as_slice());
                self.event(call.core, call.time, call.task, ENTRY, &fields)
            }
            Mark::Function(call) => {
                let fields = self.call(&call);
                self.event(call.core, call.time, call.task, FUNCTION, &fields)
            }
            Mark::End(end) if end.returned => {
                let call = end.call;
                let mut fields = self.functions.number(call.callsite).to_le_bytes().to_vec();
                fields.extend((end.time - call.time).to_le_bytes());
                values(&mut fields, end.result.as_slice());
                self.event(end.core, end.time, call.task, EXIT, &fields)
            }
            Mark::Switch(core, time, next) => {
                let packet = self.cores.entry(core).or_default();
                let before = packet.task.replace(next).unwrap_or(Task::Core(core));
                self.tasks.insert(next);
                let next = self.threads.number(next).to_le_bytes();
                self.event(core, time, before, SWITCH, &next)
            }
            Mark::Missing(core, time, events) => {
                self.flush(core)?;
                let packet = self.cores.entry(core).or_default();
                if packet.told.is_none() {
                    // What is discarded before the first packet is not told: so there is an empty one.
                    (packet.begin, packet.end) = (time, time);
                    self.packet(core)?;
                }
                let packet = self.cores.entry(core).or_default();
                packet.discarded = packet.discarded.saturating_add(events);
                Ok(())
            }
            Mark::End(_) | Mark::Other(..) => Ok(()),
        }
    }

    fn call(&mut self, call: &Call) -> Vec<u8> {
        let mut fields = self.functions.number(call.callsite).to_le_bytes().to_vec();
        fields.extend(self.functions.caller(call.parent).to_le_bytes());
        fields
    }

    fn event(
        &mut self,
        core: u16,
        time: u64,
        task: Task,
        kind: u8,
        fields: &[u8],
    ) -> io::Result<()> {
        self.tasks.insert(task);
        let thread = self.threads.number(task);
        let packet = self.cores.entry(core).or_default();
        if packet.told.is_some_and(|told| told != packet.discarded) {
            // The gap ends here: an empty packet says so.
            (packet.begin, packet.end) = (time, time);
            self.packet(core)?;
        }
        let packet = self.cores.entry(core).or_default();
        if packet.events.is_empty() {
            packet.begin = time;
        }
        packet.end = time;
        packet.events.push(kind);
        packet.events.extend(time.to_le_bytes());
        packet.events.extend(thread.to_le_bytes());
        packet.events.extend(fields);
        if packet.events.len() >= PACKET {
            self.flush(core)?;
        }
        Ok(())
    }

    fn flush(&mut self, core: u16) -> io::Result<()> {
        match self.cores.get(&core) {
            Some(packet) if !packet.events.is_empty() => self.packet(core),
            _ => Ok(()),
        }
    }

    fn packet(&mut self, core: u16) -> io::Result<()> {
        let packet = self.cores.entry(core).or_default();
        packet.told = Some(packet.discarded);
        let bits = 8 * (PACKET_HEAD + packet.events.len()) as u64;
        let mut bytes = Vec::with_capacity(bits as usize / 8);
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        for field in [packet.begin, packet.end, bits, bits, packet.discarded] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(u32::from(core).to_le_bytes());
        bytes.append(&mut packet.events);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(format!("core_{core}")))?
            .write_all(&bytes)
    }

    /// The description of it all, in CTF's own language.
    fn metadata(&mut self, trace: &Trace) -> String {
        let labels = |pairs: &mut dyn Iterator<Item = (u32, &str)>| {
            let mut text = String::new();
            for (number, name) in pairs {
                let name = in_one_line(name).replace('\\', "\\\\");
                let name = name.replace('"', "\\\"");
                let _ = writeln!(text, "\t\"{name}\" = {number},");
            }
            text
        };
        let functions = labels(&mut std::iter::once((0, "unknown")).chain(self.functions.names()));
        let tasks: Vec<_> = self
            .tasks
            .iter()
            .map(|task| (self.threads.number(*task), self.threads.name(*task)))
            .collect();
        let tasks = labels(&mut tasks.iter().map(|(number, name)| (*number, name.as_str())));
        let header = &trace.header;
        DESCRIPTION
            .replace("@FREQUENCY@", &header.frequency.max(1).to_string())
            .replace("@BUILD@", &hex(header.build_id()))
            .replace("@CORES@", &header.cpus.to_string())
            .replace("@THREADS@", &tasks)
            .replace("@FUNCTIONS@", &functions)
    }
}

const DESCRIPTION: &str = r#"/* CTF 1.8 */

typealias integer { size = 8; align = 8; signed = false; } := uint8_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;
typealias integer { size = 64; align = 8; signed = false; base = 16; } := value_t;

trace {
	major = 1;
	minor = 8;
	byte_order = le;
	packet.header := struct {
		uint32_t magic;
		uint32_t stream_id;
	};
};

env {
	domain = "kernel";
	tracer_name = "aarch64-ftrace";
	build_id = "@BUILD@";
	cores = @CORES@;
};

clock {
	name = counter;
	description = "the recorder's ticks";
	freq = @FREQUENCY@;
	precision = 0;
	offset = 0;
	absolute = false;
};

typealias integer { size = 64; align = 8; signed = false; map = clock.counter.value; } := ticks_t;

typealias enum : uint32_t {
@THREADS@} := thread_t;

typealias enum : uint32_t {
@FUNCTIONS@} := function_t;

stream {
	id = 0;
	packet.context := struct {
		ticks_t timestamp_begin;
		ticks_t timestamp_end;
		uint64_t content_size;
		uint64_t packet_size;
		uint64_t events_discarded;
		uint32_t cpu_id;
	};
	event.header := struct {
		uint8_t id;
		ticks_t timestamp;
	};
	event.context := struct {
		thread_t thread;
	};
};

event {
	name = "function";
	id = 0;
	stream_id = 0;
	fields := struct {
		function_t function;
		function_t caller;
	};
};

event {
	name = "entry";
	id = 1;
	stream_id = 0;
	fields := struct {
		function_t function;
		function_t caller;
		uint8_t arguments_length;
		value_t arguments[arguments_length];
	};
};

event {
	name = "exit";
	id = 2;
	stream_id = 0;
	fields := struct {
		function_t function;
		uint64_t duration;
		uint8_t result_length;
		value_t result[result_length];
	};
};

event {
	name = "switch";
	id = 3;
	stream_id = 0;
	fields := struct {
		thread_t next;
	};
};
"#;
