//! Boots a kernel that is traced from its boot on, and writes the trace.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aarch64_ftrace::bootconfig::{self, BootConfig, Purpose, Setting};
use aftrace::arguments;
use aftrace::elf::Kernel;
use aftrace::embed::embed_file;
use aftrace::run;
use aftrace::trace::live::Lines;
use aftrace::trace::symbols::Naming;
use clap::Args;

use super::embed::describe;
use super::machine::{Guest, Screen, boot};
use super::output::is_no_console;
use super::region::Wanted;
use super::{INCOMPLETE, Outcome, at, files, manual, read};

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

impl Record {
    pub fn run(&self) -> Outcome {
        let text = self.text()?;
        is_no_console(&self.output)?;
        let scratch = env::temp_dir();
        let folder = tempfile::tempdir().map_err(files::writing(&scratch))?;
        let copy = folder.path().join("kernel");
        files::is_free(&self.output, &[&self.guest.kernel])?;
        fs::write(&copy, read(&self.guest.kernel)?).map_err(files::writing(&copy))?;
        embed_file(&copy).map_err(describe(&self.guest.kernel))?;
        if !self.bootargs {
            self.place(&copy, &text)?;
        }
        let ram = folder.path().join("ram");
        let command = run::command(&self.guest.qemu, &copy, &self.arguments(&text, &ram));
        let screen = Screen::Aside(Box::new(
            Lines::new(read(&copy)?, Naming::default()).map_err(at(&copy))?,
        ));
        let limit = self.time.map(Duration::from_secs);
        let left = boot(command, &self.guest.qemu, screen, limit)?;
        let mut memory = File::open(&ram).map_err(at(&ram))?;
        let hint = "did the kernel come to Recorder::install?";
        let everywhere = 0..u64::MAX;
        let wanted = Wanted::of_kernel(self.output.clone(), copy);
        let written = wanted.write(&mut memory, &[everywhere], &[&self.guest.kernel], hint)?;
        Ok(match written == ExitCode::SUCCESS {
            true => left,
            false => ExitCode::from(INCOMPLETE),
        })
    }

    /// The boot configuration.
    fn text(&self) -> Result<String, String> {
        let lists = [
            &self.function,
            &self.graph,
            &self.notrace,
            &self.roots,
            &self.graph_notrace,
        ];
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

    fn place(&self, copy: &Path, text: &str) -> Result<(), String> {
        let mut bytes = read(copy)?;
        let space = Kernel::parse(&bytes)
            .map_err(at(&self.guest.kernel))?
            .boot_space()
            .ok_or_else(|| {
                at(&self.guest.kernel)(
                    "no space for a boot configuration: put reserve_boot_config!(1024); into the kernel, or use --bootargs",
                )
            })?;
        bootconfig::write(&mut bytes[space], text).map_err(at(&self.guest.kernel))?;
        fs::write(copy, bytes).map_err(at(copy))
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
