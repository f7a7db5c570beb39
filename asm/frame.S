/*
 * The frame that the call, set and fprobe entries build: a Fregs (src/fregs.rs), two frame records inside it, the vector
 * registers where the target passes arguments in them, and (set only) what the walk needs.
 *
 *   (offsets from the Fregs, which ends where the traced function's stack begins)
 *   FREGS_X .. : x0 x1 x2 x3 x4 x5 x6 x7 x8
 *   FREGS_X + 72 : guard slot (call, fprobe) or x19 (set)
 *   FREGS_FP   : fp, lr      frame record of the traced function's caller: lr is the parent's return address
 *   FREGS_LINK : link, pc    frame record of the traced function: link -> the record above, pc -> after the BL
 *   FREGS_V .. : q0 .. q7    hard-float targets only
 *
 * Both records stand here so that a backtrace taken in a tracer shows the traced function and its caller, although
 * the traced function has not built its own frame yet.
 *
 * Registers at every entry (AAPCS64 IHI 0055, "General-purpose registers"): x0-x8 are the traced function's, x9 holds
 * the LR it was called with (MOV X9, X30 at the callsite), x30 points after the callsite's BL, x11 is what
 * ftrace_caller loaded from the literal. x10-x17 are free; x18 is never touched.
 */

/*
 * Saves x0-x8, fp, lr, pc into the Fregs at sp + \base; leaves x29 at the inner frame record, or at \record. Writes x10.
 * \extra goes into the scratch word. With a base of 0 it lowers sp itself, by \frame.
 */
.macro FTRACE_SAVE frame, extra, base=0, record={FREGS_LINK}
.if \base
    stp     x0, x1, [sp, #\base + {FREGS_X}]
.else
    stp     x0, x1, [sp, #-\frame]!
.endif
    stp     x2, x3, [sp, #\base + {FREGS_X} + 16]
    stp     x4, x5, [sp, #\base + {FREGS_X} + 32]
    stp     x6, x7, [sp, #\base + {FREGS_X} + 48]
    stp     x8, \extra, [sp, #\base + {FREGS_X} + 64]
    stp     x29, x9, [sp, #\base + {FREGS_FP}]
    add     x10, sp, #\base + {FREGS_FP}
    stp     x10, x30, [sp, #\base + {FREGS_LINK}]
    add     x29, sp, #\base + \record
.if {HAS_VECTORS}
    stp     q0, q1, [sp, #\base + {FREGS_V}]
    stp     q2, q3, [sp, #\base + {FREGS_V} + 32]
    stp     q4, q5, [sp, #\base + {FREGS_V} + 64]
    stp     q6, q7, [sp, #\base + {FREGS_V} + 96]
.endif
.endm

/*
 * Undoes FTRACE_SAVE and returns to the saved pc. RET with a register (not BR) pairs with the BL of the callsite, so
 * that the return predictor stays right: on every model a BR here costs 7 to 12 cycles a call.
 * With \release the guard slot in \extra is given back; it is loaded first, so that it is there when it is needed.
 */
.macro FTRACE_RESTORE_AND_RETURN frame, extra, base=0, release=0
    ldp     x8, \extra, [sp, #\base + {FREGS_X} + 64]
.if \release
    str     xzr, [\extra, #{CPU_GUARD}]
.endif
.if {HAS_VECTORS}
    ldp     q0, q1, [sp, #\base + {FREGS_V}]
    ldp     q2, q3, [sp, #\base + {FREGS_V} + 32]
    ldp     q4, q5, [sp, #\base + {FREGS_V} + 64]
    ldp     q6, q7, [sp, #\base + {FREGS_V} + 96]
.endif
    ldp     x2, x3, [sp, #\base + {FREGS_X} + 16]
    ldp     x4, x5, [sp, #\base + {FREGS_X} + 32]
    ldp     x6, x7, [sp, #\base + {FREGS_X} + 48]
    ldp     x29, x30, [sp, #\base + {FREGS_FP}]
    ldr     x10, [sp, #\base + {FREGS_PC}]
.if \base
    ldp     x0, x1, [sp, #\base + {FREGS_X}]
    add     sp, sp, #\frame
.else
    ldp     x0, x1, [sp], #\frame
.endif
    ret     x10
.endm

/*
 * FTRACE_CPU_AREA (src/arch/aarch64/entries.rs): x12 <- this core's CpuArea, or zero where the core is not online yet.
 * Which register holds it is a Cargo feature.
 */

/*
 * Takes the guard of this core and context, or goes to \busy. Out: x12 = the slot taken. Writes x13.
 *
 * The context is the interrupt mask PSTATE.DAIF: an interrupt or exception is always taken with more bits set than
 * the code it interrupts, so it has a slot of its own and its calls are not lost while it interrupts a tracer.
 * A slot is a 64-bit word: DAIF stands in bits 9:6, so DAIF >> (6 - 3) is the offset. What is stored is \token, any
 * value that is not zero.
 *
 * Plain load and store are enough: whoever can run between the two on this core has another slot, or has given the
 * slot back before this code goes on.
 */
.macro FTRACE_GUARD_ACQUIRE busy, token
    FTRACE_CPU_AREA
    cbz     x12, \busy                  /* a core that is not online has no guard: nothing guarded runs there */
    FTRACE_GUARD_TAKE \busy, \token
.endm

/* The same where x12 is the area already. */
.macro FTRACE_GUARD_TAKE busy, token
    mrs     x13, daif
    add     x12, x12, x13, lsr #{DAIF_TO_SLOT}
    ldr     x13, [x12, #{CPU_GUARD}]
    cbnz    x13, \busy
    str     \token, [x12, #{CPU_GUARD}]
.endm

/* Counts one refused call in x12's CpuArea. Exclusive pair: an interrupt between the two makes the store fail. */
.macro FTRACE_COUNT_REFUSED
    FTRACE_CPU_AREA
    cbz     x12, 3f
    add     x12, x12, #{CPU_REFUSED}
2:  ldxr    x13, [x12]
    add     x13, x13, #1
    stxr    w14, x13, [x12]
    cbnz    w14, 2b
3:
.endm
