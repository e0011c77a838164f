//! The type, flags and attributes of a descriptor: `fdstat`, `filestat`, and operations on its
//! storage.

use std::io::Write;
use std::num::NonZeroU64;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, FileType as HostType, Stat, Timestamps};
use rustix::io::Errno as Host;
use rustix::time::Timespec;

use super::get;
use crate::abi::{Errno, FdFlags, FdStat, FileStat, FileType, FstFlags, Rights};
use crate::ctx::State;
use crate::descriptor::{Descriptor, Object};
use crate::error::Result;
use crate::guest::GuestPtr;
use crate::memory::GuestMemory;
use crate::sync::lock;

/// Writes a descriptor's type, flags and rights.
pub(crate) fn fd_fdstat_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    stat: GuestPtr<FdStat>,
) -> Result<()> {
    let descriptor = ctx.table.get(fd)?;
    let (filetype, flags) = match &descriptor.object {
        Object::File(file) => (file.filetype, file.flags()?),
        Object::Directory(_) => (FileType::Directory, FdFlags::NONE),
        Object::Input(_) | Object::Output(_) => (FileType::Unknown, FdFlags::NONE),
    };
    let (rights_base, rights_inheriting) = descriptor.rights();
    memory.store(stat, &FdStat { filetype, flags, rights_base, rights_inheriting })
}

/// Sets a descriptor's flags.
pub(crate) fn fd_fdstat_set_flags(ctx: &State, fd: u32, flags: u32) -> Result<()> {
    let flags = FdFlags::new(flags)?;
    let descriptor = ctx.table.get(fd)?;
    match &descriptor.object {
        Object::File(file) => {
            descriptor.require(Rights::FD_FDSTAT_SET_FLAGS)?;
            Ok(file.set_flags(flags)?)
        }
        // If nothing waits and nothing is written, there is nothing to set.
        _ if FdFlags::NONBLOCK.contains(flags) => Ok(()),
        _ => Err(Errno::NotSup.into()),
    }
}

/// Gives up rights of a descriptor.
pub(crate) fn fd_fdstat_set_rights(ctx: &State, fd: u32, base: u64, inheriting: u64) -> Result<()> {
    let descriptor = ctx.table.get(fd)?;
    Ok(descriptor.narrow(Rights::from_bits(base), Rights::from_bits(inheriting))?)
}

/// Writes the attributes of a descriptor's file.
pub(crate) fn fd_filestat_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    buf: GuestPtr<FileStat>,
) -> Result<()> {
    let descriptor = get(ctx, fd, Rights::FD_FILESTAT_GET)?;
    memory.store(buf, &filestat(&descriptor)?)
}

fn filestat(descriptor: &Descriptor) -> Result<FileStat> {
    let Some(fd) = descriptor.host_fd() else {
        let filetype = FileType::Unknown;
        let (dev, ino, nlink, size, atim, mtim, ctim) = (0, 0, 0, 0, 0, 0, 0);
        return Ok(FileStat { dev, ino, filetype, nlink, size, atim, mtim, ctim });
    };
    let mut stat = from_host(&rustix::fs::fstat(fd)?);
    if let Object::File(file) = &descriptor.object {
        // fstat does not distinguish the two kinds of sockets.
        stat.filetype = file.filetype;
    }
    Ok(stat)
}

pub(super) fn from_host(stat: &Stat) -> FileStat {
    FileStat {
        dev: stat.st_dev,
        ino: stat.st_ino,
        filetype: HostType::from_raw_mode(stat.st_mode).into(),
        nlink: stat.st_nlink,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        atim: timestamp(stat.st_atime, stat.st_atime_nsec),
        mtim: timestamp(stat.st_mtime, stat.st_mtime_nsec),
        ctim: timestamp(stat.st_ctime, stat.st_ctime_nsec),
    }
}

/// A host's time stamp as nanoseconds since 1970, clamped to the years 1970 to 2554.
fn timestamp(seconds: i64, nanoseconds: impl TryInto<u64>) -> u64 {
    let Ok(seconds) = u64::try_from(seconds) else {
        return 0;
    };
    let nanoseconds = nanoseconds.try_into().unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// Sets the size of a file.
pub(crate) fn fd_filestat_set_size(ctx: &State, fd: u32, size: u64) -> Result<()> {
    let descriptor = get(ctx, fd, Rights::FD_FILESTAT_SET_SIZE)?;
    let file = descriptor.as_file()?;
    Ok(ctx.writing(|| rustix::fs::ftruncate(file, size))?)
}

/// Sets the times of a file or directory.
pub(crate) fn fd_filestat_set_times(
    ctx: &State,
    fd: u32,
    atim: u64,
    mtim: u64,
    flags: u32,
) -> Result<()> {
    let times = Times::new(atim, mtim, flags)?;
    let descriptor = ctx.table.get(fd)?;
    if let Object::Directory(directory) = &descriptor.object {
        directory.require_writable()?;
    }
    descriptor.require(Rights::FD_FILESTAT_SET_TIMES)?;
    let fd = descriptor.host_fd().ok_or(Errno::NotSup)?;
    Ok(rustix::fs::futimens(fd, &times.stamps())?)
}

/// The new times of a file.
pub(super) struct Times {
    access: SetTime,
    modification: SetTime,
}

/// How one time of a file is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SetTime {
    Keep,
    Now,
    /// Nanoseconds since 1970.
    At(u64),
}

impl Times {
    pub(super) fn new(access: u64, modification: u64, flags: u32) -> Result<Self, Errno> {
        let flags = FstFlags::new(flags)?;
        let set = |given: FstFlags, now: FstFlags, at: u64| match (
            flags.contains(given),
            flags.contains(now),
        ) {
            (false, false) => Ok(SetTime::Keep),
            (false, true) => Ok(SetTime::Now),
            (true, false) => Ok(SetTime::At(at)),
            (true, true) => Err(Errno::Inval),
        };
        Ok(Self {
            access: set(FstFlags::ATIM, FstFlags::ATIM_NOW, access)?,
            modification: set(FstFlags::MTIM, FstFlags::MTIM_NOW, modification)?,
        })
    }

    /// In the host's form.
    pub(super) fn stamps(&self) -> Timestamps {
        Timestamps {
            last_access: self.access.timespec(),
            last_modification: self.modification.timespec(),
        }
    }
}

impl SetTime {
    fn timespec(self) -> Timespec {
        let symbolic = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
        match self {
            SetTime::Keep => symbolic(rustix::fs::UTIME_OMIT),
            SetTime::Now => symbolic(rustix::fs::UTIME_NOW),
            // A u64 of nanoseconds has few enough seconds for any host.
            SetTime::At(nanos) => Timespec {
                tv_sec: (nanos / 1_000_000_000) as i64,
                tv_nsec: (nanos % 1_000_000_000) as i64,
            },
        }
    }
}

/// Tells the host how a file is going to be used.
pub(crate) fn fd_advise(ctx: &State, fd: u32, offset: u64, len: u64, advice: u32) -> Result<()> {
    let advice = match advice {
        0 => Advice::Normal,
        1 => Advice::Sequential,
        2 => Advice::Random,
        3 => Advice::WillNeed,
        4 => Advice::DontNeed,
        5 => Advice::NoReuse,
        _ => return Err(Errno::Inval.into()),
    };
    let descriptor = get(ctx, fd, Rights::FD_ADVISE)?;
    // The call returns only after it has read ahead, so it reads ahead only a first part, which is
    // help enough.
    let len = match advice {
        Advice::WillNeed => {
            Some(NonZeroU64::new(len).map_or(READ_AHEAD, |len| len.min(READ_AHEAD)))
        }
        _ => NonZeroU64::new(len),
    };
    Ok(rustix::fs::fadvise(descriptor.as_file()?, offset, len, advice)?)
}

/// The most bytes that one call reads ahead.
const READ_AHEAD: NonZeroU64 = NonZeroU64::new(16 << 20).expect("it is not zero");

/// Makes sure that a part of a file has space on the disk; extends the file if necessary.
pub(crate) fn fd_allocate(ctx: &State, fd: u32, offset: u64, len: u64) -> Result<()> {
    let descriptor = get(ctx, fd, Rights::FD_ALLOCATE)?;
    let file = descriptor.as_file()?;
    let keep_size = FallocateFlags::KEEP_SIZE;
    let allocate = |flags, at, len| ctx.writing(|| rustix::fs::fallocate(file, flags, at, len));
    let (mut at, mut left) = (offset, len);
    if left > ALLOCATED_AT_ONCE {
        // The end is checked first: if it is too far for a file, nothing is allocated.
        let signed = |value| i64::try_from(value).map_err(|_| Errno::Inval);
        let end = signed(offset)?.checked_add(signed(len)?).ok_or(Errno::FBig)?;
        let end = end.cast_unsigned();
        // The kernel does not check the limit while the size is kept.
        if end > ctx.file_limit && end > rustix::fs::fstat(file)?.st_size.cast_unsigned() {
            return Err(Errno::FBig.into());
        }
        allocate(keep_size, end - 1, 1)?;
    }
    // The size changes with the last piece, as in a single call.
    while left > ALLOCATED_AT_ONCE {
        ctx.interrupt.check()?;
        allocate(keep_size, at, ALLOCATED_AT_ONCE)?;
        at += ALLOCATED_AT_ONCE;
        left -= ALLOCATED_AT_ONCE;
    }
    Ok(allocate(FallocateFlags::empty(), at, left)?)
}

/// How much space is allocated in one system call. On tmpfs this is memory, which is filled at
/// once.
const ALLOCATED_AT_ONCE: u64 = 64 << 20;

/// Writes contents and attributes to the disk.
pub(crate) fn fd_sync(ctx: &State, fd: u32) -> Result<()> {
    let descriptor = get(ctx, fd, Rights::FD_SYNC)?;
    synchronize(ctx, descriptor, |fd| rustix::fs::fsync(fd))
}

/// Writes contents to the disk.
pub(crate) fn fd_datasync(ctx: &State, fd: u32) -> Result<()> {
    let descriptor = get(ctx, fd, Rights::FD_DATASYNC)?;
    synchronize(ctx, descriptor, |fd| rustix::fs::fdatasync(fd))
}

fn synchronize(
    ctx: &State,
    descriptor: Arc<Descriptor>,
    sync: fn(BorrowedFd<'_>) -> Result<(), Host>,
) -> Result<()> {
    match &descriptor.object {
        Object::Output(stream) => Ok(lock(stream).flush()?),
        Object::Input(_) => Err(Errno::Inval.into()),
        Object::File(_) | Object::Directory(_) => {
            let fd = move || descriptor.host_fd().map_or(Err(Host::BADF), sync);
            Ok(ctx.interrupt.apart(fd)??)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_are_clamped() {
        assert_eq!(timestamp(-1, 5), 0);
        assert_eq!(timestamp(2, 5), 2_000_000_005);
        assert_eq!(timestamp(i64::MAX, 5), u64::MAX);
    }

    #[test]
    fn times_are_given_or_now_but_not_both() {
        assert!(Times::new(1, 2, 0b0011).is_err());
        assert!(Times::new(1, 2, 0b1100).is_err());
        assert!(Times::new(1, 2, 0b1_0000).is_err());
        let times = Times::new(1, 2, 0b0110).unwrap();
        assert_eq!((times.access, times.modification), (SetTime::Now, SetTime::At(2)));
    }
}
