/*
 * The return stack (src/return_stack.rs): where the entries that hijack a return address keep the real one.
 *
 *   stack:  STACK_TOP  address behind the last frame    STACK_LIMIT  address behind the memory    STACK_CHILD  see
 *           STACK_OVERRUNS calls that found no room     STACK_STATE  see entry_graph_more.S       entry_profile.S
 *   frame:  FRAME_LR the address to return to, FRAME_IP callsite or block | FRAME_TIME ticks at entry, FRAME_AUX the entry's own
 *
 * Why plain loads and stores are safe against interrupts. Push: an interrupt before the store of the top uses the same
 * slot, but is done with it before the frame is written; after it, it uses the slots above. Pop: the frame is read before
 * the top goes down, so until then whoever interrupts uses the slots above. A task that is switched away takes its stack
 * with it: x13 stays right, whichever core goes on.
 */

/* x14 <- the frame that is now the top one, x13 <- the stack. In: x12 = CpuArea. Goes to \full without room. Writes x15. */
.macro FTRACE_PUSH full
    ldr     x13, [x12, #{CPU_RETURN_STACK}]
    FTRACE_PUSH_TO \full
.endm

/* The same, with the stack in x13. */
.macro FTRACE_PUSH_TO full
    ldr     x14, [x13, #{STACK_TOP}]
    ldr     x15, [x13, #{STACK_LIMIT}]
    cmp     x14, x15
    b.hs    \full
    add     x15, x14, #{FRAME_SIZE}
    str     x15, [x13, #{STACK_TOP}]
.endm

/* The other way: x30, x11 <- the top frame's lr and ip, x14 <- the frame, x13 <- the stack. The caller stores x14 as top. */
.macro FTRACE_POP
    ldr     x13, [x12, #{CPU_RETURN_STACK}]
    FTRACE_POP_FROM
.endm

/* The same, with the stack in x13. */
.macro FTRACE_POP_FROM
    ldr     x14, [x13, #{STACK_TOP}]
    ldp     x30, x11, [x14, #-{FRAME_SIZE}]!
.endm

/* Adds \value (a register other than x12, x14, x15) to the word at x11; x12 <- what it was. */
.macro FTRACE_ADD value, lse
.if \lse
    ldadd   \value, x12, [x11]
.else
1:  ldxr    x12, [x11]
    add     x15, x12, \value
    stxr    w14, x15, [x11]
    cbnz    w14, 1b
.endif
.endm

/* Raises the word at x11 to \value if that is more. Writes x12, x14. */
.macro FTRACE_MAX value, lse
.if \lse
    stumax  \value, [x11]
.else
1:  ldxr    x12, [x11]
    cmp     x12, \value
    b.hs    2f
    stxr    w14, \value, [x11]
    cbnz    w14, 1b
2:
.endif
.endm

/* A call that found no room: counted in the stack, and the function runs untraced. In: x13 = the stack. */
    .section .text.ftrace_notrace.asm, "ax", %progbits
ftrace_overrun:
    add     x11, x13, #{STACK_OVERRUNS}
1:  ldxr    x12, [x11]
    add     x12, x12, #1
    stxr    w14, x12, [x11]
    cbnz    w14, 1b
ftrace_untraced:
    mov     x10, x30
    mov     x30, x9
    ret     x10
