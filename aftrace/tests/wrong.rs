//! Wrong inputs: each is refused with exit code 2 and nothing on standard output, and the message says what, where, and what to do.

mod fixture;
mod kernel;

use std::fs;
use std::path::Path;
use std::process::Command;

use fixture::Fixture;
use kernel::{Core, file};

/// Arguments, and what the message must have in it.
type Row = (&'static [&'static str], &'static [&'static str]);

const FILES: [Row; 13] = [
    (&["replay", "none.aft"], &["none.aft: No such file"]),
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

const OPTIONS: [Row; 15] = [
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

const OUTPUTS: [Row; 5] = [
    (
        &["dump", "x.aft", "--flamegraph", "none/out.svg"],
        &["none/out.svg: No such file"],
    ),
    (
        &["dump", "x.aft", "--perfetto", "folder"],
        &["folder: is no file"],
    ),
    (
        &["dump", "x.aft", "--ctf", "folder"],
        &["folder: is there already", "name another folder"],
    ),
    (
        &["console", "text", "-o", "none/out.aft"],
        &["none/out.aft: No such file"],
    ),
    (
        &["run", "-o", "out.aft", "--short", "kernel"],
        &["-o writes the frames", "aftrace replay"],
    ),
];

fn inputs(path: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(path.join(name), bytes).expect("a folder");
    let functions = [(0x40, "outer")];
    let kernel = |change: &dyn Fn(&mut Fixture)| {
        let mut fixture = Fixture::new(&functions);
        change(&mut fixture);
        fixture.build()
    };
    write("x.aft", &file(&[Core::new(1).run(4).events], 100));
    write("empty.aft", b"");
    write("text", b"something else");
    write("kernel", &kernel(&|_| {}));
    write("other", &kernel(&|f| f.build_id = Some([0xB2; 20])));
    write("host", &kernel(&|f| f.machine = object::elf::EM_X86_64));
    write("object", &kernel(&|f| f.kind = object::elf::ET_REL));
    write("plain", &kernel(&|f| f.traced.clear()));
    fs::create_dir(path.join("folder")).expect("a folder");
}

/// What stands there, by name, with its bytes.
fn standing(path: &Path) -> Vec<(String, Vec<u8>)> {
    let each = fs::read_dir(path).expect("a folder").map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.display().to_string();
        (name, fs::read(path).unwrap_or_default())
    });
    let mut each: Vec<_> = each.collect();
    each.sort();
    each
}

#[test]
fn what_is_wrong_is_said_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a folder");
    inputs(folder.path());
    let before = standing(folder.path());
    for (arguments, wanted) in FILES.iter().chain(&OPTIONS).chain(&OUTPUTS) {
        let output = Command::new(env!("CARGO_BIN_EXE_aftrace"))
            .env_remove("AFTRACE_QEMU")
            .args(*arguments)
            .current_dir(folder.path())
            .output()
            .expect("it runs");
        let says = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {says}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
        for part in *wanted {
            assert!(says.contains(part), "{arguments:?}: no {part:?} in: {says}");
        }
        let own = says.starts_with("aftrace: ") && says.lines().count() == 1;
        assert!(own || says.starts_with("error: "), "{arguments:?}: {says}");
    }
    // Names are embedded before QEMU is looked for; all else is as it was.
    let changed = |(name, _): &&(String, Vec<u8>)| !name.ends_with("/kernel");
    let (before, after) = (before, standing(folder.path()));
    assert!(
        before
            .iter()
            .filter(changed)
            .eq(after.iter().filter(changed))
    );
}
