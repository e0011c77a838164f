//! The `seqfault` program.
fn main() {}
