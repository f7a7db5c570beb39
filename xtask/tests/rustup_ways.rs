//! Where rustup may download, set-up asks it for the current toolchain's rust-src or for the pinned nightly, and uses what came.
//! The rustup, rustc and cargo of these tests are scripts in a folder of their own: nothing is fetched, nothing is built.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Answers who it is as the real compiler does, but for its place.
const RUSTC: &str = r#"#!/bin/sh
[ "$*" = "--print sysroot" ] && { cd "$(dirname "$0")/.." && pwd; exit; }
exec "$REAL_RUSTC" "$@"
"#;
/// Builds the probe as far as the test wants.
const CARGO: &str = "#!/bin/sh\nexit \"$BUILD_CODE\"\n";
/// Does to its folder what rustup does, and writes down what it was asked.
const RUSTUP: &str = r#"#!/bin/sh
echo "$*" >> "$RUSTUP_HOME/asked"
[ "$OFFLINE" = yes ] && { echo "error: could not download" >&2; exit 1; }
here="$RUSTUP_HOME/toolchains"
case "$1" in
component) to="$here/$5" ;;
toolchain) to="$here/$3-host"; cp -r "$here/stable-host" "$to" ;;
esac
library="$to/lib/rustlib/src/rust/library"
mkdir -p "$library/core/src"
touch "$library/Cargo.lock" "$library/core/src/lib.rs"
"#;

struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        let bin = machine.path().join("toolchains/stable-host/bin");
        script(&bin, "rustc", RUSTC);
        script(&bin, "cargo", CARGO);
        script(&bin, "rust-lld", CARGO);
        script(&machine.path().join("bin"), "rustup", RUSTUP);
        machine
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// `cargo xtask setup --way WAY` on this machine: whether it went well, and all it printed.
    fn set_up(&self, way: &str, settings: &[(&str, &str)]) -> (bool, String) {
        let bin = self.path().join("toolchains/stable-host/bin");
        let folders = [self.path().join("bin"), bin.clone()];
        let old = std::env::var_os("PATH").unwrap_or_default();
        let path = folders.into_iter().chain(std::env::split_paths(&old));
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["setup", "--way", way])
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("RUSTUP_HOME", self.path())
            .env("RUSTC", bin.join("rustc"))
            .env("REAL_RUSTC", real_rustc())
            .env("BUILD_CODE", "0")
            .envs(settings.iter().copied())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.path().join("asked")).unwrap_or_default()
    }
}

/// The compiler itself, by its place: by its name the machine's own folders would be searched first.
fn real_rustc() -> PathBuf {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .unwrap();
    Path::new(String::from_utf8(output.stdout).unwrap().trim()).join("bin/rustc")
}

fn script(folder: &Path, name: &str, text: &str) {
    fs::create_dir_all(folder).unwrap();
    // Another process writes it: what a thread that starts a program has open for writing cannot be started (execve(2), ETXTBSY).
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(folder.join(name))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = install.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    assert!(install.wait().unwrap().success());
}

#[test]
fn the_component_is_added_to_the_current_toolchain() {
    let machine = Machine::new();
    let (ok, said) = machine.set_up("rustup-component", &[]);
    assert!(ok, "{said}");
    assert_eq!(
        machine.asked(),
        "component add rust-src --toolchain stable-host\n"
    );
    assert!(said.contains("core and alloc build with it"), "{said}");
    assert!(said.contains("rust-src in its sysroot"), "{said}");
}

#[test]
fn the_pinned_nightly_comes_with_what_the_commands_need() {
    let machine = Machine::new();
    let (ok, said) = machine.set_up("rustup-nightly", &[]);
    assert!(ok, "{said}");
    let asked = machine.asked();
    let words: Vec<&str> = asked.split_whitespace().collect();
    assert_eq!(words[..2], ["toolchain", "install"]);
    let pinned = words[2];
    assert!(pinned.starts_with("nightly-20"), "{asked}");
    for component in ["rust-src", "clippy"] {
        assert!(asked.contains(&format!("-c {component}")), "{asked}");
    }
    assert!(said.contains(&format!("set-up: {pinned}-host")), "{said}");
}

#[test]
fn what_rustup_cannot_fetch_or_the_compiler_cannot_build_is_an_error() {
    let machine = Machine::new();
    for way in ["rustup-component", "rustup-nightly"] {
        let (ok, said) = machine.set_up(way, &[("OFFLINE", "yes")]);
        assert!(!ok && said.contains("could not download"), "{said}");
    }
    let (ok, said) = machine.set_up("rustup-component", &[("BUILD_CODE", "1")]);
    assert!(
        !ok && said.contains("core and alloc do not build"),
        "{said}"
    );
}
