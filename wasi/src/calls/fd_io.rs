//! Reading, writing and seeking.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags as HostFlags, SeekFrom};

use super::get;
use crate::abi::{Errno, FdFlags, FileType, Iovec, Rights};
use crate::ctx::State;
use crate::descriptor::{Descriptor, File, Object};
use crate::error::{Error, Result};
use crate::guest::{GuestPtr, GuestSlice};
use crate::kernel::{self, How, LentList, Position};
use crate::memory::{GuestMemory, Iovecs};
use crate::sync::lock;
use crate::transfer;

/// Reads at the descriptor's position.
pub(crate) fn fd_read(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    iovs: GuestSlice<Iovec>,
    nread: GuestPtr<u32>,
) -> Result<()> {
    let descriptor = get(ctx, fd, Rights::FD_READ)?;
    let list = memory.read_iovecs(iovs)?;
    let read = match &descriptor.object {
        Object::File(file) => read_file(ctx, memory, file, &list, Position::Current)?,
        Object::Input(stream) => transfer::read_stream(memory, &list, &mut **lock(stream))?,
        Object::Output(_) => return Err(Errno::BadF.into()),
        Object::Directory(_) => return Err(Errno::IsDir.into()),
    };
    memory.store(nread, &read)
}

fn read_file(
    ctx: &State,
    memory: &dyn GuestMemory,
    file: &File,
    list: &Iovecs,
    position: Position,
) -> Result<u32> {
    transfer::read_windows(memory, list, !file.can_block(), |window, done| {
        when_ready(ctx, file, PollFlags::IN, |waiting| {
            Ok(kernel::read(file.as_fd(), window, position.after(done), waiting.how())?)
        })
    })
}

/// Writes at the descriptor's position.
pub(crate) fn fd_write(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    iovs: GuestSlice<Iovec>,
    nwritten: GuestPtr<u32>,
) -> Result<()> {
    let descriptor = get(ctx, fd, Rights::FD_WRITE)?;
    let list = memory.read_iovecs(iovs)?;
    let written = match &descriptor.object {
        Object::File(file) => write_file(ctx, memory, file, &list, Position::Current)?,
        Object::Output(stream) => {
            transfer::write_stream(memory, &list, &mut **lock(stream), &ctx.interrupt)?
        }
        Object::Input(_) | Object::Directory(_) => return Err(Errno::BadF.into()),
    };
    memory.store(nwritten, &written)
}

fn write_file(
    ctx: &State,
    memory: &dyn GuestMemory,
    file: &File,
    list: &Iovecs,
    position: Position,
) -> Result<u32> {
    // A message is sent in one piece, and no message can be this long.
    if file.filetype == FileType::SocketDgram && transfer::total(list) > transfer::WRITE_WINDOW {
        return Err(Errno::MsgSize.into());
    }
    transfer::write_windows(memory, list, |window, done| {
        when_ready(ctx, file, PollFlags::OUT, |waiting| {
            ctx.writing(|| write_window(file.as_fd(), window, position.after(done), waiting.how()))
        })
    })
}

/// Writes at `position`, even if the descriptor was opened for appending, as POSIX requires. Linux would write at the
/// end, which pwrite(2) lists as a bug.
fn write_window(
    fd: BorrowedFd<'_>,
    window: &LentList<'_>,
    position: Position,
    how: How,
) -> Result<usize> {
    let appends = || Ok::<_, Errno>(rustix::fs::fcntl_getfl(fd)?.contains(HostFlags::APPEND));
    if position == Position::Current || !appends()? {
        return Ok(kernel::write(fd, window, position, how)?);
    }
    match kernel::write(fd, window, position, How::NoAppend) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            write_by_another(fd, window, position)
        }
        written => Ok(written?),
    }
}

/// Writes by another descriptor of the same file, which was not opened for appending.
fn write_by_another(
    fd: BorrowedFd<'_>,
    window: &LentList<'_>,
    position: Position,
) -> Result<usize> {
    let file = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = HostFlags::WRONLY | HostFlags::CLOEXEC | HostFlags::NOCTTY | HostFlags::NONBLOCK;
    let other = rustix::fs::open(file, flags, Mode::empty())?;
    Ok(kernel::write(other.as_fd(), window, position, How::Plain)?)
}

/// Reads at `offset`; the descriptor's position does not change.
pub(crate) fn fd_pread(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    iovs: GuestSlice<Iovec>,
    offset: u64,
    nread: GuestPtr<u32>,
) -> Result<()> {
    let descriptor = positioned(ctx, fd, Rights::FD_READ)?;
    let list = memory.read_iovecs(iovs)?;
    let read = read_file(ctx, memory, descriptor.as_file()?, &list, Position::At(offset))?;
    memory.store(nread, &read)
}

/// Writes at `offset`, even to a file that was opened for appending; the descriptor's position does not change.
pub(crate) fn fd_pwrite(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    iovs: GuestSlice<Iovec>,
    offset: u64,
    nwritten: GuestPtr<u32>,
) -> Result<()> {
    let descriptor = positioned(ctx, fd, Rights::FD_WRITE)?;
    let list = memory.read_iovecs(iovs)?;
    let written = write_file(ctx, memory, descriptor.as_file()?, &list, Position::At(offset))?;
    memory.store(nwritten, &written)
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
    newoffset: GuestPtr<u64>,
) -> Result<()> {
    let to = match whence {
        0 => SeekFrom::Start(u64::try_from(offset).map_err(|_| Errno::Inval)?),
        1 => SeekFrom::Current(offset),
        2 => SeekFrom::End(offset),
        _ => return Err(Errno::Inval.into()),
    };
    // Asking for the position needs a smaller right than changing it.
    let right = if to == SeekFrom::Current(0) { Rights::FD_TELL } else { Rights::FD_SEEK };
    let descriptor = get(ctx, fd, right)?;
    let position = rustix::fs::seek(descriptor.as_file()?, to)?;
    memory.store(newoffset, &position)
}

/// Writes the descriptor's position.
pub(crate) fn fd_tell(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    offset: GuestPtr<u64>,
) -> Result<()> {
    let descriptor = get(ctx, fd, Rights::FD_TELL)?;
    let position = rustix::fs::seek(descriptor.as_file()?, SeekFrom::Current(0))?;
    memory.store(offset, &position)
}

/// What a system call does when there is nothing to transfer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// It waits.
    InTheCall,
    /// It fails with EAGAIN; or with EOPNOTSUPP or ENOSYS where the kernel cannot tell.
    Never,
}

impl Waiting {
    fn how(self) -> How {
        match self {
            Waiting::InTheCall => How::Plain,
            Waiting::Never => How::NoWait,
        }
    }
}

/// Makes a system call that transfers something. For a guest that can be interrupted, the waiting for `events` happens
/// here and not in the call: even if `file` was ready, another thread may have been faster.
pub(super) fn when_ready<R>(
    ctx: &State,
    file: &File,
    events: PollFlags,
    mut call: impl FnMut(Waiting) -> Result<R>,
) -> Result<R> {
    ctx.interrupt.check()?;
    if file.is_polled() {
        return poll_until(ctx, file, events, || call(Waiting::InTheCall));
    }
    if !waits_here(ctx, file, events)? {
        return call(Waiting::InTheCall);
    }
    match poll_until(ctx, file, events, || call(Waiting::Never)) {
        Err(Error::Errno(Errno::NotSup | Errno::NoSys)) => {
            ctx.interrupt.wait(file.as_fd(), events)?;
            call(Waiting::InTheCall)
        }
        done => done,
    }
}

/// Repeats a call that never waits in the system until it has transferred something.
fn poll_until<R>(
    ctx: &State,
    file: &File,
    events: PollFlags,
    mut call: impl FnMut() -> Result<R>,
) -> Result<R> {
    /// How often a call may say that it must wait while poll(2) says that it need not, before we believe the call. The
    /// reason may be threads that are faster, or a device without a poll function.
    const PATIENCE: u32 = 16;
    let mut rounds = 0;
    loop {
        match call() {
            Err(Error::Errno(Errno::Again)) if !file.emulates_nonblock() => {}
            done => return done,
        }
        if rounds < PATIENCE {
            rounds += 1;
        } else {
            ctx.interrupt.pause(Duration::from_millis(1))?;
        }
        ctx.interrupt.wait(file.as_fd(), events)?;
    }
}

/// Whether a call on `file` must not block in the system, because the guest can be interrupted. Fails with EAGAIN if
/// the guest does not want to wait at all and the file is not ready.
fn waits_here(ctx: &State, file: &File, events: PollFlags) -> Result<bool> {
    if file.emulates_nonblock() {
        ready_now(file, events)?;
        return Ok(false);
    }
    Ok(file.can_block()
        && ctx.interrupt.event().is_some()
        && !file.flags()?.contains(FdFlags::NONBLOCK))
}

/// Fails with EAGAIN if `file` is not ready.
fn ready_now(file: &File, events: PollFlags) -> Result<()> {
    let mut fds = [PollFd::new(file, events)];
    match poll(&mut fds, Some(&Timespec::default()))? {
        0 => Err(Errno::Again.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Lent;
    use std::cell::Cell;
    use std::io::Write;

    #[test]
    fn writing_at_an_offset_does_not_append() {
        type Step = fn(BorrowedFd<'_>, &LentList<'_>, Position) -> Result<usize>;
        let plainly: Step = |fd, list, at| write_window(fd, list, at, How::Plain);
        for write in [plainly, write_by_another] {
            let temp = tempfile::tempdir().unwrap();
            let path = temp.path().join("file");
            std::fs::write(&path, "0123456789").unwrap();
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            let cells = [Cell::new(b'x')];
            let list = LentList::from_iter([Lent::from_cells(&cells)]);
            assert_eq!(write(file.as_fd(), &list, Position::At(3)), Ok(1));
            (&file).write_all(b"end").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"012x456789end");
        }
    }
}
