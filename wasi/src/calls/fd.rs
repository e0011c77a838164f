//! Operations on descriptors as such: closing, renumbering, and asking for preopened directories.

use crate::abi::{Errno, Prestat};
use crate::ctx::State;
use crate::error::Result;
use crate::guest::{GuestPtr, GuestStr};
use crate::memory::GuestMemory;

/// Closes a descriptor. A thread that is using it finishes its call first.
pub(crate) fn fd_close(ctx: &State, fd: u32) -> Result<()> {
    ctx.table.remove(fd)?;
    Ok(())
}

/// Makes number `to` refer to what `fd` refers to, in one step, and closes what `to` referred to.
pub(crate) fn fd_renumber(ctx: &State, fd: u32, to: u32) -> Result<()> {
    drop(ctx.table.renumber(fd, to)?);
    Ok(())
}

/// Tells whether a descriptor is a preopened directory. C libraries call this for 3 and up, until
/// the answer is EBADF.
pub(crate) fn fd_prestat_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    buf: GuestPtr<Prestat>,
) -> Result<()> {
    let name = preopen_name(ctx, fd)?;
    // The host would not have opened a directory with such a long name.
    let name_len = u32::try_from(name.len()).map_err(|_| Errno::Overflow)?;
    memory.store(buf, &Prestat { name_len })
}

/// Writes the name of a preopened directory, without a NUL.
pub(crate) fn fd_prestat_dir_name(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    path: GuestStr,
) -> Result<()> {
    let name = preopen_name(ctx, fd)?;
    if name.len() as u64 > u64::from(path.len()) {
        return Err(Errno::NameTooLong.into());
    }
    Ok(memory.write(path.at(), name.as_bytes())?)
}

fn preopen_name(ctx: &State, fd: u32) -> Result<String, Errno> {
    let descriptor = ctx.table.get(fd)?;
    let directory = descriptor.as_directory().map_err(|_| Errno::BadF)?;
    directory.preopen.clone().ok_or(Errno::BadF)
}
