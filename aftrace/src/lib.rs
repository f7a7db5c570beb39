//! The host side of aarch64-ftrace.
