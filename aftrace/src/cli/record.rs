//! Boots a kernel that is traced from its boot on, and writes the trace.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aarch64_ftrace::bootconfig::{self, BootConfig, Purpose, Setting};
use aarch64_ftrace::glob;
use aftrace::arguments;
use aftrace::elf::{Callsite, Kernel};
use aftrace::embed::embed_file;
use aftrace::run;
use aftrace::trace::live::Lines;
use aftrace::trace::symbols::Naming;
use clap::Args;

use super::embed::describe;
use super::machine::{Guest, Screen, boot};
use super::output::is_no_console;
use super::region::Wanted;
use super::{INCOMPLETE, Outcome, at, files, manual, meant, read};

const EXAMPLES: &[&str] = &[
    "aftrace record kernel.elf --function 'sched::*' --graph 'fs::*' -o boot.aft",
    "aftrace record kernel.elf --graph '*' --roots 'fs::open' --depth 5 --time-filter 10us",
    "aftrace record kernel.elf --graph '*' --notrace 'fmt::*' --time 10 -- -smp 4    # a kernel that does not end by itself",
];

/// Boot a kernel in QEMU that is traced from its boot on, and write the trace
///
/// The filters stand in the kernel's image before its first instruction (docs/boot-config.md: the kernel reserves the space with
/// reserve_boot_config! and calls Recorder::boot), or with --bootargs in the device tree. A copy is booted, KERNEL stays as it is.
/// When QEMU has ended (the kernel has left, Ctrl-C, --time), the rings are read out of its memory: the kernel need not
/// send anything, and may hang.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Record {
    #[command(flatten)]
    guest: Guest,
    /// Record calls of the functions that the glob matches (repeat for more)
    #[arg(long, value_name = "GLOB")]
    function: Vec<String>,
    /// Record entries and returns of the functions that the glob matches (repeat for more)
    #[arg(long, value_name = "GLOB")]
    graph: Vec<String>,
    /// Not of those that the glob matches (repeat for more)
    #[arg(long, value_name = "GLOB")]
    notrace: Vec<String>,
    /// Of the graph, only what these functions call, and they themselves (repeat for more)
    #[arg(long, value_name = "GLOB", requires = "graph")]
    roots: Vec<String>,
    /// Of the graph, nothing of what these functions call, nor they themselves (repeat for more)
    #[arg(long, value_name = "GLOB", requires = "graph")]
    graph_notrace: Vec<String>,
    /// Of the graph, only this many levels of calls
    #[arg(short = 'D', long, value_name = "LEVELS", requires = "graph")]
    depth: Option<u32>,
    /// Of the graph, only calls that took at least this long: 500ns, 10us, 1.5ms, 2s
    #[arg(short = 't', long, value_name = "TIME", value_parser = arguments::time, requires = "graph")]
    time_filter: Option<u64>,
    /// With each entry of the graph so many of the registers x0 to x7
    #[arg(
        long,
        value_name = "COUNT",
        requires = "graph",
        conflicts_with = "time_filter"
    )]
    arguments: Option<u8>,
    /// With each return of the graph x0
    #[arg(long, requires = "graph")]
    result: bool,
    /// Where to write the trace
    #[arg(short, long, value_name = "TRACE", default_value = "boot.aft")]
    output: PathBuf,
    /// Say the filters in the device tree's bootargs, not in the image
    #[arg(long)]
    bootargs: bool,
    /// End QEMU after so many seconds
    #[arg(long, value_name = "SECONDS")]
    time: Option<u64>,
    /// The machine's memory, as QEMU writes it (in place of -m)
    #[arg(long, value_name = "BYTES", default_value = "256M")]
    memory: String,
}

/// What to do where QEMU could not make the machine.
const WORDS: &str = "QEMU's words above say why; its memory is told by --memory, not by -m";

impl Record {
    pub fn run(&self) -> Outcome {
        // What is wrong in itself is refused before anything is made.
        self.text(&self.lists())?;
        is_no_console(&self.output)?;
        let scratch = env::temp_dir();
        let folder = tempfile::tempdir().map_err(files::writing(&scratch))?;
        let copy = folder.path().join("kernel");
        files::is_free(&self.output, &[&self.guest.kernel])?;
        fs::write(&copy, read(&self.guest.kernel)?).map_err(files::writing(&copy))?;
        embed_file(&copy).map_err(describe(&self.guest.kernel))?;
        let mut bytes = read(&copy)?;
        let space = self.space(&bytes)?;
        let text = self.text(&self.taken(&bytes)?)?;
        if let Some(space) = space {
            bootconfig::write(&mut bytes[space], &text).map_err(at(&self.guest.kernel))?;
            fs::write(&copy, bytes).map_err(files::writing(&copy))?;
        }
        let ram = folder.path().join("ram");
        let command = run::command(&self.guest.qemu, &copy, &self.arguments(&text, &ram));
        let screen = Screen::Aside(Box::new(
            Lines::new(read(&copy)?, Naming::default()).map_err(at(&copy))?,
        ));
        let limit = self.time.map(Duration::from_secs);
        let left = boot(command, &self.guest.qemu, screen, limit)?;
        let Ok(mut memory) = File::open(&ram) else {
            return Err(format!("there was no machine: {WORDS}").into());
        };
        let hint =
            format!("did the kernel come to Recorder::install? If there was no machine: {WORDS}");
        let everywhere = 0..u64::MAX;
        let wanted = Wanted::of_kernel(self.output.clone(), copy);
        let written = wanted.write(&mut memory, &[everywhere], &[&self.guest.kernel], &hint)?;
        Ok(match written == ExitCode::SUCCESS {
            true => left,
            false => ExitCode::from(INCOMPLETE),
        })
    }

    /// The patterns, by what they are for.
    fn lists(&self) -> [Vec<String>; 5] {
        Purpose::ALL.map(|purpose| {
            let list = match purpose {
                Purpose::Function => &self.function,
                Purpose::Graph => &self.graph,
                Purpose::Notrace => &self.notrace,
                Purpose::Roots => &self.roots,
                Purpose::Silent => &self.graph_notrace,
            };
            list.clone()
        })
    }

    /// The same as the kernel is told them. It knows the names that are in its file, and registers nothing where a pattern matches none:
    /// one that lacks the crate gets it, any other is refused.
    fn taken(&self, kernel: &[u8]) -> Result<[Vec<String>; 5], String> {
        let kernel = Kernel::parse(kernel).map_err(at(&self.guest.kernel))?;
        let names: Vec<String> = kernel
            .callsites()
            .iter()
            .flat_map(Callsite::paths)
            .collect();
        let names = || names.iter().map(String::as_str);
        let mut lists = self.lists();
        for (purpose, list) in Purpose::ALL.into_iter().zip(&mut lists) {
            for pattern in list {
                let (not, glob) = match pattern.strip_prefix('!') {
                    Some(glob) => ("!", glob),
                    None => ("", pattern.as_str()),
                };
                let by_number = glob.starts_with("0x") || glob.starts_with('#');
                if by_number || names().any(|name| glob::matches(glob, name.bytes())) {
                    continue;
                }
                let what = format!("{} {pattern:?}", option(purpose));
                let say = |said: String| at(&self.guest.kernel)(said);
                if let Some(below) = meant::below_crate(glob, names()) {
                    note!("aftrace: {}", say(meant::taken(&what, &below)));
                    *pattern = format!("{not}{below}");
                    continue;
                }
                let unknown = say(format!(
                    "{what} matches no function's name{}",
                    meant::near(glob, names())
                ));
                // What takes nothing away harms nobody.
                match purpose == Purpose::Notrace || not == "!" {
                    true => note!("aftrace: {unknown}"),
                    false => return Err(unknown),
                }
            }
        }
        Ok(lists)
    }

    /// The boot configuration.
    fn text(&self, lists: &[Vec<String>; 5]) -> Result<String, String> {
        let mut text = String::new();
        for (purpose, patterns) in Purpose::ALL.into_iter().zip(lists) {
            for pattern in patterns {
                if pattern.contains('"') {
                    return Err(format!(
                        "{pattern}: a pattern with a quote cannot be said; use ? in its place"
                    ));
                }
                text.push_str(&format!("{}=\"{pattern}\"\n", purpose.option()));
            }
        }
        for (setting, value) in [
            (Setting::Depth, self.depth.map(|levels| levels.to_string())),
            (
                Setting::Minimum,
                self.time_filter.map(|ns| format!("{ns}ns")),
            ),
            (
                Setting::Arguments,
                self.arguments.map(|count| count.to_string()),
            ),
            (Setting::Result, self.result.then(|| "1".to_owned())),
        ] {
            let Some(value) = value else { continue };
            text.push_str(&format!("{}={value}\n", setting.option()));
        }
        let config = BootConfig::parse(&text).map_err(|error| error.to_string())?;
        match config.is_empty() {
            true => Err("nothing to record: give --function GLOB or --graph GLOB".to_owned()),
            false => Ok(text),
        }
    }

    /// Where it stands in the kernel's file, if it does.
    fn space(&self, kernel: &[u8]) -> Result<Option<Range<usize>>, String> {
        if self.bootargs {
            return Ok(None);
        }
        let kernel = Kernel::parse(kernel).map_err(at(&self.guest.kernel))?;
        let space = kernel.boot_space().ok_or_else(|| {
            at(&self.guest.kernel)(
                "no space for a boot configuration: put reserve_boot_config!(1024); into the kernel, or use --bootargs",
            )
        })?;
        Ok(Some(space))
    }

    fn arguments(&self, text: &str, ram: &Path) -> Vec<OsString> {
        let size = &self.memory;
        let backend = format!(
            "memory-backend-file,id=ram,size={size},share=on,mem-path={}",
            ram.display()
        );
        let mut arguments: Vec<OsString> = [
            "-m",
            size,
            "-object",
            &backend,
            "-machine",
            "memory-backend=ram",
        ]
        .map(OsString::from)
        .into();
        if self.bootargs {
            arguments.extend(["-append".into(), text.replace('\n', " ").trim_end().into()]);
        }
        arguments.extend_from_slice(self.guest.arguments());
        arguments
    }
}

/// The option that such patterns are given with.
const fn option(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Function => "--function",
        Purpose::Graph => "--graph",
        Purpose::Notrace => "--notrace",
        Purpose::Roots => "--roots",
        Purpose::Silent => "--graph-notrace",
    }
}
