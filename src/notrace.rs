//! The macro `notrace!`: functions that are never traced.

/// Marks functions that are never traced: tracers, and what they call.
///
/// Each function goes into the section `.text.ftrace_notrace`, which the linker fragment `ftrace.x` gathers beside the
/// tracer's own code; its record is then left alone with the reason [`OwnCode`](crate::Reason::OwnCode). Closures and
/// generic instances inside are functions of their own and are not marked. Of a trait's implementation ([`Probe`](crate::Probe)) it
/// marks all methods.
///
/// ```
/// aarch64_ftrace::notrace! {
///     /// Counts calls.
///     extern "C" fn count(_ip: usize, _parent: usize, _ops: &aarch64_ftrace::Ops, _fregs: &mut aarch64_ftrace::Fregs) {}
/// }
/// ```
#[macro_export]
macro_rules! notrace {
    (impl $($name:ident)::+ for $type:ty {
        $($(#[$meta:meta])* fn $function:ident($($arguments:tt)*) $(-> $result:ty)? $body:block)*
    }) => {
        impl $($name)::+ for $type {
            $(
                $(#[$meta])*
                // SAFETY: the section is executable text like any other function's.
                #[unsafe(link_section = ".text.ftrace_notrace")]
                fn $function($($arguments)*) $(-> $result)? $body
            )*
        }
    };
    ($($function:item)*) => {
        $(
            // SAFETY: the section is executable text like any other function's.
            #[unsafe(link_section = ".text.ftrace_notrace")]
            $function
        )*
    };
}
