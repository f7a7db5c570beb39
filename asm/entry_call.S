/*
 * ftrace_entry_call, ftrace_entry_call_guarded: one Rust or C tracer on this callsite.
 *
 *   extern "C" fn(ip, parent_ip, &Ops, &mut Fregs)
 *
 * In:    x11 = ops, x9 = parent's return address, x30 = after the BL (frame.S).
 * Calls: ops.func with x0 = address of the BL, x1 = x9, x2 = ops, x3 = the Fregs on the stack.
 * Out:   x0-x8, fp, lr and the address to go on at come from the Fregs, as the tracer left them; q0-q7 likewise on
 *        hard-float targets. x9-x17 and the flags are destroyed, as at any function's entry.
 * Stack: CALL_FRAME bytes, picture in frame.S.
 *
 * The guarded form takes the guard of this core and context first, before anything is saved: a call that arrives from
 * inside the tracer leaves after a handful of instructions and is counted.
 * Not promised: a guarded tracer on a core whose CpuArea is not set is not called.
 */
    .section .text.ftrace_notrace.asm, "ax", %progbits

.macro FTRACE_CALL_TRACER
    sub     x0, x30, #{INSN_SIZE}       /* ip: the BL itself */
    mov     x1, x9
    mov     x2, x11
    mov     x3, sp
    ldr     x17, [x11, #{OPS_FUNC}]
    blr     x17
.endm

    .balign 64
    .global ftrace_entry_call
    .type   ftrace_entry_call, %function
ftrace_entry_call:
    bti     c
    FTRACE_SAVE {CALL_FRAME}, xzr
    FTRACE_CALL_TRACER
    FTRACE_RESTORE_AND_RETURN {CALL_FRAME}, x12
    .size   ftrace_entry_call, . - ftrace_entry_call

    .balign 64
    .global ftrace_entry_call_guarded
    .type   ftrace_entry_call_guarded, %function
ftrace_entry_call_guarded:
    bti     c
    FTRACE_GUARD_ACQUIRE ftrace_call_refused, x30
    FTRACE_SAVE {CALL_FRAME}, x12
    FTRACE_CALL_TRACER
    FTRACE_RESTORE_AND_RETURN {CALL_FRAME}, x12, release=1
    .size   ftrace_entry_call_guarded, . - ftrace_entry_call_guarded

ftrace_call_refused:
    FTRACE_COUNT_REFUSED
    mov     x10, x30
    mov     x30, x9
    ret     x10
