/*
 * ftrace_entry_record: one event of 16 bytes into this core's ring (docs/trace-format.md), nothing saved, nothing called.
 *
 * In:    x9 = the traced function's LR, x30 = after the callsite's BL, x11 = the ops (not used).
 * Out:   as ftrace_entry_nop: into the traced function, with the LR it was called with.
 * Free:  x10, x12-x17, and x30 between its copy to x10 and the end.   Stack: not used.   Flags: kept (stop: not).
 * Not promised: that the counter is read in program order (no ISB: the time of an event is as exact as a function call).
 *
 * Any context, any nesting: a slot belongs to whoever added to the head. Who is interrupted between that and the store
 * leaves a slot whose lap is wrong until it goes on; readers see that.
 *
 * Four entries: with the atomic add of FEAT_LSE or an exclusive pair (Arm ARM DDI 0487, "LDADD", "Load-Exclusive and
 * Store-Exclusive"; the recorder chooses once, by ID_AA64ISAR0_EL1.Atomic), overwriting or stopping when full. Another
 * entry for another way of recording costs nothing; a test on the way would cost every call.
 */
    .arch_extension lse

/*
 * Reserves \bytes in the ring x12. Out: x14 = position. Writes x13 (and x15 without LSE).
 */
.macro FTRACE_RESERVE lse, bytes={EVENT_BYTES}
.if \lse
    mov     x13, #\bytes
    ldadd   x13, x14, [x12]
.else
9:  ldxr    x14, [x12]
    add     x13, x14, #\bytes
    stxr    w15, x13, [x12]             /* an exception in between makes it fail, and this core tries again */
    cbnz    w15, 9b
.endif
.endm

/*
 * From the position x14 in the ring x12: x15 = address of the slot, x16 = lap. Writes x13.
 * mask and base by one LDP: nobody stores to them; the head, just written, is not read again.
 */
.macro FTRACE_SLOT
    ldp     x13, x15, [x12, #{RING_MASK}]
    ldr     x16, [x12, #{RING_SHIFT}]
    lsr     x16, x14, x16
    and     x13, x14, x13
    add     x15, x15, x13
.endm

/*
 * Reserves an event's slot in the ring x12, or goes to \full (stop) with the drop counted by the head.
 * Out: x14 = position, x15 = address, x16 = lap. Writes x13.
 */
.macro FTRACE_TAKE_SLOT lse, stop, full
    FTRACE_RESERVE \lse
.if \stop
    ldr     x13, [x12, #{RING_LIMIT}]
    cmp     x14, x13
    b.hs    \full
.endif
    FTRACE_SLOT
.endm

/*
 * Stores an event in the slot x15 of lap x16: the time is x17, the callsite the lower half of \word, \upper what goes into
 * its upper half. Writes x17, \word.
 */
.macro FTRACE_STORE_EVENT word, upper, type=0
    and     x17, x17, #{EVENT_TIME_MASK}    /* the counter may have more bits, where the type stands */
    bfi     x17, x16, #{EVENT_LAP_SHIFT}, #{EVENT_LAP_BITS}
.ifnc \type, 0
    orr     x17, x17, #\type
.endif
    bfi     \word, \upper, #{EVENT_UPPER_SHIFT}, #{EVENT_UPPER_SHIFT}
    bfi     \word, x16, #0, #{EVENT_LAP_LOW_BITS}
    stp     x17, \word, [x15]
.endm

.macro FTRACE_RECORD name, lse, stop
    .balign 64
    .global \name
    .type   \name, %function
\name:
    bti     c
    FTRACE_CPU_AREA
    cbz     x12, 1f                     /* not online: nowhere to write */
    ldr     x12, [x12, #{CPU_RING}]     /* never null: recording off is a ring of its own */
    FTRACE_TAKE_SLOT \lse, \stop, 1f
    mrs     x17, cntvct_el0
    mov     x10, x30
    FTRACE_STORE_EVENT x30, x9          /* type 0: FUNCTION */
    mov     x30, x9
    ret     x10
1:  mov     x10, x30
    mov     x30, x9
    ret     x10
    .size   \name, . - \name
.endm

    .section .text.ftrace_notrace.asm, "ax", %progbits
    FTRACE_RECORD ftrace_entry_record, 0, 0
    FTRACE_RECORD ftrace_entry_record_lse, 1, 0
    FTRACE_RECORD ftrace_entry_record_stop, 0, 1
    FTRACE_RECORD ftrace_entry_record_stop_lse, 1, 1
