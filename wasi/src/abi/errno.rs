//! The error numbers of preview 1, and the host errors that they come from.
//!
//! The mapping uses the host's error *number* whenever there is one, because [`io::ErrorKind`] is
//! too coarse (for example, it merges EPERM and EACCES). Errors of the sandbox itself have no
//! number. cap-std reports a path that would leave its directory as `PermissionDenied`, which
//! becomes [`Errno::Perm`], as in other engines.

use rustix::io::Errno as Host;
use std::{fmt, io};

/// An error number of `wasi_snapshot_preview1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum Errno {
    /// No error.
    Success = 0,
    /// Argument list too long.
    TooBig = 1,
    /// Permission denied.
    Access = 2,
    /// Address in use.
    AddrInUse = 3,
    /// Address not available.
    AddrNotAvail = 4,
    /// Address family not supported.
    AfNoSupport = 5,
    /// Resource unavailable, or operation would block.
    Again = 6,
    /// Connection already in progress.
    Already = 7,
    /// Bad file descriptor.
    BadF = 8,
    /// Bad message.
    BadMsg = 9,
    /// Device or resource busy.
    Busy = 10,
    /// Operation canceled.
    Canceled = 11,
    /// No child processes.
    Child = 12,
    /// Connection aborted.
    ConnAborted = 13,
    /// Connection refused.
    ConnRefused = 14,
    /// Connection reset.
    ConnReset = 15,
    /// Resource deadlock would occur.
    Deadlk = 16,
    /// Destination address required.
    DestAddrReq = 17,
    /// Mathematics argument out of domain.
    Dom = 18,
    /// Disk quota exceeded.
    Dquot = 19,
    /// File exists.
    Exist = 20,
    /// Bad address.
    Fault = 21,
    /// File too large.
    FBig = 22,
    /// Host is unreachable.
    HostUnreach = 23,
    /// Identifier removed.
    Idrm = 24,
    /// Illegal byte sequence.
    IlSeq = 25,
    /// Operation in progress.
    InProgress = 26,
    /// Interrupted function.
    Intr = 27,
    /// Invalid argument.
    Inval = 28,
    /// I/O error.
    Io = 29,
    /// Socket is connected.
    IsConn = 30,
    /// Is a directory.
    IsDir = 31,
    /// Too many levels of symbolic links.
    Loop = 32,
    /// File descriptor value too large.
    MFile = 33,
    /// Too many links.
    MLink = 34,
    /// Message too large.
    MsgSize = 35,
    /// Multihop attempted.
    Multihop = 36,
    /// Filename too long.
    NameTooLong = 37,
    /// Network is down.
    NetDown = 38,
    /// Connection aborted by network.
    NetReset = 39,
    /// Network unreachable.
    NetUnreach = 40,
    /// Too many files open in system.
    NFile = 41,
    /// No buffer space available.
    NoBufs = 42,
    /// No such device.
    NoDev = 43,
    /// No such file or directory.
    NoEnt = 44,
    /// Executable file format error.
    NoExec = 45,
    /// No locks available.
    NoLck = 46,
    /// Link has been severed.
    NoLink = 47,
    /// Not enough space.
    NoMem = 48,
    /// No message of the desired type.
    NoMsg = 49,
    /// Protocol not available.
    NoProtoOpt = 50,
    /// No space left on device.
    NoSpc = 51,
    /// Function not supported.
    NoSys = 52,
    /// The socket is not connected.
    NotConn = 53,
    /// Not a directory.
    NotDir = 54,
    /// Directory not empty.
    NotEmpty = 55,
    /// State not recoverable.
    NotRecoverable = 56,
    /// Not a socket.
    NotSock = 57,
    /// Not supported.
    NotSup = 58,
    /// Inappropriate I/O control operation.
    NoTty = 59,
    /// No such device or address.
    Nxio = 60,
    /// Value too large to be stored in data type.
    Overflow = 61,
    /// Previous owner died.
    OwnerDead = 62,
    /// Operation not permitted.
    Perm = 63,
    /// Broken pipe.
    Pipe = 64,
    /// Protocol error.
    Proto = 65,
    /// Protocol not supported.
    ProtoNoSupport = 66,
    /// Protocol wrong type for socket.
    Prototype = 67,
    /// Result too large.
    Range = 68,
    /// Read-only file system.
    RoFs = 69,
    /// Invalid seek.
    Spipe = 70,
    /// No such process.
    Srch = 71,
    /// Stale file handle.
    Stale = 72,
    /// Connection timed out.
    TimedOut = 73,
    /// Text file busy.
    TxtBsy = 74,
    /// Cross-device link.
    XDev = 75,
    /// Capabilities insufficient.
    NotCapable = 76,
}

impl Errno {
    /// The number a guest sees.
    pub const fn raw(self) -> u16 {
        self as u16
    }
}

impl From<Host> for Errno {
    fn from(host: Host) -> Self {
        match host {
            Host::TOOBIG => Errno::TooBig,
            Host::ACCESS => Errno::Access,
            Host::ADDRINUSE => Errno::AddrInUse,
            Host::ADDRNOTAVAIL => Errno::AddrNotAvail,
            Host::AFNOSUPPORT => Errno::AfNoSupport,
            Host::AGAIN => Errno::Again,
            Host::ALREADY => Errno::Already,
            Host::BADF => Errno::BadF,
            Host::BADMSG => Errno::BadMsg,
            Host::BUSY => Errno::Busy,
            Host::CANCELED => Errno::Canceled,
            Host::CHILD => Errno::Child,
            Host::CONNABORTED => Errno::ConnAborted,
            Host::CONNREFUSED => Errno::ConnRefused,
            Host::CONNRESET => Errno::ConnReset,
            Host::DEADLK => Errno::Deadlk,
            Host::DESTADDRREQ => Errno::DestAddrReq,
            Host::DOM => Errno::Dom,
            Host::DQUOT => Errno::Dquot,
            Host::EXIST => Errno::Exist,
            Host::FAULT => Errno::Fault,
            Host::FBIG => Errno::FBig,
            Host::HOSTUNREACH => Errno::HostUnreach,
            Host::IDRM => Errno::Idrm,
            Host::ILSEQ => Errno::IlSeq,
            Host::INPROGRESS => Errno::InProgress,
            Host::INTR => Errno::Intr,
            Host::INVAL => Errno::Inval,
            Host::IO => Errno::Io,
            Host::ISCONN => Errno::IsConn,
            Host::ISDIR => Errno::IsDir,
            Host::LOOP => Errno::Loop,
            Host::MFILE => Errno::MFile,
            Host::MLINK => Errno::MLink,
            Host::MSGSIZE => Errno::MsgSize,
            Host::MULTIHOP => Errno::Multihop,
            Host::NAMETOOLONG => Errno::NameTooLong,
            Host::NETDOWN => Errno::NetDown,
            Host::NETRESET => Errno::NetReset,
            Host::NETUNREACH => Errno::NetUnreach,
            Host::NFILE => Errno::NFile,
            Host::NOBUFS => Errno::NoBufs,
            Host::NODEV => Errno::NoDev,
            Host::NOENT => Errno::NoEnt,
            Host::NOEXEC => Errno::NoExec,
            Host::NOLCK => Errno::NoLck,
            Host::NOLINK => Errno::NoLink,
            Host::NOMEM => Errno::NoMem,
            Host::NOMSG => Errno::NoMsg,
            Host::NOPROTOOPT => Errno::NoProtoOpt,
            Host::NOSPC => Errno::NoSpc,
            Host::NOSYS => Errno::NoSys,
            Host::NOTCONN => Errno::NotConn,
            Host::NOTDIR => Errno::NotDir,
            Host::NOTEMPTY => Errno::NotEmpty,
            Host::NOTRECOVERABLE => Errno::NotRecoverable,
            Host::NOTSOCK => Errno::NotSock,
            Host::NOTSUP => Errno::NotSup,
            Host::NOTTY => Errno::NoTty,
            Host::NXIO => Errno::Nxio,
            Host::OVERFLOW => Errno::Overflow,
            Host::OWNERDEAD => Errno::OwnerDead,
            Host::PERM => Errno::Perm,
            Host::PIPE => Errno::Pipe,
            Host::PROTO => Errno::Proto,
            Host::PROTONOSUPPORT => Errno::ProtoNoSupport,
            Host::PROTOTYPE => Errno::Prototype,
            Host::RANGE => Errno::Range,
            Host::ROFS => Errno::RoFs,
            Host::SPIPE => Errno::Spipe,
            Host::SRCH => Errno::Srch,
            Host::STALE => Errno::Stale,
            Host::TIMEDOUT => Errno::TimedOut,
            Host::TXTBSY => Errno::TxtBsy,
            Host::XDEV => Errno::XDev,
            // Numbers that preview 1 does not have.
            _ => Errno::Io,
        }
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        match Host::from_io_error(&error) {
            Some(host) => host.into(),
            None => Errno::from(error.kind()),
        }
    }
}

impl From<io::ErrorKind> for Errno {
    fn from(kind: io::ErrorKind) -> Self {
        use io::ErrorKind as Kind;
        match kind {
            // cap-std's "a path led outside of the filesystem".
            Kind::PermissionDenied => Errno::Perm,
            Kind::NotFound => Errno::NoEnt,
            Kind::AlreadyExists => Errno::Exist,
            // For example, a path that contains a NUL byte.
            Kind::InvalidInput => Errno::Inval,
            Kind::InvalidData => Errno::IlSeq,
            Kind::BrokenPipe => Errno::Pipe,
            Kind::WouldBlock => Errno::Again,
            Kind::Interrupted => Errno::Intr,
            Kind::NotADirectory => Errno::NotDir,
            Kind::IsADirectory => Errno::IsDir,
            Kind::DirectoryNotEmpty => Errno::NotEmpty,
            Kind::ReadOnlyFilesystem => Errno::RoFs,
            Kind::StorageFull => Errno::NoSpc,
            Kind::FileTooLarge => Errno::FBig,
            Kind::TimedOut => Errno::TimedOut,
            Kind::Unsupported => Errno::NotSup,
            Kind::OutOfMemory => Errno::NoMem,
            Kind::ConnectionRefused => Errno::ConnRefused,
            Kind::ConnectionReset => Errno::ConnReset,
            Kind::ConnectionAborted => Errno::ConnAborted,
            Kind::NotConnected => Errno::NotConn,
            _ => Errno::Io,
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Errno::Success => "no error",
            Errno::TooBig => "argument list too long",
            Errno::Access => "permission denied",
            Errno::AddrInUse => "address in use",
            Errno::AddrNotAvail => "address not available",
            Errno::AfNoSupport => "address family not supported",
            Errno::Again => "resource unavailable, or operation would block",
            Errno::Already => "connection already in progress",
            Errno::BadF => "bad file descriptor",
            Errno::BadMsg => "bad message",
            Errno::Busy => "device or resource busy",
            Errno::Canceled => "operation canceled",
            Errno::Child => "no child processes",
            Errno::ConnAborted => "connection aborted",
            Errno::ConnRefused => "connection refused",
            Errno::ConnReset => "connection reset",
            Errno::Deadlk => "resource deadlock would occur",
            Errno::DestAddrReq => "destination address required",
            Errno::Dom => "mathematics argument out of domain",
            Errno::Dquot => "disk quota exceeded",
            Errno::Exist => "file exists",
            Errno::Fault => "bad address",
            Errno::FBig => "file too large",
            Errno::HostUnreach => "host is unreachable",
            Errno::Idrm => "identifier removed",
            Errno::IlSeq => "illegal byte sequence",
            Errno::InProgress => "operation in progress",
            Errno::Intr => "interrupted function",
            Errno::Inval => "invalid argument",
            Errno::Io => "I/O error",
            Errno::IsConn => "socket is connected",
            Errno::IsDir => "is a directory",
            Errno::Loop => "too many levels of symbolic links",
            Errno::MFile => "file descriptor value too large",
            Errno::MLink => "too many links",
            Errno::MsgSize => "message too large",
            Errno::Multihop => "multihop attempted",
            Errno::NameTooLong => "filename too long",
            Errno::NetDown => "network is down",
            Errno::NetReset => "connection aborted by network",
            Errno::NetUnreach => "network unreachable",
            Errno::NFile => "too many files open in system",
            Errno::NoBufs => "no buffer space available",
            Errno::NoDev => "no such device",
            Errno::NoEnt => "no such file or directory",
            Errno::NoExec => "executable file format error",
            Errno::NoLck => "no locks available",
            Errno::NoLink => "link has been severed",
            Errno::NoMem => "not enough space",
            Errno::NoMsg => "no message of the desired type",
            Errno::NoProtoOpt => "protocol not available",
            Errno::NoSpc => "no space left on device",
            Errno::NoSys => "function not supported",
            Errno::NotConn => "the socket is not connected",
            Errno::NotDir => "not a directory",
            Errno::NotEmpty => "directory not empty",
            Errno::NotRecoverable => "state not recoverable",
            Errno::NotSock => "not a socket",
            Errno::NotSup => "not supported",
            Errno::NoTty => "inappropriate I/O control operation",
            Errno::Nxio => "no such device or address",
            Errno::Overflow => "value too large to be stored in data type",
            Errno::OwnerDead => "previous owner died",
            Errno::Perm => "operation not permitted",
            Errno::Pipe => "broken pipe",
            Errno::Proto => "protocol error",
            Errno::ProtoNoSupport => "protocol not supported",
            Errno::Prototype => "protocol wrong type for socket",
            Errno::Range => "result too large",
            Errno::RoFs => "read-only file system",
            Errno::Spipe => "invalid seek",
            Errno::Srch => "no such process",
            Errno::Stale => "stale file handle",
            Errno::TimedOut => "connection timed out",
            Errno::TxtBsy => "text file busy",
            Errno::XDev => "cross-device link",
            Errno::NotCapable => "capabilities insufficient",
        })
    }
}

impl std::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_witx_file() {
        // Spread over the list, so that a missing or doubled line anywhere is noticed.
        let known = [
            (Errno::Success, 0),
            (Errno::Access, 2),
            (Errno::BadF, 8),
            (Errno::Exist, 20),
            (Errno::IlSeq, 25),
            (Errno::Inval, 28),
            (Errno::IsDir, 31),
            (Errno::Loop, 32),
            (Errno::NameTooLong, 37),
            (Errno::NoEnt, 44),
            (Errno::NoSys, 52),
            (Errno::NotDir, 54),
            (Errno::NotEmpty, 55),
            (Errno::NotSock, 57),
            (Errno::NotSup, 58),
            (Errno::Overflow, 61),
            (Errno::Perm, 63),
            (Errno::Pipe, 64),
            (Errno::RoFs, 69),
            (Errno::Spipe, 70),
            (Errno::XDev, 75),
            (Errno::NotCapable, 76),
        ];
        for (errno, number) in known {
            assert_eq!(errno.raw(), number, "{errno:?}");
        }
    }

    #[test]
    fn host_numbers_keep_permission_and_access_apart() {
        let of = |raw| Errno::from(io::Error::from_raw_os_error(raw));
        assert_eq!(of(libc::EPERM), Errno::Perm);
        assert_eq!(of(libc::EACCES), Errno::Access);
        assert_eq!(of(libc::EROFS), Errno::RoFs);
        assert_eq!(of(libc::EPIPE), Errno::Pipe);
        assert_eq!(of(libc::ELOOP), Errno::Loop);
        assert_eq!(of(libc::ENOTSUP), Errno::NotSup);
        assert_eq!(of(libc::EDQUOT), Errno::Dquot);
        assert_eq!(of(libc::EKEYEXPIRED), Errno::Io);
    }

    #[test]
    fn errors_without_a_number_go_by_their_kind() {
        let of = |kind| Errno::from(io::Error::new(kind, "made up"));
        assert_eq!(of(io::ErrorKind::PermissionDenied), Errno::Perm);
        assert_eq!(of(io::ErrorKind::InvalidInput), Errno::Inval);
        assert_eq!(of(io::ErrorKind::Other), Errno::Io);
    }
}
