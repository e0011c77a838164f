//! Moving bytes between guest memory and descriptors.
//!
//! To and from the kernel's descriptors the bytes go in one copy, the kernel's own. A write is
//! one system call, whatever its size. A read is made resident a window at a time: a program may
//! offer a gigabyte for what turns out to be ten bytes, and must not pay for it. Streams of the
//! embedder's go through a buffer.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{Mode, OFlags as HostFlags};
use seqfault::Access;

use crate::abi::{Errno, Iovec};
use crate::error::{Error, Result};
use crate::kernel::{self, Lent, LentList};
use crate::memory::GuestMemory;

/// Most bytes one call moves: what Linux moves at most (MAX_RW_COUNT). More is a short transfer.
const MAX_TRANSFER: u64 = 0x7fff_f000;

/// How much of a read's buffers is made resident at once.
const READ_WINDOW: u64 = 1 << 20;

/// How often a page may vanish between being faulted in and being used, before we give up.
const FAULT_RETRIES: usize = 16;

/// Size of the buffer for streams that are not the kernel's.
const BOUNCE: usize = 64 * 1024;

/// Where in a file to read or write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Position {
    /// At the descriptor's own position, which moves.
    Current,
    /// There, too, but only what goes without waiting: it fails with [`Errno::Again`] where nothing
    /// does, and with [`Errno::NotSup`] or [`Errno::NoSys`] where the kernel cannot tell.
    CurrentNow,
    /// At this offset; the descriptor's position stays.
    At(u64),
}

/// Fills `iovecs` from `fd`. Where `to_the_end` is set, as for regular files, a read that fills its
/// window goes on; else it stops, because going on might wait for data that is not there yet.
pub(crate) fn read_fd(
    memory: &dyn GuestMemory,
    iovecs: &[Iovec],
    fd: BorrowedFd<'_>,
    position: Position,
    to_the_end: bool,
) -> Result<u32> {
    let mut done = 0;
    loop {
        let window = READ_WINDOW.min(MAX_TRANSFER - done);
        let step =
            transfer(memory, iovecs, done..done + window, Access::Write, |list| match position {
                Position::Current => kernel::readv(fd, list),
                Position::CurrentNow => kernel::readv_now(fd, list),
                Position::At(offset) => kernel::preadv(fd, list, offset.saturating_add(done)),
            });
        match step {
            Ok(moved) => {
                done += moved;
                if moved < window || !to_the_end || done == MAX_TRANSFER {
                    return Ok(transferred(done));
                }
            }
            // What has been read has been read; the next call meets the error.
            Err(Error::Errno(_)) if done > 0 => return Ok(transferred(done)),
            Err(error) => return Err(error),
        }
    }
}

/// Writes `iovecs` to `fd`, in one system call.
pub(crate) fn write_fd(
    memory: &dyn GuestMemory,
    iovecs: &[Iovec],
    fd: BorrowedFd<'_>,
    position: Position,
) -> Result<u32> {
    let moved = transfer(memory, iovecs, 0..MAX_TRANSFER, Access::Read, |list| match position {
        Position::Current => kernel::writev(fd, list),
        Position::CurrentNow => kernel::writev_now(fd, list),
        Position::At(offset) => write_at(fd, list, offset),
    })?;
    Ok(transferred(moved))
}

/// Writes at `offset`, also where the descriptor was opened for appending. That is what POSIX says; Linux
/// itself would write at the end, which pwrite(2) calls a bug.
fn write_at(fd: BorrowedFd<'_>, list: &LentList<'_>, offset: u64) -> io::Result<usize> {
    if !rustix::fs::fcntl_getfl(fd)?.contains(HostFlags::APPEND) {
        return kernel::pwritev(fd, list, offset);
    }
    match kernel::pwritev_no_append(fd, list, offset) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            write_at_by_another(fd, list, offset)
        }
        written => written,
    }
}

/// Writes at `offset` by a descriptor of its own for the same file, which is not one for appending.
fn write_at_by_another(fd: BorrowedFd<'_>, list: &LentList<'_>, offset: u64) -> io::Result<usize> {
    let file = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = HostFlags::WRONLY | HostFlags::CLOEXEC | HostFlags::NOCTTY | HostFlags::NONBLOCK;
    let other = rustix::fs::open(file, flags, Mode::empty())?;
    kernel::pwritev(other.as_fd(), list, offset)
}

/// Lends the part `range` of the bytes that `iovecs` name to `call`.
///
/// Returns the bytes moved. EFAULT means that another thread of the guest discarded a page after it was
/// faulted in, so it is faulted in again.
fn transfer(
    memory: &dyn GuestMemory,
    iovecs: &[Iovec],
    range: std::ops::Range<u64>,
    access: Access,
    call: impl Fn(&LentList<'_>) -> io::Result<usize>,
) -> Result<u64> {
    for _ in 0..FAULT_RETRIES {
        let list = lend(memory, iovecs, &range, access)?;
        if list.is_empty() {
            return Ok(0);
        }
        debug_assert!(list.iter().map(Lent::len).sum::<usize>() as u64 <= MAX_TRANSFER);
        match call(&list) {
            Ok(moved) => return Ok(moved as u64),
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::Fault.into())
}

/// Makes the part `range` of the bytes that `iovecs` name resident, and lends it.
fn lend<'m>(
    memory: &'m dyn GuestMemory,
    iovecs: &[Iovec],
    range: &std::ops::Range<u64>,
    access: Access,
) -> Result<LentList<'m>> {
    let mut list = LentList::new();
    for (at, len) in parts(iovecs, range) {
        list.push(memory.lend(at, len, access)?);
    }
    Ok(list)
}

/// The pieces of guest memory that make up the part `range` of the bytes that `iovecs` name.
fn parts(iovecs: &[Iovec], range: &std::ops::Range<u64>) -> impl Iterator<Item = (u32, u32)> {
    let mut start = 0;
    iovecs.iter().filter_map(move |iovec| {
        let end = start + u64::from(iovec.len);
        let (from, to) = (range.start.max(start), range.end.min(end));
        let skipped = from.saturating_sub(start);
        start = end;
        // Both are at most `iovec.len`. An address that wraps belongs to a buffer that ends beyond
        // the memory, and so does the address it saturates to.
        let len = u32::try_from(to.checked_sub(from)?).ok().filter(|&len| len > 0)?;
        Some((iovec.buf.saturating_add(u32::try_from(skipped).ok()?), len))
    })
}

/// Fills `iovecs` with what one read of `stream` gives.
pub(crate) fn read_stream(
    memory: &mut dyn GuestMemory,
    iovecs: &[Iovec],
    stream: &mut dyn Read,
) -> Result<u32> {
    let wanted: u64 = iovecs.iter().map(|iovec| u64::from(iovec.len)).sum();
    let mut buffer = vec![0; BOUNCE.min(usize::try_from(wanted).unwrap_or(BOUNCE))];
    let got = loop {
        match stream.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A reader that claims more than it was asked for is wrong, but must not make us panic.
            done => break done?.min(buffer.len()),
        }
    };
    scatter(memory, iovecs, &buffer[..got])?;
    Ok(transferred(got as u64))
}

/// Copies `bytes` into the buffers, which have room for them.
pub(crate) fn scatter(
    memory: &mut dyn GuestMemory,
    iovecs: &[Iovec],
    mut bytes: &[u8],
) -> Result<()> {
    for (at, len) in parts(iovecs, &(0..bytes.len() as u64)) {
        let (now, rest) = bytes.split_at(len as usize);
        memory.write(at, now)?;
        bytes = rest;
    }
    Ok(())
}

/// Copies up to a buffer's worth of the bytes that `iovecs` name, from byte `start` of them on.
pub(crate) fn gather(memory: &dyn GuestMemory, iovecs: &[Iovec], start: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (at, len) in parts(iovecs, &(start..start + BOUNCE as u64)) {
        let filled = bytes.len();
        bytes.resize(filled + len as usize, 0);
        memory.read(at, &mut bytes[filled..])?;
    }
    Ok(bytes)
}

/// Writes `iovecs` to `stream`.
pub(crate) fn write_stream(
    memory: &dyn GuestMemory,
    iovecs: &[Iovec],
    stream: &mut dyn Write,
) -> Result<u32> {
    let mut done = 0;
    loop {
        let bytes = gather(memory, iovecs, done)?;
        if bytes.is_empty() || done + bytes.len() as u64 > MAX_TRANSFER {
            break;
        }
        match stream.write(&bytes) {
            Ok(0) => break,
            Ok(written) => done += written.min(bytes.len()) as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if done > 0 => break,
            Err(error) => return Err(error.into()),
        }
    }
    stream.flush()?;
    Ok(transferred(done))
}

fn transferred(bytes: u64) -> u32 {
    u32::try_from(bytes).expect("a transfer is at most MAX_TRANSFER bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::fake::FakeMemory;

    fn iovec(buf: u32, len: u32) -> Iovec {
        Iovec { buf, len }
    }

    #[test]
    fn parts_cut_at_both_ends() {
        let list = [iovec(100, 10), iovec(200, 10), iovec(300, 10)];
        let of = |range| parts(&list, &range).collect::<Vec<_>>();
        assert_eq!(of(0..30), [(100, 10), (200, 10), (300, 10)]);
        assert_eq!(of(5..15), [(105, 5), (200, 5)]);
        assert_eq!(of(20..u64::MAX), [(300, 10)]);
        assert_eq!(of(30..40), []);
        assert_eq!(
            parts(&[iovec(u32::MAX, u32::MAX)], &(8..9)).collect::<Vec<_>>(),
            [(u32::MAX, 1)]
        );
    }

    #[test]
    fn a_read_goes_over_its_windows() {
        let size = READ_WINDOW as usize * 2 + 12345;
        let bytes: Vec<u8> = (0..size).map(|at| (at / 7 % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let memory = FakeMemory::new(size + 4096);
        let list = [iovec(16, 5), iovec(21, size as u32 + 100)];
        let got = read_fd(&memory, &list, file.as_fd(), Position::At(0), true).unwrap();
        assert_eq!(got as usize, size);
        assert_eq!(memory.get(16, size), bytes);
    }

    #[test]
    fn writing_at_an_offset_does_not_append() {
        for write in [write_at, write_at_by_another] {
            let temp = tempfile::tempdir().unwrap();
            let path = temp.path().join("file");
            std::fs::write(&path, "0123456789").unwrap();
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            let cells = [std::cell::Cell::new(b'x')];
            let list = LentList::from_iter([Lent::from_cells(&cells)]);
            assert_eq!(write(file.as_fd(), &list, 3).unwrap(), 1);
            (&file).write_all(b"end").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"012x456789end");
        }
    }

    #[test]
    fn a_read_of_a_pipe_stops_at_what_is_there() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&writer, b"ten bytes.").unwrap();
        let memory = FakeMemory::new(4096);
        let list = [iovec(0, 10), iovec(10, 10)];
        let got = read_fd(&memory, &list, reader.as_fd(), Position::Current, false).unwrap();
        assert_eq!((got, memory.get(0, 10)), (10, b"ten bytes.".to_vec()));
    }

    #[test]
    fn a_buffer_beyond_the_memory_traps_before_anything_is_written() {
        let file = tempfile::tempfile().unwrap();
        let memory = FakeMemory::new(4096);
        let list = [iovec(0, 10), iovec(4090, 10)];
        let result = write_fd(&memory, &list, file.as_fd(), Position::Current);
        assert!(matches!(result, Err(Error::Abort(_))));
        assert_eq!(file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn streams_take_what_is_larger_than_the_buffer() {
        let size = BOUNCE * 2 + 17;
        let mut memory = FakeMemory::new(size);
        memory.put(0, &vec![7; size]);
        let mut out = Vec::new();
        let half = size as u32 / 2;
        let list = [iovec(0, half), iovec(half, size as u32 - half)];
        assert_eq!(write_stream(&memory, &list, &mut out).unwrap() as usize, size);
        assert_eq!(out, vec![7; size]);
    }

    #[test]
    fn streams_scatter_one_read() {
        let mut memory = FakeMemory::new(64);
        let list = [iovec(40, 2), iovec(8, 30)];
        assert_eq!(read_stream(&mut memory, &list, &mut &b"hello"[..]).unwrap(), 5);
        assert_eq!((memory.get(40, 2), memory.get(8, 4)), (b"he".to_vec(), b"llo\0".to_vec()));
    }

    #[test]
    fn a_page_that_keeps_vanishing_is_a_fault() {
        let memory = FakeMemory::new(64);
        let tries = std::cell::Cell::new(0);
        let result = transfer(&memory, &[iovec(0, 1)], 0..1, Access::Read, |_| {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Err(io::Error::from_raw_os_error(libc::EFAULT)) } else { Ok(1) }
        });
        assert_eq!(result, Ok(1));
        let result = transfer(&memory, &[iovec(0, 1)], 0..1, Access::Read, |_| {
            Err(io::Error::from_raw_os_error(libc::EFAULT))
        });
        assert_eq!(result, Err(Errno::Fault.into()));
    }
}
