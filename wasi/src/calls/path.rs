//! Operations on paths, but for opening.
//!
//! Every path goes through cap-std, relative to a directory the guest holds. It resolves `..`,
//! absolute paths and symbolic links so that nothing outside of that directory is reached, however
//! the host's file system changes meanwhile; such a path is EPERM.

use std::sync::Arc;

use cap_fs_ext::{DirExt, SystemTimeSpec};
use cap_std::fs::{Metadata, MetadataExt};
use cap_std::time::{Duration, SystemClock, SystemTime};
use rustix::fs::FileType as HostType;

use super::fd_stat::{SetTime, Times, timestamp};
use crate::abi::{Errno, FileStat, LookupFlags, Rights};
use crate::ctx::State;
use crate::descriptor::{Descriptor, Directory};
use crate::error::{Error, Result};
use crate::memory::GuestMemory;

/// Longest path taken from a guest; the host refuses longer ones, too (PATH_MAX, with its NUL).
const PATH_MAX: u32 = 4095;

/// Reads a path.
pub(super) fn read_path(memory: &dyn GuestMemory, at: u32, len: u32) -> Result<String> {
    if len > PATH_MAX {
        return Err(Errno::NameTooLong.into());
    }
    let mut bytes = vec![0; len as usize];
    memory.read(at, &mut bytes)?;
    let path = String::from_utf8(bytes).map_err(|_| Error::Errno(Errno::IlSeq))?;
    if path.contains('\0') {
        return Err(Errno::Inval.into());
    }
    Ok(path)
}

/// The directory with number `fd`, with the rights for something that changes nothing.
pub(super) fn for_looking(ctx: &State, fd: u32, rights: Rights) -> Result<Arc<Descriptor>, Errno> {
    let descriptor = ctx.table.get(fd)?;
    descriptor.as_directory()?;
    descriptor.require(rights)?;
    Ok(descriptor)
}

/// The directory with number `fd`, with the rights for something that changes what is below it.
fn for_changing(ctx: &State, fd: u32, rights: Rights) -> Result<Arc<Descriptor>, Errno> {
    let descriptor = ctx.table.get(fd)?;
    descriptor.as_directory()?.require_writable()?;
    descriptor.require(rights)?;
    Ok(descriptor)
}

fn directory(descriptor: &Descriptor) -> Result<&Directory, Errno> {
    descriptor.as_directory()
}

/// Makes a directory.
pub(crate) fn path_create_directory(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    path: u32,
    path_len: u32,
) -> Result<()> {
    let path = read_path(memory, path, path_len)?;
    let descriptor = for_changing(ctx, fd, Rights::PATH_CREATE_DIRECTORY)?;
    Ok(directory(&descriptor)?.dir.create_dir(path)?)
}

/// Removes an empty directory.
pub(crate) fn path_remove_directory(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    path: u32,
    path_len: u32,
) -> Result<()> {
    let path = read_path(memory, path, path_len)?;
    let descriptor = for_changing(ctx, fd, Rights::PATH_REMOVE_DIRECTORY)?;
    Ok(directory(&descriptor)?.dir.remove_dir(without_slashes(&path))?)
}

/// The path without slashes at its end. What rmdir(2) removes is a directory with or without them;
/// cap-std takes `dir/` for `dir/.`, which cannot be removed.
fn without_slashes(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => path,
        name => name,
    }
}

/// Removes a name of something that is not a directory.
pub(crate) fn path_unlink_file(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    path: u32,
    path_len: u32,
) -> Result<()> {
    let path = read_path(memory, path, path_len)?;
    let descriptor = for_changing(ctx, fd, Rights::PATH_UNLINK_FILE)?;
    Ok(directory(&descriptor)?.dir.remove_file(path)?)
}

/// Renames something, within a directory or between two.
pub(crate) fn path_rename(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    (old_path, old_path_len): (u32, u32),
    new_fd: u32,
    (new_path, new_path_len): (u32, u32),
) -> Result<()> {
    let from_path = read_path(memory, old_path, old_path_len)?;
    let to_path = read_path(memory, new_path, new_path_len)?;
    let from = for_changing(ctx, fd, Rights::PATH_RENAME_SOURCE)?;
    let to = for_changing(ctx, new_fd, Rights::PATH_RENAME_TARGET)?;
    Ok(directory(&from)?.dir.rename(from_path, &directory(&to)?.dir, to_path)?)
}

/// Gives a file another name. Links to what a symbolic link points to are not supported: the flag
/// that asks for them is EINVAL.
pub(crate) fn path_link(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    old_fd: u32,
    old_flags: u32,
    (old_path, old_path_len): (u32, u32),
    new_fd: u32,
    (new_path, new_path_len): (u32, u32),
) -> Result<()> {
    if LookupFlags::new(old_flags)?.contains(LookupFlags::SYMLINK_FOLLOW) {
        return Err(Errno::Inval.into());
    }
    let from_path = read_path(memory, old_path, old_path_len)?;
    let to_path = read_path(memory, new_path, new_path_len)?;
    // A link out of a directory for reading only would be a way to write to it.
    let from = for_changing(ctx, old_fd, Rights::PATH_LINK_SOURCE)?;
    let to = for_changing(ctx, new_fd, Rights::PATH_LINK_TARGET)?;
    Ok(directory(&from)?.dir.hard_link(from_path, &directory(&to)?.dir, to_path)?)
}

/// Makes a symbolic link with the contents `old_path`, which must not be absolute.
pub(crate) fn path_symlink(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    (old_path, old_path_len): (u32, u32),
    fd: u32,
    (new_path, new_path_len): (u32, u32),
) -> Result<()> {
    let contents = read_path(memory, old_path, old_path_len)?;
    let path = read_path(memory, new_path, new_path_len)?;
    let descriptor = for_changing(ctx, fd, Rights::PATH_SYMLINK)?;
    Ok(directory(&descriptor)?.dir.symlink(contents, path)?)
}

/// Writes what a symbolic link contains, as much as fits. An absolute one is EPERM: it says something
/// about the host.
pub(crate) fn path_readlink(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    (path, path_len): (u32, u32),
    (buf, buf_len): (u32, u32),
    bufused: u32,
) -> Result<()> {
    let path = read_path(memory, path, path_len)?;
    let descriptor = for_looking(ctx, fd, Rights::PATH_READLINK)?;
    let contents = directory(&descriptor)?.dir.read_link(path)?;
    let contents = contents.into_os_string().into_string().map_err(|_| Errno::IlSeq)?;
    let fits = contents.len().min(buf_len as usize);
    memory.write(buf, &contents.as_bytes()[..fits])?;
    memory.write_u32(bufused, fits as u32)
}

/// Writes the attributes of what a path names.
pub(crate) fn path_filestat_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    flags: u32,
    (path, path_len): (u32, u32),
    buf: u32,
) -> Result<()> {
    let follow = LookupFlags::new(flags)?.contains(LookupFlags::SYMLINK_FOLLOW);
    let path = read_path(memory, path, path_len)?;
    let descriptor = for_looking(ctx, fd, Rights::PATH_FILESTAT_GET)?;
    let dir = &directory(&descriptor)?.dir;
    let metadata = if follow { dir.metadata(path)? } else { dir.symlink_metadata(path)? };
    memory.write_record(buf, FileStat::ALIGN, &filestat(&metadata).encode())
}

fn filestat(metadata: &Metadata) -> FileStat {
    FileStat {
        dev: metadata.dev(),
        ino: metadata.ino(),
        filetype: HostType::from_raw_mode(metadata.mode()).into(),
        nlink: metadata.nlink(),
        size: metadata.size(),
        atim: timestamp(metadata.atime(), metadata.atime_nsec()),
        mtim: timestamp(metadata.mtime(), metadata.mtime_nsec()),
        ctim: timestamp(metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// Sets the times of what a path names.
pub(crate) fn path_filestat_set_times(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    flags: u32,
    (path, path_len): (u32, u32),
    (atim, mtim): (u64, u64),
    fst_flags: u32,
) -> Result<()> {
    let follow = LookupFlags::new(flags)?.contains(LookupFlags::SYMLINK_FOLLOW);
    let times = Times::new(atim, mtim, fst_flags)?;
    let path = read_path(memory, path, path_len)?;
    let descriptor = for_changing(ctx, fd, Rights::PATH_FILESTAT_SET_TIMES)?;
    let dir = &directory(&descriptor)?.dir;
    let (access, modification) = (time_spec(times.access), time_spec(times.modification));
    if follow {
        Ok(dir.set_times(path, access, modification)?)
    } else {
        Ok(dir.set_symlink_times(path, access, modification)?)
    }
}

fn time_spec(time: SetTime) -> Option<SystemTimeSpec> {
    match time {
        SetTime::Keep => None,
        SetTime::Now => Some(SystemTimeSpec::SymbolicNow),
        SetTime::At(nanos) => {
            let at: SystemTime = SystemClock::UNIX_EPOCH + Duration::from_nanos(nanos);
            Some(SystemTimeSpec::Absolute(at))
        }
    }
}
