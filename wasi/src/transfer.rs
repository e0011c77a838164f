//! Moves bytes between guest memory and descriptors.
//!
//! For the kernel's descriptors there is only one copy, the kernel's own, one window at a time. A program may offer a
//! gigabyte for what turns out to be ten bytes, and must not pay for it; and a guest can be interrupted between two
//! windows. Streams of the embedder go through a buffer.

use std::io::{self, Read, Write};
use std::ops::Range;

use seqfault::Access;

use crate::abi::{Errno, Iovec};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::kernel::{Lent, LentList};
use crate::memory::GuestMemory;

/// The most bytes that one call moves: the same as Linux's (MAX_RW_COUNT). A longer request is a short transfer.
const MAX_TRANSFER: u64 = 0x7fff_f000;

/// How many bytes of a read's buffers are made resident at once.
const READ_WINDOW: u64 = 1 << 20;

/// How many bytes are written in one system call. A write of at most this size is written in one piece, as other
/// writers of the file expect.
pub(crate) const WRITE_WINDOW: u64 = 8 << 20;

/// How often a page may be discarded between being faulted in and being used, before the call fails.
const FAULT_RETRIES: usize = 16;

/// Size of the buffer for streams that are not the kernel's.
const BOUNCE: usize = 64 * 1024;

/// Fills `iovecs` by calls of `read`, each for one window, given by its offset from the start. With `to_the_end`, as
/// for regular files, the transfer continues after a read that fills its window. Otherwise it stops there, because it
/// might wait for data that has not arrived yet.
pub(crate) fn read_windows(
    memory: &dyn GuestMemory,
    iovecs: &[Iovec],
    to_the_end: bool,
    read: impl Fn(&LentList<'_>, u64) -> Result<usize>,
) -> Result<u32> {
    let mut done = 0;
    loop {
        let window = READ_WINDOW.min(MAX_TRANSFER - done);
        let step =
            transfer(memory, iovecs, done..done + window, Access::Write, |list| read(list, done));
        match step {
            Ok(moved) => {
                done += moved;
                if moved < window || !to_the_end || done == MAX_TRANSFER {
                    return Ok(transferred(done));
                }
            }
            // What has been read is returned; the next call gets the error.
            Err(Error::Errno(_)) if done > 0 => return Ok(transferred(done)),
            Err(error) => return Err(error),
        }
    }
}

/// Writes `iovecs` by calls of `write`, each for one window, given by its offset from the start, until all is written
/// or an error happens.
pub(crate) fn write_windows(
    memory: &dyn GuestMemory,
    iovecs: &[Iovec],
    write: impl Fn(&LentList<'_>, u64) -> Result<usize>,
) -> Result<u32> {
    let wanted = total(iovecs).min(MAX_TRANSFER);
    let mut done = 0;
    while done < wanted {
        let window = done..wanted.min(done + WRITE_WINDOW);
        match transfer(memory, iovecs, window, Access::Read, |list| write(list, done)) {
            Ok(0) => break,
            Ok(moved) => done += moved,
            // What has been written is reported; the next call gets the error.
            Err(Error::Errno(_)) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(transferred(done))
}

/// The number of bytes in all buffers.
pub(crate) fn total(iovecs: &[Iovec]) -> u64 {
    iovecs.iter().map(|iovec| u64::from(iovec.len)).sum()
}

/// Lends the part `range` of the bytes in `iovecs` to `call`.
///
/// Returns the bytes moved. EFAULT means that another thread of the guest has discarded a page after it was faulted in,
/// so the page is faulted in again.
fn transfer(
    memory: &dyn GuestMemory,
    iovecs: &[Iovec],
    range: Range<u64>,
    access: Access,
    call: impl Fn(&LentList<'_>) -> Result<usize>,
) -> Result<u64> {
    for _ in 0..FAULT_RETRIES {
        let list = lend(memory, iovecs, &range, access)?;
        if list.is_empty() {
            return Ok(0);
        }
        debug_assert!(list.iter().map(Lent::len).sum::<usize>() as u64 <= MAX_TRANSFER);
        match call(&list) {
            Ok(moved) => return Ok(moved as u64),
            Err(Error::Errno(Errno::Fault)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::Fault.into())
}

/// Makes the part `range` of the bytes in `iovecs` resident, and lends it.
fn lend<'m>(
    memory: &'m dyn GuestMemory,
    iovecs: &[Iovec],
    range: &Range<u64>,
    access: Access,
) -> Result<LentList<'m>> {
    let mut list = LentList::new();
    for (at, len) in parts(iovecs, range) {
        list.push(memory.lend(at, len, access)?);
    }
    Ok(list)
}

/// The pieces of guest memory that make up the part `range` of the bytes in `iovecs`.
fn parts(iovecs: &[Iovec], range: &Range<u64>) -> impl Iterator<Item = (u32, u32)> {
    let mut start = 0;
    iovecs.iter().filter_map(move |iovec| {
        let end = start + u64::from(iovec.len);
        let (from, to) = (range.start.max(start), range.end.min(end));
        let skipped = from.saturating_sub(start);
        start = end;
        // Both are at most `iovec.len`. An address that overflows belongs to a buffer that ends outside of the memory,
        // and so does the address to which it saturates.
        let len = u32::try_from(to.checked_sub(from)?).ok().filter(|&len| len > 0)?;
        Some((iovec.buf.saturating_add(u32::try_from(skipped).ok()?), len))
    })
}

/// Fills `iovecs` with the result of one read of `stream`.
pub(crate) fn read_stream(
    memory: &mut dyn GuestMemory,
    iovecs: &[Iovec],
    stream: &mut dyn Read,
) -> Result<u32> {
    let mut buffer = vec![0; BOUNCE.min(usize::try_from(total(iovecs)).unwrap_or(BOUNCE))];
    let got = loop {
        match stream.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A reader that claims to have read more than it was asked for is wrong, but must not make us panic.
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

/// Copies at most one buffer's size of the bytes in `iovecs`, from byte `start` on.
pub(crate) fn gather(memory: &dyn GuestMemory, iovecs: &[Iovec], start: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (at, len) in parts(iovecs, &(start..start + BOUNCE as u64)) {
        let filled = bytes.len();
        bytes.resize(filled + len as usize, 0);
        memory.read(at, &mut bytes[filled..])?;
    }
    Ok(bytes)
}

/// Writes `iovecs` to `stream`, one buffer at a time.
pub(crate) fn write_stream(
    memory: &dyn GuestMemory,
    iovecs: &[Iovec],
    stream: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<u32> {
    let mut done = 0;
    loop {
        interrupt.check()?;
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
    use crate::kernel::{self, How, Position};
    use crate::memory::fake::FakeMemory;
    use std::os::fd::{AsFd, BorrowedFd};

    fn iovec(buf: u32, len: u32) -> Iovec {
        Iovec { buf, len }
    }

    fn read_at(
        fd: BorrowedFd<'_>,
        position: Position,
    ) -> impl Fn(&LentList<'_>, u64) -> Result<usize> {
        move |list, done| Ok(kernel::read(fd, list, position.after(done), How::Plain)?)
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
        let got =
            read_windows(&memory, &list, true, read_at(file.as_fd(), Position::At(0))).unwrap();
        assert_eq!(got as usize, size);
        assert_eq!(memory.get(16, size), bytes);
    }

    #[test]
    fn a_read_of_a_pipe_stops_at_what_is_there() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&writer, b"ten bytes.").unwrap();
        let memory = FakeMemory::new(4096);
        let list = [iovec(0, 10), iovec(10, 10)];
        let got = read_windows(&memory, &list, false, read_at(reader.as_fd(), Position::Current))
            .unwrap();
        assert_eq!((got, memory.get(0, 10)), (10, b"ten bytes.".to_vec()));
    }

    #[test]
    fn a_buffer_beyond_the_memory_traps_before_anything_is_written() {
        let file = tempfile::tempfile().unwrap();
        let memory = FakeMemory::new(4096);
        let list = [iovec(0, 10), iovec(4090, 10)];
        let result = write_windows(&memory, &list, |list, _| {
            Ok(kernel::write(file.as_fd(), list, Position::Current, How::Plain)?)
        });
        assert!(matches!(result, Err(Error::Abort(_))));
        assert_eq!(file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_write_goes_over_its_windows_and_stops_at_an_error() {
        let memory = FakeMemory::new(4096);
        let list = [iovec(0, 4000), iovec(4, 4000)];
        let pieces = std::cell::RefCell::new(Vec::new());
        // The writer takes 1,000 bytes at a time, and at most `room` in total.
        let write = |room: u64| {
            write_windows(&memory, &list, |list, done| {
                let offered: usize = list.iter().map(Lent::len).sum();
                pieces.borrow_mut().push((done, offered));
                if done >= room { Err(Errno::NoSpc.into()) } else { Ok(offered.min(1000)) }
            })
        };
        assert_eq!(write(u64::MAX), Ok(8000));
        assert_eq!(
            pieces.take(),
            Vec::from_iter((0..8).map(|at| (at * 1000, 8000 - at as usize * 1000)))
        );
        assert_eq!(write(3000), Ok(3000));
        assert_eq!(write(0), Err(Errno::NoSpc.into()));
    }

    #[test]
    fn streams_take_what_is_larger_than_the_buffer() {
        let size = BOUNCE * 2 + 17;
        let mut memory = FakeMemory::new(size);
        memory.put(0, &vec![7; size]);
        let mut out = Vec::new();
        let half = size as u32 / 2;
        let list = [iovec(0, half), iovec(half, size as u32 - half)];
        assert_eq!(
            write_stream(&memory, &list, &mut out, &Interrupt::default()).unwrap() as usize,
            size
        );
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
            if tries.get() < 3 { Err(Errno::Fault.into()) } else { Ok(1) }
        });
        assert_eq!(result, Ok(1));
        let result =
            transfer(&memory, &[iovec(0, 1)], 0..1, Access::Read, |_| Err(Errno::Fault.into()));
        assert_eq!(result, Err(Errno::Fault.into()));
    }
}
