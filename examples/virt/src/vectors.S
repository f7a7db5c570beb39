// The exception vectors. Each entry saves all that the interrupted code can see, calls Rust, and restores all of it.
// Names in braces are constants from trap.rs.
//
// The frame, TrapFrame in trap.rs, on the stack of the interrupted code (SP_EL1):
//   sp + 0        x0 .. x30
//      + ELR      elr, spsr
//      + Q        q0 .. q31, fpsr, fpcr                  (targets with FP/SIMD only)
//   sp + BYTES    the stack pointer of the interrupted code

// vector: one of the 16 entries, 128 bytes apart. kind: its number, see Vector in trap.rs.
.macro vector kind
        .balign 0x80
        sub     sp, sp, #{BYTES}
        stp     x0, x1, [sp]
        mov     x1, #\kind
        b       virt_trap
.endm

.macro each_pair op
        \op     x2, x3, [sp, #16 * 1]
        \op     x4, x5, [sp, #16 * 2]
        \op     x6, x7, [sp, #16 * 3]
        \op     x8, x9, [sp, #16 * 4]
        \op     x10, x11, [sp, #16 * 5]
        \op     x12, x13, [sp, #16 * 6]
        \op     x14, x15, [sp, #16 * 7]
        \op     x16, x17, [sp, #16 * 8]
        \op     x18, x19, [sp, #16 * 9]
        \op     x20, x21, [sp, #16 * 10]
        \op     x22, x23, [sp, #16 * 11]
        \op     x24, x25, [sp, #16 * 12]
        \op     x26, x27, [sp, #16 * 13]
        \op     x28, x29, [sp, #16 * 14]
.endm

.macro each_vector op, base
        \op     q0, q1, [\base, #32 * 0]
        \op     q2, q3, [\base, #32 * 1]
        \op     q4, q5, [\base, #32 * 2]
        \op     q6, q7, [\base, #32 * 3]
        \op     q8, q9, [\base, #32 * 4]
        \op     q10, q11, [\base, #32 * 5]
        \op     q12, q13, [\base, #32 * 6]
        \op     q14, q15, [\base, #32 * 7]
        \op     q16, q17, [\base, #32 * 8]
        \op     q18, q19, [\base, #32 * 9]
        \op     q20, q21, [\base, #32 * 10]
        \op     q22, q23, [\base, #32 * 11]
        \op     q24, q25, [\base, #32 * 12]
        \op     q26, q27, [\base, #32 * 13]
        \op     q28, q29, [\base, #32 * 14]
        \op     q30, q31, [\base, #32 * 15]
.endm

.section .text.vectors, "ax"

// virt_vectors
// Purpose: the table for VBAR_EL1. Four groups (SP_EL0, SP_ELx, lower AArch64, lower AArch32) of sync, IRQ, FIQ, SError.
// In: any state of the interrupted code. Stack: BYTES below its SP.
.global virt_vectors
.balign 0x800
virt_vectors:
.set kind, 0
.rept 16
        vector  kind
        .set kind, kind + 1
.endr
.balign 0x80

// virt_trap
// Purpose: complete the frame, call virt_trap_handler(frame, kind, esr, far), restore, return to what was interrupted.
// In: x1 = kind; x0 and x1 of the interrupted code are in the frame. Out: eret with all registers as the frame has them.
// Free: none. Stack: the frame; its x29 and elr make a record for who walks frame pointers.
virt_trap:
        each_pair stp
        mrs     x2, elr_el1
        mrs     x3, spsr_el1
        str     x30, [sp, #16 * 15]
        stp     x2, x3, [sp, #{ELR}]
.if {FP}
        add     x4, sp, #{Q}
        each_vector stp, x4
        mrs     x2, fpsr
        mrs     x3, fpcr
        add     x4, sp, #{FPSR}
        stp     x2, x3, [x4]
.endif
        mov     x0, sp
        mrs     x2, esr_el1                     // here, because the handler itself may be traced
        mrs     x3, far_el1
        bl      virt_trap_handler
        msr     daifset, #0xf                   // the handler may have let interrupts in: ELR and SPSR are in use now
.if {FP}
        add     x4, sp, #{FPSR}
        ldp     x2, x3, [x4]
        msr     fpsr, x2
        msr     fpcr, x3
        add     x4, sp, #{Q}
        each_vector ldp, x4
.endif
        ldp     x2, x3, [sp, #{ELR}]
        ldr     x30, [sp, #16 * 15]
        msr     elr_el1, x2
        msr     spsr_el1, x3
        each_pair ldp
        ldp     x0, x1, [sp]
        add     sp, sp, #{BYTES}
        eret
.global virt_vectors_end
virt_vectors_end:

// virt_el2_vectors
// Purpose: the table for VBAR_EL2 where the image was entered at EL2. An HVC #0 from EL1 makes a virtual SError pending
// for EL1, an HVC #1 makes x1 the offset of its counter; anything else that arrives here is the kernel's end, with an exit
// code of its own.
// In: any state. Out: eret with x0 destroyed (HVC). Free: x0. Stack: none.
.global virt_el2_vectors
.balign 0x800
virt_el2_vectors:
.rept 8
        .balign 0x80
        b       virt_el2_end
.endr
        .balign 0x80                            // synchronous, from a lower level in AArch64
        mrs     x0, esr_el2
        lsr     x0, x0, #{EC_SHIFT}
        sub     x0, x0, #{EC_HVC}
        cbnz    x0, virt_el2_end
        mrs     x0, esr_el2
        tbz     x0, #0, 1f                      // the HVC's number
        msr     cntvoff_el2, x1
        eret
1:      mrs     x0, hcr_el2
        orr     x0, x0, #{VSE}
        orr     x0, x0, #{AMO}
        msr     hcr_el2, x0
        eret
.rept 7
        .balign 0x80
        b       virt_el2_end
.endr
        .balign 0x80
virt_el2_end:
        adr     x1, 1f
        mov     w0, #{SYS_EXIT}                 // Arm semihosting, "SYS_EXIT"
        hlt     #0xf000
        b       .
        .balign 8
1:      .quad   {STOPPED_APPLICATION_EXIT}, {EXIT_EL2}
.previous
