/*
 * ftrace_entry_count_lse, _llsc: how often the function is called, on this core.
 *
 * In:    x11 = the callsite's block (src/instances.rs): its first word is this entry, and CPU_COUNTERS of this core's
 *        CpuArea is the distance from it to the counters that are this core's.  x9, x30 as in frame.S.
 * Out:   the function goes on as if it had not been traced. x10-x17 are destroyed.   Stack: not used.
 *
 * The add is atomic: an interrupt, or a task that goes on on another core meanwhile, loses nothing.
 * Not promised: a core whose CpuArea is not set counts nothing.
 */
    .section .text.ftrace_notrace.asm, "ax", %progbits
    .arch_extension lse

.macro FTRACE_ENTRY_COUNT name, lse
    .balign 64
    .global \name
    .type   \name, %function
\name:
    bti     c
    FTRACE_CPU_AREA
    cbz     x12, ftrace_untraced
    ldr     x12, [x12, #{CPU_COUNTERS}]
    mov     x13, #1
    add     x11, x11, x12
.if \lse
    stadd   x13, [x11]
.else
    FTRACE_ADD x13, 0
.endif
    mov     x10, x30
    mov     x30, x9
    ret     x10
    .size   \name, . - \name
.endm

    FTRACE_ENTRY_COUNT ftrace_entry_count_lse, 1
    FTRACE_ENTRY_COUNT ftrace_entry_count_llsc, 0
