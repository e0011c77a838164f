//! [`Descriptor`]: the host's side of a guest's descriptor.
//!
//! A descriptor is shared (`Arc`) and used through `&self`, so that some threads of a guest can block on it while
//! others use it, too. The kernel keeps the position and the flags of its own files. Here is only what the kernel does
//! not know: the narrowed [`Rights`], the state of a directory listing, and streams that are not the kernel's.
//!
//! Neighbours: [`table`](crate::table) numbers descriptors; [`builder`](crate::WasiCtxBuilder) and `path_open` make
//! them.

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
    /// It may, as far as the host allows this process.
    ReadWrite,
    /// It may not: every operation that would change something fails with EROFS.
    ReadOnly,
}

/// An open descriptor.
pub(crate) struct Descriptor {
    pub(crate) object: Object,
    /// Base rights. They are only narrowed, and each bit is independent, so Relaxed is enough.
    base: AtomicU64,
    /// Inheriting rights, in the same way.
    inheriting: AtomicU64,
}

/// The host's side of a descriptor.
pub(crate) enum Object {
    /// A file, device, pipe or socket of the kernel.
    File(File),
    /// A directory.
    Directory(Directory),
    /// A reader of the embedder.
    Input(Mutex<Box<dyn io::Read + Send>>),
    /// A writer of the embedder.
    Output(Mutex<Box<dyn io::Write + Send>>),
}

/// A descriptor of the kernel that is not a directory.
pub(crate) struct File {
    fd: HostFd,
    pub(crate) filetype: FileType,
    /// Whether the guest wants EAGAIN instead of waiting, for descriptors whose real flag is not the guest's; see
    /// [`HostFd`].
    nonblock: AtomicBool,
}

/// A descriptor of the kernel, and who owns it.
enum HostFd {
    /// It belongs to the guest alone, and calls never wait in the system: it is O_NONBLOCK, whatever the guest wants,
    /// and waiting happens in [`Interrupt::wait`](crate::interrupt::Interrupt::wait).
    Polled(OwnedFd),
    /// It belongs to the guest alone, with the flags that the guest sets: a socket, for which each call can say whether
    /// it may wait.
    Guest(OwnedFd),
    /// The embedder has given it. Other processes may share the open file (the shell shares a terminal), so its flags
    /// are not changed.
    Lent(OwnedFd),
    /// One of the process's own standard streams.
    Stdio(BorrowedFd<'static>),
}

/// A directory: files below it can only be reached through it.
pub(crate) struct Directory {
    pub(crate) dir: Dir,
    pub(crate) access: DirAccess,
    /// Its name for the guest, if it is preopened.
    pub(crate) preopen: Option<String>,
    pub(crate) listing: Mutex<Listing>,
}

/// How the guest may use a stream.
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

    /// A file that the guest has opened, with the rights `base` as far as its type allows. It was opened with
    /// O_NONBLOCK; `nonblock` is what the guest wants.
    pub(crate) fn opened(fd: OwnedFd, base: Rights, nonblock: bool) -> io::Result<Self> {
        let file = File::new(HostFd::Polled(fd), nonblock)?;
        let base = base.and(file.possible_rights());
        Ok(Self::new(Object::File(file), base, Rights::NONE))
    }

    /// A directory. `inheriting` limits the rights of files that are opened through it.
    pub(crate) fn directory(directory: Directory, inheriting: Rights) -> Self {
        let base = match directory.access {
            DirAccess::ReadWrite => Rights::DIRECTORY,
            DirAccess::ReadOnly => Rights::DIRECTORY.without(Rights::CHANGING),
        };
        Self::new(Object::Directory(directory), base.and(inheriting), inheriting)
    }

    /// The rights of files that are opened through a preopened directory.
    ///
    /// A read-only directory has them, too. A C library asks only for rights that the directory passes on. With fewer
    /// rights it would open a file for reading only, instead of telling its program that the file cannot be written.
    pub(crate) const fn preopen_rights() -> Rights {
        Rights::DIRECTORY.or(Rights::FILE)
    }

    /// One of the process's own standard streams.
    pub(crate) fn stdio(fd: BorrowedFd<'static>, direction: Direction) -> io::Result<Self> {
        Self::stream(reopened(fd).unwrap_or(HostFd::Stdio(fd)), direction)
    }

    /// A stream that the embedder has given as a descriptor of the kernel.
    pub(crate) fn lent(fd: OwnedFd, direction: Direction) -> io::Result<Self> {
        Self::stream(reopened(fd.as_fd()).unwrap_or(HostFd::Lent(fd)), direction)
    }

    fn stream(fd: HostFd, direction: Direction) -> io::Result<Self> {
        let file = File::new(fd, false)?;
        // A log file or terminal that is given to the guest is a stream: the guest may not resize it.
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
    /// A listening socket is made O_NONBLOCK. Of two threads that see a connection only one gets it, and there is no
    /// other way to keep accept(2) from blocking the other.
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

    /// A reader of the embedder.
    pub(crate) fn input(reader: Box<dyn io::Read + Send>) -> Self {
        let base = Rights::FD_READ.or(Rights::FD_FILESTAT_GET).or(Rights::POLL_FD_READWRITE);
        Self::new(Object::Input(Mutex::new(reader)), base, Rights::NONE)
    }

    /// A writer of the embedder.
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

    /// Gives up rights. A descriptor never gains rights.
    pub(crate) fn narrow(&self, base: Rights, inheriting: Rights) -> Result<(), Errno> {
        let (has_base, has_inheriting) = self.rights();
        if !has_base.contains(base) || !has_inheriting.contains(inheriting) {
            return Err(Errno::NotCapable);
        }
        // `fetch_and` instead of a store, so that rights which another thread gives up meanwhile stay given up.
        self.base.fetch_and(base.bits(), Ordering::Relaxed);
        self.inheriting.fetch_and(inheriting.bits(), Ordering::Relaxed);
        Ok(())
    }

    /// Checks that the descriptor may be used for all of `rights`.
    ///
    /// Every call uses this check. So the result is the same whether no descriptor of this type supports the operation,
    /// the file was not opened for it, or the right was given up with `fd_fdstat_set_rights`. As POSIX requires,
    /// reading or writing a file that was not opened for it is EBADF.
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

    /// The file of this descriptor, if it is one.
    pub(crate) fn as_file(&self) -> Result<&File, Errno> {
        match &self.object {
            Object::File(file) => Ok(file),
            Object::Directory(_) => Err(Errno::IsDir),
            Object::Input(_) | Object::Output(_) => Err(Errno::NotSup),
        }
    }

    /// The directory of this descriptor, if it is one.
    pub(crate) fn as_directory(&self) -> Result<&Directory, Errno> {
        match &self.object {
            Object::Directory(directory) => Ok(directory),
            _ => Err(Errno::NotDir),
        }
    }

    /// The kernel's descriptor, if there is one.
    pub(crate) fn host_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.object {
            Object::File(file) => Some(file.as_fd()),
            Object::Directory(directory) => Some(directory.dir.as_fd()),
            Object::Input(_) | Object::Output(_) => None,
        }
    }
}

/// The error for an operation on files that is tried on a directory: the host's error, where it has one.
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

    /// The rights that a file of this type can have at all.
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

    /// Whether it has a position. wasi-libc takes a character device without a position for a terminal, so `/dev/null`
    /// must have one.
    fn is_seekable(&self) -> bool {
        match self.filetype {
            FileType::RegularFile | FileType::BlockDevice => true,
            FileType::CharacterDevice => !rustix::termios::isatty(self.as_fd()),
            _ => false,
        }
    }

    /// Whether reading or writing may have to wait for another process.
    pub(crate) fn can_block(&self) -> bool {
        !matches!(self.filetype, FileType::RegularFile | FileType::BlockDevice)
    }

    /// Whether the system never waits on this descriptor, so that we must.
    pub(crate) fn is_polled(&self) -> bool {
        matches!(self.fd, HostFd::Polled(_))
    }

    /// Whether the guest wants EAGAIN instead of waiting, and the real flag is not set.
    pub(crate) fn emulates_nonblock(&self) -> bool {
        // Relaxed: the flag orders nothing else.
        self.nonblock.load(Ordering::Relaxed)
    }

    /// The flags of the open file.
    pub(crate) fn flags(&self) -> io::Result<FdFlags> {
        let flags = guest_flags(rustix::fs::fcntl_getfl(self.as_fd())?);
        Ok(match &self.fd {
            HostFd::Guest(_) => flags,
            _ if self.emulates_nonblock() => flags.or(FdFlags::NONBLOCK),
            // The flag is ours; or, on a shared stream, the host's, and the guest must not rely on it.
            _ => flags.without(FdFlags::NONBLOCK),
        })
    }

    /// Sets the flags of the open file. The flags for synchronous writing cannot be changed once the file is open;
    /// setting them to their present values succeeds.
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
    /// Refuses a change in a read-only directory.
    pub(crate) fn require_writable(&self) -> Result<(), Errno> {
        match self.access {
            DirAccess::ReadWrite => Ok(()),
            DirAccess::ReadOnly => Err(Errno::RoFs),
        }
    }
}

/// Opens a terminal again, so that it has flags of its own: otherwise a write to a stopped terminal would wait in the
/// system. `None` for other files, and if the host refuses.
fn reopened(fd: BorrowedFd<'_>) -> Option<HostFd> {
    if !rustix::termios::isatty(fd) {
        return None;
    }
    let mode = rustix::fs::fcntl_getfl(fd).ok()? & HostFlags::RWMODE;
    let flags = mode | HostFlags::NONBLOCK | HostFlags::NOCTTY | HostFlags::CLOEXEC;
    let itself = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let fresh = rustix::fs::open(itself, flags, rustix::fs::Mode::empty()).ok()?;
    // The path refers to the same terminal, unless /proc is not the real one.
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

/// Some backends of rustix define `HostFlags::DSYNC` as O_SYNC, which does more and is slower.
const HOST_DSYNC: HostFlags = HostFlags::from_bits_retain(libc::O_DSYNC.cast_unsigned());

/// The kernel's flags for `flags`.
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

/// The guest's flags for the kernel's. Linux does not distinguish O_RSYNC from O_SYNC, and O_SYNC includes the bits of
/// O_DSYNC.
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
