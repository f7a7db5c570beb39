/*
 * ftrace_entry_set, _guarded, _mixed: several tracers on this callsite, from one interned set.
 *
 * In:    x11 = the set (src/set.rs): its members stand at SET_MEMBERS as pairs (func, ops), ended by a pair of zeroes.
 *        A mixed set has two such lists behind each other: the tracers that guard themselves, then the guarded ones.
 * Calls: each func as entry_call.S does, in the order of the list, all with one and the same Fregs.
 * Out, stack, not promised: as entry_call.S, with SET_FRAME bytes.
 *
 * Six instructions a tracer with its RET: one LDP brings func and ops, one the two addresses. The pair (ip, parent) is
 * kept in the frame because the tracers own x0-x17; x19 walks the list and is the only callee-saved register used.
 *
 *   sp + 0         : ip, parent
 *   sp + SET_SLOT  : guard slot (guarded and mixed)
 *   sp + SET_FREGS : the Fregs, frame.S
 */
    .section .text.ftrace_notrace.asm, "ax", %progbits

.macro FTRACE_SET_BEGIN
    sub     x10, x30, #{INSN_SIZE}
    stp     x10, x9, [sp, #-{SET_FRAME}]!
    FTRACE_SAVE {SET_FRAME}, x19, base={SET_FREGS}
    mov     x19, x11
    ldp     x17, x2, [x19, #{SET_MEMBERS}]!
.endm

/* Calls from the pair in x17, x2 to the end of the list; x19 ends at the closing pair. A list is never empty here. */
.macro FTRACE_SET_WALK
1:  ldp     x0, x1, [sp]
    add     x3, sp, #{SET_FREGS}
    blr     x17
    ldp     x17, x2, [x19, #{SET_MEMBER_SIZE}]!
    cbnz    x17, 1b
.endm

.macro FTRACE_SET_RELEASE
    ldr     x12, [sp, #{SET_SLOT}]
    str     xzr, [x12, #{CPU_GUARD}]
.endm

    .balign 64
    .global ftrace_entry_set
    .type   ftrace_entry_set, %function
ftrace_entry_set:
    bti     c
    FTRACE_SET_BEGIN
    FTRACE_SET_WALK
    FTRACE_RESTORE_AND_RETURN {SET_FRAME}, x19, base={SET_FREGS}
    .size   ftrace_entry_set, . - ftrace_entry_set

    .balign 64
    .global ftrace_entry_set_guarded
    .type   ftrace_entry_set_guarded, %function
ftrace_entry_set_guarded:
    bti     c
    FTRACE_GUARD_ACQUIRE ftrace_call_refused, x30
    FTRACE_SET_BEGIN
    str     x12, [sp, #{SET_SLOT}]
    FTRACE_SET_WALK
    FTRACE_SET_RELEASE
    FTRACE_RESTORE_AND_RETURN {SET_FRAME}, x19, base={SET_FREGS}
    .size   ftrace_entry_set_guarded, . - ftrace_entry_set_guarded

    .balign 64
    .global ftrace_entry_set_mixed
    .type   ftrace_entry_set_mixed, %function
ftrace_entry_set_mixed:
    bti     c
    FTRACE_SET_BEGIN
    FTRACE_SET_WALK
    FTRACE_GUARD_ACQUIRE 4f, x29
    str     x12, [sp, #{SET_SLOT}]
    ldp     x17, x2, [x19, #{SET_MEMBER_SIZE}]!
    FTRACE_SET_WALK
    FTRACE_SET_RELEASE
    FTRACE_RESTORE_AND_RETURN {SET_FRAME}, x19, base={SET_FREGS}
4:  FTRACE_COUNT_REFUSED
    FTRACE_RESTORE_AND_RETURN {SET_FRAME}, x19, base={SET_FREGS}
    .size   ftrace_entry_set_mixed, . - ftrace_entry_set_mixed
