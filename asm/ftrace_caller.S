/*
 * ftrace_caller: the one trampoline that every enabled callsite calls.
 *
 *   literal     rec + 0   .quad &ops            (aligned to 8)
 *   entry       rec + 8   [bti  c]
 *                         mov   x9, x30
 *                         bl    ftrace_caller    -> x30 = rec + 16, with a BTI rec + 20
 *
 * In:   x30 after the callsite's BL, x9 the traced function's own LR.
 * Out:  x11 = ops, branch to the ops' first field with everything else as it was.
 * Free: x10-x17.   Stack: not used.
 * Not promised: the flags.
 *
 * (x30 & ~7) - 16 is the literal in both forms. The literal is valid at every moment after init: no null check.
 * The branch goes through x17, which may land on a BTI C (Arm ARM DDI 0487, "Effective BTYPE value").
 * A BL needs no landing pad, so ftrace_caller itself has none and saves that instruction on every call; a veneer, which
 * arrives by BR, enters through ftrace_caller_far.
 */
    .section .text.ftrace_notrace.asm, "ax", %progbits
    .balign 64                          /* four instructions and the pad in one line of the instruction cache */
    .global ftrace_caller_far
    .type   ftrace_caller_far, %function
ftrace_caller_far:
    bti     c
    .global ftrace_caller
    .type   ftrace_caller, %function
ftrace_caller:
    bic     x11, x30, #7
    ldr     x11, [x11, #-{CALLSITE_LITERAL_FROM_LR}]
    ldr     x17, [x11, #{OPS_ENTRY}]
    br      x17
    .size   ftrace_caller, . - ftrace_caller
    .size   ftrace_caller_far, . - ftrace_caller_far

/*
 * ftrace_entry_nop: the entry of NOP_OPS, for a callsite in transition (BL still or already there, no ops).
 * In and out as ftrace_caller. Saves nothing, returns into the traced function with the LR it was called with.
 * It is also the shortest legal direct tracer: what a direct ops must do at its end.
 */
    .balign 16
    .global ftrace_entry_nop
    .type   ftrace_entry_nop, %function
ftrace_entry_nop:
    bti     c
    mov     x10, x30
    mov     x30, x9
    ret     x10
    .size   ftrace_entry_nop, . - ftrace_entry_nop
