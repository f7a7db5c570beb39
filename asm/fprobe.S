/*
 * ftrace_entry_fprobe, ftrace_return_to_fprobe: a Probe's entry and exit (src/fprobe.rs), called when the function is entered and
 * when it has returned. In a set the entry is Rust, fprobe::entered, which leaves the same frames.
 *
 * The two frames of such a call on the return stack (src/return_stack/words.rs), w0 to w3 the probe's words:
 *   below: FRAME_WORDS, w0 | w1, w2      on top: the address to return to, ip | w3, ops
 *
 * Entry.  In: x11 = ops, x9 = parent's return address, x30 = after the BL (frame.S).
 *         Calls: fprobe::entry(ops, ip, parent_ip, &mut Fregs, &mut words) with words of zeroes, under the guard.
 *         Out: as entry_call.S; x30 = the return handler, where the probe wants the return and does not return early.
 *         Stack: PROBE_FRAME bytes: ops, ip, return stack, its new top, words, then frame.S's picture.
 *         That there is room is seen before the probe is called, and holds: whoever interrupts gives back what it takes.
 * Return. In: as the function returned; on the return stack its two frames.
 *         Calls: fprobe::exit(ops, ip, parent_ip, &mut Fregs, &words), unless the ops is not registered any more or the guard of
 *         this context is taken, which is counted.
 *         Out: x0-x8, and q0-q7 on hard-float targets, as the probe left them; to the address in the Fregs, which is the frame's
 *         unless the probe changed it. x9-x17 and the flags are destroyed, as they are by any call.
 *         Stack: PROBE_RETURN_FRAME bytes; x29 is left at the outer record, as the function's own frame is gone.
 *
 * A parent that is itself a return handler is not where the call gets to in the end, which the return stack knows: such a call, the
 * last act of a function whose return is waited for, enters by the call entry and fprobe::entered, and returns by
 * fprobe::exit_hijacked. Whoever else waits for nothing pays for a comparison.
 *
 * The handler is a branch: an address among the handlers is taken for a hijacked return, and that of the BL is none.
 */
    .section .text.ftrace_notrace.asm, "ax", %progbits

/* The flags say "lower" where \parent is among the return handlers. Writes x17. */
.macro FTRACE_IS_HIJACKED parent
    adr     x17, ftrace_return_handlers
    sub     x17, \parent, x17
    cmp     x17, #(ftrace_return_handlers_end - ftrace_return_handlers)
.endm

    .balign 64
    .global ftrace_entry_fprobe
    .type   ftrace_entry_fprobe, %function
ftrace_entry_fprobe:
    bti     c
    FTRACE_IS_HIJACKED x9
    b.lo    ftrace_entry_call_guarded
    FTRACE_CPU_AREA
    cbz     x12, ftrace_untraced
    ldr     x14, [x12, #{CPU_RETURN_STACK}]
    FTRACE_GUARD_TAKE ftrace_call_refused, x30
    ldr     x15, [x14, #{STACK_TOP}]    /* not by one LDP: the top was stored alone */
    ldr     x16, [x14, #{STACK_LIMIT}]
    add     x15, x15, #2 * {FRAME_SIZE} /* the top, if the probe wants the return */
    cmp     x15, x16
    b.hi    2f
    sub     x17, x30, #{INSN_SIZE}      /* ip: the BL itself */
    stp     x11, x17, [sp, #-{PROBE_FRAME}]!
    stp     x14, x15, [sp, #{PROBE_STACK}]
    stp     xzr, xzr, [sp, #{PROBE_KEPT}]
    stp     xzr, xzr, [sp, #{PROBE_KEPT} + 16]
    FTRACE_SAVE {PROBE_FRAME}, x12, base={PROBE_FREGS}
    mov     x0, x11
    mov     x1, x17
    mov     x2, x9
    add     x3, sp, #{PROBE_FREGS}
    add     x4, sp, #{PROBE_KEPT}
    bl      {FPROBE_ENTRY}
    tbz     w0, #0, 1f
    ldr     x9, [sp, #{PROBE_FREGS} + {FREGS_LR}]
    ldr     x10, [sp, #{PROBE_FREGS} + {FREGS_PC}]
    cmp     x9, x10                     /* returned early: its body, and so its return, never comes */
    b.eq    1f
    ldp     x13, x14, [sp, #{PROBE_STACK}]
    str     x14, [x13, #{STACK_TOP}]    /* whoever interrupts from here on uses the frames above */
    ldp     x11, x12, [sp]
    ldp     x13, x15, [sp, #{PROBE_KEPT}]
    ldp     x16, x17, [sp, #{PROBE_KEPT} + 16]
    mov     x10, #{FRAME_WORDS}
    stp     x10, x13, [x14, #-2 * {FRAME_SIZE} + {FRAME_LR}]
    stp     x15, x16, [x14, #-2 * {FRAME_SIZE} + {FRAME_TIME}]
    stp     x9, x12, [x14, #-{FRAME_SIZE} + {FRAME_LR}]
    stp     x17, x11, [x14, #-{FRAME_SIZE} + {FRAME_TIME}]
    adr     x9, ftrace_return_to_fprobe
    str     x9, [sp, #{PROBE_FREGS} + {FREGS_LR}]
1:  FTRACE_RESTORE_AND_RETURN {PROBE_FRAME}, x12, base={PROBE_FREGS}, release=1
2:  str     xzr, [x12, #{CPU_GUARD}]
    mov     x13, x14
    b       ftrace_overrun
    .size   ftrace_entry_fprobe, . - ftrace_entry_fprobe

.macro FTRACE_RETURN_TO_FPROBE name
    .balign 64
    .global \name
    .type   \name, %function
\name:
    b       ftrace_fprobe_returned
    .size   \name, . - \name
.endm

    .balign 64
    .global ftrace_fprobe_returned
    .type   ftrace_fprobe_returned, %function
ftrace_fprobe_returned:
    FTRACE_CPU_AREA
    FTRACE_POP
    ldp     x15, x16, [x14, #{FRAME_TIME}]                  /* w3, ops */
    ldr     x9, [x14, #-{FRAME_SIZE} + {FRAME_IP}]          /* w0 */
    ldp     x10, x17, [x14, #-{FRAME_SIZE} + {FRAME_TIME}]  /* w1, w2 */
    sub     x14, x14, #{FRAME_SIZE}
    str     x14, [x13, #{STACK_TOP}]    /* whoever interrupts from here on uses these frames: all is read */
    mov     x14, x9
    mov     x9, x30                     /* for frame.S, and for who leaves here: as from an entry, to x30 */
    ldr     w13, [x16, #{OPS_ORDER}]
    cbz     w13, ftrace_untraced        /* taken away while the call was open */
    FTRACE_GUARD_TAKE ftrace_call_refused, x16
    stp     x14, x10, [sp, #-{PROBE_RETURN_FRAME}]!
    stp     x17, x15, [sp, #16]
    FTRACE_SAVE {PROBE_RETURN_FRAME}, x12, base={PROBE_RETURN_FREGS}, record={FREGS_FP}
    mov     x0, x16
    mov     x1, x11
    mov     x2, x30
    add     x3, sp, #{PROBE_RETURN_FREGS}
    mov     x4, sp
    FTRACE_IS_HIJACKED x30
    b.lo    2f
    bl      {FPROBE_EXIT}
1:  FTRACE_RESTORE_AND_RETURN {PROBE_RETURN_FRAME}, x12, base={PROBE_RETURN_FREGS}, release=1
2:  bl      {FPROBE_EXIT_HIJACKED}
    b       1b
    .size   ftrace_fprobe_returned, . - ftrace_fprobe_returned
