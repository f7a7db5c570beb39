//! The tables: what is typed, and what is said.

/// Arguments, and what the message must have in it.
pub type Row = (&'static [&'static str], &'static [&'static str]);

const THERE: &str = "name a file that is there";
const IN_IT: &str = "name a file in it";

pub const FILES: [Row; 20] = [
    (&["replay", "none.aft"], &["none.aft: No such file", THERE]),
    (&["report", "folder"], &["folder: is a directory", IN_IT]),
    (
        &["info", "text/x.aft"],
        &["text/x.aft: Not a directory", "below a folder"],
    ),
    (
        &["graph", "x.aft", "--elf", "folder"],
        &["folder: Is a directory", IN_IT],
    ),
    (&["check", "folder"], &["folder: Is a directory", IN_IT]),
    (&["embed", "none"], &["none: No such file", THERE]),
    (&["run", "folder"], &["folder: is a directory", IN_IT]),
    (
        &["record", "none", "--graph", "*"],
        &["none: No such file", THERE],
    ),
    (&["symbols", "none"], &["none: No such file"]),
    (
        &["report", "empty.aft"],
        &["empty.aft: ", "0 bytes", "give a .aft file"],
    ),
    (
        &["graph", "text"],
        &["text: ", "no frame of a trace", "give a .aft file"],
    ),
    (
        &["embed", "text"],
        &["text: not a readable 64-bit ELF", "give the kernel"],
    ),
    (
        &["check", "host"],
        &["host: ELF machine 62", "give the kernel"],
    ),
    (
        &["check", "object"],
        &["object: not linked yet", "give the linked kernel"],
    ),
    (
        &["symbols", "plain"],
        &["plain: no __patchable_function_entries", "build with"],
    ),
    (
        &["replay", "x.aft", "--elf", "text"],
        &["text: not a readable 64-bit ELF", "give the kernel"],
    ),
    (
        &["replay", "x.aft", "--elf", "other"],
        &[
            "other: build id b2b2",
            "recorded by b1b1",
            "give the kernel that ran",
            "--any-build",
        ],
    ),
    (
        &["replay", "x.aft", "--elf", "kernel", "--location"],
        &[
            "kernel: no debug information",
            "debug = \"line-tables-only\"",
        ],
    ),
    (
        &["dump-ram", "x.aft"],
        &[
            "x.aft: 0 regions with a right header",
            "is the image of RAM",
        ],
    ),
    (
        &["attach", "127.0.0.1:1", "--elf", "kernel"],
        &["127.0.0.1:1", "-gdb"],
    ),
];

pub const OPTIONS: [Row; 15] = [
    (&["replay"], &["<TRACE>", "--help"]),
    (
        &["replay", "x.aft", "--nonsense"],
        &["--nonsense", "--help"],
    ),
    (
        &["replay", "x.aft", "-F", "x[a"],
        &["x[a", "`[` at offset 1 has no `]`", "--help"],
    ),
    (
        &["replay", "x.aft", "-t", "5 parsecs"],
        &["5 parsecs", "--help"],
    ),
    (
        &["replay", "x.aft", "--any-build"],
        &["--elf <KERNEL>", "--help"],
    ),
    (
        &["replay", "x.aft", "--inlined"],
        &["--inlined", "give it with --elf KERNEL"],
    ),
    (
        &["graph", "x.aft", "no::such"],
        &[
            "x.aft: no call of a function that \"no::such\" matches",
            "aftrace report",
        ],
    ),
    (&["dump", "x.aft"], &["--perfetto", "--text", "--help"]),
    (
        &["dump", "x.aft", "--chrome", "--folded"],
        &["cannot be used with", "--help"],
    ),
    (
        &["dump", "x.aft", "--chrome", "--short"],
        &["--short", "leave them out"],
    ),
    (
        &["symbols", "x.aft", "--location"],
        &[
            "x.aft: --location and --text are for a kernel",
            "give the kernel",
        ],
    ),
    (
        &["symbols", "kernel", "--text", "0"],
        &["kernel: no symbol __ftrace_text_start", "ftrace.x"],
    ),
    (
        &["record", "kernel"],
        &["nothing to record", "--function GLOB"],
    ),
    (
        &["run", "kernel", "--qemu", "no-such-emulator"],
        &["no-such-emulator: No such file", "install qemu-system-arm"],
    ),
    (&["attach", ":1"], &["--memory", "--help"]),
];

const LEFT: &str = "x.aft: no call is left: --";

pub const CHOICES: [Row; 17] = [
    (
        &["replay", "x.aft", "-F", "shced::*"],
        &[
            LEFT,
            "filter \"shced::*\" matches no function's name: is it sched::schedule?",
        ],
    ),
    (
        &["report", "x.aft", "-F", "zzzzz"],
        &["filter \"zzzzz\" matches no function's name; `aftrace symbols` lists all"],
    ),
    (
        &["report", "few.aft", "-F", "fs::*"],
        &["filter \"fs::*\" matches no function that was called (`aftrace report`"],
    ),
    (
        &["graph", "x.aft", "-C", "irq::handel"],
        &[LEFT, "caller \"irq::handel\"", "is it irq::handle?"],
    ),
    (
        &["dump", "x.aft", "--text", "-N", "*"],
        &[LEFT, "notrace \"*\" hides all"],
    ),
    (
        &["dump", "x.aft", "--folded", "-D", "0"],
        &[LEFT, "depth 0 is no level"],
    ),
    (
        &["dump", "x.aft", "--perfetto", "new", "-t", "5s"],
        &[LEFT, "time-filter is longer than any call", "report -s max"],
    ),
    (
        &["replay", "few.aft", "-r", "100~"],
        &["time-range leaves out all of 0.000160000~0.000160144"],
    ),
    (
        &["report", "x.aft", "--core", "7"],
        &[LEFT, "core has none of 0"],
    ),
    (
        &["report", "x.aft", "--task", "--tid", "nobody"],
        &[LEFT, "tid has no task that called anything", "shell (7)"],
    ),
    (
        &["dump", "few.aft", "--folded", "-H", "sched::*"],
        &["no call is left: --hide \"sched::*\" is all that was called"],
    ),
    (
        &["report", "x.aft", "--diff", "few.aft", "-s", "self,min"],
        &["no such column to sort by: total, self, calls, name"],
    ),
    (
        &["report", "x.aft", "--task", "-s", "p50"],
        &["no such column to sort by: total, self, calls, name"],
    ),
    (
        &["replay", "x.aft", "-F", "sched::*", "-N", "sched::*"],
        &["no call is left: each option leaves some", "leave one out"],
    ),
    (
        &["report", "x.aft", "--diff", "few.aft", "--core", "7"],
        &[
            "x.aft, few.aft: no call of either is left",
            "leave an option out",
        ],
    ),
    (
        &["graph", "x.aft", "fs::opne"],
        &[
            "no call of a function that \"fs::opne\" matches",
            "is it fs::open?",
        ],
    ),
    (
        &["report", "x.aft", "--profile"],
        &["no profile in this trace"],
    ),
];

const FOLDER: &str = "make the folder first";
const LOST: &str = "is read, and would be lost: name another file";

pub const OUTPUTS: [Row; 19] = [
    (&["console", "text", "-o", "text"], &["text: ", LOST]),
    (
        &["dump", "x.aft", "--perfetto", "x.aft"],
        &["x.aft: ", LOST],
    ),
    (
        &["dump", "x.aft", "--flamegraph", "x.aft"],
        &["x.aft: ", LOST],
    ),
    (&["dump-ram", "x.aft", "-o", "./x.aft"], &["x.aft: ", LOST]),
    (&["run", "kernel", "-o", "kernel"], &["kernel: ", LOST]),
    (
        &["run", "-o", "folder", "kernel"],
        &["folder: is a directory", IN_IT],
    ),
    (
        &["record", "kernel", "--graph", "*", "-o", "kernel"],
        &["kernel: ", LOST],
    ),
    (
        &["record", "kernel", "--graph", "*", "-o", "none/x.aft"],
        &["none/x.aft: No such file", FOLDER],
    ),
    (&["dump", "x.aft", "--flamegraph", "/dev/full"], FULL),
    (
        &["console", "text", "-o", "-"],
        &["-: the console's text", "name a file"],
    ),
    (
        &["run", "-o", "-", "kernel"],
        &["-: the console's text", "name a file"],
    ),
    (
        &["record", "kernel", "--graph", "*", "-o", "-"],
        &["-: the console's text", "name a file"],
    ),
    (
        &["dump", "x.aft", "--ctf", "-"],
        &["-: the standard output is no folder", "name one"],
    ),
    (
        &["dump", "x.aft", "--fxt", "none/out"],
        &["none/out: No such file", FOLDER],
    ),
    (
        &["dump", "x.aft", "--flamegraph", "none/out.svg"],
        &["none/out.svg: No such file", FOLDER],
    ),
    (
        &["dump", "x.aft", "--perfetto", "folder"],
        &["folder: is a directory", IN_IT],
    ),
    (
        &["dump", "x.aft", "--ctf", "folder"],
        &["folder: is there already", "name another folder"],
    ),
    (
        &["console", "text", "-o", "none/out.aft"],
        &["none/out.aft: No such file", FOLDER],
    ),
    (
        &["run", "-o", "out.aft", "--short", "kernel"],
        &["-o writes the frames", "aftrace replay"],
    ),
];

const FULL: &[&str] = &[
    "/dev/full: No space left",
    "make room, or name a file elsewhere",
];

/// For somebody to whom `mine` does not belong.
pub const DENIED: [Row; 5] = [
    (
        &["report", "mine/secret"],
        &["mine/secret: Permission denied", MAY_READ],
    ),
    (
        &["check", "mine/secret"],
        &["mine/secret: Permission denied", MAY_READ],
    ),
    (
        &["embed", "mine/kernel"],
        &["mine/kernel: Permission denied", MAY_WRITE],
    ),
    (
        &["dump", "x.aft", "--flamegraph", "mine/out"],
        &["mine/out: Permission denied", MAY_WRITE],
    ),
    (
        &["dump", "x.aft", "--ctf", "mine/out"],
        &["mine/out: Permission denied", MAY_WRITE],
    ),
];
const MAY_READ: &str = "name a file that you may read";
const MAY_WRITE: &str = "name a file where you may write";

/// What shows something.
pub const SHOWING: [&[&str]; 16] = [
    &["replay", "x.aft"],
    &["report", "x.aft"],
    &["report", "x.aft", "--diff", "x.aft"],
    &["graph", "x.aft"],
    &["info", "x.aft"],
    &["symbols", "x.aft"],
    &["symbols", "kernel"],
    &["dump", "x.aft", "--text"],
    &["dump", "x.aft", "--chrome"],
    &["dump", "x.aft", "--folded"],
    &["dump", "x.aft", "--perfetto", "-"],
    &["dump", "x.aft", "--fxt", "-"],
    &["dump", "x.aft", "--trace-dat", "-"],
    &["dump", "x.aft", "--flamegraph", "-"],
    &["completions", "bash"],
    &["run", "--dry-run", "kernel"],
];
