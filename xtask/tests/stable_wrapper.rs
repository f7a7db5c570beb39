//! The wrapper of the stable check must be able to refuse: a feature gate outside the library, and only there.

use std::fs;
use std::path::Path;
use std::process::Command;

fn compiles(source: &str, manifest_dir: &Path, extra: &[&str]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lib.rs");
    fs::write(&file, source).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--crate-type=lib", "--emit=metadata"])
        .args(extra)
        .arg("--out-dir")
        .arg(folder.path())
        .arg(&file)
        .env("AFTRACE_STABLE_ONLY_OUTSIDE", "/the/library")
        .env("CARGO_MANIFEST_DIR", manifest_dir)
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .unwrap();
    output.status.success()
}

const GATED: &str = "#![feature(never_type)]\n";

#[test]
fn an_unstable_feature_is_refused_outside_the_library() {
    assert!(!compiles(GATED, Path::new("/own/crate"), &[]));
    assert!(compiles(GATED, Path::new("/the/library/core"), &[]));
}

#[test]
fn stable_code_passes() {
    assert!(compiles("pub fn f() {}\n", Path::new("/own/crate"), &[]));
}

#[test]
fn an_unstable_option_is_refused_but_for_build_std_own() {
    let own = Path::new("/own/crate");
    assert!(!compiles("", own, &["-Z", "patchable-function-entry=4,2"]));
    assert!(compiles("", own, &["-Z", "unstable-options"]));
}
