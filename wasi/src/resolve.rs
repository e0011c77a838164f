//! Resolves a guest's path to what the host is asked for.
//!
//! POSIX resolves a path (4.16) in one of two ways. A call that *looks at* a file follows the path to its end:
//! [`lookup`]. A call that makes, removes or moves a *name* follows the path up to the directory that contains the
//! name, and never follows the name itself: [`name`]. In both cases a slash at the end says that a directory is meant.
//! The slash is kept as the guest wrote it, so that the kernel applies its own rules to it.
//!
//! Only cap-std walks paths of more than one name. So nothing outside of the guest's directory is reached, however the
//! host's file system changes meanwhile. A path that leads out is EPERM. The kernel gets only single names from here,
//! in calls that do not follow them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::{AtFlags, OFlags as HostFlags, Stat};

/// The file that `path` names, for looking at it: a descriptor with O_PATH, which does not open the file. `follow`
/// applies to a link at the end of the path; a link with a slash behind it is always followed.
pub(crate) fn lookup(dir: &Dir, path: &str, follow: FollowSymlinks) -> io::Result<OwnedFd> {
    let mut options = OpenOptions::new();
    options.read(true).follow(follow).custom_flags(HostFlags::PATH.bits().cast_signed());
    Ok(dir.open_with(path, &options)?.into_std().into())
}

/// The attributes of the file that `path` names.
pub(crate) fn stat(dir: &Dir, path: &str, follow: FollowSymlinks) -> io::Result<Stat> {
    if matches!(follow, FollowSymlinks::No) && is_one_name(path) {
        return Ok(rustix::fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW)?);
    }
    Ok(rustix::fs::fstat(lookup(dir, path, follow)?)?)
}

/// Whether `path` is a single name that the kernel would not follow. `..` is not, because the guest does not have the
/// directory above this one.
fn is_one_name(path: &str) -> bool {
    !path.contains('/') && path != ".."
}

/// A name in a directory.
pub(crate) struct Name<'a> {
    directory: Parent<'a>,
    /// The name, with the slashes that follow it in the guest's path.
    name: &'a str,
}

enum Parent<'a> {
    /// The directory that the guest has.
    Held(BorrowedFd<'a>),
    /// A directory below it.
    Below(OwnedFd),
}

/// The last name of `path`, for a call that makes, removes or moves it. The name need not exist; its directory must.
pub(crate) fn name<'a>(dir: &'a Dir, path: &'a str) -> io::Result<Name<'a>> {
    let (before, name) = split(path);
    if path.is_empty() {
        // Reported now and not when the name is used: the kernel looks at a second path later.
        return Err(rustix::io::Errno::NOENT.into());
    }
    let directory = match before {
        "" => Parent::Held(dir.as_fd()),
        _ => Parent::Below(dir.open_dir(before)?.into_std_file().into()),
    };
    Ok(Name { directory, name })
}

/// The last name of `path`, which must exist, for a call that does not follow it. A link with a slash behind it is
/// followed all the same; the result is then `.` in the directory that it points to.
pub(crate) fn existing_name<'a>(dir: &'a Dir, path: &'a str) -> io::Result<Name<'a>> {
    if means_directory(path) {
        let directory = dir.open_dir(path)?.into_std_file();
        return Ok(Name { directory: Parent::Below(directory.into()), name: "." });
    }
    name(dir, path)
}

/// Whether `path` ends with a name that a slash marks as a directory's. `.` and `..` do not count.
pub(crate) fn means_directory(path: &str) -> bool {
    path.ends_with('/') && !is_directory(path)
}

/// Whether the last name of `path` is `.` or `..`, which can be nothing but a directory.
pub(crate) fn is_directory(path: &str) -> bool {
    let (_, last) = split(path);
    matches!(last.trim_end_matches('/'), "." | "..")
}

/// Splits a path before its last name. A path of only slashes has none: all of it is the first part.
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

    /// An error if the name does not exist.
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
