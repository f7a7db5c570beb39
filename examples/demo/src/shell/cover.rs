//! `trace cover`: which functions have been called at all.

use super::Answer;
use super::trace::{LINES, brief};
use super::wrong::refused;
use crate::tracing::{self, COVER, FTRACE};
use alloc::string::ToString;
use virt::println;

/// `trace cover ..`
pub fn run(arguments: &[&str]) -> Answer {
    match arguments {
        [] => show(),
        ["off"] => {
            let applied = FTRACE
                .unregister(&COVER)
                .map_err(|error| refused("cover", &[], error))?;
            println!("  {applied}");
            Ok(())
        }
        patterns => {
            let applied =
                tracing::cover(patterns).map_err(|error| refused("cover", patterns, error))?;
            println!("  {applied}");
            Ok(())
        }
    }
}

fn show() -> Answer {
    let applied = FTRACE
        .settle(&COVER)
        .map_err(|error| refused("cover", &[], error))?;
    let (taken, left) = (tracing::cover_taken(), COVER.callsites());
    println!(
        "  {} of {taken} functions have been called, {} of them since the last look; never:",
        taken - left,
        applied.disabled
    );
    let mut shown = 0;
    for callsite in FTRACE.callsites() {
        let mut waits = false;
        FTRACE
            .ops_of(callsite.index(), |ops| {
                waits |= core::ptr::eq(ops, &raw const *COVER)
            })
            .map_err(|error| error.to_string())?;
        if waits && shown < LINES {
            shown += 1;
            println!("      {}", brief(&callsite.to_string()));
        }
    }
    if left > shown {
        println!("  ... and {} more", left - shown);
    }
    Ok(())
}
