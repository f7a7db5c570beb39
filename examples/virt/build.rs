//! Puts the board's part of the linker script where `linker.ld` finds it by `INCLUDE board.ld`.

use std::{env, fs, path::Path};

fn main() {
    // As lib.rs chooses the board's constants.
    let boards = ["rpi3", "rpi4"];
    let chosen =
        |board: &&str| env::var_os(format!("CARGO_FEATURE_{}", board.to_uppercase())).is_some();
    let board = boards.into_iter().find(chosen).unwrap_or("qemu");
    let script = format!("boards/{board}.ld");
    println!("cargo:rerun-if-changed={script}");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    fs::copy(script, out.join("board.ld")).expect("the board's script can be copied to OUT_DIR");
    println!("cargo:rustc-link-search={}", out.display());
}
