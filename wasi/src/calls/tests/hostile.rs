//! Arguments that no honest program passes: every call must end in a result, an errno or a trap.

use super::*;
use crate::calls::{env, poll, process, sock, time};
use crate::error::Abort;
use crate::guest::GuestPtr;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Numbers at which something may go wrong, and some with which calls get far.
const WORDS: [u32; 20] = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    24,
    64,
    255,
    4096,
    65535,
    65536,
    MEMORY - 8,
    MEMORY,
    i32::MAX as u32,
    u32::MAX - 7,
    u32::MAX,
];

struct Args(SmallRng);

impl Args {
    fn word(&mut self) -> u32 {
        match self.0.random_range(0..8) {
            0 => self.0.random(),
            // Flags and lengths that may be right.
            1..4 => self.0.random_range(0..3),
            _ => WORDS[self.0.random_range(0..WORDS.len())],
        }
    }

    /// An address; often there is nothing at it.
    fn ptr<T>(&mut self) -> GuestPtr<T> {
        ptr(self.word())
    }

    /// A pointer and a length; often there is a path.
    fn slice<T: ?Sized>(&mut self) -> GuestSlice<T> {
        if self.0.random() {
            return slice(self.0.random_range(4096..4118), self.0.random_range(0..12));
        }
        slice(self.word(), self.word())
    }

    /// A pointer and a length, mostly wrong.
    fn list<T: ?Sized>(&mut self) -> GuestSlice<T> {
        slice(self.word(), self.word())
    }

    fn long(&mut self) -> u64 {
        match self.0.random_range(0..4) {
            0 => self.0.random(),
            1 => u64::MAX - u64::from(self.word()),
            _ => self.word().into(),
        }
    }
}

/// One call with arguments from `a`. Waiting calls are left out, because they would rightly wait.
fn call(which: u32, ctx: &Pinned, m: &mut FakeMemory, a: &mut Args) -> Result<()> {
    let fd = if a.0.random_ratio(1, 8) { a.word() } else { a.0.random_range(1..6) };
    match which {
        0 => env::args_get(ctx, m, a.ptr(), a.ptr()),
        1 => env::args_sizes_get(ctx, m, a.ptr(), a.ptr()),
        2 => env::environ_get(ctx, m, a.ptr(), a.ptr()),
        3 => env::environ_sizes_get(ctx, m, a.ptr(), a.ptr()),
        4 => time::clock_res_get(ctx, m, a.word(), a.ptr()),
        5 => time::clock_time_get(ctx, m, a.word(), a.long(), a.ptr()),
        6 => fd_stat::fd_advise(ctx, fd, a.long(), a.long(), a.word()),
        // Within a few pages: the guest must not fill the host's disk.
        7 => fd_stat::fd_allocate(ctx, fd, a.long() & 0xffff, a.long() & 0xffff),
        // Rarely, because it waits for the disk.
        8 if a.0.random_ratio(1, 50) => fd_stat::fd_datasync(ctx, fd),
        8 => fd_stat::fd_sync(ctx, 1),
        9 => fd_stat::fd_fdstat_get(ctx, m, fd, a.ptr()),
        10 => fd_stat::fd_fdstat_set_flags(ctx, fd, a.word()),
        11 => fd_stat::fd_filestat_get(ctx, m, fd, a.ptr()),
        12 => fd_stat::fd_filestat_set_size(ctx, fd, a.long()),
        13 => fd_stat::fd_filestat_set_times(ctx, fd, a.long(), a.long(), a.word()),
        14 => fd_io::fd_pread(ctx, m, fd, a.list(), a.long(), a.ptr()),
        15 => fd::fd_prestat_get(ctx, m, fd, a.ptr()),
        16 => fd::fd_prestat_dir_name(ctx, m, fd, a.list()),
        17 => fd_io::fd_pwrite(ctx, m, fd, a.list(), a.long() & 0xffff, a.ptr()),
        18 => fd_io::fd_read(ctx, m, fd, a.list(), a.ptr()),
        19 => calls_readdir::fd_readdir(ctx, m, fd, a.slice(), a.long(), a.ptr()),
        20 => fd_io::fd_seek(ctx, m, fd, (a.long() & 0xffff).cast_signed(), a.word(), a.ptr()),
        21 => fd_io::fd_tell(ctx, m, fd, a.ptr()),
        22 => fd_io::fd_write(ctx, m, fd, a.list(), a.ptr()),
        23 => path::path_create_directory(ctx, m, fd, a.slice()),
        24 => path::path_filestat_get(ctx, m, fd, a.word(), a.slice(), a.ptr()),
        25 => path::path_filestat_set_times(
            ctx,
            m,
            fd,
            a.word(),
            a.slice(),
            (a.long(), a.long()),
            a.word(),
        ),
        26 => path::path_link(ctx, m, fd, a.word(), a.slice(), fd, a.slice()),
        27 => path_open::path_open(
            ctx,
            m,
            fd,
            a.word(),
            a.slice(),
            a.word(),
            (a.long(), a.long()),
            a.word(),
            a.ptr(),
        ),
        28 => path::path_readlink(ctx, m, fd, a.slice(), a.slice(), a.ptr()),
        29 => path::path_remove_directory(ctx, m, fd, a.slice()),
        30 => path::path_rename(ctx, m, fd, a.slice(), fd, a.slice()),
        31 => path::path_symlink(ctx, m, a.slice(), fd, a.slice()),
        32 => path::path_unlink_file(ctx, m, fd, a.slice()),
        33 => poll::poll_oneoff(ctx, m, a.ptr(), a.ptr(), a.word() | MEMORY, a.ptr()),
        34 => process::random_get(ctx, m, a.list()),
        35 => sock::sock_accept(ctx, m, fd, a.word(), a.ptr()),
        36 => sock::sock_recv(ctx, m, fd, a.slice(), a.word(), a.ptr(), a.ptr()),
        37 => sock::sock_send(ctx, m, fd, a.slice(), a.word(), a.ptr()),
        38 => sock::sock_shutdown(ctx, fd, a.word()),
        39 => process::proc_raise(a.word()),
        40 => fd::fd_renumber(ctx, fd, a.word()),
        _ => fd::fd_close(ctx, fd),
    }
}

#[test]
fn no_arguments_make_a_call_panic() {
    let mut args = Args(SmallRng::seed_from_u64(46));
    for _ in 0..60 {
        let mut guest = Guest::with(|builder, root| {
            std::fs::create_dir(root.join("d")).unwrap();
            std::fs::write(root.join("f"), "some text").unwrap();
            builder
                .args(["a", "b"])
                .env("K", "V")
                .preopened_dir(root, "/", DirAccess::ReadWrite)
                .preopened_dir(root, "/ro", DirAccess::ReadOnly)
        });
        guest.open("f", OFlags::NONE, BOTH).unwrap();
        // The memory holds sensible values: small numbers first, then pieces of paths.
        let numbers = (0..4_u32).flat_map(|at| WORDS[at as usize + 6].to_le_bytes());
        let paths = b"f/../d/./g/../../ro//f".iter().copied().cycle();
        let contents: Vec<u8> = numbers.chain(paths).take(MEMORY as usize).collect();
        guest.memory.put(0, &contents);
        for _ in 0..1000 {
            let which = args.0.random_range(0..42);
            // Mostly keep the descriptors open, or soon none would be left to test.
            if which >= 40 && args.0.random_ratio(9, 10) {
                continue;
            }
            if args.0.random_ratio(1, 4) {
                let at = WORDS[args.0.random_range(0..14)] & !7;
                let bytes: [u8; 16] = match args.0.random_range(0..3) {
                    0 => args.0.random(),
                    1 => *b"f\0d/../f////./..",
                    _ => std::array::from_fn(|at| WORDS[at] as u8),
                };
                guest.memory.put(at, &bytes);
            }
            let ended = call(which, &guest.ctx, &mut guest.memory, &mut args);
            assert_ne!(ended, Err(Error::Errno(Errno::Success)), "call {which}");
        }
        guest.check_outside();
    }
}

#[test]
fn results_beyond_the_memory_trap_and_leave_nothing_open() {
    let mut guest = Guest::new();
    let before = guest.create("file");
    let path = guest.path(0, "file");
    for result in [MEMORY, u32::MAX - 3, MEMORY - 2] {
        let (ctx, memory) = (&guest.ctx, &mut guest.memory);
        let opened = path_open::path_open(ctx, memory, ROOT, 0, path, 0, (0, 0), 0, ptr(result));
        assert!(matches!(opened, Err(Error::Abort(Abort::Pointer(_)))), "{opened:?}");
    }
    assert_eq!(guest.create("file"), before + 1);
}
