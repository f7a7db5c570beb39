/*
 * ftrace_entry_graph, ftrace_return_to_graph: an ENTRY event when the function is entered and an EXIT event, with its
 * duration, when it returns (docs/trace-format.md). Nothing saved, nothing called.
 *
 * Entry.  In: x9 = the function's LR, x30 = after the callsite's BL, x11 = the ops (not used).
 *         Out: x30 = the return handler; a frame on the return stack holds x9, the callsite and the time. x10-x17 and the
 *         flags are destroyed.   Stack: not used.
 * Return. In: as the function returned; x0-x8, q0-q7, x18 and the callee-saved registers are not touched.
 *         Out: returns to the address in the frame; x9-x17 and the flags are destroyed, as they are by any call.
 *
 * 29 instructions and 22 (with FEAT_LSE, overwriting), 55 with the trampoline's four. The four forms are those of
 * asm/record.S; stop when full leaves out the store, never the hijacking, so that each entry has its return.
 * Not promised: a call on a core that is not online, or that finds the return stack full, leaves no event (the latter is
 * counted in the stack).
 */

.macro FTRACE_ENTRY_GRAPH name, handler, lse, stop
    .balign 64
    .global \name
    .type   \name, %function
\name:
    bti     c
    FTRACE_CPU_AREA
    cbz     x12, ftrace_untraced
    ldp     x12, x13, [x12, #{CPU_RING}]    /* the ring, and the return stack */
    FTRACE_PUSH_TO ftrace_overrun
    mrs     x17, cntvct_el0
    stp     x9, x30, [x14, #{FRAME_LR}]
    str     x17, [x14, #{FRAME_TIME}]
    mov     x10, x30
    FTRACE_TAKE_SLOT \lse, \stop, 1f
    FTRACE_STORE_EVENT x30, x9, {EVENT_ENTRY}
1:  adr     x30, \handler
    ret     x10
    .size   \name, . - \name
.endm

.macro FTRACE_RETURN_TO_GRAPH name, lse, stop
    .balign 64
    .global \name
    .type   \name, %function
\name:
    FTRACE_CPU_AREA
    ldp     x12, x13, [x12, #{CPU_RING}]
    FTRACE_POP_FROM
    ldr     x15, [x14, #{FRAME_TIME}]
    mrs     x17, cntvct_el0
    str     x14, [x13, #{STACK_TOP}]
    sub     x10, x17, x15               /* the duration */
    FTRACE_TAKE_SLOT \lse, \stop, 1f
    FTRACE_STORE_EVENT x11, x10, {EVENT_EXIT}
1:  ret
    .size   \name, . - \name
.endm

    .section .text.ftrace_notrace.asm, "ax", %progbits
    FTRACE_ENTRY_GRAPH ftrace_entry_graph, ftrace_return_to_graph, 0, 0
    FTRACE_ENTRY_GRAPH ftrace_entry_graph_lse, ftrace_return_to_graph_lse, 1, 0
    FTRACE_ENTRY_GRAPH ftrace_entry_graph_stop, ftrace_return_to_graph_stop, 0, 1
    FTRACE_ENTRY_GRAPH ftrace_entry_graph_stop_lse, ftrace_return_to_graph_stop_lse, 1, 1
