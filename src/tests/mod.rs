//! Tests of the engine on the development host, against a text that is only memory and logs every access in order.
//!
//! Each test is named after the rule that it proves. Loads are not compared: the engine may read as often as it likes.

mod audit;
mod bad_memory;
mod builtin;
mod cache;
mod control;
mod fake;
mod faults;
mod fields;
mod filter;
mod filters;
mod first_patch;
mod fuzz;
mod graph;
mod insn;
mod instances;
mod kernel_stack;
mod last_words;
mod lock;
mod logs;
mod model;
mod mutate;
mod prologue;
mod quarantine;
mod reader;
mod recorder;
mod refusals;
mod region;
mod return_stack;
mod ring;
mod rules;
#[cfg(feature = "alloc")]
mod scarce;
mod sent;
mod sets;
mod shutdown;
mod stack_tracer;
mod stream;
mod table;
mod times;
mod trace;
mod tree;
mod veneer;
mod world;
