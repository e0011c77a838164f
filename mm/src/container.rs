//! [`Container`]: how much memory the cgroups of this process allow, and how much of it is left.
//!
//! A process is in one memory cgroup, and that is in others; each may have a limit. What counts is the one that leaves the
//! least. Both versions of cgroups are read by their files:
//!
//! | | version 1 | version 2 |
//! |---|---|---|
//! | limits | `memory.limit_in_bytes` | `memory.max`, `memory.high` |
//! | used | `memory.usage_in_bytes` | `memory.current` |
//! | contents of files among it | `memory.stat`: `total_inactive_file`, ... | `memory.stat`: `inactive_file`, ... |
//! | limits above count | where those have `memory.use_hierarchy` | always |
//!
//! The files are found and opened once, and then only read: a signal handler may do that.
//!
//! # References
//! The kernel's `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/memory.rst`; `proc_pid_cgroup(5)`,
//! `proc_pid_mountinfo(5)`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Room of which a half is less than this is given out at once.
pub(crate) const STEP: usize = 4 << 20;

/// The memory cgroups that limit this process.
#[derive(Clone, Debug)]
pub(crate) struct Container(Arc<[Group]>);

/// A cgroup with a limit.
#[derive(Debug)]
struct Group {
    /// Those of the files with a limit that are there.
    limits: Vec<File>,
    used: File,
    stat: File,
    /// What precedes the keys in `stat`.
    prefix: &'static [u8],
}

/// The names of the files in one version.
struct Names {
    limits: &'static [&'static str],
    used: &'static str,
    /// What precedes the keys in `memory.stat`.
    prefix: &'static [u8],
}

static V1: Names =
    Names { limits: &["memory.limit_in_bytes"], used: "memory.usage_in_bytes", prefix: b"total_" };
static V2: Names =
    Names { limits: &["memory.max", "memory.high"], used: "memory.current", prefix: b"" };

/// In version 1, no limit is a number about as large as the address space.
const UNLIMITED: usize = 1 << 60;

impl Container {
    /// Those of this process; `None` if none has a limit, or the system does not tell.
    pub(crate) fn of_this_process() -> Option<Self> {
        Self::below(Path::new("/"))
    }

    /// Those that the files below `root` tell of.
    pub(crate) fn below(root: &Path) -> Option<Self> {
        let proc = root.join("proc/self");
        let memberships = std::fs::read_to_string(proc.join("cgroup")).ok()?;
        let mounts = std::fs::read_to_string(proc.join("mountinfo")).ok()?;
        let place = Place::of(&memberships, &mounts)?;
        let groups: Arc<[Group]> = place.groups(root).collect();
        (!groups.is_empty()).then_some(Self(groups))
    }

    /// Bytes that may still be used, less a margin for what the process needs beside its regions; `None` if the system
    /// does not tell. Async-signal-safe.
    pub(crate) fn room(&self) -> Option<usize> {
        self.0.iter().filter_map(Group::room).min()
    }
}

/// What is left to the process for what is not in a region, page tables included: a sixteenth of the limit, from 8 to 256
/// MiB, but no more than a quarter.
fn margin(limit: usize) -> usize {
    (limit / 16).clamp(8 << 20, 256 << 20).min(limit / 4)
}

impl Group {
    /// The cgroup whose files are in `dir`, if it has a limit.
    fn open(dir: &Path, names: &Names) -> Option<Self> {
        let open = |name: &str| File::open(dir.join(name)).ok();
        let group = Self {
            limits: names.limits.iter().filter_map(|name| open(name)).collect(),
            used: open(names.used)?,
            stat: open("memory.stat")?,
            prefix: names.prefix,
        };
        group.limit().is_some().then_some(group)
    }

    /// The lowest of its limits now.
    fn limit(&self) -> Option<usize> {
        self.limits.iter().filter_map(read_number).filter(|&bytes| bytes < UNLIMITED).min()
    }

    fn room(&self) -> Option<usize> {
        let limit = self.limit()?;
        let used = read_number(&self.used)?.saturating_sub(self.reclaimable());
        Some(limit.saturating_sub(margin(limit)).saturating_sub(used))
    }

    /// Bytes of files that the kernel takes back before it kills anybody: clean ones that are not in use, and half of those
    /// that are.
    fn reclaimable(&self) -> usize {
        let mut buffer = [0; 8192];
        let text = read(&self.stat, &mut buffer);
        let of = |key: &[u8]| {
            let mut lines = text.split(|&byte| byte == b'\n');
            let line = lines.find_map(|line| line.strip_prefix(self.prefix)?.strip_prefix(key));
            line.and_then(number).unwrap_or(0)
        };
        // With the space behind, no key is taken for the beginning of another.
        let files = of(b"inactive_file ").saturating_add(of(b"active_file ") / 2);
        let unclean = [&b"dirty "[..], b"writeback ", b"file_dirty ", b"file_writeback "];
        unclean.into_iter().fold(files, |files, key| files.saturating_sub(of(key)))
    }
}

/// The number that a file holds; `None` for a word, such as `max`.
fn read_number(file: &File) -> Option<usize> {
    number(read(file, &mut [0; 32]))
}

/// Reads a file from its start.
fn read<'a>(file: &File, buffer: &'a mut [u8]) -> &'a [u8] {
    // SAFETY: at most as many bytes as the buffer has are written to it.
    let read =
        unsafe { libc::pread(file.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    &buffer[..usize::try_from(read).unwrap_or(0)]
}

/// The digits at the start of `text`, as a number.
fn number(text: &[u8]) -> Option<usize> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let add =
        |sum: usize, digit: &u8| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
    text.first().is_some_and(u8::is_ascii_digit).then(|| digits.fold(0, add))
}

/// Where the files of a cgroup are.
struct Place {
    /// Where its hierarchy is mounted.
    mount: PathBuf,
    /// The cgroup, below that.
    path: PathBuf,
    names: &'static Names,
}

impl Place {
    /// The memory cgroup, from `/proc/self/cgroup` and `/proc/self/mountinfo`. Where both versions are in use, the first
    /// has the memory controller if it is mounted with it.
    fn of(memberships: &str, mounts: &str) -> Option<Self> {
        Self::of_version(memberships, mounts, &V1)
            .or_else(|| Self::of_version(memberships, mounts, &V2))
    }

    fn of_version(memberships: &str, mounts: &str, names: &'static Names) -> Option<Self> {
        let first = std::ptr::eq(names, &V1);
        let group = memberships.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            let wanted = match first {
                true => controllers.split(',').any(|name| name == "memory"),
                false => controllers.is_empty(),
            };
            wanted.then_some(path)
        })?;
        let mount = mounts.lines().find_map(|line| Mount::parse(line, first))?;
        // What is mounted may begin at the cgroup itself, as in containers.
        let path = Path::new(group).strip_prefix(&mount.root).unwrap_or(Path::new(""));
        // A process may be outside of what its namespace shows.
        let inside =
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::RootDir));
        let path = if inside { path.strip_prefix("/").unwrap_or(path) } else { Path::new("") };
        Some(Self { mount: mount.at, path: path.to_owned(), names })
    }

    /// The cgroups with a limit, from the innermost on.
    fn groups(&self, root: &Path) -> impl Iterator<Item = Group> {
        let top = root.join(self.mount.strip_prefix("/").unwrap_or(&self.mount));
        self.path.ancestors().filter_map(move |path| {
            let dir = top.join(path);
            let counts = path == self.path || counts_what_is_below(&dir);
            counts.then(|| Group::open(&dir, self.names))?
        })
    }
}

/// Whether what is used in the cgroups below counts in that of `dir`. In version 2, which has no such file, it does.
fn counts_what_is_below(dir: &Path) -> bool {
    let says = std::fs::read_to_string(dir.join("memory.use_hierarchy"));
    !says.is_ok_and(|text| text.trim() == "0")
}

/// A line of `mountinfo`.
struct Mount {
    /// What of the hierarchy is mounted.
    root: PathBuf,
    at: PathBuf,
}

impl Mount {
    /// `None` if the line is not for the hierarchy with the memory controller of that version.
    fn parse(line: &str, first: bool) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next()?, kind.nth(1)?);
        let wanted = match first {
            true => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
            false => kind == "cgroup2",
        };
        let mut place = place.split(' ').skip(3).map(|path| PathBuf::from(unescaped(path)));
        let mount = Self { root: place.next()?, at: place.next()? };
        wanted.then_some(mount)
    }
}

/// Replaces `\040` and the like, which stand for characters that separate fields.
fn unescaped(path: &str) -> String {
    let mut parts = path.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                text.push(byte.into());
                text.push_str(&part[3..]);
            }
            None => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}
