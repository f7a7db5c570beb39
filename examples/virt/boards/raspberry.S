// The beginning of kernel8.img, and the way from whatever started it to _start at EL2, where the kernel was linked.
// All names in braces are constants from raspberry.rs; symbols that start with __ come from linker.ld.
//
// The header is that of an arm64 Linux image (Linux, Documentation/arch/arm64/booting.rst), because firmware knows it:
//   +0   code0, code1           a branch over the header
//   +8   text_offset            where to load it, from a boundary of 2 MiB: there
//   +16  image_size             with .bss, page tables and stacks
//   +24  flags
//   +32  three reserved words
//   +56  "ARM", 0x64, and the offset of a PE header: none

.section .text.boot.image, "ax"
board_image:
        b       board_start
        .word   0
        .quad   0
board_image_size:
        .quad   __stacks_end - board_image_size + (board_image_size - board_image)
        .quad   {FLAGS}
        .quad   0, 0, 0
        .ascii  "ARM\x64"
        .word   0

// board_start
// Purpose: entry of the image. Takes the part of firmware that started it at EL3 without doing its work, moves the image to
// where it was linked, and leaves word of both in BOARD_ENTRY.
// In: EL3, EL2 or EL1, MMU and caches off, loaded anywhere below where it was linked or clear above it; one core or all of
// them. Out: never returns; goes on at _start, at EL2 if it came at EL3. All registers are free. Stack: none.
board_start:
        mrs     x9, mpidr_el1
        tst     x9, #{CORE_MASK}
        b.ne    virt_park                       // only core 0 boots; the others stay where they were loaded
        mrs     x20, CurrentEL
        ubfx    x20, x20, #{EL_SHIFT}, #2
        cmp     x20, #{EL3}
        b.ne    1f

        mov     x9, #{SCR}
        msr     scr_el3, x9
        msr     cptr_el3, xzr
        msr     mdcr_el3, xzr                   // the counters belong to lower levels
        mov     x9, #{SMPEN}
        msr     S3_1_C15_C2_1, x9               // CPUECTLR_EL1
        ldr     x9, ={PRESCALER}
        ldr     x10, ={PRESCALER_ONE}
        str     w10, [x9]
        mrs     x9, cntfrq_el0
        cbnz    x9, 2f
        ldr     x9, ={TIMER_HERTZ}
        msr     cntfrq_el0, x9
2:
.if {HAS_GIC}
        ldr     x9, ={IGROUPR}                  // every interrupt is the non-secure world's
        mov     x10, #{IGROUPR_WORDS}
        mov     w11, #-1
3:      str     w11, [x9], #4
        sub     x10, x10, #1
        cbnz    x10, 3b
        ldr     x9, ={PMR}                      // and may have any priority
        mov     w11, #0xff
        str     w11, [x9]
.endif
        ldr     x9, ={SCTLR_EL2_RES1}
        msr     sctlr_el2, x9
        mov     x9, #{SPSR}
        msr     spsr_el3, x9
        adr     x9, 1f
        msr     elr_el3, x9
        eret

        // From the end to the beginning, so that an image loaded a little below its place does not overwrite itself.
1:      adr     x19, board_image
        ldr     x1, =board_image
        ldr     x2, =__bss_start                // what follows is not in the file
        cmp     x19, x1
        b.eq    6f
        sub     x3, x2, x1
        add     x3, x19, x3
4:      ldp     x4, x5, [x3, #-16]!
        stp     x4, x5, [x2, #-16]!
        cmp     x2, x1
        b.hi    4b
        // Written with the caches off: lines that were left behind must not hide it.
        dmb     sy
        mrs     x9, ctr_el0
        ubfx    x9, x9, #{CTR_DMINLINE_SHIFT}, #{CTR_DMINLINE_BITS}
        mov     x10, #4
        lsl     x9, x10, x9
        ldr     x2, =__bss_start
5:      dc      ivac, x1
        add     x1, x1, x9
        cmp     x1, x2
        b.lo    5b
        dsb     sy
        ic      iallu
        dsb     sy
        isb

6:      ldr     x9, =BOARD_ENTRY
        stp     x20, x19, [x9]
        ldr     x9, =_start
        br      x9
.ltorg
.previous
