// From one task to another. Names in braces are constants from sched/context.rs.
//
// What a task that does not run has on its stack, from its saved SP up (Context in context.rs):
//   sp + 0        x19 .. x28, x29, x30
//      + AREA     tpidrro_el0, fpcr
//      + D        d8 .. d15                              (targets with FP/SIMD only)
//   sp + BYTES    its stack when it called sched_switch

.section .text.sched_switch, "ax"

// sched_switch(from: *mut usize, to: usize)
// Purpose: save the caller's context and SP to *from, go on with the task whose SP is `to`.
// In: x0 = where the caller's SP goes, x1 = the other's SP, interrupts masked. Out: returns when somebody switches back.
// Free: what AAPCS64 lets a function change; all else is in the context. The tracer's area goes with the task, because
// a task may lose the core inside a tracer.
.global sched_switch
sched_switch:
        sub     sp, sp, #{BYTES}
        stp     x19, x20, [sp, #16 * 0]
        stp     x21, x22, [sp, #16 * 1]
        stp     x23, x24, [sp, #16 * 2]
        stp     x25, x26, [sp, #16 * 3]
        stp     x27, x28, [sp, #16 * 4]
        stp     x29, x30, [sp, #16 * 5]
        mrs     x9, tpidrro_el0
.if {FP}
        mrs     x10, fpcr
        stp     d8, d9, [sp, #{D} + 16 * 0]
        stp     d10, d11, [sp, #{D} + 16 * 1]
        stp     d12, d13, [sp, #{D} + 16 * 2]
        stp     d14, d15, [sp, #{D} + 16 * 3]
.endif
        stp     x9, x10, [sp, #{AREA}]
        mov     x9, sp
        str     x9, [x0]

        mov     sp, x1
        ldp     x9, x10, [sp, #{AREA}]
        msr     tpidrro_el0, x9
.if {FP}
        msr     fpcr, x10
        ldp     d8, d9, [sp, #{D} + 16 * 0]
        ldp     d10, d11, [sp, #{D} + 16 * 1]
        ldp     d12, d13, [sp, #{D} + 16 * 2]
        ldp     d14, d15, [sp, #{D} + 16 * 3]
.endif
        ldp     x19, x20, [sp, #16 * 0]
        ldp     x21, x22, [sp, #16 * 1]
        ldp     x23, x24, [sp, #16 * 2]
        ldp     x25, x26, [sp, #16 * 3]
        ldp     x27, x28, [sp, #16 * 4]
        ldp     x29, x30, [sp, #16 * 5]
        add     sp, sp, #{BYTES}
        ret

// sched_first
// Purpose: where a new task's first switch returns to.
// In: x19 = its function, which does not return. Stack: the task's, empty. No frame is below it, and x30 says so.
.global sched_first
sched_first:
        mov     x29, xzr
        mov     x30, xzr
        msr     daifclr, #2
        mov     x16, x19
        br      x16
.previous
