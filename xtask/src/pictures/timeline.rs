//! Calls on a line of time, as viewers of traces draw them: a band for each thread, a row in it for each depth.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Slice;

/// All in pixels.
const WIDTH: f64 = 1200.0;
const LEFT: f64 = 90.0;
const ROW: f64 = 16.0;
const GAP: f64 = 10.0;
const TOP: f64 = 40.0;
/// No call is drawn narrower; of those that fall on one place, the first is.
const NARROW: f64 = 0.5;
/// Of a letter.
const LETTER: f64 = 6.2;
const COLORS: [&str; 8] = [
    "#8ecae6", "#a7c957", "#ffb703", "#f4a261", "#cdb4db", "#90be6d", "#f28482", "#84a59d",
];
/// Idle time between two calls that is cut out of the picture, and what is left of it.
const PAUSE: f64 = 20_000.0;
const LEFT_OF_PAUSE: f64 = 2_000.0;

/// From nanoseconds to nanoseconds without the pauses.
struct Time {
    /// Where a pause ends, and how much is cut out up to there.
    cuts: Vec<(f64, f64)>,
    start: f64,
    length: f64,
}

impl Time {
    fn new(slices: &[Slice]) -> Self {
        let mut sorted: Vec<_> = slices
            .iter()
            .map(|s| (s.start, s.start + s.duration))
            .collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let start = sorted.first().map_or(0.0, |first| first.0);
        let (mut cuts, mut cut, mut end) = (Vec::new(), 0.0, start);
        for (from, to) in sorted {
            if from - end > PAUSE {
                cut += from - end - LEFT_OF_PAUSE;
                cuts.push((from, cut));
            }
            end = end.max(to);
        }
        let length = (end - start - cut).max(1.0);
        Self {
            cuts,
            start,
            length,
        }
    }

    fn x(&self, time: f64) -> f64 {
        let before = self.cuts.partition_point(|(end, _)| *end <= time);
        let cut = before
            .checked_sub(1)
            .map_or(0.0, |index| self.cuts[index].1);
        LEFT + (time - cut - self.start) / self.length * (WIDTH - LEFT)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The picture.
pub fn svg(slices: &[Slice]) -> String {
    let time = Time::new(slices);
    let mut threads = BTreeMap::<&str, u32>::new();
    for slice in slices {
        let depth = threads.entry(&slice.thread).or_default();
        *depth = slice.depth.max(*depth);
    }
    let (mut places, mut y) = (BTreeMap::new(), TOP);
    for (thread, depth) in &threads {
        places.insert(*thread, y);
        y += f64::from(depth + 1) * ROW + GAP;
    }
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" fill=\"#fff\"/>\n\
         <text x=\"4\" y=\"16\">{} calls that have returned, {:.3} ms; {} pauses of more than {} µs are cut out (dashed)</text>\n",
        slices.len(),
        time.length / 1e6,
        time.cuts.len(),
        PAUSE / 1e3,
    );
    for (end, _) in &time.cuts {
        let x = time.x(*end);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} 24V{y}\" stroke=\"#999\" stroke-dasharray=\"3\"/>"
        );
    }
    for (thread, y) in &places {
        let _ = writeln!(
            out,
            "<text x=\"4\" y=\"{}\">{}</text>",
            y + 12.0,
            escaped(thread)
        );
    }
    let mut last = BTreeMap::<(&str, u32), f64>::new();
    for slice in slices {
        let (x, end) = (time.x(slice.start), time.x(slice.start + slice.duration));
        let end = end.max(x + NARROW);
        let row = last.entry((&slice.thread, slice.depth)).or_insert(f64::MIN);
        if end - x <= NARROW && x < *row {
            continue;
        }
        *row = end;
        let y = places[slice.thread.as_str()] + f64::from(slice.depth) * ROW;
        let color = slice
            .name
            .bytes()
            .fold(7_usize, |sum, byte| sum * 31 % 1009 + usize::from(byte));
        let name = escaped(&slice.name);
        let _ = writeln!(
            out,
            "<rect x=\"{x:.2}\" y=\"{y}\" width=\"{:.2}\" height=\"{}\" fill=\"{}\"><title>{name} {:.3} µs</title></rect>",
            end - x,
            ROW - 1.0,
            COLORS[color % COLORS.len()],
            slice.duration / 1e3
        );
        let letters = ((end - x - 4.0) / LETTER) as usize;
        if letters >= 4 {
            let short: String = slice.name.chars().take(letters).collect();
            let _ = writeln!(
                out,
                "<text x=\"{:.2}\" y=\"{}\">{}</text>",
                x + 2.0,
                y + 12.0,
                escaped(&short)
            );
        }
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(thread: &str, depth: u32, start: f64, duration: f64) -> Slice {
        let name = format!("<f{start}>");
        Slice {
            thread: thread.to_owned(),
            depth,
            name,
            start,
            duration,
        }
    }

    #[test]
    fn calls_stand_where_they_were_and_pauses_are_cut_out() {
        let slices = [
            slice("a", 0, 1000.0, 140_000.0),
            slice("a", 1, 71_000.0, 70_000.0),
            // After a pause of a second, of which 2 µs are left.
            slice("b", 0, 1_000_141_000.0, 80_000.0),
        ];
        let drawn = svg(&slices);
        let edges: Vec<(f64, f64)> = drawn
            .lines()
            .filter(|line| line.contains("<title>"))
            .map(|line| {
                let number = |name: &str| {
                    let (_, rest) = line.split_once(&format!(" {name}=\"")).unwrap();
                    rest.split_once('"').unwrap().0.parse::<f64>().unwrap()
                };
                (number("x"), number("width"))
            })
            .collect();
        assert_eq!(edges, [(90.0, 700.0), (440.0, 350.0), (800.0, 400.0)]);
        assert!(
            drawn.contains("3 calls that") && drawn.contains("0.222 ms; 1 pauses"),
            "{drawn}"
        );
        assert!(drawn.contains("&lt;f1000&gt; 140.000 µs") && !drawn.contains("<f"));
        // What is too short for a pixel is drawn once for all that fall there.
        let many: Vec<_> = (0..1000)
            .map(|n| slice("a", 0, f64::from(n), 0.5))
            .chain([slices[2].clone()])
            .collect();
        assert!(svg(&many).matches("<title>").count() < 40);
    }
}
