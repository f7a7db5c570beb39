/*
 * ftrace_entry_graph_more, ftrace_return_to_graph_more: as entry_graph.S, and with ENTRY up to eight arguments, with EXIT the
 * result (DATA slots, docs/trace-format.md), as the ops' options say (src/graph.rs); only calls whose STACK_STATE, as far
 * as GRAPH_MASK takes it, is less than GRAPH_SPAN: one comparison for all that decides where to record. Nothing saved,
 * nothing called.
 *
 * ftrace_return_to_graph_long: where calls are to take GRAPH_MINIMUM at least. GRAPH_ENTRY is zero then: the entry writes
 * nothing and leads to this handler, which writes an EXIT if the call was long enough. Which handler it is is decided at
 * the entry, so that no ENTRY is without its EXIT when options change meanwhile.
 *
 * Entry.  In: x11 = the ops, x9, x30 as in frame.S, x0-x7 the arguments.
 *         Out, destroyed, stack: as ftrace_entry_graph. The frame's FRAME_AUX holds the options.
 * Return. In: x0 the result. Out: as ftrace_return_to_graph; x9 is destroyed too. Five instructions more in _long.
 *
 * The slots of one event are reserved by one add. Where the ring ends, or is full, in their middle, each finds its place by
 * itself (FTRACE_SLOT); anywhere else they follow one another, and an argument takes five instructions.
 * GRAPH_ENTRY holds both how many bytes to reserve and which arguments to store, so that whoever changes the options under
 * way changes both at once.
 * Not promised: as entry_graph.S.
 */

/* As FTRACE_RESERVE, for so many bytes as the register says. Writes x13, x15 without LSE. */
.macro FTRACE_RESERVE_BYTES lse, bytes
.if \lse
    ldadd   \bytes, x14, [x12]
.else
9:  ldxr    x14, [x12]
    add     x13, x14, \bytes
    stxr    w15, x13, [x12]
    cbnz    w15, 9b
.endif
.endm

/* The type of a DATA slot of lap x16 into \word; x16 becomes what stands in the other word. */
.macro FTRACE_DATA word
    lsl     \word, x16, #{EVENT_LAP_SHIFT}
    orr     \word, \word, #{EVENT_DATA}
    and     x16, x16, #(1 << {EVENT_LAP_LOW_BITS}) - 1
.endm

.macro FTRACE_ENTRY_GRAPH_MORE name, handler, long, lse, stop
    .balign 64
    .global \name
    .type   \name, %function
\name:
    bti     c
    FTRACE_CPU_AREA
    cbz     x12, ftrace_untraced
    ldr     x11, [x11, #{OPS_OWN}]
    ldp     x12, x13, [x12, #{CPU_RING}]    /* the ring, and the return stack */
    ldr     x10, [x13, #{STACK_STATE}]
    ldp     x14, x15, [x11, #{GRAPH_MASK}]
    and     x14, x14, x10
    cmp     x14, x15
    b.hs    ftrace_untraced
    FTRACE_PUSH_TO ftrace_overrun
    add     x10, x10, #1
    str     x10, [x13, #{STACK_STATE}]  /* who interrupts before or since leaves it as it was */
    mrs     x17, cntvct_el0
    stp     x9, x30, [x14, #{FRAME_LR}]
    stp     x17, x11, [x14, #{FRAME_TIME}]
    ldr     x11, [x11, #{GRAPH_ENTRY}]
    mov     x10, x30
    cbz     x11, 3f                     /* short calls leave no event: wait for the return */
    lsr     x30, x11, #{GRAPH_BYTES_SHIFT}
    FTRACE_RESERVE_BYTES \lse, x30
.if \stop
    ldr     x13, [x12, #{RING_LIMIT}]
    add     x15, x14, x30
    cmp     x15, x13
    b.hi    2f                          /* not all of them */
.endif
    ldp     x13, x15, [x12, #{RING_MASK}]
    and     x16, x14, x13
    add     x15, x15, x16
    add     x16, x16, x30
    cmp     x16, x13
    b.hi    2f                          /* the ring ends among them, or with them */
    ldr     x16, [x12, #{RING_SHIFT}]
    mov     x30, x10
    lsr     x16, x14, x16
    FTRACE_STORE_EVENT x30, x9, {EVENT_ENTRY}
    tbz     x11, #0, 1f
    FTRACE_DATA x17
    mov     x14, #{EVENT_DATA_INDEX}
.irp n, 0, 1, 2, 3, 4, 5, 6, 7
    orr     x30, x17, x\n, lsr #32
    orr     x9, x16, x\n, lsl #{EVENT_UPPER_SHIFT}
    stp     x30, x9, [x15, #(\n + 1) * {EVENT_BYTES}]
.if \n < 7
    tbz     x11, #\n + 1, 1f
    add     x17, x17, x14
.endif
.endr
1:  adr     x30, \handler
    ret     x10
2:  adr     x30, \handler
    b       ftrace_graph_slots
3:  adr     x30, \long
    ret     x10
    .size   \name, . - \name
.endm

.macro FTRACE_RETURN_TO_GRAPH_MORE name, lse, stop, long=0
    .balign 64
    .global \name
    .type   \name, %function
\name:
    FTRACE_CPU_AREA
    ldp     x12, x13, [x12, #{CPU_RING}]
    FTRACE_POP_FROM
    ldp     x15, x9, [x14, #{FRAME_TIME}]
    mrs     x17, cntvct_el0
    ldr     x16, [x13, #{STACK_STATE}]
    str     x14, [x13, #{STACK_TOP}]
    sub     x16, x16, #1
    str     x16, [x13, #{STACK_STATE}]
    sub     x10, x17, x15               /* the duration */
.if \long
    ldr     x16, [x9, #{GRAPH_MINIMUM}]
    cmp     x10, x16
    b.lo    1f
    tst     x10, #~0 << {EVENT_UPPER_SHIFT} /* there is no ENTRY that would say how long it was: that long, or longer */
    csinv   w10, w10, wzr, eq
.endif
    ldr     x9, [x9, #{GRAPH_EXIT}]
    FTRACE_RESERVE_BYTES \lse, x9
.if \stop
    ldr     x13, [x12, #{RING_LIMIT}]
    cmp     x14, x13
    b.hs    1f
.endif
    FTRACE_SLOT
    FTRACE_STORE_EVENT x11, x10, {EVENT_EXIT}
    tbz     x9, #{GRAPH_RESULT_BIT}, 1f
    add     x14, x14, #{EVENT_BYTES}
.if \stop
    ldr     x13, [x12, #{RING_LIMIT}]
    cmp     x14, x13
    b.hs    1f
.endif
    FTRACE_SLOT
    FTRACE_DATA x17
    orr     x17, x17, #{EVENT_DATA_RESULT}
    orr     x17, x17, x0, lsr #32
    orr     x16, x16, x0, lsl #{EVENT_UPPER_SHIFT}
    stp     x17, x16, [x15]
1:  ret
    .size   \name, . - \name
.endm

    .section .text.ftrace_notrace.asm, "ax", %progbits
    FTRACE_ENTRY_GRAPH_MORE ftrace_entry_graph_more, ftrace_return_to_graph_more, ftrace_return_to_graph_long, 0, 0
    FTRACE_ENTRY_GRAPH_MORE ftrace_entry_graph_more_lse, ftrace_return_to_graph_more_lse, ftrace_return_to_graph_long_lse, 1, 0
    FTRACE_ENTRY_GRAPH_MORE ftrace_entry_graph_more_stop, ftrace_return_to_graph_more_stop, ftrace_return_to_graph_long_stop, 0, 1
    FTRACE_ENTRY_GRAPH_MORE ftrace_entry_graph_more_stop_lse, ftrace_return_to_graph_more_stop_lse, ftrace_return_to_graph_long_stop_lse, 1, 1

/*
 * The event and its arguments from position x14 of the ring x12 on, slot by slot, up to the ring's limit; then on with the
 * function. In: x9 = parent, x10 = after the BL, x11 = which arguments, x17 = time, x30 = the handler. Destroys x9, x13-x17.
 */
    .balign 64
    .global ftrace_graph_slots
    .type   ftrace_graph_slots, %function
ftrace_graph_slots:
    ldr     x13, [x12, #{RING_LIMIT}]
    cmp     x14, x13
    b.hs    1f
    FTRACE_SLOT
    mov     x13, x10
    FTRACE_STORE_EVENT x13, x9, {EVENT_ENTRY}
.irp n, 0, 1, 2, 3, 4, 5, 6, 7
    tbz     x11, #\n, 1f
    add     x14, x14, #{EVENT_BYTES}
    ldr     x13, [x12, #{RING_LIMIT}]
    cmp     x14, x13
    b.hs    1f
    FTRACE_SLOT
    FTRACE_DATA x17
    mov     x9, #\n * {EVENT_DATA_INDEX}
    orr     x17, x17, x9
    orr     x17, x17, x\n, lsr #32
    orr     x16, x16, x\n, lsl #{EVENT_UPPER_SHIFT}
    stp     x17, x16, [x15]
.endr
1:  ret     x10
    .size   ftrace_graph_slots, . - ftrace_graph_slots
