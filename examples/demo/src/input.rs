//! Bytes from the console: the interrupt puts them into a small queue, the shell waits for them.

use crate::sched;
use crate::sync::Lock;
use virt::{board, console, irq};

const ROOM: usize = 256;

struct Queue {
    bytes: [u8; ROOM],
    first: usize,
    count: usize,
}

static QUEUE: Lock<Queue> = Lock::new(Queue {
    bytes: [0; ROOM],
    first: 0,
    count: 0,
});

impl Queue {
    fn push(&mut self, byte: u8) {
        self.bytes[(self.first + self.count) % ROOM] = byte;
        self.count += 1;
    }

    fn pop(&mut self) -> Option<u8> {
        if self.count == 0 {
            return None;
        }
        let byte = self.bytes[self.first];
        self.first = (self.first + 1) % ROOM;
        self.count -= 1;
        Some(byte)
    }
}

/// Takes bytes from now on.
pub fn start() {
    irq::handle(board::UART_IRQ, on_receive);
    console::receive_interrupt(true);
}

/// The next byte; the task waits for it, `ticks` timer ticks at most.
pub fn next(ticks: u64) -> Option<u8> {
    let byte = QUEUE.lock().pop();
    if byte.is_some() {
        return byte;
    }
    // The queue has room: what the interrupt left in the UART may come.
    console::receive_interrupt(true);
    sched::wait_for_input(ticks, is_waiting);
    QUEUE.lock().pop()
}

/// Whether a byte is waiting.
pub fn is_waiting() -> bool {
    QUEUE.lock().count > 0
}

fn on_receive() {
    let mut queue = QUEUE.lock();
    // A full queue takes no more: the bytes stay in the UART, which stops the sender, and its interrupt goes off.
    while queue.count < ROOM {
        match console::receive() {
            Some(byte) => queue.push(byte),
            None => break,
        }
    }
    if queue.count == ROOM {
        console::receive_interrupt(false);
    }
    drop(queue);
    sched::wake_input();
}
