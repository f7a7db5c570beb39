//! The command: what it prints where, and its exit codes.

mod fixture;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use fixture::{Fixture, TEXT, executable};

const OWN: &str = "_ZN14aarch64_ftrace3ops3Ops8register17h0123456789abcdefE";
const USER: &str = "_ZN4demo4main17h0123456789abcdefE";

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn kernel(&self, change: impl Fn(&mut Fixture)) -> PathBuf {
        let mut fixture = Fixture::new(&[(0x48, USER), (0x108, OWN)]);
        fixture.symbols = vec![
            ("__ftrace_notrace_start", TEXT + 0x100),
            ("__ftrace_notrace_end", TEXT + 0x200),
        ];
        change(&mut fixture);
        let path = self.0.path().join("kernel");
        std::fs::write(&path, fixture.build()).unwrap();
        path
    }
}

fn aftrace(arguments: &[&str], kernel: &std::path::Path, more: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_aftrace"))
        .env_remove("AFTRACE_QEMU")
        .args(arguments)
        .arg(kernel)
        .args(more)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn embed_reports_and_symbols_lists() {
    let directory = Directory::new();
    let kernel = directory.kernel(|_| {});
    let (code, out, err) = aftrace(&["embed"], &kernel, &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.starts_with("2 callsites, 2 names (0 of them aliases, 0 callsites without a name), "),
        "{out}"
    );
    let (_, again, _) = aftrace(&["embed"], &kernel, &[]);
    assert_eq!(again, format!("{}; embedded before\n", out.trim_end()));

    let (code, out, err) = aftrace(&["symbols"], &kernel, &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "#0 0x40200048 demo::main\n#1 0x40200108 aarch64_ftrace::ops::Ops::register\n"
    );
    let (_, out, _) = aftrace(&["symbols", "--filter", "*::register"], &kernel, &[]);
    assert_eq!(out, "#1 0x40200108 aarch64_ftrace::ops::Ops::register\n");
    let (code, out, err) = aftrace(&["symbols", "--filter", "nothing"], &kernel, &[]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "", "0 of 2 callsites\n")
    );
    let (code, _, err) = aftrace(&["symbols", "--filter", "x[a"], &kernel, &[]);
    assert_eq!(code, 2);
    assert!(err.contains("`[` at offset 1 has no `]`"), "{err}");
}

#[test]
fn symbols_are_shown_where_a_moved_kernel_runs() {
    let directory = Directory::new();
    let kernel = directory.kernel(|f| f.symbols.push(("__ftrace_text_start", TEXT)));
    let (code, out, err) = aftrace(&["symbols", "--text", "0xffffff8000080000"], &kernel, &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "#0 0xffffff8000080048 demo::main\n#1 0xffffff8000080108 aarch64_ftrace::ops::Ops::register\n"
    );
    let without = directory.kernel(|_| {});
    let (code, _, err) = aftrace(&["symbols", "--text", "0"], &without, &[]);
    assert_eq!(code, 2);
    assert!(err.contains("no symbol __ftrace_text_start"), "{err}");
}

#[test]
fn check_exits_with_one_on_a_violation_and_two_without_a_proof() {
    let directory = Directory::new();
    let (code, out, _) = aftrace(&["check"], &directory.kernel(|_| {}), &[]);
    assert_eq!(code, 0, "{out}");
    let broken = directory.kernel(|f| f.symbols[1].1 = TEXT + 0x108);
    let (code, out, _) = aftrace(&["check"], &broken, &[]);
    assert_eq!(code, 1);
    assert!(
        out.contains("VIOLATION 0x40200108 aarch64_ftrace::ops::Ops::register (by its path)"),
        "{out}"
    );
    let (code, out, err) = aftrace(&["check"], &directory.kernel(|f| f.symbols.clear()), &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("INCLUDE ftrace.x"), "{err}");
}

#[test]
fn errors_name_the_file_and_exit_with_two() {
    let directory = Directory::new();
    for task in ["embed", "symbols", "check", "run"] {
        let (code, out, err) = aftrace(&[task], &directory.0.path().join("none"), &[]);
        assert_eq!((code, out.as_str()), (2, ""), "{task}");
        assert!(
            err.starts_with("aftrace: ") && err.contains("none: No such file"),
            "{task}: {err}"
        );
    }
    let kernel = directory.kernel(|f| f.names = None);
    let (code, _, err) = aftrace(&["embed"], &kernel, &[]);
    assert_eq!(code, 2);
    assert!(
        err.contains(
            "kernel: no section ftrace_names: put `aarch64_ftrace::reserve_names!(1024);`"
        ),
        "{err}"
    );
}

#[test]
fn run_embeds_and_hands_everything_else_to_qemu() {
    let directory = Directory::new();
    let kernel = directory.kernel(|_| {});
    let more = ["--", "-smp", "4", "-cpu", "cortex-a53"];
    let (code, out, err) = aftrace(&["run", "--dry-run"], &kernel, &more);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.starts_with("\"qemu-system-aarch64\" \"-machine\" \"virt\""),
        "{out}"
    );
    assert!(
        out.ends_with("kernel\" \"-smp\" \"4\" \"-cpu\" \"cortex-a53\"\n"),
        "{out}"
    );
    let (_, without_dashes, _) = aftrace(&["run", "--dry-run"], &kernel, &more[1..]);
    assert_eq!(without_dashes, out);
    let (_, listed, _) = aftrace(&["embed"], &kernel, &[]);
    assert!(listed.ends_with("; embedded before\n"), "{listed}");

    // In QEMU's place, programs with a known end.
    assert_eq!(aftrace(&["run", "--qemu", "false"], &kernel, &[]).0, 1);
    assert_eq!(aftrace(&["run", "--qemu", "true"], &kernel, &[]).0, 0);
    let (code, _, err) = aftrace(&["run", "--qemu", "no-such-emulator"], &kernel, &[]);
    assert_eq!(code, 2);
    assert!(err.contains("install qemu-system-arm"), "{err}");

    let (code, _, err) = aftrace(
        &["run", "--qemu", "true"],
        &directory.kernel(|f| f.names = None),
        &[],
    );
    assert_eq!(code, 0);
    assert!(err.contains("booting without names"), "{err}");
}

/// In QEMU's place, a program that ends itself on SIGINT with success, at once: before any thread of the command's has run.
#[test]
fn ctrl_c_exits_with_130_however_fast_qemu_ends() {
    let directory = Directory::new();
    let kernel = directory.kernel(|_| {});
    let qemu = directory.0.path().join("qemu");
    let script = "#!/bin/sh\ntrap 'exit 0' INT\necho ready\nwhile :; do sleep 0.1; done\n";
    executable(&qemu, script.as_bytes());
    let mut codes = Vec::new();
    for _ in 0..50 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_aftrace"))
            .args(["run", "--qemu"])
            .args([&qemu, &kernel])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let group = format!("-{}", child.id());
        let sent = Command::new("kill").args(["-INT", "--", &group]).status();
        assert!(sent.unwrap().success());
        codes.push(child.wait().unwrap().code());
    }
    assert_eq!(codes, [Some(130); 50]);
}

/// In QEMU's place, a script with a process in the background that keeps the console open, in silence or not, as long as the
/// command runs.
#[test]
fn run_ends_with_qemu_whoever_else_holds_its_console() {
    let directory = Directory::new();
    let kernel = directory.kernel(|_| {});
    let [qemu, begun, waited] =
        ["qemu", "begun", "waited"].map(|name| directory.0.path().join(name));
    let last = format!("{}last\n", "x\n".repeat(20_000));
    for (background, most, wanted) in [
        ("sleep 0.1", 600, last.as_str()),
        ("echo flood", 500_000, ""),
    ] {
        let script = format!(
            "#!/bin/sh\n\
             held() {{ n=0; touch {begun:?}; while kill -0 $PPID && [ $n -lt {most} ]; do {background}; n=$((n+1)); done; }}\n\
             (held; [ $n -lt {most} ] || touch {waited:?}) 2> /dev/null &\n\
             until [ -e {begun:?} ]; do sleep 0.01; done\n\
             yes x | head -n 20000\necho last\nexit 3\n"
        );
        executable(&qemu, script.as_bytes());
        let (code, out, err) = aftrace(
            &["run", "--qemu", &qemu.display().to_string()],
            &kernel,
            &[],
        );
        assert_eq!((code, err.as_str()), (3, ""), "{background}");
        assert!(out.contains("last\n"), "{background}");
        assert!(wanted.is_empty() || out == wanted, "{background}");
        fs::remove_file(&begun).unwrap();
    }
    assert!(!waited.exists());
}

/// In QEMU's place, a script that notes when it is asked to end: QEMU puts the terminal back then, which one that is killed does not.
#[test]
fn qemu_is_asked_to_end_before_it_is_ended() {
    let directory = Directory::new();
    let kernel = directory.kernel(|_| {});
    let [qemu, asked, trace] = ["qemu", "asked", "trace"].map(|name| directory.0.path().join(name));
    let trace = trace.display().to_string();
    let record = [
        "record",
        "--bootargs",
        "--function",
        "*",
        "-o",
        &trace,
        "--time",
        "1",
    ];
    let run = ["run"];
    // What it does when it is ready; whether its reader goes, or a signal comes, or its time is over; the exit code.
    let ways: [(&[&str], &str, Ending, i32); 4] = [
        (&run, "", Ending::Signal, 130),
        (&run, "exec > /dev/null", Ending::Signal, 130),
        (
            &run,
            "while :; do echo more; sleep 0.05; done",
            Ending::Reader,
            0,
        ),
        (&record, "", Ending::Time, 2),
    ];
    for (verb, then, ending, wanted) in ways {
        let script = format!(
            "#!/bin/sh\ntrap 'touch {asked:?}; exit 0' TERM\necho ready\n{then}\nwhile :; do sleep 0.1; done\n"
        );
        executable(&qemu, script.as_bytes());
        let mut child = Command::new(env!("CARGO_BIN_EXE_aftrace"))
            .args(verb)
            .arg("--qemu")
            .args([&qemu, &kernel])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        match ending {
            Ending::Signal => {
                let number = child.id().to_string();
                let sent = Command::new("kill").args(["-TERM", &number]).status();
                assert!(sent.unwrap().success());
            }
            Ending::Reader => drop(out),
            Ending::Time => {}
        }
        assert_eq!(
            child.wait().unwrap().code(),
            Some(wanted),
            "{verb:?} {then}"
        );
        assert!(asked.exists(), "{verb:?} {then}");
        fs::remove_file(&asked).unwrap();
    }
}

/// In QEMU's place, a program that fails before it makes a machine.
#[test]
fn a_machine_that_is_none_is_said_with_the_way_out() {
    let directory = Directory::new();
    let kernel = directory.kernel(|_| {});
    let record = ["record", "--bootargs", "--function", "*", "--qemu", "false"];
    let (code, out, err) = aftrace(&record, &kernel, &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.contains("there was no machine") && err.contains("--memory"),
        "{err}"
    );
}

#[derive(Clone, Copy)]
enum Ending {
    Signal,
    Reader,
    Time,
}
