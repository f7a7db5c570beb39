//! Hostile inputs for every parser: deterministic mutations of good ones.

mod fixture;

#[path = "../../fuzz/harness/attach.rs"]
mod attach;
#[path = "../../fuzz/harness/boot.rs"]
mod boot;
#[path = "../../fuzz/harness/dumps.rs"]
mod dumps;
#[path = "../../fuzz/harness/files.rs"]
mod files;
#[path = "../../fuzz/harness/gdb.rs"]
mod gdb;
#[path = "../../fuzz/harness/kernel.rs"]
mod kernel;
#[path = "../../fuzz/harness/library.rs"]
mod library;
#[path = "../../src/tests/mutate.rs"]
mod mutate;
#[path = "../../fuzz/harness/planted.rs"]
mod planted;
#[path = "../../fuzz/harness/repair.rs"]
mod repair;
#[path = "../../fuzz/harness/seeds.rs"]
mod seeds;
#[path = "../../fuzz/harness/trace.rs"]
mod trace;
#[path = "../../fuzz/harness/typed.rs"]
mod typed;

use mutate::EXECUTIONS;

fn run(seeds: &[Vec<u8>], harness: fn(&[u8]) -> bool) {
    assert!(seeds.iter().any(|seed| harness(seed)), "no seed is good");
    mutate::run(seeds, EXECUTIONS, harness);
}

#[test]
fn hostile_kernels_are_read_or_refused() {
    run(&seeds::kernels(), kernel::kernel);
}

#[test]
fn hostile_symbols_have_a_path() {
    run(&seeds::symbols(), kernel::symbol);
}

#[test]
fn hostile_name_tables_are_read_or_refused() {
    run(&seeds::names(), library::names);
}

#[test]
fn hostile_trace_headers_are_read_or_refused() {
    run(&seeds::headers(), library::header);
}

#[test]
fn hostile_words_decode_to_what_encodes_to_them() {
    run(&seeds::words(), library::insn);
}

#[test]
fn hostile_regions_are_read_or_refused() {
    run(&seeds::regions(), trace::region);
}

#[test]
fn hostile_frames_are_read_or_refused() {
    run(&seeds::frames(), trace::frame);
}

#[test]
fn hostile_byte_stuffing_is_decoded_or_refused() {
    run(&seeds::stuffed(), trace::cobs);
}

#[test]
fn hostile_streams_are_taken_apart_to_the_last_byte() {
    run(&seeds::files(), files::stream);
}

#[test]
fn hostile_trace_files_are_converted_or_refused() {
    mutate::run(&seeds::files(), EXECUTIONS / 10, files::file);
}

#[test]
fn hostile_memory_images_give_whole_traces() {
    run(&seeds::images(), files::ram);
}

#[test]
fn hostile_consoles_are_taken_apart() {
    run(&seeds::consoles(), files::console);
}

#[test]
fn hostile_trace_files_are_dumped() {
    mutate::run(&seeds::files(), EXECUTIONS / 10, dumps::dump);
}

#[test]
fn hostile_stubs_are_understood_or_not() {
    run(&seeds::stubs(), gdb::gdb);
}

#[test]
fn hostile_boot_configurations_are_taken_or_refused() {
    run(&seeds::boot_spaces(), boot::space);
}

#[test]
fn hostile_device_trees_are_read_or_refused() {
    run(&seeds::trees(), boot::tree);
}

#[test]
fn hostile_memory_of_targets_is_that_of_a_file() {
    mutate::run(&seeds::images(), EXECUTIONS / 10, attach::attach);
}

#[test]
fn hostile_arguments_are_taken_or_refused() {
    run(&seeds::typed(), typed::typed);
}

/// The harnesses can fail: with a seed to begin with, the mutations find the bug that was planted for them.
#[test]
#[should_panic(expected = "out of range for slice")]
fn a_planted_bug_is_found() {
    mutate::run(&seeds::frames(), EXECUTIONS, planted::planted);
}
