//! Text: paragraphs to a width, tables, numbers and sizes as people read them, bytes as hexadecimal.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Which side of its column a cell stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells in columns that are as wide as they must be.
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        Self {
            columns: columns
                .iter()
                .map(|(name, align)| (name.to_string(), *align))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; missing cells are empty.
    pub fn row(&mut self, cells: &[&dyn fmt::Display]) {
        self.rows
            .push(cells.iter().map(|cell| cell.to_string()).collect());
    }

    fn width(&self, column: usize) -> usize {
        let heading = self.columns[column].0.chars().count();
        let cell = |row: &Vec<String>| row.get(column).map_or(0, |cell| cell.chars().count());
        self.rows.iter().map(cell).max().unwrap_or(0).max(heading)
    }

    fn line<'a>(
        &self,
        f: &mut fmt::Formatter,
        cells: impl Iterator<Item = &'a str>,
    ) -> fmt::Result {
        let mut line = String::new();
        for (column, cell) in cells.enumerate() {
            let width = self.width(column);
            match self.columns[column].1 {
                Align::Left => write!(line, "{cell:<width$}  ")?,
                Align::Right => write!(line, "{cell:>width$}  ")?,
            }
        }
        writeln!(f, "  {}", line.trim_end())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.line(f, self.columns.iter().map(|(name, _)| name.as_str()))?;
        for row in &self.rows {
            self.line(f, row.iter().map(String::as_str))?;
        }
        Ok(())
    }
}

/// A number with its digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of bytes with the unit that suits it.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = bytes;
    let mut rest = 0;
    let mut unit = 0;
    while value >= 1024 && unit + 1 < UNITS.len() {
        rest = value % 1024;
        value /= 1024;
        unit += 1;
    }
    let mut text = value.to_string();
    if unit > 0 && value < 100 {
        text.push('.');
        text.push_str(&(rest * 10 / 1024).to_string());
    }
    text.push(' ');
    text.push_str(UNITS[unit]);
    text
}

/// Seconds with their thousandths from a count of nanoseconds.
pub fn seconds(nanoseconds: u64) -> String {
    let thousandths = nanoseconds / 1_000_000;
    let mut text = String::new();
    // A String takes any text.
    let _ = write!(text, "{}.{:03} s", thousandths / 1000, thousandths % 1000);
    text
}

/// `text` in lines of at most `width` characters, both edges straight; the last line of each paragraph ragged.
pub fn justify(text: &str, width: usize) -> String {
    let mut page = String::new();
    for paragraph in text.split("\n\n") {
        if !page.is_empty() {
            page.push('\n');
        }
        justify_paragraph(paragraph, width, &mut page);
    }
    page
}

fn justify_paragraph(paragraph: &str, width: usize, page: &mut String) {
    let mut line: Vec<&str> = Vec::new();
    let mut used = 0;
    for word in paragraph.split_whitespace() {
        let chars = word.chars().count();
        if !line.is_empty() && used + line.len() + chars > width {
            stretch(&line, width - used, page);
            line.clear();
            used = 0;
        }
        line.push(word);
        used += chars;
    }
    page.push_str(&line.join(" "));
    page.push('\n');
}

/// Writes the words with `spaces` spaces between them, the wider gaps first.
fn stretch(words: &[&str], spaces: usize, page: &mut String) {
    let gaps = words.len() - 1;
    for (gap, word) in words.iter().enumerate() {
        page.push_str(word);
        if gap < gaps {
            let wide = spaces / gaps + usize::from(gap < spaces % gaps);
            page.extend(core::iter::repeat_n(' ', wide));
        }
    }
    page.push('\n');
}

/// Bytes sixteen to a line: offset, hexadecimal, characters.
pub fn hex_dump(bytes: &[u8]) -> String {
    const WIDTH: usize = 16;
    let mut dump = String::new();
    for (row, part) in bytes.chunks(WIDTH).enumerate() {
        // A String takes any text.
        let _ = write!(dump, "{:06x} ", row * WIDTH);
        for byte in part {
            let _ = write!(dump, " {byte:02x}");
        }
        dump.extend(core::iter::repeat_n(' ', (WIDTH - part.len()) * 3 + 2));
        dump.extend(part.iter().map(|byte| printable(*byte)));
        dump.push('\n');
    }
    dump
}

fn printable(byte: u8) -> char {
    match byte {
        b' '..=b'~' => char::from(byte),
        _ => '.',
    }
}

/// A number in Roman numerals, for page headings; 0 has none.
pub fn roman(mut number: u32) -> String {
    const DIGITS: [(u32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut text = String::new();
    for (value, digits) in DIGITS {
        while number >= value {
            text.push_str(digits);
            number -= value;
        }
    }
    text
}
