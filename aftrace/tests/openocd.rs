//! `aftrace attach` on a stub that behaves as OpenOCD's does (OpenOCD, src/server/gdb_server.c): a target may run when it is connected
//! to, which its `?` says by signal 0; what cannot be read is answered with zeroes; physical memory is read by a command of its own;
//! it knows no packet of QEMU's; words of its own come between answers.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};

use aftrace::gdb::packet::{Decoder, Incoming, bytes, encode};

/// Where the region lies.
const RAM: u64 = 0x4000_0000;
/// Bytes of a ring, and where that of core 0 lies in the region.
const RING: u64 = 4096;

/// What the stub can, and how its target is.
#[derive(Clone, Copy)]
struct Can {
    /// Its target runs when it is connected to.
    runs: bool,
    /// Memory can be read while the target runs, as that of a `mem_ap` target can.
    reads_running: bool,
    /// A read of a running target stops it, as QEMU's stub does.
    stops: bool,
    /// It has `monitor`, and `mdw phys` among its commands.
    monitor: bool,
    /// What a command says is printed, and not its answer: OpenOCD before 0.12.
    prints: bool,
    /// Memory is read by `m`.
    maps: bool,
    packet: usize,
}

const OPENOCD: Can = Can {
    runs: true,
    reads_running: false,
    stops: false,
    monitor: true,
    prints: false,
    maps: true,
    packet: 0x4000,
};

struct Stub {
    can: Can,
    runs: bool,
    memory: Vec<u8>,
    asked: Vec<String>,
}

impl Stub {
    /// Memory, or what is said where it cannot be read.
    fn read(&mut self, address: u64, length: u64) -> Option<Vec<u8>> {
        if self.runs && !self.can.reads_running {
            return None;
        }
        let from = address.checked_sub(RAM)?;
        if self.runs && (RING..2 * RING).contains(&from) {
            // It is written over before it is read: the first slot of the ring is one of the next lap.
            self.memory[RING as usize..RING as usize + 16].fill(0xFF);
        }
        let range = from as usize..(from + length) as usize;
        self.memory.get(range).map(<[u8]>::to_vec)
    }

    fn monitor(&mut self, command: &str) -> Result<String, &'static str> {
        match command {
            "halt" => self.runs = false,
            "resume" => self.runs = true,
            "help mdw" => return Ok("mdw ['phys'] address [count]\n".to_owned()),
            _ => {
                let words = command.strip_prefix("mdw phys 0x").ok_or("no command")?;
                let (address, count) = words.split_once(' ').ok_or("no count")?;
                let address = u64::from_str_radix(address, 16).map_err(|_| "no number")?;
                let count: u64 = count.parse().map_err(|_| "no number")?;
                let bytes = self.read(address, 4 * count);
                let bytes = bytes.ok_or("data abort\n")?;
                let mut said = String::new();
                for (at, line) in (0..).zip(bytes.chunks(32)) {
                    said += &format!("{:#010x}:", address + 32 * at);
                    for word in line.chunks(4) {
                        let word = u32::from_le_bytes(word.try_into().unwrap());
                        said += &format!(" {word:08x}");
                    }
                    said += "\n";
                }
                return Ok(said);
            }
        }
        Ok(String::new())
    }

    /// The packets that answer a request.
    fn answer(&mut self, request: &str) -> Vec<String> {
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let one = |answer: &str| vec![answer.to_owned()];
        if let Some(command) = request.strip_prefix("qRcmd,").filter(|_| self.can.monitor) {
            let command = String::from_utf8(bytes(command.as_bytes()).unwrap()).unwrap();
            let said = self.monitor(&command);
            self.asked.push(format!("monitor {command}"));
            return match said {
                Ok(said) if said.is_empty() => one("OK"),
                Ok(said) if self.can.prints => {
                    vec![format!("O{}", hex(said.as_bytes())), "OK".to_owned()]
                }
                Ok(said) => vec![hex(said.as_bytes())],
                Err(why) => vec![format!("O{}", hex(why.as_bytes())), "EFC".to_owned()],
            };
        }
        self.asked.push(request.to_owned());
        match request {
            "?" => one(if self.runs { "S00" } else { "S02" }),
            "D" => one("OK"),
            "c" => {
                self.runs = true;
                Vec::new()
            }
            _ if request.starts_with("qSupported") => {
                vec![format!(
                    "PacketSize={:x};qXfer:threads:read+",
                    self.can.packet
                )]
            }
            _ => {
                let read = request.strip_prefix('m').and_then(|m| m.split_once(','));
                let Some((address, length)) = read.filter(|_| self.can.maps) else {
                    return one("");
                };
                if self.runs && self.can.stops {
                    self.runs = false;
                    return one("T02thread:01;");
                }
                let number = |digits| u64::from_str_radix(digits, 16).unwrap();
                let (address, length) = (number(address), number(length));
                assert!(2 * length as usize + 4 <= self.can.packet, "{request}");
                let bytes = self.read(address, length);
                vec![hex(&bytes.unwrap_or_else(|| vec![0; length as usize]))]
            }
        }
    }

    fn serve(mut self, mut line: TcpStream) -> Self {
        let (mut decoder, mut byte) = (Decoder::new(), [0]);
        while let Ok(1) = line.read(&mut byte) {
            let Some(Incoming::Packet(request)) = decoder.push(byte[0]) else {
                continue;
            };
            let answers = self.answer(str::from_utf8(&request).unwrap());
            let mut bytes = b"+".to_vec();
            for answer in &answers {
                // That it is still there, and what it logs.
                bytes.extend(
                    [
                        encode(b"O"),
                        encode(b"O6c6f670a"),
                        encode(answer.as_bytes()),
                    ]
                    .concat(),
                );
            }
            if line.write_all(&bytes).is_err() {
                break;
            }
        }
        self
    }
}

/// The golden region of two cores, as memory that a stub stands before; the address to attach to, and the stub when all is over.
fn stub(can: Can) -> (String, JoinHandle<Stub>) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/two_cores.region");
    let stub = Stub {
        can,
        runs: can.runs,
        memory: std::fs::read(golden).unwrap(),
        asked: Vec::new(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(":{}", listener.local_addr().unwrap().port());
    let served = thread::spawn(move || stub.serve(listener.accept().unwrap().0));
    (address, served)
}

/// What `attach` says and writes, and the stub afterwards.
fn attach(can: Can, more: &[&str]) -> (Output, Option<Vec<u8>>, Stub) {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("attached.aft");
    let (address, served) = stub(can);
    let output = Command::new(env!("CARGO_BIN_EXE_aftrace"))
        .args(["attach", &address, "--memory", "0x40000000+4096", "-o"])
        .arg(&trace)
        .args(more)
        .output()
        .unwrap();
    (output, std::fs::read(&trace).ok(), served.join().unwrap())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The trace that `dump-ram` makes of the same region.
fn expected() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("dumped.aft");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/two_cores.region");
    let mut command = Command::new(env!("CARGO_BIN_EXE_aftrace"));
    let done = command
        .arg("dump-ram")
        .arg(golden)
        .arg("-o")
        .arg(&trace)
        .output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", said(&done));
    std::fs::read(trace).unwrap()
}

#[test]
fn a_target_that_runs_is_stopped_read_and_let_run() {
    for packet in [0x4000, 0x40] {
        let (output, trace, stub) = attach(Can { packet, ..OPENOCD }, &[]);
        assert!(output.status.success(), "{}", said(&output));
        assert!(trace == Some(expected()), "packets of {packet}");
        assert!(stub.runs);
        let others = |asked: &&String| !asked.starts_with('m') || asked.starts_with("monitor");
        let asked: Vec<_> = stub.asked.iter().filter(others).collect();
        assert_eq!(
            asked[1..],
            ["?", "monitor halt", "?", "monitor resume", "D"]
        );
    }
    let (output, trace, stub) = attach(OPENOCD, &["--keep-stopped"]);
    assert!(output.status.success() && trace == Some(expected()) && !stub.runs);
    // Halted by its `gdb-attach` event, as most are: nothing to do.
    let (output, trace, stub) = attach(
        Can {
            runs: false,
            ..OPENOCD
        },
        &[],
    );
    assert!(output.status.success() && trace == Some(expected()));
    assert!(stub.asked.iter().all(|asked| !asked.starts_with("monitor")));
}

#[test]
fn physical_memory_is_read_by_its_own_command() {
    // All of it by `mdw phys`, and not by `m`, which gives what the core maps.
    let can = Can {
        maps: false,
        ..OPENOCD
    };
    let (output, trace, stub) = attach(can, &["--physical"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(trace == Some(expected()));
    assert!(
        stub.runs
            && stub
                .asked
                .contains(&"monitor mdw phys 0x40000000 64".to_owned())
    );
    let (output, trace, _) = attach(
        Can {
            prints: true,
            ..can
        },
        &["--physical"],
    );
    assert!(
        output.status.success() && trace == Some(expected()),
        "{}",
        said(&output)
    );
    // What it refuses to read is counted, with the region as it is.
    let (output, trace, stub) = attach(can, &["--physical", "--memory", "0x3fffe000+8192"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("512 bytes that the stub refuses"),
        "{}",
        said(&output)
    );
    assert!(trace == Some(expected()) && stub.runs);
    let (output, trace, stub) = attach(
        Can {
            monitor: false,
            ..OPENOCD
        },
        &["--physical"],
    );
    assert_eq!((output.status.code(), trace), (Some(2), None));
    assert!(
        said(&output).contains("`monitor mdw phys`") && stub.runs,
        "{}",
        said(&output)
    );
}

#[test]
fn what_is_written_over_while_it_is_read_is_counted() {
    for runs in [true, false] {
        let can = Can {
            runs,
            reads_running: true,
            ..OPENOCD
        };
        let (output, trace, stub) = attach(can, &["--running"]);
        assert!(
            output.status.success() && trace.is_some(),
            "{}",
            said(&output)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("core 0: 2 events; 0 overwritten, 0 dropped, 1 unfinished"),
            "{text}"
        );
        let asked = stub.asked.iter().any(|asked| asked == "c");
        assert!(stub.runs && asked != runs, "{:?}", stub.asked);
    }
}

#[test]
fn a_stub_that_cannot_read_while_the_target_runs_is_named() {
    // It says zeroes.
    let (output, trace, stub) = attach(OPENOCD, &["--running"]);
    assert_eq!((output.status.code(), trace), (Some(2), None));
    assert!(
        said(&output).contains("gdb_report_data_abort enable") && stub.runs,
        "{}",
        said(&output)
    );
    // It stops the target, which runs again afterwards as of any `D`.
    let can = Can {
        runs: false,
        stops: true,
        ..OPENOCD
    };
    let (output, trace, stub) = attach(can, &["--running"]);
    assert_eq!((output.status.code(), trace), (Some(2), None));
    assert!(
        said(&output).contains("without --running"),
        "{}",
        said(&output)
    );
    assert_eq!(stub.asked.last().map(String::as_str), Some("D"));
    // It neither halts nor says why.
    let deaf = Can {
        monitor: false,
        ..OPENOCD
    };
    let (output, trace, _) = attach(deaf, &[]);
    assert_eq!(
        (output.status.code(), trace),
        (Some(2), None),
        "{}",
        said(&output)
    );
}
