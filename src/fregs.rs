//! [`Fregs`]: the registers of a traced function at its entry, as a tracer reads and writes them.
//!
//! Linux's `struct ftrace_regs` (arch/arm64/include/asm/ftrace.h) is the model; the layout is our own and is shared
//! with asm/frame.S through `offset_of!` alone.

/// Number of general-purpose argument registers that are saved: x0 to x7, and x8 (indirect result).
pub const SAVED_X: usize = 9;

/// The registers of a traced function at its entry.
///
/// A tracer gets it by `&mut`: what it writes is what the function, or its caller, sees.
///
/// # Context
/// Lives on the stack of the traced call; valid for the duration of the tracer only.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Fregs {
    x: [u64; SAVED_X],
    scratch: u64,
    fp: u64,
    lr: u64,
    link: u64,
    pc: u64,
    /// q0 to q7, on targets that pass arguments in vector registers.
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    v: [u128; 8],
}

/// Byte offsets of the fields, for the asm.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
pub(crate) mod offset {
    use super::Fregs;
    use core::mem::offset_of;

    pub(crate) const X: usize = offset_of!(Fregs, x);
    pub(crate) const FP: usize = offset_of!(Fregs, fp);
    pub(crate) const LR: usize = offset_of!(Fregs, lr);
    pub(crate) const LINK: usize = offset_of!(Fregs, link);
    pub(crate) const PC: usize = offset_of!(Fregs, pc);
    /// Where q0..q7 stand, on targets that have them there.
    pub(crate) const V: usize = size_of::<[u64; SAVED_WORDS]>();
    const SAVED_WORDS: usize = super::SAVED_X + 5;

    // What asm/frame.S stores by pairs must be neighbours.
    const _: () = assert!(offset_of!(Fregs, scratch) == X + size_of::<[u64; super::SAVED_X]>());
    const _: () = assert!(LR == FP + size_of::<u64>());
    const _: () = assert!(PC == LINK + size_of::<u64>());
    const _: () = assert!(size_of::<Fregs>().is_multiple_of(16));
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    const _: () = assert!(offset_of!(Fregs, v) == V);
}

impl Fregs {
    /// At the entry of a function that goes on at `pc` and returns to `lr`.
    #[cfg(test)]
    pub(crate) fn at(pc: u64, lr: u64) -> Self {
        Self {
            x: [0; SAVED_X],
            scratch: 0,
            fp: 0,
            lr,
            link: 0,
            pc,
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            v: [0; 8],
        }
    }

    /// Argument register `n`: x0 to x7, or x8 (where the function writes a large result).
    ///
    /// Which of them the function really reads is for its signature to say (AAPCS64 IHI 0055, "Parameter passing");
    /// Rust's own calling convention is not specified, C functions' is.
    #[inline]
    pub fn arg(&self, n: usize) -> Option<u64> {
        self.x.get(n).copied()
    }

    /// Changes argument register `n` (0 to 8). `false`, and nothing changed, where there is no such register.
    #[inline]
    pub fn set_arg(&mut self, n: usize, value: u64) -> bool {
        match self.x.get_mut(n) {
            Some(x) => {
                *x = value;
                true
            }
            None => false,
        }
    }

    /// Returns to the caller in the function's place, with `value` in x0. The function's body does not run.
    ///
    /// Other tracers on the same callsite still run. Callee-saved registers and the stack are as at the function's
    /// entry, so the caller cannot tell the difference.
    #[inline]
    pub fn return_early(&mut self, value: u64) {
        self.x[0] = value;
        self.pc = self.lr;
    }

    /// Continues at `address` instead of the function's body, as Linux's live patching does: the replacement sees the
    /// same arguments and returns to the same caller.
    ///
    /// # Safety
    /// `address` must be code with the same signature as the traced function.
    #[inline]
    pub unsafe fn redirect(&mut self, address: u64) {
        self.pc = address;
    }

    /// The address at which execution goes on after the tracers: just after the callsite's BL, unless a tracer
    /// changed it.
    #[inline]
    pub fn pc(&self) -> u64 {
        self.pc
    }

    /// The address that the function will return to.
    #[inline]
    pub fn lr(&self) -> u64 {
        self.lr
    }

    /// Changes the address that the function will return to.
    ///
    /// # Safety
    /// `address` must be code that may run with the state that the function leaves at its return.
    #[inline]
    pub unsafe fn set_lr(&mut self, address: u64) {
        self.lr = address;
    }

    /// As [`Fregs::set_lr`], to one of this crate's return handlers, whose frame has just been pushed.
    #[inline]
    pub(crate) fn hijack(&mut self, handler: u64) {
        self.lr = handler;
    }

    /// The frame pointer (x29) of the function's caller.
    #[inline]
    pub fn fp(&self) -> u64 {
        self.fp
    }

    /// The stack pointer at the function's entry. Always a multiple of 16.
    #[inline]
    pub fn sp(&self) -> u64 {
        // The entries build the Fregs as the last thing below the traced function's stack.
        (core::ptr::from_ref(self) as usize + size_of::<Self>()) as u64
    }

    /// q0 to q7 as the function will see them, on targets that pass arguments in vector registers.
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    #[inline]
    pub fn vectors(&mut self) -> &mut [u128; 8] {
        &mut self.v
    }
}
