//! Harness of what a person types: times, ranges, addresses, globs; a line is one argument.

use aarch64_ftrace::glob;
use aftrace::arguments::{address, memory, time, time_range};

/// Lines; each as each kind of argument.
pub fn typed(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    text.lines().fold(false, |any, line| argument(line) | any)
}

fn argument(text: &str) -> bool {
    let mut any = false;
    if let Ok(range) = memory(text) {
        assert!(range.start < range.end, "an empty range");
        let again = format!("{:#x}+{}", range.start, range.end - range.start);
        assert_eq!(memory(&again), Ok(range), "{text} is {again}");
        any = true;
    }
    if let Ok((from, to)) = time_range(text) {
        assert!(from <= to, "{text} ends before it begins");
        any = true;
    }
    if let Ok(ns) = time(text) {
        assert_eq!(time(&ns.to_string()), Ok(ns), "{text}");
        any = true;
    }
    if let Ok(at) = address(text) {
        assert_eq!(address(&format!("{at:#x}")), Ok(at));
        any = true;
    }
    match glob::validate(text) {
        Ok(()) => any |= glob::matches(text, text.bytes()),
        Err(error) => {
            let _ = error.to_string();
        }
    }
    any
}
