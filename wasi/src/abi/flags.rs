//! Flag words of preview 1.
//!
//! A bit that the interface does not define makes a call fail with [`Errno::Inval`]: a program that
//! probes for an extension must be told that it is missing. [`Rights`] are the exception: wasi-libc
//! builds them by complement, and expects the host to ignore unknown bits.

use super::Errno;

/// Declares a flag word: a newtype with its constants, checked construction and set algebra.
macro_rules! flags {
    ($(#[$doc:meta])* $name:ident: $repr:ty { $($flag:ident = $bit:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $name($repr);

        #[allow(dead_code, reason = "the interface's list is complete, our use of it is not")]
        impl $name {
            $(pub(crate) const $flag: Self = Self(1 << $bit);)+
            pub(crate) const NONE: Self = Self(0);
            pub(crate) const ALL: Self = Self($(1 << $bit)|+);

            /// The flags in `raw`; an error if it has a bit that the interface does not define.
            pub(crate) fn new(raw: u32) -> Result<Self, Errno> {
                let bits = <$repr>::try_from(raw).map_err(|_| Errno::Inval)?;
                if bits & !Self::ALL.0 != 0 {
                    return Err(Errno::Inval);
                }
                Ok(Self(bits))
            }

            pub(crate) const fn bits(self) -> $repr {
                self.0
            }

            /// Whether all of `flags` are set.
            pub(crate) const fn contains(self, flags: Self) -> bool {
                self.0 & flags.0 == flags.0
            }

            pub(crate) const fn and(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            pub(crate) const fn or(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            pub(crate) const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }
    };
}

flags! {
    /// What a descriptor may be used for (`rights`).
    Rights: u64 {
        FD_DATASYNC = 0,
        FD_READ = 1,
        FD_SEEK = 2,
        FD_FDSTAT_SET_FLAGS = 3,
        FD_SYNC = 4,
        FD_TELL = 5,
        FD_WRITE = 6,
        FD_ADVISE = 7,
        FD_ALLOCATE = 8,
        PATH_CREATE_DIRECTORY = 9,
        PATH_CREATE_FILE = 10,
        PATH_LINK_SOURCE = 11,
        PATH_LINK_TARGET = 12,
        PATH_OPEN = 13,
        FD_READDIR = 14,
        PATH_READLINK = 15,
        PATH_RENAME_SOURCE = 16,
        PATH_RENAME_TARGET = 17,
        PATH_FILESTAT_GET = 18,
        PATH_FILESTAT_SET_SIZE = 19,
        PATH_FILESTAT_SET_TIMES = 20,
        FD_FILESTAT_GET = 21,
        FD_FILESTAT_SET_SIZE = 22,
        FD_FILESTAT_SET_TIMES = 23,
        PATH_SYMLINK = 24,
        PATH_REMOVE_DIRECTORY = 25,
        PATH_UNLINK_FILE = 26,
        POLL_FD_READWRITE = 27,
        SOCK_SHUTDOWN = 28,
        SOCK_ACCEPT = 29,
    }
}

flags! {
    /// How a path is opened (`oflags`).
    OFlags: u16 { CREAT = 0, DIRECTORY = 1, EXCL = 2, TRUNC = 3 }
}

flags! {
    /// State of an open descriptor (`fdflags`).
    FdFlags: u16 { APPEND = 0, DSYNC = 1, NONBLOCK = 2, RSYNC = 3, SYNC = 4 }
}

flags! {
    /// Which timestamps to set, and from what (`fstflags`).
    FstFlags: u16 { ATIM = 0, ATIM_NOW = 1, MTIM = 2, MTIM_NOW = 3 }
}

flags! {
    /// How the last component of a path is resolved (`lookupflags`).
    LookupFlags: u32 { SYMLINK_FOLLOW = 0 }
}

flags! {
    /// How to receive from a socket (`riflags`).
    RiFlags: u16 { RECV_PEEK = 0, RECV_WAITALL = 1 }
}

flags! {
    /// Which directions of a socket to shut down (`sdflags`).
    SdFlags: u8 { RD = 0, WR = 1 }
}

impl Rights {
    /// What a regular file, or any other file that can be read and written, can be used for.
    pub(crate) const FILE: Self = Self::FD_DATASYNC
        .or(Self::FD_READ)
        .or(Self::FD_SEEK)
        .or(Self::FD_FDSTAT_SET_FLAGS)
        .or(Self::FD_SYNC)
        .or(Self::FD_TELL)
        .or(Self::FD_WRITE)
        .or(Self::FD_ADVISE)
        .or(Self::FD_ALLOCATE)
        .or(Self::FD_FILESTAT_GET)
        .or(Self::FD_FILESTAT_SET_SIZE)
        .or(Self::FD_FILESTAT_SET_TIMES)
        .or(Self::POLL_FD_READWRITE);

    /// The rights of [`Self::FILE`] that need a file with a position.
    pub(crate) const SEEKING: Self = Self::FD_SEEK.or(Self::FD_TELL).or(Self::FD_ADVISE);

    /// The rights of [`Self::FILE`] that change what is stored.
    pub(crate) const STORING: Self =
        Self::FD_WRITE.or(Self::FD_ALLOCATE).or(Self::FD_FILESTAT_SET_SIZE);

    /// The rights of [`Self::DIRECTORY`] that change something below the directory.
    pub(crate) const CHANGING: Self = Self::PATH_CREATE_DIRECTORY
        .or(Self::PATH_CREATE_FILE)
        .or(Self::PATH_LINK_SOURCE)
        .or(Self::PATH_LINK_TARGET)
        .or(Self::PATH_RENAME_SOURCE)
        .or(Self::PATH_RENAME_TARGET)
        .or(Self::PATH_FILESTAT_SET_SIZE)
        .or(Self::PATH_FILESTAT_SET_TIMES)
        .or(Self::FD_FILESTAT_SET_TIMES)
        .or(Self::PATH_SYMLINK)
        .or(Self::PATH_REMOVE_DIRECTORY)
        .or(Self::PATH_UNLINK_FILE);

    /// What a directory can be used for.
    pub(crate) const DIRECTORY: Self = Self::CHANGING
        .or(Self::FD_FDSTAT_SET_FLAGS)
        .or(Self::FD_SYNC)
        .or(Self::FD_DATASYNC)
        .or(Self::PATH_OPEN)
        .or(Self::FD_READDIR)
        .or(Self::PATH_READLINK)
        .or(Self::PATH_FILESTAT_GET)
        .or(Self::FD_FILESTAT_GET);

    /// What a socket can be used for.
    pub(crate) const SOCKET: Self = Self::FD_READ
        .or(Self::FD_WRITE)
        .or(Self::FD_FDSTAT_SET_FLAGS)
        .or(Self::FD_FILESTAT_GET)
        .or(Self::POLL_FD_READWRITE)
        .or(Self::SOCK_SHUTDOWN)
        .or(Self::SOCK_ACCEPT);

    /// The rights in `raw`; bits that the interface does not define are dropped.
    pub(crate) const fn from_bits(raw: u64) -> Self {
        Self(raw & Self::ALL.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undefined_bits_are_invalid() {
        assert_eq!(OFlags::new(0x10), Err(Errno::Inval));
        assert_eq!(FdFlags::new(0x1_0000), Err(Errno::Inval));
        assert_eq!(LookupFlags::new(2), Err(Errno::Inval));
        assert_eq!(OFlags::new(9), Ok(OFlags::CREAT.or(OFlags::TRUNC)));
    }

    #[test]
    fn rights_drop_what_they_do_not_know() {
        assert_eq!(Rights::from_bits(u64::MAX), Rights::ALL);
        assert_eq!(Rights::ALL.bits(), (1 << 30) - 1);
    }

    #[test]
    fn a_directory_is_never_read_or_written_as_a_file() {
        assert!(!Rights::DIRECTORY.contains(Rights::FD_READ));
        assert!(!Rights::DIRECTORY.contains(Rights::FD_WRITE));
        assert!(!Rights::DIRECTORY.contains(Rights::FD_SEEK));
        assert!(!Rights::DIRECTORY.contains(Rights::FD_FILESTAT_SET_SIZE));
    }
}
