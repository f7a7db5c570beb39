//! The frames of a flame graph add up to what `report` says of each function.

mod kernel;

use std::collections::BTreeMap;

use aftrace::trace::dump::folded;
use aftrace::trace::filter::Filter;
use aftrace::trace::report::Report;
use aftrace::trace::symbols::Symbols;
use kernel::{Core, file, opened};

/// What inferno calls the frame below all.
const ALL: &str = "all";

/// Of each name the nanoseconds of its frames, from their titles: `name (1,234 ns, 5.67%)`.
fn frames(svg: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for title in svg.split("<title>").skip(1) {
        let (title, _) = title.split_once("</title>").expect("closed");
        // The picture's own has no time.
        let Some((name, rest)) = title.rsplit_once(" (") else {
            continue;
        };
        let (value, _) = rest.split_once(" ns, ").expect("its time");
        let value: u64 = value.replace(',', "").parse().expect("a number");
        let name = name.replace("&lt;", "<").replace("&gt;", ">");
        *sums.entry(name.replace("&amp;", "&")).or_default() += value;
    }
    sums
}

#[test]
fn a_flame_graphs_frames_are_the_reports_totals() {
    // So few that no frame is too narrow to be drawn: inferno leaves out those below a ten-thousandth of the picture.
    let cores = [1, 2].map(|seed| Core::new(seed).run(3).events);
    let trace = opened(&file(&cores, 100));
    let symbols = Symbols::of_trace(&trace);
    let filters = [
        Filter::default(),
        Filter {
            functions: vec!["fs::open".to_owned()],
            ..Filter::default()
        },
        Filter {
            cores: Some(vec![1]),
            hidden: vec!["<fs::*".to_owned()],
            ..Filter::default()
        },
    ];
    for filter in filters {
        let lines = folded::lines(&trace, &symbols, &filter).expect("a file");
        let mut svg = Vec::new();
        folded::flame_graph(&lines, "flames", &mut svg).expect("memory");
        let mut drawn = frames(&String::from_utf8(svg).expect("text"));
        let rows = Report::new(&trace, &symbols, &filter).expect("a file").rows;
        let own = rows.values().map(|row| symbols.nanoseconds(row.own)).sum();
        // Where a filter hides callees, their time is in nobody's frame: a frame is as wide as its own time and its callees'.
        if filter.hidden.is_empty() {
            let totals = rows
                .iter()
                .map(|(name, row)| (name.clone(), symbols.nanoseconds(row.total)));
            let totals: BTreeMap<_, _> = totals.chain([(ALL.to_owned(), own)]).collect();
            assert_eq!(drawn, totals);
            assert!(totals.len() > 3);
        }
        assert_eq!(drawn.remove(ALL), Some(own));
        assert!(drawn.keys().eq(rows.keys()));
    }
}
