//! `veneer!`: a slot in the kernel's text that leads a BL on to the trampoline.
#![forbid(unsafe_code)]

/// Reserves a veneer to the trampoline in a section of the kernel's text, for functions further than 128 MiB from
/// `.text.ftrace_notrace`.
///
/// ```
/// aarch64_ftrace::veneer!(".text.far.ftrace_veneer");
/// ```
///
/// The linker script places the section within 128 MiB of the functions that need it, and within 4 GiB of the trampoline.
/// The tracer finds the slot through the section `ftrace_veneers`, which needs no line in a linker script: 8 bytes, and
/// 16 for the slot. Where several slots are in reach of a function, the nearest serves it. A call through it costs three
/// instructions more.
///
/// Write it once for each such region, in the kernel's own crate (a library that nothing else is taken from is not linked).
#[macro_export]
macro_rules! veneer {
    ($section:literal) => {
        // A BL lands here, which needs no pad; the trampoline's own pad takes the BR (x16 and x17 may land on BTI C).
        // Out: x16; all else as at the callsite, LR above all, by which the trampoline finds the literal.
        ::core::arch::global_asm!(
            concat!(".pushsection ", $section, ", \"ax\", %progbits"),
            ".balign 16",
            "3:  adrp x16, ftrace_caller_far",
            "add x16, x16, :lo12:ftrace_caller_far",
            "br x16",
            ".popsection",
            // Retained by the linker, and with it the slot that it refers to.
            ".pushsection ftrace_veneers, \"aR\", %progbits",
            ".balign 8",
            "4:  .quad 3b - 4b",
            ".popsection",
        );
    };
}
