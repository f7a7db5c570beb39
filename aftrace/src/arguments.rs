//! What a person types where a number of a unit, a range or an address is asked for.

use std::ops::Range;

/// A length of time in nanoseconds: `500ns`, `10us`, `1.5ms`, `2s`; without a unit, nanoseconds.
///
/// # Errors
/// What is wrong, with an example: no number, a negative one, one without an end, another unit.
pub fn time(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = match &text[digits.len()..] {
        "ns" | "" => 0,
        "us" => 3,
        "ms" => 6,
        "s" => SECOND,
        other => return Err(format!("unit {other:?}: use ns, us, ms or s")),
    };
    nanoseconds(digits, unit).ok_or_else(|| "not a time: 500ns, 10us, 1.5ms, 2s".to_owned())
}

/// From and to, in nanoseconds, written in seconds: `1.5~2.25`, `~3`, `4~`. What is left out is the beginning, and `u64::MAX`.
///
/// # Errors
/// What is wrong, with an example: no `~`, no number, a negative one, an end before its beginning.
pub fn time_range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text
        .split_once('~')
        .ok_or("two times with ~ between: 1.5~2.25")?;
    let seconds = |text: &str, other| match text {
        "" => Ok(other),
        text => {
            nanoseconds(text, SECOND).ok_or_else(|| format!("{text}: not a time in seconds: 1.5"))
        }
    };
    let (from, to) = (seconds(from, 0)?, seconds(to, u64::MAX)?);
    match from <= to {
        true => Ok((from, to)),
        false => Err(format!("{text}: ends before it begins")),
    }
}

/// So many digits behind the point of a second are nanoseconds.
const SECOND: usize = 9;

/// Decimal digits, perhaps with a point, of a unit that has so many of them behind it. Exact: as an `f64` a time that was shown would
/// be another one by a nanosecond. Further digits are cut off; what no 64 bits hold is as much as they hold.
fn nanoseconds(text: &str, places: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut all = whole.bytes().chain(fraction.bytes());
    if text.len() < "0".len() || text == "." || !all.all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let zeroes = std::iter::repeat(b'0');
    let digits = whole
        .bytes()
        .chain(fraction.bytes().chain(zeroes).take(places));
    Some(digits.fold(0, |number: u64, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

/// A range of memory, its beginning and how long it is: `0x40000000+256M`.
///
/// # Errors
/// What is wrong, with an example: no `+`, no number, a range that is empty or leaves the address space.
pub fn memory(text: &str) -> Result<Range<u64>, String> {
    let (start, length) = text
        .split_once('+')
        .ok_or("an address and a number of bytes with + between: 0x40000000+256M")?;
    let number = |text: &str| {
        let (digits, shift) = match text.as_bytes().last() {
            Some(b'K') => (&text[..text.len() - 1], 10),
            Some(b'M') => (&text[..text.len() - 1], 20),
            Some(b'G') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let number = match digits.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => digits.parse(),
        };
        let number = number.map_err(|error| format!("{text}: {error}"))?;
        number
            .checked_mul(1 << shift)
            .ok_or_else(|| format!("{text}: more than 64 bits"))
    };
    let (start, length) = (number(start)?, number(length)?);
    match start.checked_add(length) {
        Some(end) if start < end => Ok(start..end),
        _ => Err(format!("{text}: no memory")),
    }
}

/// An address, hexadecimal with or without `0x`.
///
/// # Errors
/// It is no number, or one of more than 64 bits.
pub fn address(text: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16)
}
