//! The records of preview 1 that cross linear memory, except those of `poll_oneoff`.

use super::{FdFlags, Layout, Record, Rights};

/// The type of a file (`filetype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FileType {
    /// Also for pipes, for which preview 1 has no type.
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    SocketDgram = 5,
    SocketStream = 6,
    SymbolicLink = 7,
}

impl From<rustix::fs::FileType> for FileType {
    fn from(host: rustix::fs::FileType) -> Self {
        use rustix::fs::FileType as Host;
        match host {
            Host::RegularFile => FileType::RegularFile,
            Host::Directory => FileType::Directory,
            Host::Symlink => FileType::SymbolicLink,
            Host::CharacterDevice => FileType::CharacterDevice,
            Host::BlockDevice => FileType::BlockDevice,
            Host::Socket => FileType::SocketStream,
            Host::Fifo | Host::Unknown => FileType::Unknown,
        }
    }
}

/// One buffer of a scatter or gather list (`iovec` and `ciovec`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Iovec {
    pub(crate) buf: u32,
    pub(crate) len: u32,
}

impl Layout for Iovec {
    const SIZE: u32 = 8;
    const ALIGN: u32 = 4;
}

impl Iovec {
    pub(crate) fn decode(bytes: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Self { buf: u32::from_le_bytes([a, b, c, d]), len: u32::from_le_bytes([e, f, g, h]) }
    }
}

/// The state of a descriptor (`fdstat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FdStat {
    pub(crate) filetype: FileType,
    pub(crate) flags: FdFlags,
    pub(crate) rights_base: Rights,
    pub(crate) rights_inheriting: Rights,
}

impl Layout for FdStat {
    const SIZE: u32 = 24;
    const ALIGN: u32 = 8;
}

impl Record for FdStat {
    type Bytes = [u8; 24];

    fn encode(&self) -> [u8; 24] {
        let mut out = [0; 24];
        out[0] = self.filetype as u8;
        out[2..4].copy_from_slice(&self.flags.bits().to_le_bytes());
        out[8..16].copy_from_slice(&self.rights_base.bits().to_le_bytes());
        out[16..24].copy_from_slice(&self.rights_inheriting.bits().to_le_bytes());
        out
    }
}

/// The attributes of a file (`filestat`). Times are nanoseconds since 1970, and earlier times count
/// as 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) filetype: FileType,
    pub(crate) nlink: u64,
    pub(crate) size: u64,
    pub(crate) atim: u64,
    pub(crate) mtim: u64,
    pub(crate) ctim: u64,
}

impl Layout for FileStat {
    const SIZE: u32 = 64;
    const ALIGN: u32 = 8;
}

impl Record for FileStat {
    type Bytes = [u8; 64];

    fn encode(&self) -> [u8; 64] {
        let mut out = [0; 64];
        out[0..8].copy_from_slice(&self.dev.to_le_bytes());
        out[8..16].copy_from_slice(&self.ino.to_le_bytes());
        out[16] = self.filetype as u8;
        out[24..32].copy_from_slice(&self.nlink.to_le_bytes());
        out[32..40].copy_from_slice(&self.size.to_le_bytes());
        out[40..48].copy_from_slice(&self.atim.to_le_bytes());
        out[48..56].copy_from_slice(&self.mtim.to_le_bytes());
        out[56..64].copy_from_slice(&self.ctim.to_le_bytes());
        out
    }
}

/// The kind of a preopened descriptor (`prestat`); preview 1 has only directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prestat {
    pub(crate) name_len: u32,
}

impl Layout for Prestat {
    const SIZE: u32 = 8;
    const ALIGN: u32 = 4;
}

impl Record for Prestat {
    type Bytes = [u8; 8];

    fn encode(&self) -> [u8; 8] {
        let mut out = [0; 8];
        // out[0] is the tag, 0 for a directory.
        out[4..8].copy_from_slice(&self.name_len.to_le_bytes());
        out
    }
}

/// The head of a directory entry (`dirent`); the name follows it, without a NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dirent {
    pub(crate) next: u64,
    pub(crate) ino: u64,
    pub(crate) name_len: u32,
    pub(crate) filetype: FileType,
}

impl Dirent {
    pub(crate) const SIZE: usize = 24;

    pub(crate) fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0..8].copy_from_slice(&self.next.to_le_bytes());
        out[8..16].copy_from_slice(&self.ino.to_le_bytes());
        out[16..20].copy_from_slice(&self.name_len.to_le_bytes());
        out[20] = self.filetype as u8;
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdstat_layout() {
        let stat = FdStat {
            filetype: FileType::RegularFile,
            flags: FdFlags::APPEND.or(FdFlags::SYNC),
            rights_base: Rights::FD_READ,
            rights_inheriting: Rights::FD_WRITE,
        };
        let mut want = [0; 24];
        (want[0], want[2], want[8], want[16]) = (4, 0x11, 2, 0x40);
        assert_eq!(stat.encode(), want);
    }

    #[test]
    fn filestat_layout() {
        let stat = FileStat {
            dev: 1,
            ino: 2,
            filetype: FileType::SymbolicLink,
            nlink: 3,
            size: 4,
            atim: 5,
            mtim: 6,
            ctim: 7 << 56,
        };
        let mut want = [0; 64];
        (want[0], want[8], want[16], want[24]) = (1, 2, 7, 3);
        (want[32], want[40], want[48], want[63]) = (4, 5, 6, 7);
        assert_eq!(stat.encode(), want);
    }

    #[test]
    fn prestat_and_iovec_layout() {
        assert_eq!(Prestat { name_len: 0x0102 }.encode(), [0, 0, 0, 0, 2, 1, 0, 0]);
        let iovec = Iovec::decode([1, 0, 0, 0x80, 2, 0, 0, 0]);
        assert_eq!(iovec, Iovec { buf: 0x8000_0001, len: 2 });
    }

    #[test]
    fn dirent_layout() {
        let head = Dirent { next: 1, ino: 2, name_len: 3, filetype: FileType::Directory };
        let mut want = [0; 24];
        (want[0], want[8], want[16], want[20]) = (1, 2, 3, 3);
        assert_eq!(head.encode(), want);
    }
}
