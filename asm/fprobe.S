/*
 * ftrace_return_to_fprobe: a function that a Probe waits for has returned (src/fprobe.rs). Its entry is the call entry's, or
 * a set's.
 *
 * In:    as the function returned; on the return stack its frame, with the words below it.
 * Calls: fprobe::returned(&mut Fregs), which takes both off the return stack and calls the probe's exit.
 * Out:   x0-x8, and q0-q7 on hard-float targets, as the probe left them; to the address in the Fregs, which is the frame's
 *        unless the probe changed it. x9-x17 and the flags are destroyed, as they are by any call.
 * Stack: CALL_FRAME bytes, picture in frame.S; x29 is left at the outer record, as the function's own frame is gone.
 *
 * The handler is a branch: an address among the handlers is taken for a hijacked return, and that of the BL is none.
 */
.macro FTRACE_RETURN_TO_FPROBE name
    .balign 64
    .global \name
    .type   \name, %function
\name:
    b       ftrace_fprobe_returned
    .size   \name, . - \name
.endm

    .section .text.ftrace_notrace.asm, "ax", %progbits
    .balign 64
    .global ftrace_fprobe_returned
    .type   ftrace_fprobe_returned, %function
ftrace_fprobe_returned:
    FTRACE_CPU_AREA
    FTRACE_POP
    mov     x9, x30
    FTRACE_SAVE {CALL_FRAME}, xzr
    add     x29, sp, #{FREGS_FP}
    mov     x0, sp
    bl      {FPROBE_RETURNED}
    FTRACE_RESTORE_AND_RETURN {CALL_FRAME}, x12
    .size   ftrace_fprobe_returned, . - ftrace_fprobe_returned
