//! From a guest's path to what the host is asked about.
//!
//! POSIX resolves a path (4.16) in one of two ways. A call that *looks at* something follows the path to
//! its end: [`lookup`]. A call that makes, removes or moves a *name* follows it up to the directory that
//! has the name, and never follows the name itself: [`name`]. In both a slash at the end says that a
//! directory is meant; it stays where the guest wrote it, so that the kernel applies its own rules to it.
//!
//! Only cap-std walks paths of more than one name: nothing outside of the directory the guest holds is
//! reached, however the host's file system changes meanwhile. A path that leads out is EPERM. What is
//! handed to the kernel here is one name, in calls that do not follow it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::{AtFlags, OFlags as HostFlags, Stat};

/// What `path` names, for looking at it: a descriptor with O_PATH, which opens nothing. `follow` is about
/// a link in the last place; with a slash after it, it is followed in any case.
pub(crate) fn lookup(dir: &Dir, path: &str, follow: FollowSymlinks) -> io::Result<OwnedFd> {
    let mut options = OpenOptions::new();
    options.read(true).follow(follow).custom_flags(HostFlags::PATH.bits().cast_signed());
    Ok(dir.open_with(path, &options)?.into_std().into())
}

/// The attributes of what `path` names.
pub(crate) fn stat(dir: &Dir, path: &str, follow: FollowSymlinks) -> io::Result<Stat> {
    if matches!(follow, FollowSymlinks::No) && is_one_name(path) {
        return Ok(rustix::fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW)?);
    }
    Ok(rustix::fs::fstat(lookup(dir, path, follow)?)?)
}

/// Whether `path` is a single name, with nothing that the kernel would follow. The directory that is
/// above this one is none of the guest's.
fn is_one_name(path: &str) -> bool {
    !path.contains('/') && path != ".."
}

/// A name in a directory.
pub(crate) struct Name<'a> {
    directory: Parent<'a>,
    /// The name, with the slashes that the guest wrote after it.
    name: &'a str,
}

enum Parent<'a> {
    /// The directory the guest holds.
    Held(BorrowedFd<'a>),
    /// One below it.
    Below(OwnedFd),
}

/// The name that `path` ends with, for a call that makes, removes or moves it. It need not be there; the
/// directory must.
pub(crate) fn name<'a>(dir: &'a Dir, path: &'a str) -> io::Result<Name<'a>> {
    let (before, name) = split(path);
    if path.is_empty() {
        // Now, and not when it is used: the kernel looks at a second path later.
        return Err(rustix::io::Errno::NOENT.into());
    }
    let directory = match before {
        "" => Parent::Held(dir.as_fd()),
        _ => Parent::Below(dir.open_dir(before)?.into_std_file().into()),
    };
    Ok(Name { directory, name })
}

/// The existing thing that `path` ends with, for a call that does not follow it. A link with a slash after
/// it is followed all the same, and the directory it leads to is then `.` in itself.
pub(crate) fn existing_name<'a>(dir: &'a Dir, path: &'a str) -> io::Result<Name<'a>> {
    if means_directory(path) {
        let directory = dir.open_dir(path)?.into_std_file();
        return Ok(Name { directory: Parent::Below(directory.into()), name: "." });
    }
    name(dir, path)
}

/// Whether `path` ends with a name that a slash makes that of a directory. What is one anyway is not meant.
pub(crate) fn means_directory(path: &str) -> bool {
    path.ends_with('/') && !is_directory(path)
}

/// Whether the last name of `path` is `.` or `..`, which can be nothing but a directory.
pub(crate) fn is_directory(path: &str) -> bool {
    let (_, last) = split(path);
    matches!(last.trim_end_matches('/'), "." | "..")
}

/// Splits a path before its last name. A path of nothing but slashes has none: all of it comes before.
pub(crate) fn split(path: &str) -> (&str, &str) {
    let without_slashes = path.trim_end_matches('/');
    if without_slashes.is_empty() {
        return (path, "");
    }
    path.split_at(without_slashes.rfind('/').map_or(0, |slash| slash + 1))
}

impl Name<'_> {
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        match &self.directory {
            Parent::Held(fd) => *fd,
            Parent::Below(fd) => fd.as_fd(),
        }
    }

    /// The error of looking at what must be there and is not.
    pub(crate) fn check(&self) -> io::Result<()> {
        rustix::fs::statat(self.directory(), self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    pub(crate) fn as_str(&self) -> &str {
        self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split_before_the_last_name_and_keep_its_slashes() {
        for (path, want) in [
            ("", ("", "")),
            ("a", ("", "a")),
            ("a/", ("", "a/")),
            ("a//b", ("a//", "b")),
            ("a/b//", ("a/", "b//")),
            ("a/.", ("a/", ".")),
            ("../", ("", "../")),
            ("/a", ("/", "a")),
            ("//", ("//", "")),
        ] {
            assert_eq!(split(path), want, "{path}");
        }
    }
}
