//! Wrong inputs: each is refused with exit code 2 and nothing on standard output, and the message says what, where, and what to do.

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../kernel/mod.rs"]
mod kernel;
mod outputs;
mod rows;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use aarch64_ftrace::trace::Type;
use fixture::Fixture;
use kernel::{Core, callsite, event, file};
use rows::{CHOICES, DENIED, FILES, OPTIONS, OUTPUTS, Row, SHOWING};

const PROGRAM: &str = env!("CARGO_BIN_EXE_aftrace");

fn inputs(path: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(path.join(name), bytes).expect("a folder");
    let functions = [(0x40, "outer")];
    let kernel = |change: &dyn Fn(&mut Fixture)| {
        let mut fixture = Fixture::new(&functions);
        change(&mut fixture);
        fixture.build()
    };
    write("x.aft", &file(&[Core::new(1).run(4).events], 100));
    let few = vec![
        event(Type::Entry, 10_000, callsite(0), 0),
        event(Type::Exit, 10_009, callsite(0), 9),
    ];
    write("few.aft", &file(&[few], 100));
    write("serial", include_bytes!("../golden/two_cores.serial"));
    write("region", include_bytes!("../golden/two_cores.region"));
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

fn aftrace(program: &[&str], arguments: &[&str], path: &Path) -> Command {
    let mut command = Command::new(program[0]);
    command
        .env_remove("AFTRACE_QEMU")
        .args(&program[1..])
        .args(arguments)
        .current_dir(path);
    command
}

fn judge((arguments, wanted): &Row, output: &Output) {
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {says}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    for part in *wanted {
        assert!(says.contains(part), "{arguments:?}: no {part:?} in: {says}");
    }
    let own = says.starts_with("aftrace: ") && says.lines().count() == 1;
    assert!(own || says.starts_with("error: "), "{arguments:?}: {says}");
}

#[test]
fn what_is_wrong_is_said_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a folder");
    inputs(folder.path());
    let before = standing(folder.path());
    let rows = FILES.iter().chain(&OPTIONS).chain(&CHOICES).chain(&OUTPUTS);
    for row in rows {
        let mut command = aftrace(&[PROGRAM], row.0, folder.path());
        judge(row, &command.output().expect("it runs"));
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

#[test]
fn what_may_not_be_read_or_written_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let mode = |name: &str, mode| {
        fs::set_permissions(path.join(name), Permissions::from_mode(mode)).expect("a file");
    };
    inputs(path);
    fs::create_dir(path.join("mine")).expect("a folder");
    fs::write(path.join("mine/secret"), b"x").expect("a file");
    fs::copy(path.join("kernel"), path.join("mine/kernel")).expect("a file");
    let program = fs::read(PROGRAM).expect("a file");
    fixture::executable(&path.join("aftrace"), &program);
    mode("", 0o755);
    mode("mine/secret", 0);
    mode("mine", 0o555);
    let program = path.join("aftrace").display().to_string();
    // Nothing is denied to root.
    let as_nobody = ["setpriv", "--reuid=65534", "--clear-groups", &program];
    let is_root = fs::metadata(path).expect("a folder").uid() == 0;
    let program = &as_nobody[if is_root { 0 } else { 3 }..];
    for row in &DENIED {
        judge(
            row,
            &aftrace(program, row.0, path).output().expect("it runs"),
        );
    }
    mode("mine", 0o755);
}

#[test]
fn a_standard_output_that_is_closed_ends_it_and_one_that_is_full_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    inputs(folder.path());
    let closed = || io::pipe().expect("a pipe").1;
    for arguments in SHOWING {
        let run = |out: Stdio| {
            let mut command = aftrace(&[PROGRAM], arguments, folder.path());
            command.stdout(out).output().expect("it runs")
        };
        let output = run(closed().into());
        let says = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), &*says),
            (Some(0), ""),
            "{arguments:?}"
        );
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .expect("Linux");
        let wanted: &[&str] = &["No space left", "make room where the standard output goes"];
        judge(&(arguments, wanted), &run(full.into()));
    }
    let mut command = aftrace(&[PROGRAM], &["replay", "none.aft"], folder.path());
    let status = command.stderr(closed()).status().expect("it runs");
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_glob_that_no_name_matches_is_said_beside_what_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    inputs(folder.path());
    for (more, wanted) in [
        (
            &["-N", "mem::cpoy"][..],
            "--notrace \"mem::cpoy\" matches no function's name: is it mem::copy?",
        ),
        (
            &["-F", "*", "-F", "mem::cpoy"],
            "--filter \"mem::cpoy\" matches no",
        ),
        (
            &["-C", "*", "-C", "irq::handel"],
            "--caller \"irq::handel\" matches no",
        ),
        (&["-N", "0x0*", "-N", "return_to_h*"], ""),
    ] {
        for verb in ["replay", "report", "graph"] {
            let arguments = [&[verb, "x.aft"], more].concat();
            let output = aftrace(&[PROGRAM], &arguments, folder.path()).output();
            let output = output.expect("it runs");
            let says = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {says}");
            assert!(says.contains(wanted), "{arguments:?}: {says}");
            assert_eq!(
                says.lines().count(),
                usize::from(!wanted.is_empty()),
                "{says}"
            );
        }
    }
}

/// Each format that `dump` writes to a file or folder: refused names leave nothing behind, and are taken where that is asked for.
#[test]
fn no_dump_has_the_names_of_another_build() {
    let folder = tempfile::tempdir().expect("a folder");
    inputs(folder.path());
    let before = standing(folder.path());
    let formats = [
        "--perfetto",
        "--fxt",
        "--trace-dat",
        "--flamegraph",
        "--ctf",
        "--uftrace",
    ];
    let run = |format: &str, more: &[&str]| {
        let name = format!("out{format}");
        let arguments = ["dump", "x.aft", "--elf", "other", format, &name];
        let arguments = [&arguments, more].concat();
        let output = aftrace(&[PROGRAM], &arguments, folder.path()).output();
        let output = output.expect("it runs");
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), says, folder.path().join(name))
    };
    for format in formats {
        let (code, says, path) = run(format, &[]);
        assert_eq!(code, Some(2), "{format}: {says}");
        assert!(says.contains("--any-build"), "{format}: {says}");
        assert!(!path.exists() && standing(folder.path()) == before);
    }
    for format in formats {
        let (code, says, path) = run(format, &["--any-build"]);
        assert_eq!((code, says.as_str()), (Some(0), ""), "{format}");
        assert!(path.exists(), "{format}");
    }
}
