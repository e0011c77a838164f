//! Reading, writing and seeking.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::SeekFrom;

use super::get;
use crate::abi::{Errno, FdFlags, Rights};
use crate::ctx::State;
use crate::descriptor::{Descriptor, File, Object};
use crate::error::{Error, Result};
use crate::memory::{GuestMemory, Iovecs};
use crate::sync::lock;
use crate::transfer::{self, Position};

/// Reads from where the descriptor stands.
pub(crate) fn fd_read(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    iovs: u32,
    iovs_len: u32,
    nread: u32,
) -> Result<()> {
    let descriptor = get(ctx, fd, Rights::FD_READ)?;
    let list = memory.read_iovecs(iovs, iovs_len)?;
    let read = read(ctx, memory, &descriptor, &list)?;
    memory.write_u32(nread, read)
}

fn read(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    descriptor: &Descriptor,
    list: &Iovecs,
) -> Result<u32> {
    match &descriptor.object {
        Object::File(file) => {
            let regular = !file.can_block();
            when_ready(ctx, file, PollFlags::IN, |waiting| {
                transfer::read_fd(memory, list, file.as_fd(), waiting.position(), regular)
            })
        }
        Object::Input(stream) => transfer::read_stream(memory, list, &mut **lock(stream)),
        Object::Output(_) => Err(Errno::BadF.into()),
        Object::Directory(_) => Err(Errno::IsDir.into()),
    }
}

/// Writes where the descriptor stands.
pub(crate) fn fd_write(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    iovs: u32,
    iovs_len: u32,
    nwritten: u32,
) -> Result<()> {
    let descriptor = get(ctx, fd, Rights::FD_WRITE)?;
    let list = memory.read_iovecs(iovs, iovs_len)?;
    let written = match &descriptor.object {
        Object::File(file) => when_ready(ctx, file, PollFlags::OUT, |waiting| {
            transfer::write_fd(memory, &list, file.as_fd(), waiting.position())
        })?,
        Object::Output(stream) => transfer::write_stream(memory, &list, &mut **lock(stream))?,
        Object::Input(_) | Object::Directory(_) => return Err(Errno::BadF.into()),
    };
    memory.write_u32(nwritten, written)
}

/// Reads from `offset`; the descriptor stays where it stands.
pub(crate) fn fd_pread(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    iovs: u32,
    iovs_len: u32,
    offset: u64,
    nread: u32,
) -> Result<()> {
    let descriptor = positioned(ctx, fd, Rights::FD_READ)?;
    let list = memory.read_iovecs(iovs, iovs_len)?;
    let file = descriptor.as_file()?;
    let read = transfer::read_fd(memory, &list, file.as_fd(), Position::At(offset), true)?;
    memory.write_u32(nread, read)
}

/// Writes at `offset`, also to a file opened for appending; the descriptor stays where it stands.
pub(crate) fn fd_pwrite(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    iovs: u32,
    iovs_len: u32,
    offset: u64,
    nwritten: u32,
) -> Result<()> {
    let descriptor = positioned(ctx, fd, Rights::FD_WRITE)?;
    let list = memory.read_iovecs(iovs, iovs_len)?;
    let file = descriptor.as_file()?;
    let written = transfer::write_fd(memory, &list, file.as_fd(), Position::At(offset))?;
    memory.write_u32(nwritten, written)
}

fn positioned(ctx: &State, fd: u32, transfer: Rights) -> Result<std::sync::Arc<Descriptor>, Errno> {
    let descriptor = get(ctx, fd, transfer)?;
    descriptor.require(Rights::FD_SEEK)?;
    Ok(descriptor)
}

/// Moves the descriptor's position, and writes the new one.
pub(crate) fn fd_seek(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    offset: i64,
    whence: u32,
    newoffset: u32,
) -> Result<()> {
    let to = match whence {
        0 => SeekFrom::Start(u64::try_from(offset).map_err(|_| Errno::Inval)?),
        1 => SeekFrom::Current(offset),
        2 => SeekFrom::End(offset),
        _ => return Err(Errno::Inval.into()),
    };
    // To look where one is takes less of a right than to go elsewhere.
    let right = if to == SeekFrom::Current(0) { Rights::FD_TELL } else { Rights::FD_SEEK };
    let descriptor = get(ctx, fd, right)?;
    let position = rustix::fs::seek(descriptor.as_file()?, to)?;
    memory.write_u64(newoffset, position)
}

/// Writes the descriptor's position.
pub(crate) fn fd_tell(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    offset: u32,
) -> Result<()> {
    let descriptor = get(ctx, fd, Rights::FD_TELL)?;
    let position = rustix::fs::seek(descriptor.as_file()?, SeekFrom::Current(0))?;
    memory.write_u64(offset, position)
}

/// What a system call does when there is nothing to transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// It waits.
    InTheCall,
    /// It fails with EAGAIN, or with EOPNOTSUPP or ENOSYS where it cannot tell.
    Never,
}

impl Waiting {
    fn position(self) -> Position {
        match self {
            Waiting::InTheCall => Position::Current,
            Waiting::Never => Position::CurrentNow,
        }
    }
}

/// Makes a call that transfers something. A guest that can be interrupted waits for `events` here and
/// not in the call: however ready `file` was, another thread may have been faster.
pub(super) fn when_ready<R>(
    ctx: &State,
    file: &File,
    events: PollFlags,
    mut call: impl FnMut(Waiting) -> Result<R>,
) -> Result<R> {
    if !waits_here(ctx, file, events)? {
        return call(Waiting::InTheCall);
    }
    loop {
        match call(Waiting::Never) {
            Err(Error::Errno(Errno::Again)) => ctx.interrupt.wait(file.as_fd(), events)?,
            Err(Error::Errno(Errno::NotSup | Errno::NoSys)) => {
                ctx.interrupt.wait(file.as_fd(), events)?;
                return call(Waiting::InTheCall);
            }
            done => return done,
        }
    }
}

/// Gets `file` to where a call either has something to do or may block in the system: waits
/// here when the guest can be interrupted, fails with EAGAIN when it does not want to wait.
pub(super) fn ready(ctx: &State, file: &File, events: PollFlags) -> Result<()> {
    match waits_here(ctx, file, events)? {
        true => ctx.interrupt.wait(file.as_fd(), events),
        false => Ok(()),
    }
}

/// Whether a call on `file` that would block must not do so in the system, because the guest can be
/// interrupted. Fails with EAGAIN when it does not want to wait at all.
fn waits_here(ctx: &State, file: &File, events: PollFlags) -> Result<bool> {
    if file.emulates_nonblock() {
        ready_now(file, events)?;
        return Ok(false);
    }
    Ok(file.can_block()
        && ctx.interrupt.event().is_some()
        && !file.flags()?.contains(FdFlags::NONBLOCK))
}

/// Fails with EAGAIN when `file` would have to be waited for.
fn ready_now(file: &File, events: PollFlags) -> Result<()> {
    let mut fds = [PollFd::new(file, events)];
    match poll(&mut fds, Some(&Timespec::default()))? {
        0 => Err(Errno::Again.into()),
        _ => Ok(()),
    }
}
