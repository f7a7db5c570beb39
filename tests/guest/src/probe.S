// probe_tracee: a function with a callsite of its own. probe_caller: calls it with every register filled. What the function sees
// at its first instruction behind the callsite, and what its caller sees when it has returned, goes to where the caller was told.
// Names in braces are constants from probe.rs. Reentrant: all that is written is on the stack, or where x0 says.
//
// The caller's frame; at the function's first instruction, sp must point to it:
//   sp + 0          x29, x30, a frame record
//      + SAVED      x19 .. x28
//      + OUT        where x0 says
//      + VECTORS    d8 .. d15

.set PROBE_SAVED, 16
.set PROBE_OUT, 96
.set PROBE_VECTORS, 112
.set PROBE_FRAME, 176

.macro PROBE_PAIRS op, base, first, last
    .irp n, 0, 2, 4, 6, 8, 10, 12, 14, 18, 20, 22, 24, 26
    .if \n >= \first && \n <= \last
    PROBE_PAIR \op, \base, \n
    .endif
    .endr
.endm

.macro PROBE_PAIR op, base, n
    .altmacro
    PROBE_PAIR_OF \op, \base, \n, %\n + 1
    .noaltmacro
.endm

.macro PROBE_PAIR_OF op, base, n, m
    \op     x\n, x\m, [\base, #8 * \n]
.endm

.macro PROBE_VECTOR_PAIRS op, base
    .irp n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
    .altmacro
    PROBE_VECTOR_PAIR \op, \base, \n, %\n + 1
    .noaltmacro
    .endr
.endm

.macro PROBE_VECTOR_PAIR op, base, n, m
    \op     q\n, q\m, [\base, #16 * \n]
.endm

.macro PROBE_KEPT_VECTORS op
    \op     d8, d9, [sp, #PROBE_VECTORS]
    \op     d10, d11, [sp, #PROBE_VECTORS + 16]
    \op     d12, d13, [sp, #PROBE_VECTORS + 32]
    \op     d14, d15, [sp, #PROBE_VECTORS + 48]
.endm

// All registers but x16 and x17, which are free at a function's entry and after a call, to the Registers at x16.
.macro PROBE_STORE
    PROBE_PAIRS stp, x16, 0, 26
    stp     x28, x29, [x16, #8 * 28]
    mov     x17, sp
    stp     x30, x17, [x16, #8 * 30]
.if {HAS_VECTORS}
    add     x17, x16, #{Q}
    PROBE_VECTOR_PAIRS stp, x17
.endif
.endm

    .pushsection .text.probe_tracee, "ax", %progbits
    .balign 8
5:  nop
    nop
    .global probe_tracee
    .type   probe_tracee, %function
probe_tracee:
    nop
    nop
    ldr     x16, [sp, #PROBE_OUT]
    add     x16, x16, #{ENTRY}
    PROBE_STORE
    // Its results: what it was given, inverted. The rest of what a function may destroy is destroyed.
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    mvn     x\n, x\n
    .endr
.if {HAS_VECTORS}
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    mvn     v\n\().16b, v\n\().16b
    .endr
.endif
    mov     x16, #{NZCV}
    msr     nzcv, x16
    ret
    .size   probe_tracee, . - probe_tracee
    .popsection

    // The record, linked to the function's section as the compiler links its own.
    .pushsection __patchable_function_entries, "awo", %progbits, .text.probe_tracee
    .balign 8
    .quad   5b
    .popsection

// x0: a Seen. Between \begin and \end, SVC or nothing, stands the call alone.
.macro PROBE_CALLER name, begin, end
    .balign 8
    .global \name
    .type   \name, %function
\name:
    stp     x29, x30, [sp, #-PROBE_FRAME]!
    mov     x29, sp
    stp     x19, x20, [sp, #PROBE_SAVED]
    stp     x21, x22, [sp, #PROBE_SAVED + 16]
    stp     x23, x24, [sp, #PROBE_SAVED + 32]
    stp     x25, x26, [sp, #PROBE_SAVED + 48]
    stp     x27, x28, [sp, #PROBE_SAVED + 64]
    str     x0, [sp, #PROBE_OUT]
    adrp    x17, PROBE_FILL
    add     x17, x17, :lo12:PROBE_FILL
.if {HAS_VECTORS}
    PROBE_KEPT_VECTORS stp
    add     x16, x17, #{Q}
    PROBE_VECTOR_PAIRS ldp, x16
.endif
    PROBE_PAIRS ldp, x17, 0, 26
    ldr     x28, [x17, #8 * 28]
    // N and Z together: no comparison leaves that, so whoever writes the flags changes them.
    mov     x16, #{NZCV}
    msr     nzcv, x16
    ldr     x16, [x17, #8 * 16]
    ldr     x17, [x17, #8 * 17]
    \begin
    bl      probe_tracee
    \end
    ldr     x16, [sp, #PROBE_OUT]
    add     x16, x16, #{BACK}
    PROBE_STORE
.if {HAS_VECTORS}
    PROBE_KEPT_VECTORS ldp
.endif
    ldp     x19, x20, [sp, #PROBE_SAVED]
    ldp     x21, x22, [sp, #PROBE_SAVED + 16]
    ldp     x23, x24, [sp, #PROBE_SAVED + 32]
    ldp     x25, x26, [sp, #PROBE_SAVED + 48]
    ldp     x27, x28, [sp, #PROBE_SAVED + 64]
    ldp     x29, x30, [sp], #PROBE_FRAME
    ret
    .size   \name, . - \name
.endm

// Adds one to PROBE_DELIVERED. Destroys x12, x13, x14.
.macro PROBE_DELIVERED
    adrp    x12, PROBE_DELIVERED
    add     x12, x12, :lo12:PROBE_DELIVERED
1:  ldxr    x13, [x12]
    add     x13, x13, #1
    stxr    w14, x13, [x12]
    cbnz    w14, 1b
.endm

    .pushsection .text.ftrace_notrace.probe_caller, "ax", %progbits
    PROBE_CALLER probe_caller
    PROBE_CALLER probe_caller_stepped, "svc #{BEGIN}", "svc #{END}"

// A tracer that destroys whatever a function may destroy: x0-x17, the flags, v0-v7, v16-v31, the top halves of v8-v15.
    .global probe_trash
    .type   probe_trash, %function
probe_trash:
    bti     c
    PROBE_DELIVERED
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
    mvn     x\n, x30
    .endr
    cmp     x0, x30
.if {HAS_VECTORS}
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    movi    v\n\().16b, #0x77
    .endr
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    ins     v\n\().d[1], x0
    .endr
.endif
    ret
    .size   probe_trash, . - probe_trash

// The same as a direct tracer, which owns x9-x17 and the flags only.
    .global probe_direct_trash
    .type   probe_direct_trash, %function
probe_direct_trash:
    bti     c
    PROBE_DELIVERED
    mov     x10, x30
    mov     x30, x9
    .irp n, 9, 11, 12, 13, 14, 15, 16, 17
    mvn     x\n, xzr
    .endr
    cmp     x9, #1
    ret     x10
    .size   probe_direct_trash, . - probe_direct_trash
    .popsection
