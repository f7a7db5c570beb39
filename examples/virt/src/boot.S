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

// slots: the level 2 slots of an address. In: x3, x4: level 2 of the RAM and of the alias. Out: x10 the RAM's, x15 the alias'.
// Free: x6.
.macro slots first
        ldr     x6, ={RAM_BASE}
        sub     x6, \first, x6
        lsr     x6, x6, #{BLOCK_SHIFT}
        add     x10, x3, x6, lsl #3
        add     x15, x4, x6, lsl #3
.endm

// text_blocks: map the text in [first, end), and its alias, by blocks.
// In: first, end: registers, first advances; x3, x4 as above; x8: GP or 0. Out: x10: the next slot of the RAM.
// Free: x6, x9, x11, x15.
.macro text_blocks first, end
        slots   \first
        ldr     x6, ={RW_BLOCK}
        mov     x11, \first
        fill    x15, x11, \end, x6, {BLOCK_BYTES}
        ldr     x6, ={TEXT_BLOCK}
        orr     x6, x6, x8
        fill    x10, \first, \end, x6, {BLOCK_BYTES}
.endm

// addr: the address of a symbol, wherever it lies within 4 GiB: relative to the PC, so it is physical while the MMU is off,
// and where the kernel runs, however it was linked, once virt_enable_mmu has returned.
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
        bl      virt_relocate
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
        addr    x9, virt_el2_vectors
        msr     vbar_el2, x9
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
// Purpose: level 1 with the device window and the RAM by 2 MiB blocks; text and rodata on their own terms, so that nothing is
// both writable and executable through one address: by blocks where both end on one, by 4 KiB pages otherwise; and a second,
// writable view of the text, ALIAS_OFFSET higher, that is complete but for the valid bit of its level 1 slot (mmu.rs).
// In: MMU off, x30. Out: tables complete in memory. Free: x0-x15. Stack: none.
//   __page_tables + 0          level 1
//                 + 0x1000     level 2 of the RAM
//                 + 0x2000     level 2 of the alias
//                 + 0x3000...  level 3, one table per 2 MiB of text and rodata, then one per 2 MiB of the text's alias
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
        orr     x6, x4, #{TABLE_NOT_VALID}
        str     x6, [x0, #{ALIAS_L1}]

        ldr     x6, ={RW_BLOCK}
        ldr     x7, ={RAM_END}
        mov     x10, x3
        ldr     x11, ={RAM_BASE}
        fill    x10, x11, x7, x6, {BLOCK_BYTES}

        ldr     x6, ={DEVICE_ATTRIBUTES}        // devices that share a GiB with the RAM
        ldr     x11, ={DEVICES_IN_RAM}
        ldr     x7, ={DEVICES_IN_RAM_END}
        lsr     x10, x11, #{BLOCK_SHIFT}
        add     x10, x3, x10, lsl #3
        fill    x10, x11, x7, x6, {BLOCK_BYTES}

        addr    x12, __text_start
        addr    x13, __text_end
        addr    x14, __rodata_end
        mov     x8, #0
        ldr     x9, =__text_guarded
        cbz     x9, 2f
        mrs     x9, id_aa64pfr1_el1
        tst     x9, #{PFR1_BT}
        b.eq    2f
        mov     x8, #{GUARDED}                  // indirect branches into the text must land on a BTI
2:      addr    x2, __far_text_start            // by blocks; empty where all text is near
        addr    x7, __far_text_end
        text_blocks x2, x7
        addr    x2, __farther_text_start
        addr    x7, __farther_text_end
        text_blocks x2, x7
        orr     x11, x13, x14
        tst     x11, #({BLOCK_BYTES} - 1)
        b.ne    3f

        text_blocks x12, x13                    // by blocks
        ldr     x6, ={RO_BLOCK}
        fill    x10, x12, x14, x6, {BLOCK_BYTES}
        b       4f

3:      slots   x12
        mov     x6, #{TABLE}                    // by pages: tables for the image, then tables for the alias
        sub     x11, x14, #1
        lsr     x11, x11, #{BLOCK_SHIFT}
        sub     x11, x11, x12, lsr #{BLOCK_SHIFT}
        add     x11, x11, #1
        add     x7, x5, x11, lsl #{PAGE_SHIFT}
        mov     x11, x5
        fill    x10, x11, x7, x6, {TABLE_BYTES}
        mov     x2, x7
        fill    x15, x11, x1, x6, {TABLE_BYTES}

        ldr     x6, ={RW_PAGE}
        mov     x11, x12
        fill    x2, x11, x13, x6, {PAGE_BYTES}
        mov     x10, x5
        ldr     x6, ={TEXT_PAGE}
        orr     x6, x6, x8
        fill    x10, x12, x13, x6, {PAGE_BYTES}
        ldr     x6, ={RO_PAGE}
        fill    x10, x12, x14, x6, {PAGE_BYTES}
        ldr     x6, ={RW_PAGE}
        sub     x7, x12, #1                     // up to the block's end: the rest is data
        orr     x7, x7, #({BLOCK_BYTES} - 1)
        add     x7, x7, #1
        fill    x10, x12, x7, x6, {PAGE_BYTES}
4:
        // Written with the caches off: lines that firmware left behind must not hide it from the walker.
        dmb     sy
        mrs     x9, ctr_el0
        ubfx    x9, x9, #{CTR_DMINLINE_SHIFT}, #{CTR_DMINLINE_BITS}
        mov     x10, #4
        lsl     x9, x10, x9
        mov     x2, x0
5:      dc      ivac, x2
        add     x2, x2, x9
        cmp     x2, x1
        b.lo    5b
        dsb     sy
        ret

// virt_enable_mmu
// Purpose: MMU and caches on, with the tables of virt_build_tables; from here on at the addresses that the kernel runs at.
// The upper half (TTBR1) of a kernel that runs there is the same table: its addresses differ above the bits that index it.
// In: EL1, MMU off, x30 physical. Out: MMU, data and instruction cache on, WXN set; a guarded kernel checks branch targets and
// signs return addresses where the core can. Free: x9-x12. Stack: none.
virt_enable_mmu:
        ldr     x11, =__virt_offset
        ldr     x9, ={MAIR}
        msr     mair_el1, x9
        ldr     x9, ={TCR}
        cbnz    x11, 1f
        orr     x9, x9, #{TCR_NO_TTBR1}
1:      msr     tcr_el1, x9
        addr    x9, __page_tables
        msr     ttbr0_el1, x9
        msr     ttbr1_el1, x9
        isb
        tlbi    vmalle1
        ic      iallu
        dsb     nsh
        ldr     x12, ={SCTLR}
        ldr     x9, =__text_guarded
        cbz     x9, 3f
        mrs     x9, id_aa64pfr1_el1
        tst     x9, #{PFR1_BT}
        b.eq    2f
        ldr     x9, ={SCTLR_BT}
        orr     x12, x12, x9
2:      mrs     x9, id_aa64isar1_el1
        ldr     x10, ={ISAR1_PAC}
        and     x9, x9, x10
        mrs     x10, S3_0_C0_C6_2               // ID_AA64ISAR2_EL1
        and     x10, x10, #{ISAR2_PAC}
        orr     x9, x9, x10
        cbz     x9, 3f
        ldr     x9, ={PAC_KEY}                  // all keys of all cores alike: a kernel of tests needs no secret
        msr     S3_0_C2_C1_0, x9                // APIAKeyLo_EL1
        msr     S3_0_C2_C1_1, x9                // APIAKeyHi_EL1
        msr     S3_0_C2_C1_2, x9                // APIBKeyLo_EL1
        msr     S3_0_C2_C1_3, x9                // APIBKeyHi_EL1
        ldr     x9, ={SCTLR_PAC}
        orr     x12, x12, x9
3:      isb
        msr     sctlr_el1, x12
        isb
        adr     x9, 4f
        add     x9, x9, x11
        br      x9
4:      bti     j
        add     x30, x30, x11
        ret

// virt_relocate
// Purpose: fill the addresses in the data of a position-independent kernel, by its distance from where it was linked.
// In: MMU on, x30. Out: every R_AARCH64_RELATIVE done (others the linker does not make of a kernel without libraries; one
// would end here); nothing to do in a kernel that is not position-independent. Free: x0-x6. Stack: none.
virt_relocate:
        addr    x0, __rela_start
        addr    x1, __rela_end
        addr    x2, __text_start
        ldr     x3, =__link_base
        sub     x2, x2, x3
1:      cmp     x0, x1
        b.hs    2f
        ldp     x4, x5, [x0], #16               // offset, type
        ldr     x6, [x0], #8                    // addend
        cmp     x5, #{R_AARCH64_RELATIVE}
        b.ne    virt_park
        add     x6, x6, x2
        str     x6, [x4, x2]
        b       1b
2:      ret

.ltorg
.previous
