//! What a guest's descriptor stands for on the host.
//!
//! A descriptor is shared (`Arc`) and used through `&self`, so that threads of one guest can block
//! on one of them while others work on another. The kernel keeps the position and the flags of
//! everything it knows; only what it does not know is kept here: the narrowed [`Rights`], the state of
//! a directory listing, and the streams that are not the kernel's.
//!
//! Neighbours: [`table`](crate::table) numbers descriptors, [`builder`](crate::WasiCtxBuilder) and
//! `path_open` make them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cap_std::fs::Dir;
use rustix::fs::{FileType as HostType, OFlags as HostFlags};

use crate::abi::{Errno, FdFlags, FileType, Rights};
use crate::listing::Listing;

/// Whether a guest may change what is below a preopened directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirAccess {
    /// It may, as far as the host lets this process.
    ReadWrite,
    /// It may not: whatever would change something fails with EROFS.
    ReadOnly,
}

/// An open descriptor.
pub(crate) struct Descriptor {
    pub(crate) object: Object,
    /// Base rights. Only ever narrowed, and each bit stands for itself: Relaxed is enough.
    base: AtomicU64,
    /// Inheriting rights, likewise.
    inheriting: AtomicU64,
}

/// The host's side of a descriptor.
pub(crate) enum Object {
    /// Anything the kernel reads and writes: a file, a device, a pipe, a socket.
    File(File),
    /// A directory.
    Directory(Directory),
    /// A reader of the embedder's.
    Input(Mutex<Box<dyn io::Read + Send>>),
    /// A writer of the embedder's.
    Output(Mutex<Box<dyn io::Write + Send>>),
}

/// A descriptor of the kernel's that is not a directory.
pub(crate) struct File {
    fd: HostFd,
    pub(crate) filetype: FileType,
    /// Whether the guest wants EAGAIN in place of waiting, where the real flag is not its own, see
    /// [`HostFd`].
    nonblock: AtomicBool,
}

/// A descriptor of the kernel's, and whose it is.
enum HostFd {
    /// The guest's alone, and never waited for in the system: it is O_NONBLOCK, whatever the guest
    /// wants, and who would wait does so in [`Interrupt::wait`](crate::interrupt::Interrupt::wait).
    Polled(OwnedFd),
    /// The guest's alone, with the flags that the guest sets: a socket, whose calls can be told one by
    /// one not to wait.
    Guest(OwnedFd),
    /// Given by the embedder. The open file behind it may be shared with other processes (a
    /// terminal is, with the shell), so its flags are left alone.
    Lent(OwnedFd),
    /// One of the process's own standard streams.
    Stdio(BorrowedFd<'static>),
}

/// A directory, the only way to anything below it.
pub(crate) struct Directory {
    pub(crate) dir: Dir,
    pub(crate) access: DirAccess,
    /// The name under which the guest finds it, when it was there from the start.
    pub(crate) preopen: Option<String>,
    pub(crate) listing: Mutex<Listing>,
}

/// What of a stream the guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Descriptor {
    fn new(object: Object, base: Rights, inheriting: Rights) -> Self {
        Self {
            object,
            base: AtomicU64::new(base.bits()),
            inheriting: AtomicU64::new(inheriting.bits()),
        }
    }

    /// A file the guest opened, usable as `base` says, as far as its type allows. It was opened with
    /// O_NONBLOCK; `nonblock` is what the guest wants.
    pub(crate) fn opened(fd: OwnedFd, base: Rights, nonblock: bool) -> io::Result<Self> {
        let file = File::new(HostFd::Polled(fd), nonblock)?;
        let base = base.and(file.possible_rights());
        Ok(Self::new(Object::File(file), base, Rights::NONE))
    }

    /// A directory. `inheriting` bounds what can be opened through it.
    pub(crate) fn directory(directory: Directory, inheriting: Rights) -> Self {
        let base = match directory.access {
            DirAccess::ReadWrite => Rights::DIRECTORY,
            DirAccess::ReadOnly => Rights::DIRECTORY.without(Rights::CHANGING),
        };
        Self::new(Object::Directory(directory), base.and(inheriting), inheriting)
    }

    /// What can be opened through a directory the guest was given.
    ///
    /// Also through one for reading only: a C library drops what the directory does not pass on
    /// from what it asks for, and would open a file for reading in place of telling its program that it
    /// cannot be written.
    pub(crate) const fn preopen_rights() -> Rights {
        Rights::DIRECTORY.or(Rights::FILE)
    }

    /// One of the process's own standard streams.
    pub(crate) fn stdio(fd: BorrowedFd<'static>, direction: Direction) -> io::Result<Self> {
        Self::stream(reopened(fd).unwrap_or(HostFd::Stdio(fd)), direction)
    }

    /// A stream the embedder gave as a descriptor of the kernel's.
    pub(crate) fn lent(fd: OwnedFd, direction: Direction) -> io::Result<Self> {
        Self::stream(reopened(fd.as_fd()).unwrap_or(HostFd::Lent(fd)), direction)
    }

    fn stream(fd: HostFd, direction: Direction) -> io::Result<Self> {
        let file = File::new(fd, false)?;
        // A log file or terminal handed to the guest is for streaming: it may not resize it.
        let other = match direction {
            Direction::Read => Rights::STORING,
            Direction::Write => {
                Rights::FD_READ.or(Rights::FD_ALLOCATE).or(Rights::FD_FILESTAT_SET_SIZE)
            }
        };
        let base = file.possible_rights().without(other).without(Rights::FD_FILESTAT_SET_TIMES);
        Ok(Self::new(Object::File(file), base, Rights::NONE))
    }

    /// A socket, listening or connected.
    ///
    /// A listening one is made O_NONBLOCK: of two threads that see a connection one gets it, and accept(2)
    /// cannot be told otherwise not to keep the other.
    pub(crate) fn socket(fd: OwnedFd) -> io::Result<Self> {
        if HostType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != HostType::Socket {
            return Err(rustix::io::Errno::NOTSOCK.into());
        }
        let file = if rustix::net::sockopt::socket_acceptconn(&fd)? {
            let flags = rustix::fs::fcntl_getfl(&fd)?;
            rustix::fs::fcntl_setfl(&fd, flags | HostFlags::NONBLOCK)?;
            File::new(HostFd::Polled(fd), flags.contains(HostFlags::NONBLOCK))?
        } else {
            File::new(HostFd::Guest(fd), false)?
        };
        Ok(Self::new(Object::File(file), Rights::SOCKET, Rights::SOCKET))
    }

    /// A reader of the embedder's.
    pub(crate) fn input(reader: Box<dyn io::Read + Send>) -> Self {
        let base = Rights::FD_READ.or(Rights::FD_FILESTAT_GET).or(Rights::POLL_FD_READWRITE);
        Self::new(Object::Input(Mutex::new(reader)), base, Rights::NONE)
    }

    /// A writer of the embedder's.
    pub(crate) fn output(writer: Box<dyn io::Write + Send>) -> Self {
        let base = Rights::FD_WRITE
            .or(Rights::FD_FILESTAT_GET)
            .or(Rights::FD_SYNC)
            .or(Rights::FD_DATASYNC)
            .or(Rights::POLL_FD_READWRITE);
        Self::new(Object::Output(Mutex::new(writer)), base, Rights::NONE)
    }

    /// The rights as the guest sees them: base and inheriting.
    pub(crate) fn rights(&self) -> (Rights, Rights) {
        (
            Rights::from_bits(self.base.load(Ordering::Relaxed)),
            Rights::from_bits(self.inheriting.load(Ordering::Relaxed)),
        )
    }

    /// Gives up rights. Rights once given up, or never had, cannot be gained.
    pub(crate) fn narrow(&self, base: Rights, inheriting: Rights) -> Result<(), Errno> {
        let (has_base, has_inheriting) = self.rights();
        if !has_base.contains(base) || !has_inheriting.contains(inheriting) {
            return Err(Errno::NotCapable);
        }
        // And-ing, not storing: what another thread gives up meanwhile stays given up.
        self.base.fetch_and(base.bits(), Ordering::Relaxed);
        self.inheriting.fetch_and(inheriting.bits(), Ordering::Relaxed);
        Ok(())
    }

    /// Checks that the descriptor may be used for all of `rights`.
    ///
    /// Every call passes through here, so that an operation no descriptor of its kind supports, one
    /// the file was not opened for, and one given up with `fd_fdstat_set_rights` end alike. As POSIX
    /// has it, reading or writing what was not opened for it is EBADF.
    pub(crate) fn require(&self, rights: Rights) -> Result<(), Errno> {
        if self.rights().0.contains(rights) {
            return Ok(());
        }
        let transfers = Rights::FD_READ.or(Rights::FD_WRITE);
        Err(match &self.object {
            Object::Directory(_) => directory_refusal(rights),
            Object::File(file)
                if rights == Rights::SOCK_SHUTDOWN || rights == Rights::SOCK_ACCEPT =>
            {
                if file.is_socket() { Errno::NotCapable } else { Errno::NotSock }
            }
            _ if transfers.contains(rights) => Errno::BadF,
            Object::File(file) if !file.is_seekable() && Rights::SEEKING.contains(rights) => {
                Errno::Spipe
            }
            Object::Input(_) | Object::Output(_) if Rights::SEEKING.contains(rights) => {
                Errno::Spipe
            }
            _ => Errno::NotCapable,
        })
    }

    /// The file behind this descriptor, if it is one.
    pub(crate) fn as_file(&self) -> Result<&File, Errno> {
        match &self.object {
            Object::File(file) => Ok(file),
            Object::Directory(_) => Err(Errno::IsDir),
            Object::Input(_) | Object::Output(_) => Err(Errno::NotSup),
        }
    }

    /// The directory behind this descriptor, if it is one.
    pub(crate) fn as_directory(&self) -> Result<&Directory, Errno> {
        match &self.object {
            Object::Directory(directory) => Ok(directory),
            _ => Err(Errno::NotDir),
        }
    }

    /// The kernel's descriptor, where there is one.
    pub(crate) fn host_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.object {
            Object::File(file) => Some(file.as_fd()),
            Object::Directory(directory) => Some(directory.dir.as_fd()),
            Object::Input(_) | Object::Output(_) => None,
        }
    }
}

/// What a directory says to an operation on files: as the host would, where it has a word for it.
fn directory_refusal(rights: Rights) -> Errno {
    let reading = Rights::FD_READ.or(Rights::FD_SEEK).or(Rights::FD_TELL);
    if reading.contains(rights) {
        Errno::IsDir
    } else if Rights::FILE.contains(rights) && !Rights::DIRECTORY.contains(rights) {
        Errno::BadF
    } else {
        Errno::NotCapable
    }
}

impl File {
    fn new(fd: HostFd, nonblock: bool) -> io::Result<Self> {
        let filetype = filetype_of(fd.as_fd())?;
        Ok(Self { fd, filetype, nonblock: AtomicBool::new(nonblock) })
    }

    /// What can be done with a file of this type at all.
    fn possible_rights(&self) -> Rights {
        if self.is_socket() {
            Rights::SOCKET
        } else if self.is_seekable() {
            Rights::FILE
        } else {
            Rights::FILE.without(Rights::SEEKING)
        }
    }

    pub(crate) fn is_socket(&self) -> bool {
        matches!(self.filetype, FileType::SocketDgram | FileType::SocketStream)
    }

    /// Whether it has a position. wasi-libc takes a character device without one for a terminal,
    /// which is why `/dev/null` must have one.
    fn is_seekable(&self) -> bool {
        match self.filetype {
            FileType::RegularFile | FileType::BlockDevice => true,
            FileType::CharacterDevice => !rustix::termios::isatty(self.as_fd()),
            _ => false,
        }
    }

    /// Whether reading or writing may wait for somebody else.
    pub(crate) fn can_block(&self) -> bool {
        !matches!(self.filetype, FileType::RegularFile | FileType::BlockDevice)
    }

    /// Whether the system never waits on this descriptor, so that waiting is for us to do.
    pub(crate) fn is_polled(&self) -> bool {
        matches!(self.fd, HostFd::Polled(_))
    }

    /// Whether the guest asked for EAGAIN in place of waiting, and the real flag does not say so.
    pub(crate) fn emulates_nonblock(&self) -> bool {
        // Relaxed: the flag guards nothing else.
        self.nonblock.load(Ordering::Relaxed)
    }

    /// The flags of the open file.
    pub(crate) fn flags(&self) -> io::Result<FdFlags> {
        let flags = guest_flags(rustix::fs::fcntl_getfl(self.as_fd())?);
        Ok(match &self.fd {
            HostFd::Guest(_) => flags,
            _ if self.emulates_nonblock() => flags.or(FdFlags::NONBLOCK),
            // It is ours; or the host's, on a stream it shares, and not the guest's to rely on.
            _ => flags.without(FdFlags::NONBLOCK),
        })
    }

    /// Sets the flags of the open file. Those that say how data reaches the disk cannot be changed
    /// once it is open; asking for what is already so is fine.
    pub(crate) fn set_flags(&self, flags: FdFlags) -> Result<(), Errno> {
        let fixed = FdFlags::DSYNC.or(FdFlags::RSYNC).or(FdFlags::SYNC);
        let now = self.flags().map_err(Errno::from)?;
        if flags.and(fixed) != now.and(fixed) {
            return Err(Errno::NotSup);
        }
        match &self.fd {
            HostFd::Guest(fd) => Ok(rustix::fs::fcntl_setfl(fd, host_flags(flags))?),
            HostFd::Polled(fd) => {
                rustix::fs::fcntl_setfl(fd, host_flags(flags) | HostFlags::NONBLOCK)?;
                self.nonblock.store(flags.contains(FdFlags::NONBLOCK), Ordering::Relaxed);
                Ok(())
            }
            _ if flags.and(FdFlags::APPEND) != now.and(FdFlags::APPEND) => Err(Errno::NotSup),
            _ => {
                self.nonblock.store(flags.contains(FdFlags::NONBLOCK), Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for HostFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            HostFd::Polled(fd) | HostFd::Guest(fd) | HostFd::Lent(fd) => fd.as_fd(),
            HostFd::Stdio(fd) => *fd,
        }
    }
}

impl Directory {
    /// Refuses a change in a directory that was given for reading only.
    pub(crate) fn require_writable(&self) -> Result<(), Errno> {
        match self.access {
            DirAccess::ReadWrite => Ok(()),
            DirAccess::ReadOnly => Err(Errno::RoFs),
        }
    }
}

/// A terminal once more, with flags of its own: nothing else keeps a write to one that is stopped from
/// waiting in the system. None for what is no terminal, and where the host does not let us.
fn reopened(fd: BorrowedFd<'_>) -> Option<HostFd> {
    if !rustix::termios::isatty(fd) {
        return None;
    }
    let mode = rustix::fs::fcntl_getfl(fd).ok()? & HostFlags::RWMODE;
    let flags = mode | HostFlags::NONBLOCK | HostFlags::NOCTTY | HostFlags::CLOEXEC;
    let itself = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let fresh = rustix::fs::open(itself, flags, rustix::fs::Mode::empty()).ok()?;
    // Behind that path is the same terminal, unless /proc is not what it should be.
    let (old, new) = (rustix::fs::fstat(fd).ok()?, rustix::fs::fstat(&fresh).ok()?);
    (old.st_rdev == new.st_rdev && rustix::termios::isatty(&fresh)).then_some(HostFd::Polled(fresh))
}

fn filetype_of(fd: BorrowedFd<'_>) -> io::Result<FileType> {
    let stat = rustix::fs::fstat(fd)?;
    let host = HostType::from_raw_mode(stat.st_mode);
    if host == HostType::Socket
        && rustix::net::sockopt::socket_type(fd)? == rustix::net::SocketType::DGRAM
    {
        return Ok(FileType::SocketDgram);
    }
    Ok(host.into())
}

/// `HostFlags::DSYNC` is O_SYNC with some backends of rustix, which is more, and slower.
const HOST_DSYNC: HostFlags = HostFlags::from_bits_retain(libc::O_DSYNC.cast_unsigned());

/// The kernel's word for `flags`.
pub(crate) fn host_flags(flags: FdFlags) -> HostFlags {
    let words = [
        (FdFlags::APPEND, HostFlags::APPEND),
        (FdFlags::DSYNC, HOST_DSYNC),
        (FdFlags::NONBLOCK, HostFlags::NONBLOCK),
        (FdFlags::RSYNC, HostFlags::RSYNC),
        (FdFlags::SYNC, HostFlags::SYNC),
    ];
    let set = words.iter().filter(|(guest, _)| flags.contains(*guest));
    set.fold(HostFlags::empty(), |all, (_, host)| all | *host)
}

/// The guest's word for what the kernel says. Linux does not tell O_RSYNC from O_SYNC, and the bits
/// of O_SYNC include those of O_DSYNC.
fn guest_flags(host: HostFlags) -> FdFlags {
    let mut flags = FdFlags::NONE;
    if host.contains(HostFlags::APPEND) {
        flags = flags.or(FdFlags::APPEND);
    }
    if host.contains(HostFlags::NONBLOCK) {
        flags = flags.or(FdFlags::NONBLOCK);
    }
    if host.contains(HostFlags::SYNC) {
        flags.or(FdFlags::SYNC)
    } else if host.contains(HOST_DSYNC) {
        flags.or(FdFlags::DSYNC)
    } else {
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_survive_the_host() {
        let some = [
            FdFlags::NONE,
            FdFlags::APPEND,
            FdFlags::NONBLOCK,
            FdFlags::DSYNC,
            FdFlags::SYNC,
            FdFlags::APPEND.or(FdFlags::SYNC),
        ];
        for flags in some {
            assert_eq!(guest_flags(host_flags(flags)), flags);
        }
        assert_eq!(guest_flags(host_flags(FdFlags::RSYNC)), FdFlags::SYNC);
    }

    #[test]
    fn rights_only_shrink() {
        let descriptor = Descriptor::input(Box::new(io::empty()));
        assert_eq!(descriptor.require(Rights::FD_READ), Ok(()));
        assert_eq!(descriptor.require(Rights::FD_WRITE), Err(Errno::BadF));
        assert_eq!(descriptor.require(Rights::FD_SEEK), Err(Errno::Spipe));
        assert_eq!(descriptor.narrow(Rights::ALL, Rights::NONE), Err(Errno::NotCapable));
        descriptor.narrow(Rights::FD_FILESTAT_GET, Rights::NONE).unwrap();
        assert_eq!(descriptor.require(Rights::FD_READ), Err(Errno::BadF));
        assert_eq!(descriptor.narrow(Rights::FD_READ, Rights::NONE), Err(Errno::NotCapable));
    }

    #[test]
    fn dev_null_is_not_taken_for_a_terminal() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let descriptor = Descriptor::lent(null.into(), Direction::Read).unwrap();
        assert_eq!(descriptor.as_file().unwrap().filetype, FileType::CharacterDevice);
        assert_eq!(descriptor.require(Rights::FD_SEEK), Ok(()));
    }

    #[test]
    fn a_shared_stream_keeps_the_hosts_flags() {
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        let copy = reader.try_clone().unwrap();
        let descriptor = Descriptor::lent(reader, Direction::Read).unwrap();
        let file = descriptor.as_file().unwrap();
        file.set_flags(FdFlags::NONBLOCK).unwrap();
        assert_eq!(file.flags().unwrap(), FdFlags::NONBLOCK);
        let host = rustix::fs::fcntl_getfl(&copy).unwrap();
        assert!(!host.contains(HostFlags::NONBLOCK));
        assert_eq!(file.set_flags(FdFlags::APPEND), Err(Errno::NotSup));
    }
}
