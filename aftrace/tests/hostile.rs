//! Symbols that are long and nested on purpose: all that is done with one takes time in proportion to its length, and no
//! stack.

mod fixture;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aftrace::check::check;
use aftrace::demangle;
use aftrace::elf::Kernel;
use fixture::{Fixture, TEXT};

/// Seconds for what takes much less. In proportion to its square, a symbol of this length takes many minutes.
const LIMIT: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

fn legacy(element: &str) -> String {
    format!("_ZN{}{element}17h0123456789abcdefE", element.len())
}

fn within_the_limit<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(work()));
    receive.recv_timeout(LIMIT).expect("in time, and no panic")
}

#[test]
fn a_symbol_of_a_mebibyte_has_its_path_in_time() {
    let open = "$LT$a$LP$".repeat(MIB / 9);
    let path = within_the_limit(move || demangle::path(&legacy(&open)));
    assert_eq!(path, "<a(".repeat(MIB / 9));
    let many = "$LT$a$GT$..b$C$".repeat(MIB / 15);
    let path = within_the_limit(move || demangle::path(&legacy(&many)));
    assert_eq!(path, "a::b,".repeat(MIB / 15));
}

#[test]
fn types_nested_a_hundred_thousand_deep_are_judged_in_time() {
    let depth = MIB / 10;
    let nested = "$LT$".repeat(depth) + "aarch64_ftrace..Ops" + &"$GT$".repeat(depth);
    let own = within_the_limit(move || {
        let symbol: &'static str = legacy(&nested).leak();
        let mut fixture = Fixture::new(&[(0x48, symbol)]);
        fixture.symbols = vec![
            ("__ftrace_notrace_start", TEXT + 0x100),
            ("__ftrace_notrace_end", TEXT + 0x200),
        ];
        let bytes = fixture.build();
        let kernel = Kernel::parse(&bytes).expect("a kernel");
        check(&kernel).expect("one of its own").violations.len()
    });
    assert_eq!(own, 1, "found at the bottom");
}
