//! Compares every call on paths with the kernel's own answer, for every shape of a path.
//!
//! Each case runs twice, on twins of one tree: natively, and as a guest. Errors, results and the tree afterwards must
//! be the same; no expected result is written down here. The one intended difference is that a path which leads out of
//! the tree is EPERM for a guest. [`One::leads_out`] says exactly which paths those are; a path that is expected to
//! differ and does not also fails the test.
//!
//! If the system has no openat2(2), cap-std walks paths by itself. The results are the same then, except for the error
//! of one kind of path, see [`One::creates_through_a_slash`].
//!
//! A part of the cases is drawn; all of them run with `SEQFAULT_PATHS=all`.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::OnceLock;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rustix::fs::{AtFlags, FileType as HostType, Mode, OFlags as HostFlags, Timespec, Timestamps};
use rustix::io::Errno as Host;

use super::*;
use crate::kernel::filter::deny_openat2;
use crate::resolve::split;

/// The names in the tree; a path can begin with each.
const NAMES: [&str; 12] = [
    "file",
    "dir",
    "empty",
    "to-file",
    "to-dir",
    "to-empty",
    "to-file-slash",
    "to-dir-slash",
    "dangling",
    "dangling-slash",
    "loop",
    "none",
];

/// The ways in which a path can continue.
const ENDS: [&str; 9] = ["", "/", "//", "/.", "/./", "/..", "/../", "/file", "/none/"];

/// Other shapes.
const ODD: [&str; 17] = [
    "",
    ".",
    "./",
    "./.",
    "dir/../file",
    "dir/../file/",
    "to-dir/../dir/file//",
    "dir/file",
    "dir/file/",
    "dir/file/..",
    "dir/to-parents-file",
    "dir/to-parents-file/",
    "none/../file",
    "dir//inner",
    "dir/inner/",
    "./dir/./inner/../new",
    "dir/new/",
];

/// Shapes that name something outside of the tree.
const OUT: [&str; 7] =
    ["..", "../", "../file", "../none/", "dir/../..", "to-outside", "to-outside/file"];

fn shapes(ends: &[&str]) -> Vec<String> {
    let pairs = NAMES.iter().flat_map(|name| ends.iter().map(move |end| format!("{name}{end}")));
    let others = ODD.iter().chain(&OUT).map(|shape| (*shape).to_owned());
    pairs.chain(others).collect()
}

/// Draws one of `many` cases, unless all are asked for.
fn one_in(many: usize) -> impl FnMut() -> bool {
    let all = std::env::var("SEQFAULT_PATHS").is_ok_and(|which| which == "all");
    let mut drawn = SmallRng::from_os_rng();
    move || all || drawn.random_range(0..many) == 0
}

fn plant(guest: &Guest) {
    let at = |name: &str| guest.host(name);
    fs::create_dir_all(at("dir/inner")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("file"), "file").unwrap();
    fs::write(at("dir/file"), "file in dir").unwrap();
    for (contents, name) in [
        ("file", "to-file"),
        ("dir", "to-dir"),
        ("empty", "to-empty"),
        ("file/", "to-file-slash"),
        ("dir/", "to-dir-slash"),
        ("nowhere", "dangling"),
        ("nowhere/", "dangling-slash"),
        ("loop", "loop"),
        ("../file", "dir/to-parents-file"),
        ("..", "to-outside"),
    ] {
        symlink(contents, at(name)).unwrap();
    }
}

/// How a guest's outcome differs from the kernel's.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Same,
    /// It is EPERM, where the kernel's is another.
    LeadsOut,
    /// Both are errors, but not necessarily the same.
    AnyError,
}

/// Twins: the kernel works on one, a guest on the other.
struct Twins {
    native: Guest,
    native_dir: OwnedFd,
    ours: Guest,
}

impl Twins {
    fn new() -> Self {
        let (native, ours) = (Guest::new(), Guest::new());
        plant(&native);
        plant(&ours);
        let native_dir = fs::File::open(native.host("")).unwrap().into();
        Self { native, native_dir, ours }
    }

    /// Checks one case: the kernel's operation on one twin must equal the guest's on the other, except for the
    /// `expected` difference.
    fn check(
        &mut self,
        case: &str,
        expected: Expected,
        natively: impl FnOnce(&Guest, &OwnedFd) -> Outcome,
        as_guest: impl FnOnce(&mut Guest) -> Outcome,
    ) {
        let native = natively(&self.native, &self.native_dir);
        let ours = as_guest(&mut self.ours);
        match expected {
            Expected::Same => assert_eq!(ours, native, "{case}: ours, and the kernel's"),
            Expected::LeadsOut => {
                assert_eq!(ours, Err(Errno::Perm), "{case}");
                assert_ne!(native, ours, "{case} does not lead out");
                assert_eq!(tree(&self.ours), planted(), "{case}");
            }
            Expected::AnyError => {
                assert!(ours.is_err() && native.is_err(), "{case}: {ours:?}, {native:?}");
            }
        }
        if expected != Expected::LeadsOut {
            assert_eq!(tree(&self.ours), tree(&self.native), "{case}: ours, and the kernel's");
        }
        self.ours.check_outside();
        if native.is_ok() || ours.is_ok() {
            for guest in [&self.native, &self.ours] {
                clear(guest);
                plant(guest);
            }
        }
    }
}

/// The result of [`tree`] for a new tree.
fn planted() -> BTreeMap<String, String> {
    static PLANTED: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    PLANTED.get_or_init(|| tree(&Twins::new().ours)).clone()
}

/// Removes the tree, and files that native calls have put beside it.
fn clear(guest: &Guest) {
    for dir in [guest.host(""), guest.temp.path().to_owned()] {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if ["root", "secret"].iter().any(|kept| entry.file_name() == *kept) {
                continue;
            }
            match entry.file_type().unwrap().is_dir() {
                true => fs::remove_dir_all(entry.path()).unwrap(),
                false => fs::remove_file(entry.path()).unwrap(),
            }
        }
    }
}

/// A comparable description of a tree: the type of each name.
fn tree(guest: &Guest) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let mut todo = vec![String::new()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(guest.host(&dir)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{dir}{}", entry.file_name().to_str().unwrap());
            let meta = entry.metadata().unwrap();
            let what = if meta.is_dir() {
                todo.push(format!("{name}/"));
                "directory".to_owned()
            } else if meta.is_symlink() {
                format!("link to {:?}, {}", fs::read_link(entry.path()).unwrap(), meta.nlink())
            } else {
                format!("file of {:?}, {}", fs::read(entry.path()).unwrap(), meta.nlink())
            };
            // Times are compared where a call has set them.
            let time = if meta.mtime() == TIME { ", touched" } else { "" };
            seen.insert(name, what + time);
        }
    }
    seen
}

/// A point in time in the past, which no clock shows now.
const TIME: i64 = 12345;

/// The result of a call: nothing, or a description of what was found.
type Outcome = Result<String, Errno>;

fn of_host<T>(result: Result<T, Host>, describe: impl FnOnce(T) -> String) -> Outcome {
    result.map(describe).map_err(Errno::from)
}

fn of_guest<T>(result: Result<T>, describe: impl FnOnce(T) -> String) -> Outcome {
    match result {
        Ok(found) => Ok(describe(found)),
        Err(Error::Errno(errno)) => Err(errno),
        Err(other) => panic!("{other:?}"),
    }
}

fn nothing<T>(_: T) -> String {
    String::new()
}

/// The file that a descriptor refers to, within the tree of `guest`.
fn place(guest: &Guest, fd: impl AsFd) -> String {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let target = fs::read_link(link).unwrap();
    format!("{:?}", target.strip_prefix(guest.host("")).unwrap_or(&target))
}

/// A call on one path.
#[derive(Clone, Copy, Debug, PartialEq)]
enum One {
    Mkdir,
    Rmdir,
    Unlink,
    Symlink,
    Readlink,
    Stat { lookup: u32 },
    SetTimes { lookup: u32 },
    Open { lookup: u32, flags: OFlags, rights: Rights, fd_flags: FdFlags },
}

fn at_flags(lookup: u32) -> AtFlags {
    if lookup == FOLLOW { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW }
}

fn everything() -> Mode {
    Mode::from_raw_mode(0o777)
}

impl One {
    fn all() -> Vec<Self> {
        let mut all = vec![One::Mkdir, One::Rmdir, One::Unlink, One::Symlink, One::Readlink];
        for lookup in [0, FOLLOW] {
            all.extend([One::Stat { lookup }, One::SetTimes { lookup }]);
            for bits in 0..16 {
                let flags = OFlags::new(bits).unwrap();
                for rights in [Rights::NONE, READ, WRITE, BOTH] {
                    for fd_flags in [FdFlags::NONE, FdFlags::APPEND, FdFlags::NONBLOCK] {
                        all.push(One::Open { lookup, flags, rights, fd_flags });
                    }
                }
            }
        }
        all
    }

    /// Whether the call leaves the tree by `shape`, one of [`OUT`].
    ///
    /// Naming a link does not follow it: a link that leads out can be looked at, moved and removed. And where names are
    /// made and removed, `..` as the last name is a name that always exists.
    fn leads_out(self, shape: &str) -> bool {
        let names_a_link = shape == "to-outside";
        match self {
            One::Mkdir | One::Rmdir | One::Unlink | One::Symlink | One::Readlink => {
                name_leads_out(shape)
            }
            One::Stat { lookup } | One::SetTimes { lookup } => {
                OUT.contains(&shape) && (lookup == FOLLOW || !names_a_link)
            }
            One::Open { lookup, flags, .. } => {
                // The kernel refuses this before it looks at the path.
                let invalid = flags.contains(OFlags::CREAT.or(OFlags::DIRECTORY));
                let follows = lookup == FOLLOW && !flags.contains(OFlags::CREAT.or(OFlags::EXCL));
                OUT.contains(&shape) && !invalid && (follows || !names_a_link)
            }
        }
    }

    /// Whether a file would be created through a link with a slash at its end: where cap-std walks paths by itself, the
    /// error is another one.
    fn creates_through_a_slash(self, shape: &str) -> bool {
        let creates = matches!(self, One::Open { lookup: FOLLOW, flags, .. }
            if flags.contains(OFlags::CREAT) && !flags.contains(OFlags::EXCL));
        creates && shape.ends_with("-slash")
    }

    fn natively(self, twin: &Guest, dir: &OwnedFd, path: &str) -> Outcome {
        match self {
            One::Mkdir => of_host(rustix::fs::mkdirat(dir, path, everything()), nothing),
            One::Rmdir => of_host(rustix::fs::unlinkat(dir, path, AtFlags::REMOVEDIR), nothing),
            One::Unlink => of_host(rustix::fs::unlinkat(dir, path, AtFlags::empty()), nothing),
            One::Symlink => of_host(rustix::fs::symlinkat("contents", dir, path), nothing),
            One::Readlink => of_host(rustix::fs::readlinkat(dir, path, Vec::new()), |contents| {
                contents.into_string().unwrap()
            }),
            One::Stat { lookup } => {
                of_host(rustix::fs::statat(dir, path, at_flags(lookup)), |stat| {
                    let kind = FileType::from(HostType::from_raw_mode(stat.st_mode));
                    format!("{} {} {}", kind as u8, stat.st_size, stat.st_nlink)
                })
            }
            One::SetTimes { lookup } => {
                let time = Timespec { tv_sec: TIME, tv_nsec: 0 };
                let stamps = Timestamps { last_access: time, last_modification: time };
                of_host(rustix::fs::utimensat(dir, path, &stamps, at_flags(lookup)), nothing)
            }
            One::Open { lookup, flags, rights, fd_flags } => {
                let flags = native_flags(lookup, flags, rights, fd_flags);
                let mode = Mode::from_raw_mode(0o666);
                of_host(rustix::fs::openat(dir, path, flags, mode), |fd| place(twin, fd))
            }
        }
    }

    fn as_guest(self, guest: &mut Guest, path: &str) -> Outcome {
        match self {
            One::Mkdir => of_guest(guest.mkdir(path), nothing),
            One::Rmdir => of_guest(guest.rmdir(path), nothing),
            One::Unlink => of_guest(guest.unlink(path), nothing),
            One::Symlink => of_guest(guest.symlink("contents", path), nothing),
            One::Readlink => {
                of_guest(guest.readlink(path, 99), |found| String::from_utf8(found).unwrap())
            }
            One::Stat { lookup } => of_guest(guest.stat(path, lookup), |stat| {
                format!("{} {} {}", stat.filetype, stat.size, stat.nlink)
            }),
            One::SetTimes { lookup } => {
                let at = guest.path(0, path);
                let times = (TIME as u64 * 1_000_000_000, TIME as u64 * 1_000_000_000);
                let (ctx, memory) = (&guest.ctx, &mut guest.memory);
                let both = 0b101;
                let set = path::path_filestat_set_times(ctx, memory, ROOT, lookup, at, times, both);
                of_guest(set, nothing)
            }
            One::Open { lookup, flags, rights, fd_flags } => {
                let bits = fd_flags.bits().into();
                let opened = guest.open_with(ROOT, path, lookup, flags, rights, bits);
                of_guest(opened, |number| {
                    let descriptor = guest.ctx.table.remove(number).unwrap();
                    place(guest, descriptor.host_fd().unwrap())
                })
            }
        }
    }
}

/// The flags of open(2) for a guest's request: preview 1 has rights where POSIX has an access mode.
fn native_flags(lookup: u32, flags: OFlags, rights: Rights, fd_flags: FdFlags) -> HostFlags {
    let mut host = if !rights.contains(WRITE) {
        HostFlags::RDONLY
    } else if rights.contains(READ) {
        HostFlags::RDWR
    } else {
        HostFlags::WRONLY
    };
    host |= HostFlags::CLOEXEC;
    host.set(HostFlags::NOFOLLOW, lookup != FOLLOW);
    host.set(HostFlags::CREATE, flags.contains(OFlags::CREAT));
    host.set(HostFlags::DIRECTORY, flags.contains(OFlags::DIRECTORY));
    host.set(HostFlags::EXCL, flags.contains(OFlags::EXCL));
    host.set(HostFlags::TRUNC, flags.contains(OFlags::TRUNC));
    host.set(HostFlags::APPEND, fd_flags.contains(FdFlags::APPEND));
    host.set(HostFlags::NONBLOCK, fd_flags.contains(FdFlags::NONBLOCK));
    host
}

/// Whether the directory that contains the last name of `shape` is outside.
fn name_leads_out(shape: &str) -> bool {
    ["../file", "../none/", "to-outside/file"].contains(&shape)
}

#[test]
fn calls_on_one_path_are_as_the_kernels() {
    try_one_path(40, true);
}

#[test]
fn calls_on_two_paths_are_as_the_kernels() {
    try_two_paths(16);
}

#[test]
fn they_are_so_without_openat2() {
    // In a thread of its own, because the filter lasts for the thread's life.
    let tries = std::thread::spawn(|| {
        deny_openat2();
        try_one_path(80, false);
        try_two_paths(48);
    });
    tries.join().unwrap();
}

fn try_one_path(one_of: usize, openat2: bool) {
    let mut twins = Twins::new();
    let mut opening = one_in(one_of);
    for call in One::all() {
        for shape in shapes(&ENDS) {
            if matches!(call, One::Open { .. }) && !opening() {
                continue;
            }
            let expected = match call.leads_out(&shape) {
                true => Expected::LeadsOut,
                false if !openat2 && call.creates_through_a_slash(&shape) => Expected::AnyError,
                false => Expected::Same,
            };
            twins.check(
                &format!("{call:?} of {shape:?}"),
                expected,
                |twin, dir| call.natively(twin, dir, &shape),
                |guest| call.as_guest(guest, &shape),
            );
        }
    }
}

/// The type of what the kernel finds at `path`, without following a link.
fn kind_of(dir: &OwnedFd, path: &str) -> Option<HostType> {
    let stat = rustix::fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(HostType::from_raw_mode(stat.st_mode))
}

fn try_two_paths(one_of: usize) {
    let mut twins = Twins::new();
    let mut drawn = one_in(one_of);
    let shapes = shapes(&ENDS);
    for from in &shapes {
        for to in &shapes {
            if !drawn() {
                continue;
            }
            // The kernel checks the old path first, and so do we.
            let (_, old_name) = split(from);
            let parent = &from[..from.len() - old_name.len()];
            let renames = !from.is_empty()
                && (parent.is_empty() || kind_of(&twins.native_dir, parent).is_some());
            // A directory cannot be linked: EPERM, unless the new name is impossible anyway.
            let links = match kind_of(&twins.native_dir, from) {
                Some(HostType::Directory) => to.ends_with('/'),
                kind => kind.is_some(),
            };
            let expected = |goes_on| match name_leads_out(from) || (goes_on && name_leads_out(to)) {
                true => Expected::LeadsOut,
                false => Expected::Same,
            };
            twins.check(
                &format!("renaming {from:?} to {to:?}"),
                expected(renames),
                |_, dir| {
                    of_host(rustix::fs::renameat(dir, from.as_str(), dir, to.as_str()), nothing)
                },
                |guest| of_guest(guest.rename(from, to), nothing),
            );
            let flags = AtFlags::empty();
            twins.check(
                &format!("linking {from:?} as {to:?}"),
                expected(links),
                |_, dir| {
                    of_host(
                        rustix::fs::linkat(dir, from.as_str(), dir, to.as_str(), flags),
                        nothing,
                    )
                },
                |guest| of_guest(guest.link(from, to, 0), nothing),
            );
        }
    }
}

#[test]
fn absolute_paths_lead_out() {
    let mut guest = Guest::new();
    plant(&guest);
    for shape in ["/", "//", "/file", "/none/", "/."] {
        for call in One::all() {
            let outcome = call.as_guest(&mut guest, shape);
            let invalid = matches!(call, One::Open { flags, .. }
                if flags.contains(OFlags::CREAT.or(OFlags::DIRECTORY)));
            let want = if invalid { Errno::Inval } else { Errno::Perm };
            assert_eq!(outcome, Err(want), "{call:?} of {shape:?}");
        }
        for (from, to) in [(shape, "new"), ("file", shape)] {
            assert_eq!(errno(guest.rename(from, to)), Errno::Perm, "{from:?} to {to:?}");
            assert_eq!(errno(guest.link(from, to, 0)), Errno::Perm, "{from:?} as {to:?}");
        }
    }
    assert_eq!(tree(&guest), planted());
    guest.check_outside();
}
