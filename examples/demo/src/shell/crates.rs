//! Patterns as people type them: `sched::*` for `demo::sched::*`.

use super::wrong::is_any;
use alloc::borrow::Cow;
use alloc::format;
use virt::println;

/// What stands before each path of this kernel's own functions.
const OWN: &str = concat!(env!("CARGO_CRATE_NAME"), "::");

/// A word that is no function's as it stands, but one's of this kernel's own crate, is taken as that, and it is said. The words of `trace`
/// itself, numbers and addresses are none: no function of the crate's root is called so.
pub fn taken<'w>(word: &'w str) -> Cow<'w, str> {
    let (not, glob) = match word.strip_prefix('!') {
        Some(glob) => ("!", glob),
        None => ("", word),
    };
    let own = format!("{OWN}{glob}");
    if is_any(glob) || !is_any(&own) {
        return Cow::Borrowed(word);
    }
    println!("  {glob} is no function as it stands: {own} is taken");
    Cow::Owned(format!("{not}{own}"))
}
