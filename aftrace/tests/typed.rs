//! Numbers as a person types them.

use aftrace::arguments::{address, memory, time, time_range};

#[test]
fn times_have_a_unit_or_are_nanoseconds() {
    let good = [
        ("500ns", 500),
        ("7", 7),
        ("10us", 10_000),
        ("1.5ms", 1_500_000),
        ("2s", 2_000_000_000),
        (".5us", 500),
        ("3.s", 3_000_000_000),
        // As an f64, each would be less by one.
        ("16.000000112s", 16_000_000_112),
        ("9007199.254740993s", 9_007_199_254_740_993),
        ("1.0000000009s", 1_000_000_000),
        ("18446744073.709551615s", u64::MAX),
        ("18446744073.709551616s", u64::MAX),
        ("99999999999999999999999s", u64::MAX),
    ];
    for (text, ns) in good {
        assert_eq!(time(text), Ok(ns), "{text}");
    }
    for text in [
        "", "s", ".", ".s", "-1s", "+1s", "1min", "NaN", "inf", "1e3s", "1.s.2", "1..2s",
        "1\u{b5}s",
    ] {
        assert!(time(text).is_err(), "{text}");
    }
}

#[test]
fn ranges_of_time_may_leave_out_an_end() {
    let ranges = [
        ("1.5~2.25", (1_500_000_000, 2_250_000_000)),
        ("~3", (0, 3_000_000_000)),
        ("4~", (4_000_000_000, u64::MAX)),
        ("~", (0, u64::MAX)),
        ("1~1", (1_000_000_000, 1_000_000_000)),
    ];
    for (text, range) in ranges {
        assert_eq!(time_range(text), Ok(range), "{text}");
    }
    // Each would have been taken for a range in which nothing is, or for the beginning.
    for text in ["3~1", "-1~", "~-1", "NaN~", "~inf", "1", "1~2~3", "a~"] {
        assert!(time_range(text).is_err(), "{text}");
    }
}

#[test]
fn ranges_of_memory_are_somewhere() {
    let ranges = [
        ("0x40000000+256M", 0x4000_0000..0x5000_0000),
        ("0+1", 0..1),
        ("4K+2G", 4096..(2 << 30) + 4096),
        ("0xfffffffffffffff0+15", u64::MAX - 15..u64::MAX),
    ];
    for (text, range) in ranges {
        assert_eq!(memory(text), Ok(range), "{text}");
    }
    for text in [
        "",
        "+",
        "0x40000000",
        "0+0",
        "0xfffffffffffffff0+16",
        "1+17179869184G",
        "1+K",
        "1+1\u{212a}",
        "-1+2",
    ] {
        assert!(memory(text).is_err(), "{text}");
    }
}

#[test]
fn addresses_are_hexadecimal() {
    assert_eq!(address("0x40200000"), Ok(0x4020_0000));
    assert_eq!(address("ffff000040200000"), Ok(0xffff_0000_4020_0000));
    for text in ["", "0x", "0x0x1", "0x1_0", "10000000000000000"] {
        assert!(address(text).is_err(), "{text}");
    }
}
