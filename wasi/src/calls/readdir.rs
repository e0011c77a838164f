//! `fd_readdir`.

use std::os::fd::AsFd;

use crate::abi::{Dirent, Rights};
use crate::ctx::State;
use crate::error::Result;
use crate::guest::{GuestPtr, GuestSlice, slice};
use crate::listing::Entry;
use crate::memory::GuestMemory;
use crate::sync::lock;

/// Writes entries of a directory from number `cookie` on, until the buffer is full. The last entry
/// may be cut off; a buffer that is not full means the end of the directory.
pub(crate) fn fd_readdir(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    buf: GuestSlice<u8>,
    cookie: u64,
    bufused: GuestPtr<u32>,
) -> Result<()> {
    let descriptor = ctx.table.get(fd)?;
    let directory = descriptor.as_directory()?;
    descriptor.require(Rights::FD_READDIR)?;
    let mut listing = lock(&directory.listing);
    if cookie == 0 {
        listing.rewind();
    }
    let mut used = 0;
    let mut number = cookie;
    while used < buf.len() {
        let Some(entry) = listing.entry(directory.dir.as_fd(), number, &ctx.interrupt)? else {
            break;
        };
        number += 1;
        let room = slice(buf.start().nth(used)?.at(), buf.len() - used);
        used += memory.fill(room, &encode(entry, number))?;
    }
    memory.store(bufused, &used)
}

fn encode(entry: &Entry, next: u64) -> Vec<u8> {
    let head = Dirent {
        next,
        ino: entry.ino,
        // A host's file names are a few hundred bytes at most.
        name_len: entry.name.len() as u32,
        filetype: entry.filetype,
    };
    [&head.encode()[..], entry.name.as_bytes()].concat()
}
