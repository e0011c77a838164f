//! Operations on paths, except opening.
//!
//! [`resolve`](crate::resolve) decides what a path names. The operation itself is left to the host, and so are its
//! errors, except those for paths that lead out of what the guest has been given.

use std::sync::Arc;

use cap_fs_ext::FollowSymlinks;
use rustix::fs::{AtFlags, Mode};

use super::fd_stat::{Times, from_host};
use crate::abi::{Errno, FileStat, LookupFlags, Rights};
use crate::ctx::State;
use crate::descriptor::{Descriptor, Directory};
use crate::error::{Error, Result};
use crate::guest::{GuestPtr, GuestSlice, GuestStr};
use crate::memory::GuestMemory;
use crate::resolve::{self, existing_name, lookup, name};

/// The longest path that a guest may pass; the host also refuses longer ones (PATH_MAX, with its NUL).
const PATH_MAX: u32 = 4095;

/// Reads a path.
pub(super) fn read_path(memory: &dyn GuestMemory, path: GuestStr) -> Result<String> {
    if path.len() > PATH_MAX {
        return Err(Errno::NameTooLong.into());
    }
    let mut bytes = vec![0; path.len() as usize];
    memory.read(path.at(), &mut bytes)?;
    let path = String::from_utf8(bytes).map_err(|_| Error::Errno(Errno::IlSeq))?;
    if path.contains('\0') {
        return Err(Errno::Inval.into());
    }
    Ok(path)
}

/// The directory with number `fd`; checks the rights for an operation that changes nothing.
pub(super) fn for_looking(ctx: &State, fd: u32, rights: Rights) -> Result<Arc<Descriptor>, Errno> {
    let descriptor = ctx.table.get(fd)?;
    descriptor.as_directory()?;
    descriptor.require(rights)?;
    Ok(descriptor)
}

/// The directory with number `fd`; checks the rights for an operation that changes something below it.
fn for_changing(ctx: &State, fd: u32, rights: Rights) -> Result<Arc<Descriptor>, Errno> {
    let descriptor = ctx.table.get(fd)?;
    descriptor.as_directory()?.require_writable()?;
    descriptor.require(rights)?;
    Ok(descriptor)
}

fn directory(descriptor: &Descriptor) -> Result<&Directory, Errno> {
    descriptor.as_directory()
}

/// Whether a symbolic link at the end of the path is followed.
pub(super) fn following(flags: u32) -> Result<FollowSymlinks, Errno> {
    match LookupFlags::new(flags)?.contains(LookupFlags::SYMLINK_FOLLOW) {
        true => Ok(FollowSymlinks::Yes),
        false => Ok(FollowSymlinks::No),
    }
}

/// Makes a directory.
pub(crate) fn path_create_directory(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    path: GuestStr,
) -> Result<()> {
    let path = read_path(memory, path)?;
    let descriptor = for_changing(ctx, fd, Rights::PATH_CREATE_DIRECTORY)?;
    let made = name(&directory(&descriptor)?.dir, &path)?;
    // The process's umask applies, as to everything that the process makes.
    let everything = Mode::RWXU | Mode::RWXG | Mode::RWXO;
    Ok(rustix::fs::mkdirat(made.directory(), made.as_str(), everything)?)
}

/// Removes an empty directory.
pub(crate) fn path_remove_directory(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    path: GuestStr,
) -> Result<()> {
    let path = read_path(memory, path)?;
    let descriptor = for_changing(ctx, fd, Rights::PATH_REMOVE_DIRECTORY)?;
    let gone = name(&directory(&descriptor)?.dir, &path)?;
    Ok(rustix::fs::unlinkat(gone.directory(), gone.as_str(), AtFlags::REMOVEDIR)?)
}

/// Removes a name of a file that is not a directory.
pub(crate) fn path_unlink_file(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    path: GuestStr,
) -> Result<()> {
    let path = read_path(memory, path)?;
    let descriptor = for_changing(ctx, fd, Rights::PATH_UNLINK_FILE)?;
    let gone = name(&directory(&descriptor)?.dir, &path)?;
    Ok(rustix::fs::unlinkat(gone.directory(), gone.as_str(), AtFlags::empty())?)
}

/// Renames a file, within a directory or between two.
pub(crate) fn path_rename(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    old_path: GuestStr,
    new_fd: u32,
    new_path: GuestStr,
) -> Result<()> {
    let from_path = read_path(memory, old_path)?;
    let to_path = read_path(memory, new_path)?;
    let from = for_changing(ctx, fd, Rights::PATH_RENAME_SOURCE)?;
    let to = for_changing(ctx, new_fd, Rights::PATH_RENAME_TARGET)?;
    let from = name(&directory(&from)?.dir, &from_path)?;
    let to = name(&directory(&to)?.dir, &to_path)?;
    Ok(rustix::fs::renameat(from.directory(), from.as_str(), to.directory(), to.as_str())?)
}

/// Gives a file another name. Following a symbolic link in the old path is not supported: the flag that asks for it is
/// EINVAL.
pub(crate) fn path_link(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    old_fd: u32,
    old_flags: u32,
    old_path: GuestStr,
    new_fd: u32,
    new_path: GuestStr,
) -> Result<()> {
    if LookupFlags::new(old_flags)?.contains(LookupFlags::SYMLINK_FOLLOW) {
        return Err(Errno::Inval.into());
    }
    let from_path = read_path(memory, old_path)?;
    let to_path = read_path(memory, new_path)?;
    // A link to a file in a read-only directory would be a way to write to the file.
    let from = for_changing(ctx, old_fd, Rights::PATH_LINK_SOURCE)?;
    let to = for_changing(ctx, new_fd, Rights::PATH_LINK_TARGET)?;
    let from = existing_name(&directory(&from)?.dir, &from_path)?;
    let to = match name(&directory(&to)?.dir, &to_path) {
        Ok(to) => to,
        // The kernel checks the old path first.
        Err(error) => return Err(from.check().err().unwrap_or(error).into()),
    };
    let (old, new) = (from.directory(), to.directory());
    Ok(rustix::fs::linkat(old, from.as_str(), new, to.as_str(), AtFlags::empty())?)
}

/// Makes a symbolic link with the contents `old_path`, which must not be absolute.
pub(crate) fn path_symlink(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    old_path: GuestStr,
    fd: u32,
    new_path: GuestStr,
) -> Result<()> {
    let contents = read_path(memory, old_path)?;
    let path = read_path(memory, new_path)?;
    let descriptor = for_changing(ctx, fd, Rights::PATH_SYMLINK)?;
    if contents.starts_with('/') {
        return Err(Errno::Perm.into());
    }
    let made = name(&directory(&descriptor)?.dir, &path)?;
    Ok(rustix::fs::symlinkat(contents, made.directory(), made.as_str())?)
}

/// Writes as much of a symbolic link's contents as fits. If the contents are absolute, the error is EPERM, because they
/// would tell something about the host.
pub(crate) fn path_readlink(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    path: GuestStr,
    buf: GuestSlice<u8>,
    bufused: GuestPtr<u32>,
) -> Result<()> {
    let path = read_path(memory, path)?;
    let descriptor = for_looking(ctx, fd, Rights::PATH_READLINK)?;
    let link = existing_name(&directory(&descriptor)?.dir, &path)?;
    let contents = rustix::fs::readlinkat(link.directory(), link.as_str(), Vec::new())?;
    let contents = contents.into_string().map_err(|_| Errno::IlSeq)?;
    if contents.starts_with('/') {
        return Err(Errno::Perm.into());
    }
    let used = memory.fill(buf, contents.as_bytes())?;
    memory.store(bufused, &used)
}

/// Writes the attributes of the file that a path names.
pub(crate) fn path_filestat_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    flags: u32,
    path: GuestStr,
    buf: GuestPtr<FileStat>,
) -> Result<()> {
    let follow = following(flags)?;
    let path = read_path(memory, path)?;
    let descriptor = for_looking(ctx, fd, Rights::PATH_FILESTAT_GET)?;
    let stat = resolve::stat(&directory(&descriptor)?.dir, &path, follow)?;
    memory.store(buf, &from_host(&stat))
}

/// Sets the times of the file that a path names.
pub(crate) fn path_filestat_set_times(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    flags: u32,
    path: GuestStr,
    (atim, mtim): (u64, u64),
    fst_flags: u32,
) -> Result<()> {
    let follow = following(flags)?;
    let times = Times::new(atim, mtim, fst_flags)?;
    let path = read_path(memory, path)?;
    let descriptor = for_changing(ctx, fd, Rights::PATH_FILESTAT_SET_TIMES)?;
    // The file is not opened for this: a device would notice, and a pipe would wait for its other end.
    let found = lookup(&directory(&descriptor)?.dir, &path, follow)?;
    Ok(rustix::fs::utimensat(found, "", &times.stamps(), AtFlags::EMPTY_PATH)?)
}
