//! Hostile records sections, filters and prologues: deterministic mutations of good ones.
#![forbid(unsafe_code)]

use super::mutate::{EXECUTIONS, run};
use crate::fuzz::{filter, filter_seeds, prologue, prologue_seeds, table, table_seeds};

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

#[test]
fn hostile_prologues_have_a_frame_that_can_be_or_none() {
    assert!(prologue_seeds().iter().all(|seed| prologue(seed)));
    run(&prologue_seeds(), EXECUTIONS, prologue);
}
