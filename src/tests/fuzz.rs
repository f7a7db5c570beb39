//! Hostile records sections and filters: deterministic mutations of good ones.
#![forbid(unsafe_code)]

use super::mutate::{EXECUTIONS, run};
use crate::fuzz::{filter, filter_seeds, table, table_seeds};

#[test]
fn hostile_records_are_judged_within_the_text() {
    let seeds = table_seeds();
    assert!(
        seeds.iter().take(2).all(|seed| table(seed)),
        "the seeds are good"
    );
    run(&seeds, EXECUTIONS, table);
}

#[test]
fn hostile_filters_are_parsed_or_refused() {
    run(&filter_seeds(), EXECUTIONS, filter);
}
