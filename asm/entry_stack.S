/*
 * ftrace_entry_stack: is the stack deeper here than it was anywhere on this core?
 *
 * In:    x11 = the stack tracer's ops.  x9, x30 as in frame.S.
 * Out:   the function goes on as if it had not been traced. x10, x12, x13 and the flags are destroyed.   Stack: not used.
 *        Where it is deeper: ftrace_entry_call takes over, which calls the tracer's Rust, and its stack and registers count.
 *
 * The area holds the limit as an address (src/cpu.rs), so the question is one comparison, whichever stack the core runs on: the
 * kernel's context switch makes it anew. On a stack without bounds it is 0, and nothing is below.
 *
 * Unguarded: what the tracer's Rust calls is this crate's, and not traced. An interrupt on the way is a call like any other.
 * Not promised: a core that is not online looks at nothing.
 *
 * 13 instructions with the trampoline's four; 9 here, of which a core that is not online makes 6.
 */
    .section .text.ftrace_notrace.asm, "ax", %progbits
    .balign 64
    .global ftrace_entry_stack
    .type   ftrace_entry_stack, %function
ftrace_entry_stack:
    bti     c
    FTRACE_CPU_AREA                     /* x12 */
    cbz     x12, 1f
    ldr     x13, [x12, #{CPU_STACK_LIMIT}]
    cmp     sp, x13
    b.lo    ftrace_entry_call
1:  mov     x10, x30
    mov     x30, x9
    ret     x10
    .size   ftrace_entry_stack, . - ftrace_entry_stack
