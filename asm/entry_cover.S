/*
 * ftrace_entry_cover: the function has been called.
 *
 * In:    x11 = the callsite's block (src/instances.rs), one word: this entry.  x9, x30 as in frame.S.
 * Out:   the function goes on as if it had not been traced. x10, x12 are destroyed.   Stack: not used.
 *
 * One store is both the mark and the way out: the block's word becomes ftrace_entry_nop, which is where the trampoline goes
 * from the next call on. No text is written here; the BL goes when the kernel settles the coverage (src/cover.rs). The word
 * is data, aligned and of one access (Arm ARM DDI 0487, "Single-copy atomicity"): a core reads one entry or the other, and
 * both stand in the text since boot, so nothing has to be maintained or ordered.
 *
 * 10 instructions with the trampoline's four, once a core and callsite; 8 until the callsite is settled, then the two of a
 * disabled one.
 */
    .section .text.ftrace_notrace.asm, "ax", %progbits
    .balign 64
    .global ftrace_entry_cover
    .type   ftrace_entry_cover, %function
ftrace_entry_cover:
    bti     c
    adr     x12, ftrace_entry_nop
    str     x12, [x11]
    mov     x10, x30
    mov     x30, x9
    ret     x10
    .size   ftrace_entry_cover, . - ftrace_entry_cover
