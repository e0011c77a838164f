//! The functions of `wasi_snapshot_preview1`, as plain Rust functions.
//!
//! Each takes the guest's state, its memory and the raw arguments. Whatever a guest passes must
//! lead to a result, an errno or a trap, never to a panic. The order within every call is the same:
//! decode the arguments, look the descriptor up, check its rights, do the work, write the results.
//!
//! Neighbours: [`linker`](crate::linker) makes host functions of them.

pub(crate) mod env;
pub(crate) mod fd;
pub(crate) mod fd_io;
pub(crate) mod fd_stat;
pub(crate) mod path;
pub(crate) mod path_open;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod readdir;
pub(crate) mod sock;
pub(crate) mod time;

use std::sync::Arc;

use crate::abi::{Errno, Rights};
use crate::ctx::State;
use crate::descriptor::Descriptor;

/// The descriptor with number `fd`, which must have all of `rights`.
fn get(ctx: &State, fd: u32, rights: Rights) -> Result<Arc<Descriptor>, Errno> {
    let descriptor = ctx.table.get(fd)?;
    descriptor.require(rights)?;
    Ok(descriptor)
}

#[cfg(test)]
mod tests;
