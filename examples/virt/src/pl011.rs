//! The PL011 UART. Arm DDI 0183, "PrimeCell UART (PL011) Technical Reference Manual". QEMU's takes characters at once and needs no
//! baud rate.

use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::registers::{ReadOnly, ReadWrite};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {
    u32,
    FR [
        /// Transmit FIFO full.
        TXFF OFFSET(5) NUMBITS(1) [],
        /// Receive FIFO empty.
        RXFE OFFSET(4) NUMBITS(1) [],
        /// Busy: characters are still on the wire.
        BUSY OFFSET(3) NUMBITS(1) []
    ],
    LCR_H [
        WLEN OFFSET(5) NUMBITS(2) [EightBit = 3]
    ],
    CR [
        RXE OFFSET(9) NUMBITS(1) [],
        TXE OFFSET(8) NUMBITS(1) [],
        UARTEN OFFSET(0) NUMBITS(1) []
    ],
    INT [
        /// Receive timeout: characters wait below the FIFO's level.
        RT OFFSET(6) NUMBITS(1) [],
        RX OFFSET(4) NUMBITS(1) []
    ]
}

register_structs! {
    Registers {
        (0x00 => data: ReadWrite<u32>),
        (0x04 => _reserved0),
        (0x18 => flags: ReadOnly<u32, FR::Register>),
        (0x1c => _reserved1),
        (0x24 => baud_integer: ReadWrite<u32>),
        (0x28 => baud_fraction: ReadWrite<u32>),
        (0x2c => line: ReadWrite<u32, LCR_H::Register>),
        (0x30 => control: ReadWrite<u32, CR::Register>),
        (0x34 => _reserved2),
        (0x38 => mask: ReadWrite<u32, INT::Register>),
        (0x3c => @END),
    }
}

/// Bits a second.
const BAUD: u32 = 115_200;

/// The divisor for [`BAUD`], sixteen samples a bit: its integer and its fraction in 64ths, rounded.
const fn divisor(clock: u32) -> (u32, u32) {
    let sixty_fourths = (clock * 8 / BAUD).div_ceil(2);
    (sixty_fourths / 64, sixty_fourths % 64)
}

const _: () = {
    // The manual's example ("Fractional baud rate register"), for a clock of 4 MHz and 230,400 baud, is at twice this rate.
    let (integer, fraction) = divisor(2_000_000);
    assert!(integer == 1 && fraction == 5);
};

/// One PL011.
pub struct Pl011 {
    base: usize,
}

impl Pl011 {
    /// The UART at `base`.
    ///
    /// # Safety
    ///
    /// `base` is the address of a PL011 that is mapped as device memory, and nothing else drives it.
    pub const unsafe fn new(base: usize) -> Self {
        Self { base }
    }

    fn registers(&self) -> &Registers {
        let registers = core::ptr::with_exposed_provenance::<Registers>(self.base);
        // SAFETY: `new`'s contract: the registers are there for as long as the kernel runs.
        unsafe { &*registers }
    }

    /// Eight bits, both directions, [`BAUD`] where the UART's clock in hertz is given; no FIFOs: switching them on empties them, and what a script sent while the machine
    /// started would be lost.
    pub fn init(&self, clock: Option<u32>) {
        let registers = self.registers();
        // What firmware said last is still on the wire.
        self.flush();
        registers.control.set(0);
        if let Some(clock) = clock {
            let (integer, fraction) = divisor(clock);
            registers.baud_integer.set(integer);
            registers.baud_fraction.set(fraction);
        }
        // Last: writing it is what makes the UART take the divisor ("Line control register").
        registers.line.write(LCR_H::WLEN::EightBit);
        registers
            .control
            .write(CR::UARTEN::SET + CR::TXE::SET + CR::RXE::SET);
    }

    /// Sends one byte, waiting for room.
    pub fn send(&self, byte: u8) {
        let registers = self.registers();
        while registers.flags.is_set(FR::TXFF) {
            core::hint::spin_loop();
        }
        registers.data.set(byte.into());
    }

    /// The next byte received, if there is one.
    pub fn receive(&self) -> Option<u8> {
        let registers = self.registers();
        if registers.flags.is_set(FR::RXFE) {
            return None;
        }
        // The upper bits of the register are the byte's error flags.
        Some(registers.data.get() as u8)
    }

    /// Waits until the last byte has left.
    pub fn flush(&self) {
        while self.registers().flags.is_set(FR::BUSY) {
            core::hint::spin_loop();
        }
    }

    /// Asks for an interrupt while bytes are waiting, or no longer. Reading them takes the interrupt away.
    pub fn receive_interrupt(&self, on: bool) {
        let registers = self.registers();
        let bit = u32::from(on);
        registers.mask.modify(INT::RX.val(bit) + INT::RT.val(bit));
    }
}
