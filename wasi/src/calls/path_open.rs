//! `path_open`.
//!
//! The rights that a guest asks for decide how the host's file is opened, and little more. FD_WRITE opens it for
//! writing; otherwise it is opened for reading, which is also the closest to a file that is opened for neither. The
//! other rights that were asked for are not enforced, as in other engines today: a descriptor allows what its type and
//! its opening allow, until the guest gives rights up with `fd_fdstat_set_rights`.

use std::fs::File as HostFile;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::sync::Mutex;
use std::time::Duration;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::event::PollFlags;
use rustix::fs::{FileType as HostType, OFlags as HostFlags};
use rustix::io::Errno as Host;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

use super::path::{following, for_looking, read_path};
use crate::abi::{Errno, FdFlags, OFlags, Rights};
use crate::ctx::State;
use crate::descriptor::{Descriptor, DirAccess, Directory, host_flags};
use crate::error::{Error, Result};
use crate::guest::{GuestPtr, GuestStr};
use crate::listing::Listing;
use crate::memory::GuestMemory;
use crate::resolve;

/// The decoded request.
#[derive(Clone, Copy)]
struct Request {
    follow: FollowSymlinks,
    flags: OFlags,
    fd_flags: FdFlags,
    read: bool,
    write: bool,
}

impl Request {
    /// Whether opening may by itself make or change a file, or is for writing to it.
    fn changes(self) -> bool {
        self.write || self.flags.contains(OFlags::CREAT) || self.flags.contains(OFlags::TRUNC)
    }
}

/// Opens the file that a path names, and writes the number of the new descriptor.
#[expect(clippy::too_many_arguments, reason = "the interface's own list")]
pub(crate) fn path_open(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    fd: u32,
    dirflags: u32,
    path: GuestStr,
    oflags: u32,
    (rights_base, _rights_inheriting): (u64, u64),
    fdflags: u32,
    opened_fd: GuestPtr<u32>,
) -> Result<()> {
    let follow = following(dirflags)?;
    let flags = OFlags::new(oflags)?;
    let fd_flags = FdFlags::new(fdflags)?;
    let path = read_path(memory, path)?;
    let parent = for_looking(ctx, fd, Rights::PATH_OPEN)?;
    let (_, inheriting) = parent.rights();
    let wanted = Rights::from_bits(rights_base).and(inheriting);
    let request = Request {
        follow,
        flags,
        fd_flags,
        read: wanted.contains(Rights::FD_READ),
        write: wanted.contains(Rights::FD_WRITE),
    };
    let slot = ctx.table.reserve()?;
    let number = slot.fill(open(ctx, &parent, &path, request)?);
    if let Err(error) = memory.store(opened_fd, &number) {
        // The guest will never learn the number.
        ctx.table.remove(number)?;
        return Err(error);
    }
    Ok(())
}

fn open(ctx: &State, parent: &Descriptor, path: &str, request: Request) -> Result<Descriptor> {
    let directory = parent.as_directory()?;
    let file = match directory.access {
        DirAccess::ReadWrite => {
            check_changes(parent, request.flags)?;
            open_waiting(ctx, &directory.dir, path, request)?
        }
        DirAccess::ReadOnly => open_read_only(ctx, &directory.dir, path, request)?,
    };
    let (_, inheriting) = parent.rights();
    if file.metadata()?.is_dir() {
        if request.changes() {
            // The system reports this itself, unless cap-std has opened the directory on the way.
            return Err(Errno::IsDir.into());
        }
        let child = Directory {
            dir: Dir::from_std_file(file),
            access: directory.access,
            preopen: None,
            listing: Mutex::new(Listing::default()),
        };
        return Ok(Descriptor::directory(child, inheriting));
    }
    let mut base = inheriting;
    if !request.read {
        base = base.without(Rights::FD_READ);
    }
    if !request.write {
        base = base.without(Rights::STORING);
    }
    if directory.access == DirAccess::ReadOnly {
        base = base.without(Rights::FD_FILESTAT_SET_TIMES);
    }
    let nonblock = request.fd_flags.contains(FdFlags::NONBLOCK);
    Ok(Descriptor::opened(file.into(), base, nonblock)?)
}

/// Checks the rights to the changes that opening itself would make.
fn check_changes(parent: &Descriptor, flags: OFlags) -> Result<(), Errno> {
    if flags.contains(OFlags::CREAT) {
        parent.require(Rights::PATH_CREATE_FILE)?;
    }
    if flags.contains(OFlags::TRUNC) {
        parent.require(Rights::PATH_FILESTAT_SET_SIZE)?;
    }
    Ok(())
}

/// Opens below a read-only directory, as on a file system that is mounted read-only: an existing file can be opened for
/// reading, even with CREAT.
fn open_read_only(ctx: &State, dir: &Dir, path: &str, request: Request) -> Result<HostFile> {
    if request.write || request.flags.contains(OFlags::TRUNC) {
        return Err(Errno::RoFs.into());
    }
    let creating = OFlags::CREAT.or(OFlags::EXCL);
    let looking = Request { flags: request.flags.without(creating), ..request };
    match open_waiting(ctx, dir, path, looking) {
        Ok(_) if request.flags.contains(creating) => Err(Errno::Exist.into()),
        Err(Error::Errno(Errno::NoEnt)) if request.flags.contains(OFlags::CREAT) => {
            Err(Errno::RoFs.into())
        }
        opened => opened,
    }
}

/// Opens, and waits as open(2) does: for the other end of a named pipe, and for the holder of a lease on the file. The
/// waiting is not left to the system, because it could not be interrupted there.
fn open_waiting(ctx: &State, dir: &Dir, path: &str, request: Request) -> Result<HostFile> {
    if request.fd_flags.contains(FdFlags::NONBLOCK) {
        return Ok(open_host(dir, path, request)?);
    }
    let mut pauses = Pauses::default();
    loop {
        match open_host(dir, path, request) {
            Ok(file) => {
                if !request.write && file.metadata()?.file_type().is_fifo() {
                    wait_for_writer(ctx, file.as_fd())?;
                }
                return Ok(file);
            }
            Err(error) if may_come(&error, dir, path, request) => {
                ctx.interrupt.pause(pauses.next())?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether opening failed with `error` because it would have to wait. ENXIO is also the error for sockets, and for
/// devices that do not exist.
fn may_come(error: &io::Error, dir: &Dir, path: &str, request: Request) -> bool {
    match Host::from_io_error(error) {
        Some(Host::AGAIN) => true,
        Some(Host::NXIO) => {
            let found = resolve::stat(dir, path, request.follow);
            found.is_ok_and(|found| HostType::from_raw_mode(found.st_mode) == HostType::Fifo)
        }
        _ => false,
    }
}

/// Waits until another process has opened the named pipe `reader` for writing, as open(2) would have. poll(2) shows
/// data, and that a writer has come and gone. A writer that is there and silent is seen by tee(2): it then fails with
/// EAGAIN, whereas without a writer it reports the end.
fn wait_for_writer(ctx: &State, reader: BorrowedFd<'_>) -> Result<()> {
    let (_keep_open, aside) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let mut pauses = Pauses::default();
    while tee(reader, &aside, 1, SpliceFlags::NONBLOCK) == Ok(0) {
        if ctx.interrupt.wait_at_most(reader, PollFlags::IN, pauses.next())? {
            break;
        }
    }
    Ok(())
}

/// How long to sleep between two checks: longer each time, but never long.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(Duration::from_micros(500))
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        const LONGEST: Duration = Duration::from_millis(16);
        self.0 = (self.0 * 2).min(LONGEST);
        self.0
    }
}

/// Opens without waiting.
///
/// If the system has no openat2(2), cap-std walks the path itself, and opens the last name by its own interface, which
/// cannot express every case. The cases that it cannot express are resolved first.
fn open_host(dir: &Dir, path: &str, request: Request) -> io::Result<HostFile> {
    let creates = request.flags.contains(OFlags::CREAT);
    let directory = request.flags.contains(OFlags::DIRECTORY);
    let follows = matches!(request.follow, FollowSymlinks::Yes);
    if creates && directory {
        return Err(Host::INVAL.into());
    }
    if creates && resolve::means_directory(path) {
        // No file is created under such a name, whatever exists.
        resolve::name(dir, path)?;
        return Err(Host::ISDIR.into());
    }
    if creates && resolve::is_directory(path) {
        resolve::lookup(dir, path, request.follow)?;
        let exclusive = request.flags.contains(OFlags::EXCL);
        return Err(if exclusive { Host::EXIST } else { Host::ISDIR }.into());
    }
    if directory && follows && !path.is_empty() {
        return open_flagged(dir, &format!("{path}/"), request);
    }
    open_flagged(dir, path, request)
}

fn open_flagged(dir: &Dir, path: &str, request: Request) -> io::Result<HostFile> {
    let words = [
        (OFlags::CREAT, HostFlags::CREATE),
        (OFlags::DIRECTORY, HostFlags::DIRECTORY),
        (OFlags::EXCL, HostFlags::EXCL),
        (OFlags::TRUNC, HostFlags::TRUNC),
    ];
    // NOCTTY: a terminal among the files must not become the controlling terminal of the host process.
    let mut flags = host_flags(request.fd_flags) | HostFlags::NOCTTY | HostFlags::NONBLOCK;
    for (guest, host) in words {
        if request.flags.contains(guest) {
            flags |= host;
        }
    }
    let mut options = OpenOptions::new();
    options.read(request.read || !request.write).write(request.write).follow(request.follow);
    // As raw flags: cap-std's options refuse to create or truncate a file that is opened for reading, which open(2) and
    // preview 1 allow.
    options.custom_flags(flags.bits().cast_signed());
    Ok(dir.open_with(path, &options)?.into_std())
}
