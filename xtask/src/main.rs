//! Set-up, demo, test and bench of aarch64-ftrace.
fn main() {}
