//! The verbs on traces: exit codes, and what they say of damage.

mod fixture;
mod kernel;

use std::process::Command;

use aarch64_ftrace::trace::Type;
use kernel::{Core, callsite, event, file};

fn aftrace(arguments: &[&str], directory: &std::path::Path) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_aftrace"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_exit_code_tells_whole_from_damaged_from_foreign() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let whole = file(&[Core::new(1).run(40).events], 100);
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle] ^= 0x40;
    std::fs::write(path.join("whole.aft"), &whole).unwrap();
    std::fs::write(path.join("damaged.aft"), &damaged).unwrap();
    std::fs::write(path.join("foreign.aft"), b"something else").unwrap();
    for verb in [
        &["replay"][..],
        &["report"],
        &["graph"],
        &["info"],
        &["symbols"],
        &["dump", "--chrome"],
        &["dump", "--folded"],
        &["dump", "--text"],
    ] {
        let run = |name| aftrace(&[verb, &[name]].concat(), path);
        let (code, out, err) = run("whole.aft");
        assert!(
            code == 0 && err.is_empty() && out.lines().count() > 3,
            "{verb:?}: {err}"
        );
        let (code, out, err) = run("damaged.aft");
        assert!(
            code == 3 && out.lines().count() > 3,
            "{verb:?}: {code} {err}"
        );
        assert!(
            err.contains("damaged.aft: at offset ") && err.contains(" bytes are no frame"),
            "{err}"
        );
        let (code, out, err) = run("foreign.aft");
        assert!(
            code == 2 && out.is_empty() && err.contains("give a .aft file"),
            "{verb:?}: {err}"
        );
    }
    let (code, out, _) = aftrace(&["report", "whole.aft", "--diff", "whole.aft"], path);
    assert!(
        code == 0
            && out
                .lines()
                .skip(1)
                .all(|line| line.contains("+0.000 us") && line.contains(" +0  ")),
        "{out}"
    );
    let (code, out, err) = aftrace(&["replay", "whole.aft", "--location"], path);
    assert!(
        code == 2 && out.is_empty() && err.contains("give it with --elf KERNEL"),
        "{err}"
    );
    let (_, all, _) = aftrace(&["replay", "whole.aft"], path);
    let (_, tail, _) = aftrace(&["replay", "--tail", "3", "whole.aft"], path);
    assert!(
        tail.lines()
            .skip(1)
            .eq(all.lines().skip(all.lines().count() - 3)),
        "{tail}"
    );
}

#[test]
fn a_conversion_is_written_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let whole = file(&[Core::new(1).run(40).events], 100);
    std::fs::write(path.join("whole.aft"), &whole).unwrap();
    let (code, out, err) = aftrace(&["dump", "whole.aft", "--trace-dat", "trace.dat"], path);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    let written = std::fs::read(path.join("trace.dat")).unwrap();
    assert!(written.starts_with(b"\x17\x08\x44tracing6\0"));
    // Again, over the file that is there.
    let (code, ..) = aftrace(&["dump", "whole.aft", "--trace-dat", "trace.dat"], path);
    assert_eq!(
        (code, std::fs::read(path.join("trace.dat")).unwrap()),
        (0, written)
    );
    std::fs::create_dir(path.join("folder")).unwrap();
    let (code, _, err) = aftrace(&["dump", "whole.aft", "--trace-dat", "folder"], path);
    assert_eq!(
        (code, err.as_str()),
        (2, "aftrace: folder: is a directory: name a file in it\n")
    );
    let (code, _, err) = aftrace(
        &["dump", "whole.aft", "--trace-dat", "none/trace.dat"],
        path,
    );
    assert!(
        code == 2 && err.starts_with("aftrace: none/trace.dat: "),
        "{err}"
    );
    let (code, _, err) = aftrace(&["dump", "whole.aft", "--uftrace", "folder"], path);
    assert!(
        code == 2 && err.contains("folder: is there already: remove it, or name another folder"),
        "{err}"
    );
    let (code, out, err) = aftrace(&["dump", "whole.aft", "--uftrace", "new"], path);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    assert!(
        std::fs::read(path.join("new/info"))
            .unwrap()
            .starts_with(b"Ftrace!\0")
    );
    let (code, ..) = aftrace(&["dump", "whole.aft", "--ctf", "new"], path);
    assert_eq!(code, 2, "a folder that is there is left alone");
    let (code, out, err) = aftrace(&["dump", "whole.aft", "--ctf", "ctf"], path);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    assert!(
        std::fs::read(path.join("ctf/metadata"))
            .unwrap()
            .starts_with(b"/* CTF 1.8 */")
    );
    for (format, magic) in [("--fxt", &[0x10, 0, 4, 0x46][..]), ("--perfetto", &[0x0a])] {
        let (code, out, err) = aftrace(&["dump", "whole.aft", format, "trace.dat"], path);
        assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
        assert!(
            std::fs::read(path.join("trace.dat"))
                .unwrap()
                .starts_with(magic)
        );
    }
    let left: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 5, "{left:?}");
}

#[test]
fn symbols_takes_a_kernel_or_a_trace() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let whole = file(&[Core::new(1).run(4).events], 100);
    std::fs::write(path.join("whole.aft"), &whole).unwrap();
    let (code, out, err) = aftrace(&["symbols", "whole.aft"], path);
    assert_eq!((code, err.as_str()), (0, ""));
    let all = kernel::FUNCTIONS.iter().enumerate();
    let lines = all.map(|(index, name)| format!("{:#x} {name}\n", kernel::entry(index)));
    assert_eq!(out, lines.collect::<String>());
    let few = ["symbols", "whole.aft", "--short", "--filter", "*::push"];
    let (_, out, _) = aftrace(&few, path);
    let push = kernel::entry(2);
    assert_eq!(out, format!("{push:#x} alloc::vec::Vec<...>::push\n"));
    let (code, out, err) = aftrace(&["symbols", "whole.aft", "--filter", "nothing"], path);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "", "0 of 6 functions\n")
    );

    let mut kernel = fixture::Fixture::new(&[(0x40, "outer"), (0x80, "twin"), (0x80, "other")]);
    kernel.sections = fixture::lines::sections();
    std::fs::write(path.join("kernel"), kernel.build()).unwrap();
    let (code, out, err) = aftrace(&["symbols", "kernel", "--location"], path);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "#0 0x40200040 outer (/src/main.rs:10)\n#1 0x40200080 other = twin\n"
    );
}

#[test]
fn a_glob_that_lacks_the_crate_gets_it_and_it_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(
        path.join("x.aft"),
        file(&[Core::new(1).run(40).events], 100),
    )
    .unwrap();
    let verbs: [&[&str]; 5] = [
        &["replay", "x.aft", "-F", "NAME"],
        &["report", "x.aft", "-N", "NAME", "-C", "handle"],
        &["report", "x.aft", "--diff", "x.aft", "-F", "NAME"],
        &["graph", "x.aft", "NAME"],
        &["dump", "x.aft", "--chrome", "-F", "NAME"],
    ];
    for verb in verbs {
        let shown = |name: &str, caller: &str| {
            let words = verb.iter().map(|word| match *word {
                "NAME" => name,
                "handle" => caller,
                word => word,
            });
            aftrace(&words.collect::<Vec<_>>(), path)
        };
        let (code, whole, quiet) = shown("sched::schedule", "irq::handle");
        assert_eq!((code, quiet.as_str()), (0, ""), "{verb:?}");
        assert!(whole.lines().count() > 1, "{verb:?}: {whole}");
        let (code, bare, says) = shown("schedule", "handle");
        assert_eq!((code, bare), (0, whole), "{verb:?}");
        let taken = "\"schedule\" matches no function's name: sched::schedule is taken";
        assert_eq!(says.matches(taken).count(), 1, "{verb:?}: {says}");
        let lines = 1 + usize::from(verb.contains(&"-C"));
        assert_eq!(says.lines().count(), lines, "{verb:?}: {says}");
    }
    let near = aftrace(&["symbols", "x.aft", "--filter", "schedule"], path);
    let says = "0 of 6 functions: is it sched::schedule?\n";
    assert_eq!((near.0, near.1.as_str(), near.2.as_str()), (0, "", says));
}

#[test]
fn tasks_are_chosen_by_name_or_number_and_have_a_table() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let call = |time, function| {
        let at = callsite(function);
        [
            event(Type::Entry, time, at, 0),
            event(Type::Exit, time + 125, at, 125),
        ]
    };
    let mut events = call(1000, 4).to_vec();
    events.push(event(Type::Task, 2000, 0, 7));
    events.extend(call(2100, 0));
    events.extend(call(2300, 0));
    events.push(event(Type::Task, 3000, 0, 9));
    events.extend(call(3100, 5));
    std::fs::write(path.join("x.aft"), file(&[events], 100)).unwrap();
    let shown = |arguments: &[&str]| {
        let (code, out, says) = aftrace(&[arguments, &["x.aft"]].concat(), path);
        assert_eq!((code, says.as_str()), (0, ""), "{arguments:?}");
        out
    };
    let table = [
        "       RAN       SELF     CALLS FUNCTIONS        TID  TASK",
        " 16.000 us   4.000 us         2         1          7  shell",
        " 16.000 us   2.000 us         1         1          0  core 0, no task",
        "  3.600 us   2.000 us         1         1          9  task 9",
    ];
    let text = shown(&["report", "--task", "-s", "total,self"]);
    assert_eq!(text.lines().collect::<Vec<_>>(), table);
    let one = shown(&["replay", "--tid", "shell"]);
    assert_eq!(one, shown(&["replay", "--tid", "7"]));
    assert_eq!(one.matches("sched::schedule()").count(), 2, "{one}");
    assert_eq!(one.lines().count(), 5, "{one}");
    let others = shown(&["dump", "--text", "--tid", "0,9"]);
    for (name, calls) in [
        ("sched::schedule()", 0),
        ("fs::open()", 1),
        ("mem::copy()", 1),
    ] {
        assert_eq!(others.matches(name).count(), calls, "{others}");
    }
}

/// A call within which nothing is shown is one line, with its time, whatever was hidden in it.
#[test]
fn a_call_whose_callees_are_hidden_is_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let at = kernel::callsite;
    let events = [
        event(Type::Entry, 1000, at(0), 0),
        event(Type::Entry, 1100, at(4), at(0) as u32),
        event(Type::Entry, 1200, at(5), at(4) as u32),
        event(Type::Exit, 1300, at(5), 100),
        event(Type::Exit, 1400, at(4), 300),
        event(Type::Entry, 1500, at(5), at(0) as u32),
        event(Type::Exit, 1600, at(5), 100),
        event(Type::Exit, 1700, at(0), 700),
    ];
    std::fs::write(path.join("x.aft"), file(&[events.to_vec()], 100)).unwrap();
    for (choice, calls) in [
        (
            &[][..],
            &[
                "sched::schedule() {",
                "fs::open() {",
                "mem::copy();",
                "} /* fs::open */",
                "mem::copy();",
                "} /* sched::schedule */",
            ][..],
        ),
        (
            &["-N", "mem::*"],
            &[
                "sched::schedule() {",
                "fs::open();",
                "} /* sched::schedule */",
            ],
        ),
        (
            &["-N", "fs::*"],
            &[
                "sched::schedule() {",
                "mem::copy();",
                "} /* sched::schedule */",
            ],
        ),
        (&["-N", "mem::*", "-N", "fs::*"], &["sched::schedule();"]),
        (&["-D", "1"], &["sched::schedule();"]),
    ] {
        let (code, out, err) = aftrace(&[&["replay", "x.aft"], choice].concat(), path);
        assert_eq!((code, err.as_str()), (0, ""));
        let shown: Vec<_> = out
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once("| "))
            .collect();
        let names: Vec<_> = shown.iter().map(|(_, call)| call.trim()).collect();
        assert_eq!(names, calls, "{choice:?}");
        let last = shown.last().map(|(before, _)| before.contains("11.200 us"));
        assert_eq!(last, Some(true), "{choice:?}: {out}");
    }
}

/// A region at 4096, and one at 4 MiB: each has its place, and what may not be read before it is not looked at.
#[test]
fn an_image_is_searched_where_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let region = include_bytes!("golden/two_cores.region");
    let mut image = vec![0; 4 << 20];
    image[4096..][..region.len()].copy_from_slice(region);
    image.extend(region);
    std::fs::write(path.join("image"), image).unwrap();
    let places = |options: &[&str]| {
        let (code, _, err) = aftrace(&[&["dump-ram", "image"], options].concat(), path);
        let at = |line: &str| {
            Some(
                line.split_once("region at ")?
                    .1
                    .split_once(':')?
                    .0
                    .to_owned(),
            )
        };
        (code, err.lines().filter_map(at).collect::<Vec<_>>())
    };
    for (options, found) in [
        (&[][..], &["0x1000", "0x400000"][..]),
        (&["--memory", "4M+1M"], &["0x400000"]),
        (
            &["--memory", "1+4K", "--memory", "4M+1"],
            &["0x1000", "0x400000"],
        ),
        (&["--memory", "0+4K"], &[]),
        (&["--memory", "0x1001+1M"], &[]),
    ] {
        let code = if found.is_empty() { 2 } else { 0 };
        let found = found.iter().map(|at| (*at).to_owned()).collect();
        assert_eq!(places(options), (code, found), "{options:?}");
    }
    // As /dev/mem, it cannot be read at 0.
    let (code, _, err) = aftrace(&["dump-ram", "/proc/self/mem"], path);
    assert_eq!(code, 2);
    assert!(
        err.contains("/proc/self/mem: ") && err.contains("say where RAM is: --memory START+BYTES"),
        "{err}"
    );
}
