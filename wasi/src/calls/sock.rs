//! `sock_*`: sockets from the embedder, and the connections that they accept.
//!
//! Preview 1 has no way to make a socket or to connect one.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno as Host, ioctl_fionread};
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with, recv, send, shutdown};

use super::fd_io::{Waiting, when_ready};
use crate::abi::{Errno, FdFlags, FileType, Iovec, RiFlags, Rights, SdFlags};
use crate::ctx::State;
use crate::descriptor::{Descriptor, File};
use crate::error::{Error, Result};
use crate::guest::{GuestPtr, GuestSlice};
use crate::memory::GuestMemory;
use crate::transfer::{gather, scatter, total};

/// Set in a result of `sock_recv` when a message did not fit.
const RECV_DATA_TRUNCATED: u16 = 1;

/// The most bytes that are received at once.
const RECV_BUFFER: u64 = 64 * 1024;

/// Accepts a connection, and writes the number of its descriptor.
pub(crate) fn sock_accept(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    flags: u32,
    accepted_fd: GuestPtr<u32>,
) -> Result<()> {
    let flags = FdFlags::new(flags)?;
    if !FdFlags::NONBLOCK.contains(flags) {
        return Err(Errno::Inval.into());
    }
    let descriptor = socket(ctx, fd, Rights::SOCK_ACCEPT)?;
    let file = descriptor.as_file()?;
    let mut host = SocketFlags::CLOEXEC;
    if flags.contains(FdFlags::NONBLOCK) {
        host |= SocketFlags::NONBLOCK;
    }
    let slot = ctx.table.reserve()?;
    let accepted = when_ready(ctx, file, PollFlags::IN, |_| {
        // A listening socket never waits in the system.
        Ok(retry(|| accept_with(file, host))?)
    })?;
    let number = slot.fill(Descriptor::socket(accepted)?);
    if let Err(error) = memory.store(accepted_fd, &number) {
        // The guest will never learn the number.
        ctx.table.remove(number)?;
        return Err(error);
    }
    Ok(())
}

/// Receives a message, or the bytes of a stream that have arrived.
pub(crate) fn sock_recv(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    ri_data: GuestSlice<Iovec>,
    ri_flags: u32,
    ro_datalen: GuestPtr<u32>,
    ro_flags: GuestPtr<u16>,
) -> Result<()> {
    let flags = RiFlags::new(ri_flags)?;
    let descriptor = socket(ctx, fd, Rights::FD_READ)?;
    let list = memory.read_iovecs(ri_data)?;
    let file = descriptor.as_file()?;
    let mut buffer = vec![0; RECV_BUFFER.min(total(&list)) as usize];
    let (got, whole) = receive(ctx, file, &mut buffer, flags)?;
    scatter(memory, &list, &buffer[..got])?;
    memory.store(ro_datalen, &(got as u32))?;
    let truncated = if whole > got { RECV_DATA_TRUNCATED } else { 0 };
    memory.store(ro_flags, &truncated)
}

/// Receives into `buffer`. Returns how many bytes it holds now, and how many the message had.
fn receive(ctx: &State, file: &File, buffer: &mut [u8], flags: RiFlags) -> Result<(usize, usize)> {
    let host = receive_flags(file, flags);
    // A call that must not wait returns the bytes that are there, even with WAITALL.
    let goes_on = host.contains(RecvFlags::WAITALL) && !host.contains(RecvFlags::PEEK);
    let mut filled = 0;
    loop {
        let step = when_ready(ctx, file, PollFlags::IN, |waiting| {
            if filled > 0 && has_only_an_error(file) {
                return Ok((0, 0));
            }
            let mut host = host;
            host.set(RecvFlags::DONTWAIT, waiting == Waiting::Never);
            Ok(retry(|| recv(file, &mut buffer[filled..], host))?)
        });
        match step {
            Ok((got, whole)) => {
                filled += got;
                if !goes_on || got == 0 || filled == buffer.len() {
                    return Ok((filled, filled - got + whole));
                }
            }
            // What has been received is returned; the next call gets the error.
            Err(Error::Errno(_)) if filled > 0 => return Ok((filled, filled)),
            Err(error) => return Err(error),
        }
    }
}

/// Whether the next call would take an error from the socket, and no bytes. The system tells an error once.
fn has_only_an_error(file: &File) -> bool {
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    let polled = retry(|| poll(&mut fds, Some(&Timespec::default())));
    polled.is_ok() && fds[0].revents().contains(PollFlags::ERR) && ioctl_fionread(file) == Ok(0)
}

fn receive_flags(file: &File, flags: RiFlags) -> RecvFlags {
    let mut host = RecvFlags::empty();
    if flags.contains(RiFlags::RECV_PEEK) {
        host |= RecvFlags::PEEK;
    }
    if flags.contains(RiFlags::RECV_WAITALL) {
        host |= RecvFlags::WAITALL;
    }
    if file.filetype == FileType::SocketDgram {
        // TRUNC makes the system return the message's full length. On a stream it would discard the
        // data.
        host |= RecvFlags::TRUNC;
    }
    host
}

/// Sends a message, or as much of a stream as the socket takes.
pub(crate) fn sock_send(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    si_data: GuestSlice<Iovec>,
    si_flags: u32,
    so_datalen: GuestPtr<u32>,
) -> Result<()> {
    if si_flags != 0 {
        return Err(Errno::Inval.into());
    }
    let descriptor = socket(ctx, fd, Rights::FD_WRITE)?;
    let list = memory.read_iovecs(si_data)?;
    let file = descriptor.as_file()?;
    let bytes = gather(memory, &list, 0)?;
    if file.filetype == FileType::SocketDgram && total(&list) > bytes.len() as u64 {
        return Err(Errno::MsgSize.into());
    }
    let sent = send_all(ctx, file, &bytes)?;
    memory.store(so_datalen, &(sent as u32))
}

/// Sends `bytes`. If the socket is full, waits, unless the guest does not want to wait.
fn send_all(ctx: &State, file: &File, bytes: &[u8]) -> Result<usize> {
    let mut sent = 0;
    loop {
        let step = when_ready(ctx, file, PollFlags::OUT, |waiting| {
            // The embedder may not ignore SIGPIPE.
            let mut flags = SendFlags::NOSIGNAL;
            flags.set(SendFlags::DONTWAIT, waiting == Waiting::Never);
            Ok(retry(|| send(file, &bytes[sent..], flags))?)
        });
        match step {
            Ok(some) => sent += some,
            // What has been sent is reported; the next call gets the error.
            Err(Error::Errno(_)) if sent > 0 => return Ok(sent),
            Err(error) => return Err(error),
        }
        if sent == bytes.len() {
            return Ok(sent);
        }
    }
}

/// Shuts down one or both directions of a connection.
pub(crate) fn sock_shutdown(ctx: &State, fd: u32, how: u32) -> Result<()> {
    let how = SdFlags::new(how)?;
    let host = match (how.contains(SdFlags::RD), how.contains(SdFlags::WR)) {
        (true, true) => Shutdown::Both,
        (true, false) => Shutdown::Read,
        (false, true) => Shutdown::Write,
        (false, false) => return Err(Errno::Inval.into()),
    };
    let descriptor = socket(ctx, fd, Rights::SOCK_SHUTDOWN)?;
    Ok(shutdown(descriptor.as_file()?.as_fd(), host)?)
}

/// The socket with number `fd`.
fn socket(ctx: &State, fd: u32, rights: Rights) -> Result<Arc<Descriptor>, Errno> {
    let descriptor = ctx.table.get(fd)?;
    if !descriptor.as_file().is_ok_and(File::is_socket) {
        return Err(Errno::NotSock);
    }
    descriptor.require(rights)?;
    Ok(descriptor)
}

/// Repeats a system call that a host signal has interrupted: guests have no signals.
fn retry<T>(mut call: impl FnMut() -> Result<T, Host>) -> Result<T, Host> {
    loop {
        match call() {
            Err(Host::INTR) => {}
            done => return done,
        }
    }
}
