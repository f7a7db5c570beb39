//! The rows of the table, for whoever prints or reads it: this kernel, the demo, and xtask include this file.

/// Relevant and irrelevant tracers: first the patch's own rows, in its order, then three more.
pub const ROWS: [(u32, u32); 16] = [
    (0, 0),
    (0, 1),
    (0, 2),
    (0, 10),
    (0, 100),
    (1, 1),
    (1, 2),
    (1, 10),
    (1, 100),
    (1, 0),
    (2, 0),
    (10, 0),
    (100, 0),
    (2, 10),
    (2, 100),
    (10, 100),
];

/// How many of them are the patch's own.
#[allow(dead_code, reason = "only the demo stops there")]
pub const SEED: usize = 13;
