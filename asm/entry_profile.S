/*
 * ftrace_entry_profile, ftrace_return_to_profile_lse, _llsc: how long the function takes, on this core, without a log.
 *
 * Entry.  In: x11 = the callsite's block, x9, x30 as in frame.S.   Out: x30 = the return handler; a frame on the return
 *         stack holds x9, the block and the time. x10-x17 and the flags are destroyed.   Stack: not used.
 * Return. In: as the function returned; x0-x8, q0-q7, x18 and the callee-saved registers are not touched.
 *         Out: returns to the address in the frame; x9-x17 and the flags are destroyed, as they are by any call.
 *
 * The block's counters are those of asm/entry_count.S, in this order: hits, total, self, longest, sum of squares (low,
 * high). Each is changed by one atomic instruction or loop, so none is lost to an interrupt or to a task that moves.
 *
 * STACK_CHILD gathers the time of the calls that the function at hand has made: the entry keeps its caller's in the frame
 * and begins with zero, the return takes it from the duration (self) and adds the duration to the caller's.
 * Not promised: an interrupt between those two instructions may have its time counted as the function's own.
 */
    .section .text.ftrace_notrace.asm, "ax", %progbits

    .balign 64
    .global ftrace_entry_profile
    .type   ftrace_entry_profile, %function
ftrace_entry_profile:
    bti     c
    FTRACE_CPU_AREA
    cbz     x12, ftrace_untraced
    FTRACE_PUSH ftrace_overrun
    ldr     x16, [x13, #{STACK_CHILD}]
    str     xzr, [x13, #{STACK_CHILD}]
    stp     x9, x11, [x14, #{FRAME_LR}]
    mrs     x17, cntvct_el0
    stp     x17, x16, [x14, #{FRAME_TIME}]
    mov     x10, x30
    ldr     x30, [x11, #{BLOCK_HANDLER}]
    ret     x10
    .size   ftrace_entry_profile, . - ftrace_entry_profile

.macro FTRACE_RETURN_TO_PROFILE name, lse
    .balign 64
    .global \name
    .type   \name, %function
\name:
    mrs     x17, cntvct_el0
    FTRACE_CPU_AREA
    FTRACE_POP
    ldp     x15, x16, [x14, #{FRAME_TIME}]
    sub     x17, x17, x15               /* x17: duration */
    ldr     x10, [x13, #{STACK_CHILD}]
    add     x16, x16, x17
    str     x16, [x13, #{STACK_CHILD}]
    str     x14, [x13, #{STACK_TOP}]
    subs    x10, x17, x10               /* x10: self */
    csel    x10, x10, xzr, hs
    ldr     x12, [x12, #{CPU_COUNTERS}]
    add     x11, x11, x12
    mov     x16, #1
    FTRACE_ADD x16, \lse
    add     x11, x11, #{BLOCK_TOTAL} - {BLOCK_HITS}
    FTRACE_ADD x17, \lse
    add     x11, x11, #{BLOCK_OWN} - {BLOCK_TOTAL}
    FTRACE_ADD x10, \lse
    add     x11, x11, #{BLOCK_LONGEST} - {BLOCK_OWN}
    FTRACE_MAX x17, \lse
    add     x11, x11, #{BLOCK_SQUARES} - {BLOCK_LONGEST}
    mul     x16, x17, x17
    umulh   x17, x17, x17
    FTRACE_ADD x16, \lse
    cmn     x12, x16                    /* the carry of the low word */
    adc     x17, x17, xzr
    add     x11, x11, #8
    FTRACE_ADD x17, \lse
    ret
    .size   \name, . - \name
.endm
