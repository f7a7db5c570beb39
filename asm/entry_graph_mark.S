/*
 * ftrace_entry_graph_mark, ftrace_return_to_graph_mark: what is called from this function is recorded, or is not
 * (src/graph.rs: STACK_STATE says so to entry_graph_more.S). No event. Nothing saved, nothing called.
 *
 * Entry.  In: x11 = the ops, whose data is what joins the state; x9, x30 as in frame.S.
 *         Out: x30 = the return handler; a frame holds x9, the callsite and the state as it was. x10-x17 and the flags are
 *         destroyed.   Stack: not used.
 * Return. In: as the function returned. Out: the state is as it was, so that marks inside marks need no counts; returns to
 *         the address in the frame. x11-x15 are destroyed.
 *
 * Plain loads and stores: who interrupts puts the state back before this goes on.
 * Not promised: a call that finds the return stack full marks nothing; it is counted in the stack.
 */
    .section .text.ftrace_notrace.asm, "ax", %progbits
    .balign 64
    .global ftrace_entry_graph_mark
    .type   ftrace_entry_graph_mark, %function
ftrace_entry_graph_mark:
    bti     c
    FTRACE_CPU_AREA
    cbz     x12, ftrace_untraced
    FTRACE_PUSH ftrace_overrun
    ldr     x16, [x13, #{STACK_STATE}]
    ldr     x17, [x11, #{OPS_DATA}]
    stp     x9, x30, [x14, #{FRAME_LR}]
    str     x16, [x14, #{FRAME_AUX}]
    and     x16, x16, #~{GRAPH_OUTSIDE}
    orr     x16, x16, x17
    str     x16, [x13, #{STACK_STATE}]
    mov     x10, x30
    adr     x30, ftrace_return_to_graph_mark
    ret     x10
    .size   ftrace_entry_graph_mark, . - ftrace_entry_graph_mark

.macro FTRACE_RETURN_TO_GRAPH_MARK name
    .balign 64
    .global \name
    .type   \name, %function
\name:
    FTRACE_CPU_AREA
    FTRACE_POP
    ldr     x15, [x14, #{FRAME_AUX}]
    str     x15, [x13, #{STACK_STATE}]
    str     x14, [x13, #{STACK_TOP}]
    ret
    .size   \name, . - \name
.endm
