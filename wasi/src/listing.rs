//! Reading a directory in pieces, from any entry on.
//!
//! A guest's cookie is the *number* of an entry, not the kernel's position: positions are 64-bit hashes
//! on some file systems, and `telldir` of wasi-libc returns 32 bits. The kernel's position of every
//! entry passed is kept (eight bytes each), and the kernel is asked from there, so that a large
//! directory is never held in memory and entries that come and go meanwhile behave as POSIX says.
//!
//! Names that are not UTF-8 are left out: preview 1 has no way to spell them.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType as HostType, RawDir, SeekFrom};

use crate::abi::FileType;

/// How much the kernel is asked for at once.
const BATCH: usize = 32 * 1024;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Box<str>,
    pub(crate) ino: u64,
    pub(crate) filetype: FileType,
}

/// Where the reading of one directory stands.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The kernel's position before entry `i`, for each entry reached, and of the one after.
    positions: Vec<u64>,
    /// Entries in a row, as the kernel gave them.
    batch: Vec<Entry>,
    /// The number of the first entry in `batch`.
    batch_start: usize,
}

impl Default for Listing {
    fn default() -> Self {
        Self { positions: vec![0], batch: Vec::new(), batch_start: 0 }
    }
}

impl Listing {
    /// Forgets what was read: the next look is at the directory as it is then.
    pub(crate) fn rewind(&mut self) {
        *self = Self::default();
    }

    /// Entry `number` of `dir`, or none when there are not so many.
    pub(crate) fn entry(&mut self, dir: BorrowedFd<'_>, number: u64) -> io::Result<Option<&Entry>> {
        let Ok(number) = usize::try_from(number) else {
            return Ok(None);
        };
        while !self.batch_range().contains(&number) {
            // From the entry itself if we know where it is, else on from the last one known.
            let from = number.min(self.positions.len() - 1);
            if !self.fetch(dir, from)? {
                return Ok(None);
            }
        }
        Ok(self.batch.get(number - self.batch_start))
    }

    fn batch_range(&self) -> std::ops::Range<usize> {
        self.batch_start..self.batch_start + self.batch.len()
    }

    /// Fills the batch from entry `from` on. False at the end of the directory.
    fn fetch(&mut self, dir: BorrowedFd<'_>, from: usize) -> io::Result<bool> {
        self.batch.clear();
        self.batch_start = from;
        rustix::fs::seek(dir, SeekFrom::Start(self.positions[from]))?;
        let mut buffer = vec![MaybeUninit::uninit(); BATCH];
        let mut entries = RawDir::new(dir, &mut buffer);
        // A batch of nothing but names that are left out is not the end yet.
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let after = entry.next_entry_cookie();
            if let Ok(name) = entry.file_name().to_str() {
                let (filetype, ino) = identify(dir, name, entry.file_type(), entry.ino())?;
                self.batch.push(Entry { name: name.into(), ino, filetype });
                self.remember(from + self.batch.len(), after);
            }
            if entries.is_buffer_empty() && !self.batch.is_empty() {
                break;
            }
        }
        Ok(!self.batch.is_empty())
    }

    fn remember(&mut self, number: usize, position: u64) {
        match self.positions.get_mut(number) {
            Some(known) => *known = position,
            None => self.positions.push(position),
        }
    }
}

/// The type and serial number to tell the guest.
fn identify(
    dir: BorrowedFd<'_>,
    name: &str,
    host: HostType,
    ino: u64,
) -> io::Result<(FileType, u64)> {
    match name {
        "." => Ok((FileType::Directory, ino)),
        // The parent may be outside of what the guest was given: as for a root, it is itself.
        ".." => Ok((FileType::Directory, rustix::fs::fstat(dir)?.st_ino)),
        _ if host == HostType::Unknown => {
            // Some file systems do not say. An entry that is gone by now is as good as unknown.
            let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
            let host = stat.map_or(host, |stat| HostType::from_raw_mode(stat.st_mode));
            Ok((host.into(), ino))
        }
        _ => Ok((host.into(), ino)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;

    fn names(listing: &mut Listing, dir: &File, from: u64) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(entry) = listing.entry(dir.as_fd(), from + names.len() as u64).unwrap() {
            names.push(entry.name.to_string());
        }
        names
    }

    #[test]
    fn every_entry_can_be_reached_again_by_its_number() {
        let temp = tempfile::tempdir().unwrap();
        for number in 0..2500 {
            File::create(temp.path().join(format!("a-rather-long-file-name.{number}"))).unwrap();
        }
        let dir = File::open(temp.path()).unwrap();
        let mut listing = Listing::default();
        let all = names(&mut listing, &dir, 0);
        assert_eq!(all.len(), 2502);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 2502);
        for from in [2501, 0, 700, 699, 1800, 2502, 3] {
            assert_eq!(names(&mut listing, &dir, from), all[from as usize..], "from {from}");
        }
        // Without having passed the entries before.
        assert_eq!(names(&mut Listing::default(), &dir, 2400), all[2400..]);
        assert_eq!(listing.entry(dir.as_fd(), u64::MAX).unwrap(), None);
    }

    #[test]
    fn names_without_a_spelling_are_left_out() {
        let temp = tempfile::tempdir().unwrap();
        for name in [&b"good"[..], b"bad\xff", b"bad\xfe"] {
            File::create(temp.path().join(OsStr::from_bytes(name))).unwrap();
        }
        let dir = File::open(temp.path()).unwrap();
        let found: BTreeSet<_> = names(&mut Listing::default(), &dir, 0).into_iter().collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [".", "..", "good"]);
    }

    #[test]
    fn the_parent_is_the_directory_itself() {
        let temp = tempfile::tempdir().unwrap();
        let dir = File::open(temp.path()).unwrap();
        let mut listing = Listing::default();
        let mut inos = BTreeSet::new();
        for number in 0..2 {
            inos.insert(listing.entry(dir.as_fd(), number).unwrap().unwrap().ino);
        }
        assert_eq!(Vec::from_iter(inos), [rustix::fs::fstat(&dir).unwrap().st_ino]);
    }

    #[test]
    fn rewinding_sees_new_entries() {
        let temp = tempfile::tempdir().unwrap();
        let dir = File::open(temp.path()).unwrap();
        let mut listing = Listing::default();
        assert_eq!(names(&mut listing, &dir, 0).len(), 2);
        File::create(temp.path().join("new")).unwrap();
        listing.rewind();
        assert_eq!(names(&mut listing, &dir, 0).len(), 3);
    }
}
