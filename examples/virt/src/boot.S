// From the first instruction to Rust: drop to EL1, page tables, MMU and caches on, a stack. No Rust code runs before
// the MMU is on, because compiled code may access memory in ways that device memory does not allow.
// All names in braces are constants from boot.rs; symbols that start with __ come from linker.ld.

// fill: write descriptors for [first, end) to the table slots from `slot` on.
// In: slot, first, end, attr: registers, slot and first advance. step: constant. Free: x9.
.macro fill slot, first, end, attr, step
        b       8f
7:      orr     x9, \first, \attr
        str     x9, [\slot], #8
        add     \first, \first, #\step
8:      cmp     \first, \end
        b.lo    7b
.endm

// addr: the address of a linker symbol, wherever it lies within 4 GiB.
.macro addr reg, symbol
        adrp    \reg, \symbol
        add     \reg, \reg, :lo12:\symbol
.endm

.section .text.boot, "ax"

// _start
// Purpose: entry of the image on the boot core.
// In: firmware state, EL1 or EL2, MMU off. Out: never returns; calls virt_start(boot EL). All registers are free.
// Stack: none until the boot core's own is set.
.global _start
_start:
        mrs     x9, mpidr_el1
        tst     x9, #{CORE_MASK}
        b.ne    virt_park                       // firmware that releases all cores at once: only core 0 boots
        mrs     x20, CurrentEL
        bl      virt_to_el1
        bl      virt_build_tables
        bl      virt_enable_mmu
        addr    x0, __bss_start
        addr    x1, __bss_end
1:      cmp     x0, x1
        b.hs    2f
        stp     xzr, xzr, [x0], #16
        b       1b
2:      addr    x0, __stacks_start
        ldr     x1, ={STACK_BYTES}
        add     sp, x0, x1
        mov     x29, xzr
        mov     x30, xzr
        ubfx    x0, x20, #2, #2
        b       virt_start

// virt_secondary
// Purpose: entry of a further core, started by PSCI CPU_ON.
// In: x0 = core number (PSCI context). Out: never returns; calls virt_start_secondary(core). All registers are free.
// Stack: __stacks_start + (core + 1) * STACK_BYTES is its top.
.global virt_secondary
virt_secondary:
        mov     x20, x0
        bl      virt_to_el1
        bl      virt_enable_mmu
        addr    x0, __stacks_start
        ldr     x1, ={STACK_BYTES}
        madd    x0, x20, x1, x0
        add     sp, x0, x1
        mov     x29, xzr
        mov     x30, xzr
        mov     x0, x20
        b       virt_start_secondary

// virt_park
// Purpose: where a core waits for ever.
.global virt_park
virt_park:
        wfe
        b       virt_park

// virt_to_el1
// Purpose: arrive at EL1 with all of EL2's traps off, the core's tracer area null, FP as the target wants it.
// In: EL1 or EL2, x30. Out: EL1h, DAIF masked. Free: x9, x10. Stack: none.
virt_to_el1:
        mrs     x9, CurrentEL
        cmp     x9, #{EL2}
        b.ne    2f
        ldr     x9, ={HCR}
        msr     hcr_el2, x9
        mov     x9, #{CNTHCTL}
        msr     cnthctl_el2, x9
        msr     cntvoff_el2, xzr
        ldr     x9, ={CPTR}
        msr     cptr_el2, x9
        msr     hstr_el2, xzr
        mrs     x9, midr_el1
        msr     vpidr_el2, x9
        mrs     x9, mpidr_el1
        msr     vmpidr_el2, x9
        mrs     x9, pmcr_el0
        ubfx    x9, x9, #{PMCR_N_SHIFT}, #{PMCR_N_BITS}
        msr     mdcr_el2, x9                    // HPMN = N: every event counter belongs to EL1
        mrs     x9, id_aa64pfr0_el1
        ubfx    x9, x9, #{PFR0_GIC_SHIFT}, #{PFR0_GIC_BITS}
        cbz     x9, 1f
        mov     x9, #{ICC_SRE_EL2}
        msr     S3_4_C12_C9_5, x9               // ICC_SRE_EL2: EL1 may use the GIC's system registers
        isb
        msr     S3_4_C12_C11_0, xzr             // ICH_HCR_EL2: no virtual interrupts
1:      mov     x9, #{SPSR}
        msr     spsr_el2, x9
        adr     x9, 2f
        msr     elr_el2, x9
        mov     x9, #{SCTLR_RESET_LOW}
        movk    x9, #{SCTLR_RESET_HIGH}, lsl #16
        msr     sctlr_el1, x9
        eret
2:      msr     daifset, #0xf
        msr     spsel, #1
        msr     tpidrro_el0, xzr
        ldr     x9, ={CPACR}
        msr     cpacr_el1, x9
        isb
        ret

// virt_build_tables
// Purpose: level 1 with the device window, the RAM by 2 MiB blocks, the same RAM again at ALIAS_OFFSET, and 4 KiB pages
// where text and rodata lie, so that nothing is both writable and executable through one address.
// In: MMU off, x30. Out: tables complete in memory. Free: x0-x15. Stack: none.
//   __page_tables + 0          level 1
//                 + 0x1000     level 2 of the RAM
//                 + 0x2000     level 2 of the alias
//                 + 0x3000...  level 3, one table per 2 MiB of text and rodata
virt_build_tables:
        addr    x0, __page_tables
        addr    x1, __page_tables_end
        mov     x2, x0
1:      stp     xzr, xzr, [x2], #16
        cmp     x2, x1
        b.lo    1b

        add     x3, x0, #{TABLE_BYTES}          // level 2 of the RAM
        add     x4, x3, #{TABLE_BYTES}          // level 2 of the alias
        add     x5, x4, #{TABLE_BYTES}          // level 3
        ldr     x6, ={DEVICE_BLOCK}
        str     x6, [x0, #{DEVICE_L1}]
        orr     x6, x3, #{TABLE}
        str     x6, [x0, #{RAM_L1}]
        orr     x6, x4, #{TABLE}
        str     x6, [x0, #{ALIAS_L1}]

        ldr     x6, ={RW_BLOCK}
        ldr     x7, =__ram_end
        mov     x10, x3
        ldr     x11, ={RAM_BASE}
        fill    x10, x11, x7, x6, {BLOCK_BYTES}
        mov     x10, x4
        ldr     x11, ={RAM_BASE}
        fill    x10, x11, x7, x6, {BLOCK_BYTES}

        ldr     x6, ={DEVICE_ATTRIBUTES}        // devices that share a GiB with the RAM
        ldr     x11, ={DEVICES_IN_RAM}
        ldr     x7, ={DEVICES_IN_RAM_END}
        lsr     x10, x11, #{BLOCK_SHIFT}
        add     x10, x3, x10, lsl #3
        fill    x10, x11, x7, x6, {BLOCK_BYTES}

        addr    x12, __text_start
        ldr     x11, ={RAM_BASE}
        sub     x11, x12, x11
        lsr     x11, x11, #{BLOCK_SHIFT}
        add     x10, x3, x11, lsl #3            // the level 2 slot of the first text byte
        mov     x6, #{TABLE}
        mov     x11, x5
        fill    x10, x11, x1, x6, {TABLE_BYTES}

        mov     x10, x5
        ldr     x6, ={TEXT_PAGE}
        addr    x7, __text_end
        fill    x10, x12, x7, x6, {PAGE_BYTES}
        ldr     x6, ={RO_PAGE}
        addr    x7, __rodata_end
        fill    x10, x12, x7, x6, {PAGE_BYTES}
        ldr     x6, ={RW_PAGE}
        sub     x7, x12, #1                     // up to the block's end: the rest is data
        orr     x7, x7, #({BLOCK_BYTES} - 1)
        add     x7, x7, #1
        fill    x10, x12, x7, x6, {PAGE_BYTES}

        // Written with the caches off: lines that firmware left behind must not hide it from the walker.
        dmb     sy
        mrs     x9, ctr_el0
        ubfx    x9, x9, #{CTR_DMINLINE_SHIFT}, #{CTR_DMINLINE_BITS}
        mov     x10, #4
        lsl     x9, x10, x9
        mov     x2, x0
2:      dc      ivac, x2
        add     x2, x2, x9
        cmp     x2, x1
        b.lo    2b
        dsb     sy
        ret

// virt_enable_mmu
// Purpose: MMU and caches on, with the tables of virt_build_tables.
// In: EL1, MMU off, x30. Out: MMU, data and instruction cache on, WXN set. Free: x9. Stack: none.
virt_enable_mmu:
        ldr     x9, ={MAIR}
        msr     mair_el1, x9
        ldr     x9, ={TCR}
        msr     tcr_el1, x9
        addr    x9, __page_tables
        msr     ttbr0_el1, x9
        msr     ttbr1_el1, xzr
        isb
        tlbi    vmalle1
        ic      iallu
        dsb     nsh
        isb
        ldr     x9, ={SCTLR}
        msr     sctlr_el1, x9
        isb
        ret

.ltorg
.previous
