//! What a call was given and what it returned, where the recorder was asked for that: DATA behind ENTRY and EXIT.

use std::fmt;
use std::io;

use super::play::Events;
use aarch64_ftrace::ARGUMENTS_MAX;
use aarch64_ftrace::trace::{DATA_ARGUMENT, DATA_RESULT};

/// The first argument registers of a call, as many as were recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    values: [u64; ARGUMENTS_MAX as usize],
    count: usize,
}

impl Arguments {
    /// Takes the DATA slots that follow on the core, as long as they are arguments in their order.
    ///
    /// # Errors
    /// The system cannot read the file any more.
    pub(super) fn take(events: &mut Events<'_>, core: u16) -> io::Result<Self> {
        let mut arguments = Self::default();
        while let Some(slot) = arguments.values.get_mut(arguments.count) {
            let Some(value) = value(events, core, DATA_ARGUMENT, arguments.count) else {
                break;
            };
            *slot = value;
            arguments.count += 1;
            events.next_of(core)?;
        }
        Ok(arguments)
    }

    /// Their values, x0 first.
    #[must_use]
    pub const fn as_slice(&self) -> &[u64] {
        self.values.split_at(self.count).0
    }
}

/// As a call is written: `(0x1, 0x2)`, and `()` where none were recorded.
impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, value) in self.as_slice().iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{value:#x}")?;
        }
        f.write_str(")")
    }
}

/// Takes the DATA slot that follows on the core, if it is a result.
///
/// # Errors
/// The system cannot read the file any more.
pub(super) fn take_result(events: &mut Events<'_>, core: u16) -> io::Result<Option<u64>> {
    let result = value(events, core, DATA_RESULT, 0);
    if result.is_some() {
        events.next_of(core)?;
    }
    Ok(result)
}

/// The value of the slot that follows, if it is of this kind and index.
fn value(events: &Events<'_>, core: u16, kind: u16, index: usize) -> Option<u64> {
    let next = events.peek(core).filter(|next| next.missing == 0)?;
    let data = next.event.data()?;
    (data.kind == kind && usize::from(data.index) == index).then_some(data.value)
}

/// A result as Linux's tracer function_graph writes it (kernel/trace/trace_functions_graph.c, `print_graph_retval`): what is a
/// negative error number in decimal, all else in hexadecimal.
#[must_use]
pub fn result(value: u64) -> String {
    error(value).map_or_else(|| format!("{value:#x}"), |number| number.to_string())
}

/// The negative error number, of 64 bits or of 32, that a result is.
#[must_use]
pub fn error(value: u64) -> Option<i64> {
    /// Linux's largest error number.
    const ERRORS: i64 = 4095;
    let narrow = value >> 32 == 0 && value & 1 << 31 != 0;
    let number = if narrow {
        i64::from(value as i32)
    } else {
        value as i64
    };
    (-ERRORS..0).contains(&number).then_some(number)
}

/// ` = 0x0` behind the name of a function that returned it, where its result was recorded.
#[must_use]
pub fn equals(value: Option<u64>) -> String {
    value.map_or_else(String::new, |value| format!(" = {}", result(value)))
}

/// ` /* = 0x0 */` behind a call that is shown in one line.
#[must_use]
pub fn comment(value: Option<u64>) -> String {
    value.map_or_else(String::new, |value| format!(" /* = {} */", result(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_are_decimal_and_all_else_hexadecimal() {
        for (value, text) in [
            (0, "0x0"),
            (17, "0x11"),
            (-22_i64 as u64, "-22"),
            (u64::from(-22_i32 as u32), "-22"),
            (-4095_i64 as u64, "-4095"),
            (-4096_i64 as u64, "0xfffffffffffff000"),
            (u64::from(i32::MIN as u32), "0x80000000"),
            (0xffff_8000_4020_1000, "0xffff800040201000"),
        ] {
            assert_eq!(result(value), text);
        }
    }
}
