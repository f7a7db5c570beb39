//! `trace stack`: the deepest stack, function by function.

use super::Answer;
use super::trace::function;
use super::wrong::refused;
use crate::tracing::STACKS;
use aarch64_ftrace::Filter;
use virt::{print, println};

/// `trace stack ..`
pub fn run(arguments: &[&str]) -> Answer {
    match arguments {
        [] => show(),
        ["off"] => {
            let applied = STACKS
                .unset()
                .map_err(|error| refused("stack", &[], error))?;
            println!("  {applied}");
            Ok(())
        }
        ["clear"] => {
            STACKS.clear();
            Ok(())
        }
        patterns => {
            let applied = STACKS
                .set(&Filter::new(patterns))
                .map_err(|error| refused("stack", patterns, error))?;
            println!("  {applied}");
            Ok(())
        }
    }
}

fn show() -> Answer {
    let deep = STACKS
        .deepest(0)
        .ok_or("no stack was seen: trace stack and a GLOB begins")?;
    println!(
        "  {} of {} bytes at the entry of {}",
        deep.bytes(),
        deep.stack_bytes(),
        function(deep.ip())
    );
    print!("{deep}");
    Ok(())
}
