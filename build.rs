//! Puts `ftrace.x` where the kernel's linker script finds it by `INCLUDE ftrace.x`.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=ftrace.x");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    fs::copy("ftrace.x", out.join("ftrace.x")).expect("ftrace.x can be copied to OUT_DIR");
    println!("cargo:rustc-link-search={}", out.display());
}
