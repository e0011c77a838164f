//! Reads a directory in pieces, starting at any entry.
//!
//! A guest's cookie is the *number* of an entry, not the kernel's position: on some file systems positions are 64-bit
//! hashes, and `telldir` of wasi-libc returns 32 bits. The kernel's positions of the last entries that were passed are
//! kept, and reading continues from there. So a large directory is never held in memory, and entries that are added or
//! removed meanwhile behave as POSIX requires. Of the entries passed long ago, every 1,024th position is kept; the
//! entries in between are counted from there.
//!
//! Names that are not UTF-8 are left out, because preview 1 cannot represent them.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType as HostType, RawDir, SeekFrom};

use crate::abi::FileType;
use crate::error::Result;
use crate::interrupt::Interrupt;

/// How many bytes are read from the kernel at once.
const BATCH: usize = 32 * 1024;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Box<str>,
    pub(crate) ino: u64,
    pub(crate) filetype: FileType,
}

/// The state of reading one directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    positions: Positions,
    /// Consecutive entries, as the kernel returned them.
    batch: Vec<Entry>,
    /// The number of the first entry in `batch`, and the kernel's position after the last one.
    batch_start: usize,
    batch_after: u64,
}

impl Listing {
    /// Forgets what was read: the next read sees the directory as it is then.
    pub(crate) fn rewind(&mut self) {
        *self = Self::default();
    }

    /// Entry `number` of `dir`, or none if `dir` has fewer entries.
    pub(crate) fn entry(
        &mut self,
        dir: BorrowedFd<'_>,
        number: u64,
        interrupt: &Interrupt,
    ) -> Result<Option<&Entry>> {
        let Ok(number) = usize::try_from(number) else {
            return Ok(None);
        };
        while !self.batch_range().contains(&number) {
            interrupt.check()?;
            let (from, position) = self.nearest(number);
            if !self.fetch(dir, from, position)? {
                return Ok(None);
            }
        }
        Ok(self.batch.get(number - self.batch_start))
    }

    /// The last entry up to `number` whose position is known.
    fn nearest(&self, number: usize) -> (usize, u64) {
        let known = self.positions.nearest(number);
        let next = self.batch_range().end;
        if (known.0..=number).contains(&next) && !self.batch.is_empty() {
            return (next, self.batch_after);
        }
        known
    }

    fn batch_range(&self) -> std::ops::Range<usize> {
        self.batch_start..self.batch_start + self.batch.len()
    }

    /// Fills the batch from entry `from` on, which is at `position`. False at the end of the directory.
    fn fetch(&mut self, dir: BorrowedFd<'_>, from: usize, position: u64) -> io::Result<bool> {
        self.batch.clear();
        self.batch_start = from;
        rustix::fs::seek(dir, SeekFrom::Start(position))?;
        let mut buffer = vec![MaybeUninit::uninit(); BATCH];
        let mut entries = RawDir::new(dir, &mut buffer);
        // A batch that has only names which are left out is not the end yet.
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let after = entry.next_entry_cookie();
            if let Ok(name) = entry.file_name().to_str() {
                let (filetype, ino) = identify(dir, name, entry.file_type(), entry.ino())?;
                self.batch.push(Entry { name: name.into(), ino, filetype });
                self.batch_after = after;
                self.positions.remember(from + self.batch.len(), after);
            }
            if entries.is_buffer_empty() && !self.batch.is_empty() {
                break;
            }
        }
        Ok(!self.batch.is_empty())
    }
}

/// The kernel's positions before entries: before the last ones that were passed, and before every [`STEP`]th. Entry 0
/// is at position 0.
#[derive(Debug, Default)]
struct Positions {
    recent: VecDeque<u64>,
    /// The number of the first in `recent`.
    first: usize,
    /// The positions of the entries `STEP`, `2 * STEP` and so on.
    marks: Vec<u64>,
}

/// The position of every entry with a multiple of this number is kept.
const STEP: usize = 1024;

/// How many of the last positions are kept.
const RECENT: usize = 8 * STEP;

impl Positions {
    /// The last entry up to `number` whose position is known, with the position.
    fn nearest(&self, number: usize) -> (usize, u64) {
        let last = (self.first + self.recent.len()).saturating_sub(1).min(number);
        let recent = last.checked_sub(self.first).and_then(|at| self.recent.get(at));
        let marks = self.marks.len().min(number / STEP);
        let mark = marks.checked_sub(1).map(|at| (marks * STEP, self.marks[at]));
        recent.map(|&position| (last, position)).max(mark).unwrap_or((0, 0))
    }

    /// Records that entry `number` is at `position`.
    fn remember(&mut self, number: usize, position: u64) {
        if number.is_multiple_of(STEP) {
            match self.marks.get_mut(number / STEP - 1) {
                Some(known) => *known = position,
                None => self.marks.push(position),
            }
        }
        match number.checked_sub(self.first) {
            Some(at) if at < self.recent.len() => self.recent[at] = position,
            Some(at) if at == self.recent.len() => self.recent.push_back(position),
            // A jump: from now on the positions near the new place matter.
            _ => {
                self.recent.clear();
                self.recent.push_back(position);
                self.first = number;
            }
        }
        if self.recent.len() > RECENT {
            self.recent.pop_front();
            self.first += 1;
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
        // The parent may be outside of what the guest was given, so the directory itself is reported, as for a root.
        ".." => Ok((FileType::Directory, rustix::fs::fstat(dir)?.st_ino)),
        _ if host == HostType::Unknown => {
            // Some file systems do not report the type. An entry that no longer exists counts as unknown.
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
        let interrupt = Interrupt::default();
        let next = |listing: &mut Listing, number| {
            let entry = listing.entry(dir.as_fd(), number, &interrupt).unwrap();
            entry.map(|entry| entry.name.to_string())
        };
        while let Some(name) = next(listing, from + names.len() as u64) {
            names.push(name);
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
        // Without having passed the earlier entries.
        assert_eq!(names(&mut Listing::default(), &dir, 2400), all[2400..]);
        assert_eq!(listing.entry(dir.as_fd(), u64::MAX, &Interrupt::default()).unwrap(), None);
    }

    #[test]
    fn positions_of_long_ago_are_marks() {
        let mut positions = Positions::default();
        assert_eq!(positions.nearest(7), (0, 0));
        let last = 3 * RECENT + 5;
        for number in 1..=last {
            positions.remember(number, number as u64 * 10);
        }
        assert!(positions.recent.len() == RECENT && positions.marks.len() == last / STEP);
        for number in [last, last + 9, last - RECENT + 1, last - 100] {
            let known = number.min(last);
            assert_eq!(positions.nearest(number), (known, known as u64 * 10));
        }
        for number in [STEP, STEP + 1, 5 * STEP - 1, last - RECENT, STEP - 1, 0] {
            let mark = number / STEP * STEP;
            assert_eq!(positions.nearest(number), (mark, mark as u64 * 10), "{number}");
        }
        // A reader that goes back and continues there has its positions recorded there.
        for number in STEP + 1..STEP + 9 {
            positions.remember(number, number as u64 * 10);
        }
        assert_eq!(positions.nearest(STEP + 8), (STEP + 8, (STEP as u64 + 8) * 10));
        assert_eq!(positions.nearest(last), (last / STEP * STEP, (last / STEP * STEP) as u64 * 10));
    }

    #[test]
    fn a_directory_larger_than_what_is_kept_is_read_from_anywhere() {
        let temp = tempfile::tempdir().unwrap();
        let count = RECENT + 2 * STEP;
        for number in 0..count {
            rustix::fs::symlinkat("x", rustix::fs::CWD, temp.path().join(number.to_string()))
                .unwrap();
        }
        let dir = File::open(temp.path()).unwrap();
        let mut listing = Listing::default();
        let all = names(&mut listing, &dir, 0);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), count + 2);
        for from in [count, 3, STEP - 1, STEP + 500, 5 * STEP, count / 2, 0] {
            assert_eq!(names(&mut listing, &dir, from as u64), all[from..], "from {from}");
        }
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
            let entry = listing.entry(dir.as_fd(), number, &Interrupt::default()).unwrap();
            inos.insert(entry.unwrap().ino);
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
