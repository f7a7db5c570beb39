//! What is written: whole or not at all, to the standard output, from the standard input.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::kernel::{Core, file};
use super::{PROGRAM, aftrace, inputs, standing};

/// What a verb writes under the name `out`, and from what.
const WRITING: [&[&str]; 9] = [
    &["dump", "many.aft", "--perfetto", "out"],
    &["dump", "many.aft", "--fxt", "out"],
    &["dump", "many.aft", "--trace-dat", "out"],
    &["dump", "many.aft", "--flamegraph", "out"],
    &["dump", "many.aft", "--ctf", "out"],
    &["dump", "many.aft", "--uftrace", "out"],
    &["console", "serial", "-o", "out"],
    &["dump-ram", "region", "-o", "out"],
    &["embed", "out"],
];

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The size of a file, or of a folder's largest.
fn largest(path: &Path) -> u64 {
    let size = |path: &Path| fs::metadata(path).expect("a file").len();
    match path.is_dir() {
        false => size(path),
        true => {
            let files = fs::read_dir(path).expect("a folder");
            files
                .map(|entry| size(&entry.expect("a file").path()))
                .max()
                .expect("files")
        }
    }
}

/// Room runs out at once, and in the middle: a limit of a file's size, in blocks of 512 bytes, which needs no privilege.
#[test]
fn where_room_runs_out_nothing_half_done_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    inputs(path);
    let many = file(&[Core::new(1).run(800).events], 100);
    fs::write(path.join("many.aft"), many).expect("room");
    let out = path.join("out");
    let is_kernel = |arguments: &[&str]| arguments[0] == "embed";
    for arguments in WRITING {
        if is_kernel(arguments) {
            fs::copy(path.join("kernel"), &out).expect("room");
        }
        let output = aftrace(&[PROGRAM], arguments, path)
            .output()
            .expect("it runs");
        assert!(out.exists(), "{arguments:?}: {}", says(&output));
        let blocks = largest(&out) / 512;
        fs::remove_dir_all(&out)
            .or_else(|_| fs::remove_file(&out))
            .expect("it is there");
        let is_folder = ["--ctf", "--uftrace"].contains(&arguments[arguments.len() - 2]);
        for (limit, is_there) in [
            (0, false),
            (blocks / 2, false),
            (0, true),
            (blocks / 2, true),
        ] {
            if is_kernel(arguments) {
                fs::copy(path.join("kernel"), &out).expect("room");
            } else if is_there && !is_folder {
                fs::write(&out, "what was there before").expect("room");
            }
            let before = standing(path);
            let limited = format!("ulimit -f {limit} && exec \"$0\" \"$@\"");
            let output = aftrace(&["sh", "-c", &limited, PROGRAM], arguments, path).output();
            let output = output.expect("a shell");
            let told = says(&output);
            assert_eq!(
                output.status.code(),
                Some(2),
                "{arguments:?}, {limit} blocks: {told}"
            );
            assert!(
                told.contains(" out: ") && told.contains("File too large"),
                "{told}"
            );
            assert!(
                told.contains("ulimit -f") || told.contains("make room"),
                "{told}"
            );
            assert!(standing(path) == before, "{arguments:?}, {limit} blocks");
            if out.exists() {
                fs::remove_file(&out).expect("a file");
            }
        }
    }
}

/// What comes through a pipe is read as a file is, and what goes through one is what stands in a file.
#[test]
fn a_dash_is_the_standard_input_and_the_standard_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    inputs(path);
    let trace = fs::read(path.join("x.aft")).expect("a file");
    fs::write(path.join("behind"), [b"7 bytes", trace.as_slice()].concat()).expect("room");
    let shell = |line: &str| {
        let mut command = Command::new("sh");
        let command = command.args(["-c", line, PROGRAM]).current_dir(path);
        let output = command.output().expect("a shell");
        (output.status.code(), output.stdout.clone(), says(&output))
    };
    for verb in [
        "replay",
        "report",
        "graph",
        "info",
        "symbols",
        "dump --text",
        "dump --chrome",
        "report --diff x.aft",
    ] {
        let wanted = shell(&format!("\"$0\" {verb} x.aft"));
        assert!(
            wanted.0 == Some(0) && !wanted.1.is_empty(),
            "{verb}: {wanted:?}"
        );
        for line in [
            format!("cat x.aft | \"$0\" {verb} -"),
            format!("\"$0\" {verb} - < x.aft"),
            format!("cat x.aft | \"$0\" {verb} /dev/stdin"),
            format!("(dd bs=7 count=1 of=/dev/null 2> /dev/null; \"$0\" {verb} -) < behind"),
        ] {
            assert_eq!(shell(&line), wanted, "{line}");
        }
    }
    let kernel = shell("\"$0\" symbols kernel");
    assert!(kernel.0 == Some(0) && !kernel.1.is_empty(), "{kernel:?}");
    assert_eq!(shell("cat kernel | \"$0\" symbols -"), kernel);
    for form in ["--perfetto", "--fxt", "--trace-dat", "--flamegraph"] {
        let (code, shown, told) = shell(&format!("\"$0\" dump x.aft {form} -"));
        assert_eq!((code, told.as_str()), (Some(0), ""), "{form}");
        assert_eq!(
            shell(&format!("\"$0\" dump x.aft {form} out; cat out")).1,
            shown,
            "{form}"
        );
        assert_eq!(
            shell(&format!("\"$0\" dump x.aft {form} /dev/stdout")).1,
            shown,
            "{form}"
        );
        assert!(shown.len() > 500 && !path.join("-").exists(), "{form}");
    }
    // Its own lines go elsewhere.
    let read = shell("\"$0\" dump-ram region -o out > /dev/null && \"$0\" replay out");
    assert!(read.0 == Some(0) && !read.1.is_empty(), "{read:?}");
    let (code, shown, _) = shell("cat region | \"$0\" dump-ram - -o - | \"$0\" replay -");
    assert_eq!((code, &shown), (read.0, &read.1));
    let taken = |line: &str| (shell(line), fs::read(path.join("out")).expect("a file"));
    let wanted = taken("\"$0\" console serial -o out 2> /dev/null");
    assert!(
        wanted.1.starts_with(b"AFT") && !wanted.0.1.is_empty(),
        "{wanted:?}"
    );
    assert_eq!(
        taken("cat serial | \"$0\" console - -o out 2> /dev/null"),
        wanted
    );
    let (code, _, told) = shell("cat x.aft | TMPDIR=none \"$0\" info -");
    assert_eq!(code, Some(2));
    assert!(
        told.contains("-: what comes through a pipe is kept in none")
            && told.contains("set TMPDIR"),
        "{told}"
    );
}

/// A link stays one, and leads to what is new.
#[test]
fn a_link_is_written_through() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    inputs(path);
    fs::create_dir(path.join("elsewhere")).expect("a folder");
    fs::write(path.join("elsewhere/out"), "old").expect("room");
    std::os::unix::fs::symlink("elsewhere/out", path.join("link")).expect("a link");
    let output = aftrace(&[PROGRAM], &["dump", "x.aft", "--fxt", "link"], path).output();
    assert_eq!(output.expect("it runs").status.code(), Some(0));
    assert!(path.join("link").is_symlink());
    assert!(
        fs::read(path.join("elsewhere/out"))
            .expect("a file")
            .starts_with(&[0x10, 0, 4, 0x46])
    );
}

/// The trace, and the exit code that is a proof, are the same whether anybody reads the text beside them or not.
#[test]
fn a_closed_standard_output_is_no_end_of_what_is_written_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    inputs(path);
    let script = "#!/bin/sh\n\
        for a; do case $a in *mem-path=*) cp region \"${a##*mem-path=}\";; esac; done\n\
        cat serial; echo text; exit 5\n";
    super::fixture::executable(&path.join("qemu"), script.as_bytes());
    let own = "_ZN14aarch64_ftrace3ops3Ops8register17h0123456789abcdefE";
    let mut fixture = super::Fixture::new(&[(0x48, own)]);
    fixture.build_id = None;
    fixture.symbols = vec![
        ("__ftrace_notrace_start", super::fixture::TEXT + 0x100),
        ("__ftrace_notrace_end", super::fixture::TEXT + 0x200),
    ];
    fs::write(path.join("kernel"), fixture.build()).expect("room");
    let closed = || io::pipe().expect("a pipe").1;
    let record = [
        "record",
        "--qemu",
        "./qemu",
        "--bootargs",
        "--graph",
        "*",
        "-o",
        "out",
        "kernel",
    ];
    for (arguments, code) in [
        (&["console", "serial", "-o", "out"][..], 3),
        (&["dump-ram", "region", "-o", "out"], 0),
        (&["run", "--qemu", "./qemu", "-o", "out", "kernel"], 5),
        (&record, 5),
        (&["check", "kernel"], 1),
    ] {
        let run = |stdout: Stdio| {
            let mut command = aftrace(&[PROGRAM], arguments, path);
            let output = command.stdout(stdout).output().expect("it runs");
            let written = fs::read(path.join("out")).unwrap_or_default();
            let _ = fs::remove_file(path.join("out"));
            (output.status.code(), written, says(&output))
        };
        let wanted = run(Stdio::piped());
        assert_eq!(wanted.0, Some(code), "{arguments:?}: {}", wanted.2);
        assert_eq!(
            wanted.1.is_empty(),
            arguments[0] == "check",
            "{arguments:?}"
        );
        assert_eq!(run(closed().into()), wanted, "{arguments:?}");
    }
    let mut shown = aftrace(&[PROGRAM], &["dump-ram", "region", "-o", "-"], path);
    let shown = shown.stdout(closed()).status().expect("it runs");
    assert_eq!(shown.code(), Some(0));
}

/// Ctrl-C, a shell's end, and the like.
#[test]
fn what_is_ended_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    for signal in ["INT", "TERM", "HUP"] {
        let mut command = aftrace(&[PROGRAM], &["console", "-", "-o", "out"], path);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        while standing(path).is_empty() {
            assert_eq!(child.try_wait().expect("a child"), None);
        }
        let _open = child.stdin.take();
        let sent = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(sent.expect("it runs").success());
        let code = child.wait().expect("a child").code();
        assert_eq!((code, standing(path)), (Some(130), Vec::new()), "{signal}");
    }
}
