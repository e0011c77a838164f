//! Open files: reading, writing, positions, flags, rights and attributes.

use super::*;
use crate::abi::FdFlags;

#[test]
fn what_is_written_is_read_back() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    assert_eq!(guest.write(file, b"hello, world").unwrap(), 12);
    assert_eq!(guest.seek(file, 0, 1).unwrap(), 12);
    assert_eq!(guest.seek(file, -5, 2).unwrap(), 7);
    assert_eq!(guest.read(file, 100).unwrap(), b"world");
    assert_eq!(guest.read(file, 100).unwrap(), b"");
    assert_eq!(std::fs::read(guest.host("file")).unwrap(), b"hello, world");
    guest.close(file).unwrap();
    assert_eq!(errno(guest.close(file)), Errno::BadF);
}

#[test]
fn lists_of_buffers_scatter_and_gather() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    guest.memory.put(DATA, b"abcdef");
    let list = guest.list(&[(DATA + 4, 2), (DATA, 0), (DATA, 3)]);
    fd_io::fd_write(&guest.ctx, &mut guest.memory, file, list, ptr(RESULT)).unwrap();
    assert_eq!(std::fs::read(guest.host("file")).unwrap(), b"efabc");

    let list = guest.list(&[(DATA + 100, 1), (DATA + 200, 8)]);
    fd_io::fd_pread(&guest.ctx, &mut guest.memory, file, list, 1, ptr(RESULT)).unwrap();
    assert_eq!(guest.memory.u32_at(RESULT), 4);
    assert_eq!(guest.memory.get(DATA + 100, 1), b"f");
    assert_eq!(guest.memory.get(DATA + 200, 4), b"abc\0");
}

#[test]
fn positioned_transfers_leave_the_position() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    guest.write(file, b"0123456789").unwrap();
    guest.memory.put(DATA, b"xy");
    let list = guest.list(&[(DATA, 2)]);
    fd_io::fd_pwrite(&guest.ctx, &mut guest.memory, file, list, 3, ptr(RESULT)).unwrap();
    assert_eq!(guest.memory.u32_at(RESULT), 2);
    fd_io::fd_tell(&guest.ctx, &mut guest.memory, file, ptr(RESULT)).unwrap();
    assert_eq!(guest.memory.u64_at(RESULT), 10);
    assert_eq!(std::fs::read(guest.host("file")).unwrap(), b"012xy56789");
    for offset in [u64::MAX, 1 << 63] {
        let (ctx, memory) = (&guest.ctx, &mut guest.memory);
        assert_eq!(errno(fd_io::fd_pread(ctx, memory, file, list, offset, ptr(0))), Errno::Inval);
    }
}

#[test]
fn seeking_is_checked() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    assert_eq!(guest.seek(file, 1000, 0).unwrap(), 1000);
    assert_eq!(errno(guest.seek(file, -1, 0)), Errno::Inval);
    assert_eq!(errno(guest.seek(file, -2000, 1)), Errno::Inval);
    assert_eq!(errno(guest.seek(file, i64::MIN, 2)), Errno::Inval);
    assert_eq!(errno(guest.seek(file, 0, 3)), Errno::Inval);
    assert_eq!(errno(guest.seek(ROOT, 0, 1)), Errno::IsDir);
    assert_eq!(errno(guest.seek(99, 0, 1)), Errno::BadF);
}

#[test]
fn rights_follow_how_a_file_was_opened() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    guest.write(file, b"text").unwrap();

    let reader = guest.open("file", OFlags::NONE, READ).unwrap();
    let (filetype, _, base, _) = guest.fdstat(reader).unwrap();
    assert_eq!(filetype, kind(FileType::RegularFile));
    assert!(base.contains(READ) && !base.contains(WRITE));
    assert_eq!(errno(guest.write(reader, b"x")), Errno::BadF);

    let writer = guest.open("file", OFlags::NONE, WRITE).unwrap();
    let (_, _, base, _) = guest.fdstat(writer).unwrap();
    assert!(base.contains(WRITE) && !base.contains(READ));
    assert_eq!(errno(guest.read(writer, 1)), Errno::BadF);

    // Opened for neither: only its attributes can be read.
    let looker = guest.open("file", OFlags::NONE, Rights::NONE).unwrap();
    assert_eq!(errno(guest.read(looker, 1)), Errno::BadF);
    assert_eq!(guest.fd_stat(looker).unwrap().size, 4);
    assert_eq!(errno(fd_stat::fd_filestat_set_size(&guest.ctx, looker, 0)), Errno::NotCapable);
}

#[test]
fn rights_can_be_given_up_and_not_regained() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    let (_, _, base, inheriting) = guest.fdstat(file).unwrap();
    let set = |base: Rights| {
        fd_stat::fd_fdstat_set_rights(&guest.ctx, file, base.bits(), inheriting.bits())
    };
    set(base).unwrap();
    set(base.without(BOTH)).unwrap();
    assert_eq!(errno(set(base)), Errno::NotCapable);
    assert_eq!(guest.fdstat(file).unwrap().2, base.without(BOTH));
    assert_eq!(errno(guest.read(file, 1)), Errno::BadF);
    assert_eq!(errno(guest.write(file, b"x")), Errno::BadF);
    assert_eq!(guest.seek(file, 1, 0).unwrap(), 1);
}

#[test]
fn to_ask_for_the_position_takes_less_than_to_move_it() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    let (_, _, base, _) = guest.fdstat(file).unwrap();
    let set = |base: Rights| fd_stat::fd_fdstat_set_rights(&guest.ctx, file, base.bits(), 0);
    set(base.without(Rights::FD_SEEK)).unwrap();
    assert_eq!(guest.seek(file, 0, 1).unwrap(), 0);
    for (offset, whence) in [(1, 1), (0, 0), (0, 2)] {
        assert!(guest.seek(file, offset, whence).is_err(), "{offset} from {whence}");
    }
    fd_io::fd_tell(&guest.ctx, &mut guest.memory, file, ptr(RESULT)).unwrap();
}

#[test]
fn directories_pass_on_what_they_have_left() {
    let mut guest = Guest::new();
    guest.create("file");
    let (_, _, base, inheriting) = guest.fdstat(ROOT).unwrap();
    let base = base.without(Rights::PATH_FILESTAT_SET_SIZE).without(Rights::PATH_CREATE_FILE);
    let inheriting = inheriting.without(READ);
    fd_stat::fd_fdstat_set_rights(&guest.ctx, ROOT, base.bits(), inheriting.bits()).unwrap();
    assert_eq!(errno(guest.open("file", OFlags::TRUNC, BOTH)), Errno::NotCapable);
    assert_eq!(errno(guest.open("new", OFlags::CREAT, BOTH)), Errno::NotCapable);
    let file = guest.open("file", OFlags::NONE, BOTH).unwrap();
    assert_eq!(errno(guest.read(file, 1)), Errno::BadF);
    guest.write(file, b"x").unwrap();
}

#[test]
fn append_can_be_set_and_cleared() {
    let mut guest = Guest::new();
    let append = u32::from(FdFlags::APPEND.bits());
    let file = guest.open_with(ROOT, "file", 0, OFlags::CREAT, BOTH, append).unwrap();
    assert_eq!(guest.fdstat(file).unwrap().1, FdFlags::APPEND.bits());
    for _ in 0..2 {
        guest.seek(file, 0, 0).unwrap();
        guest.write(file, b"abc").unwrap();
    }
    assert_eq!(std::fs::read(guest.host("file")).unwrap(), b"abcabc");
    fd_stat::fd_fdstat_set_flags(&guest.ctx, file, 0).unwrap();
    guest.seek(file, 0, 0).unwrap();
    guest.write(file, b"x").unwrap();
    assert_eq!(std::fs::read(guest.host("file")).unwrap(), b"xbcabc");
    let sync = FdFlags::SYNC.bits().into();
    assert_eq!(errno(fd_stat::fd_fdstat_set_flags(&guest.ctx, file, sync)), Errno::NotSup);
    assert_eq!(errno(fd_stat::fd_fdstat_set_flags(&guest.ctx, file, 0x20)), Errno::Inval);
}

#[test]
fn sync_files_say_so() {
    let mut guest = Guest::new();
    for flags in [FdFlags::APPEND.or(FdFlags::SYNC), FdFlags::DSYNC] {
        let bits = flags.bits();
        let file = guest.open_with(ROOT, "f", 0, OFlags::CREAT, BOTH, bits.into()).unwrap();
        assert_eq!(guest.fdstat(file).unwrap().1, bits);
        fd_stat::fd_fdstat_set_flags(&guest.ctx, file, bits.into()).unwrap();
        guest.write(file, b"x").unwrap();
    }
}

#[test]
fn size_space_and_storage() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    fd_stat::fd_filestat_set_size(&guest.ctx, file, 100).unwrap();
    assert_eq!(guest.fd_stat(file).unwrap().size, 100);
    assert_eq!(errno(fd_stat::fd_filestat_set_size(&guest.ctx, file, u64::MAX)), Errno::Inval);
    fd_stat::fd_allocate(&guest.ctx, file, 90, 20).unwrap();
    assert_eq!(guest.fd_stat(file).unwrap().size, 110);
    fd_stat::fd_allocate(&guest.ctx, file, 0, 10).unwrap();
    assert_eq!(guest.fd_stat(file).unwrap().size, 110);
    assert_eq!(errno(fd_stat::fd_allocate(&guest.ctx, file, 0, 0)), Errno::Inval);
    for advice in 0..6 {
        fd_stat::fd_advise(&guest.ctx, file, 0, 100, advice).unwrap();
    }
    assert_eq!(errno(fd_stat::fd_advise(&guest.ctx, file, 0, 100, 6)), Errno::Inval);
    fd_stat::fd_sync(&guest.ctx, file).unwrap();
    fd_stat::fd_datasync(&guest.ctx, file).unwrap();
    fd_stat::fd_sync(&guest.ctx, ROOT).unwrap();
}

#[test]
fn space_is_allocated_piece_by_piece_and_without_a_hole() {
    use std::os::unix::fs::MetadataExt;
    let mut guest = Guest::new();
    let file = guest.create("file");
    // More than two pieces of 64 MiB, from a page on.
    let (offset, len) = (4096, (128 << 20) + 4096);
    fd_stat::fd_allocate(&guest.ctx, file, offset, len).unwrap();
    let found = std::fs::metadata(guest.host("file")).unwrap();
    assert_eq!(found.len(), offset + len);
    assert!(found.blocks() * 512 >= len, "{} blocks", found.blocks());

    // One byte behind the largest file is too far, whether it is asked for at once or in pieces; and then nothing
    // is allocated.
    let end = u64::try_from(i64::MAX).unwrap();
    for len in [1, 64 << 20, (64 << 20) + 1] {
        let too_far = fd_stat::fd_allocate(&guest.ctx, file, end - len + 1, len);
        assert_eq!(errno(too_far), Errno::FBig, "{len}");
    }
    assert_eq!(std::fs::metadata(guest.host("file")).unwrap().blocks(), found.blocks());
}

#[test]
fn no_more_is_allocated_than_asked_for() {
    use std::os::unix::fs::MetadataExt;
    let mut guest = Guest::new();
    let file = guest.create("file");
    // Pieces that end with a page: one byte more would be a page more.
    let len = (64 << 20) + 4096;
    fd_stat::fd_allocate(&guest.ctx, file, 0, len).unwrap();
    let found = std::fs::metadata(guest.host("file")).unwrap();
    assert_eq!((found.len(), found.blocks() * 512), (len, len));
}

#[test]
fn to_reach_the_disk_takes_a_right() {
    type Sync = fn(&crate::ctx::State, u32) -> Result<()>;
    let calls: [(Rights, Sync); 2] = [
        (Rights::FD_SYNC, |ctx, fd| fd_stat::fd_sync(ctx, fd)),
        (Rights::FD_DATASYNC, |ctx, fd| fd_stat::fd_datasync(ctx, fd)),
    ];
    for (right, sync) in calls {
        let mut guest = Guest::new();
        let file = guest.create("file");
        let (_, _, base, _) = guest.fdstat(file).unwrap();
        sync(&guest.ctx, file).unwrap();
        let without = base.without(right).bits();
        fd_stat::fd_fdstat_set_rights(&guest.ctx, file, without, 0).unwrap();
        assert!(sync(&guest.ctx, file).is_err());
    }
}

#[test]
fn a_directory_is_made_with_the_rights_that_the_host_gives_one() {
    use std::os::unix::fs::MetadataExt;
    let mut guest = Guest::new();
    guest.mkdir("made").unwrap();
    std::fs::create_dir(guest.host("expected")).unwrap();
    let [made, expected] =
        ["made", "expected"].map(|name| std::fs::metadata(guest.host(name)).unwrap().mode());
    assert_eq!(format!("{made:o}"), format!("{expected:o}"));
}

#[test]
fn directories_are_not_files() {
    let mut guest = Guest::new();
    assert_eq!(errno(guest.read(ROOT, 1)), Errno::IsDir);
    assert_eq!(errno(guest.write(ROOT, b"x")), Errno::BadF);
    assert_eq!(errno(fd_stat::fd_allocate(&guest.ctx, ROOT, 0, 1)), Errno::BadF);
    assert_eq!(errno(fd_stat::fd_filestat_set_size(&guest.ctx, ROOT, 0)), Errno::BadF);
    assert_eq!(errno(fd_stat::fd_advise(&guest.ctx, ROOT, 0, 0, 0)), Errno::BadF);
    let (filetype, flags, base, inheriting) = guest.fdstat(ROOT).unwrap();
    assert_eq!((filetype, flags), (kind(FileType::Directory), 0));
    assert!(base.contains(Rights::FD_READDIR) && inheriting.contains(BOTH));
    assert_eq!(guest.fd_stat(ROOT).unwrap().filetype, kind(FileType::Directory));
}

#[test]
fn times_are_set_to_the_nanosecond() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    let (atim, mtim) = (1_234_567_890_123_456_789, 987_654_321);
    fd_stat::fd_filestat_set_times(&guest.ctx, file, atim, mtim, 0b0101).unwrap();
    let stat = guest.fd_stat(file).unwrap();
    assert_eq!((stat.atim, stat.mtim), (atim, mtim));

    let path = guest.path(0, "file");
    let (ctx, memory) = (&guest.ctx, &mut guest.memory);
    path::path_filestat_set_times(ctx, memory, ROOT, 0, path, (7, 8), 0b0110).unwrap();
    let stat = guest.stat("file", 0).unwrap();
    assert_eq!(stat.mtim, 8);
    assert!(stat.atim > atim, "set to now");
}

#[test]
fn renumbering_moves_a_file_over_another() {
    let mut guest = Guest::new();
    let (one, two) = (guest.create("one"), guest.create("two"));
    guest.write(one, b"1").unwrap();
    fd::fd_renumber(&guest.ctx, one, two).unwrap();
    assert_eq!(errno(guest.fd_stat(one)), Errno::BadF);
    assert_eq!(guest.fd_stat(two).unwrap().size, 1);
    assert_eq!(errno(fd::fd_renumber(&guest.ctx, two, one)), Errno::BadF);
    // Over a preopened directory, which is then closed.
    fd::fd_renumber(&guest.ctx, two, ROOT).unwrap();
    let result = fd::fd_prestat_get(&guest.ctx, &mut guest.memory, ROOT, ptr(RESULT));
    assert_eq!(errno(result), Errno::BadF);
}

#[test]
fn preopened_directories_are_found_from_three_on() {
    let mut guest = Guest::with(|builder, root| {
        builder.preopened_dir(root, "/", DirAccess::ReadWrite).preopened_dir(
            root,
            "some/name",
            DirAccess::ReadOnly,
        )
    });
    for (number, name) in [(3, &b"/"[..]), (4, b"some/name")] {
        let (ctx, memory) = (&guest.ctx, &mut guest.memory);
        fd::fd_prestat_get(ctx, memory, number, ptr(RESULT)).unwrap();
        let len = memory.u32_at(RESULT + 4);
        assert_eq!((memory.u32_at(RESULT), len as usize), (0, name.len()));
        let short = fd::fd_prestat_dir_name(ctx, memory, number, slice(DATA, len - 1));
        assert_eq!(errno(short), Errno::NameTooLong);
        for room in [len, len + 1] {
            memory.put(DATA, &[9; 16]);
            fd::fd_prestat_dir_name(ctx, memory, number, slice(DATA, room)).unwrap();
            assert_eq!(memory.get(DATA, name.len() + 1), [name, &[9]].concat());
        }
    }
    for number in [0, 5, u32::MAX] {
        let result = fd::fd_prestat_get(&guest.ctx, &mut guest.memory, number, ptr(RESULT));
        assert_eq!(errno(result), Errno::BadF);
    }
}

#[test]
fn so_many_descriptors_can_be_open_and_no_more() {
    let limited = |builder: WasiCtxBuilder, root: &Path| {
        builder.preopened_dir(root, "/", DirAccess::ReadWrite).max_descriptors(6)
    };
    let mut guest = Guest::with(limited);
    std::fs::write(guest.host("file"), "text").unwrap();
    assert_eq!([guest.create("a"), guest.create("b")], [4, 5]);
    // As with open(2): a refused call has created and truncated nothing.
    assert_eq!(errno(guest.open("new", OFlags::CREAT, BOTH)), Errno::MFile);
    assert_eq!(errno(guest.open("file", OFlags::TRUNC, BOTH)), Errno::MFile);
    assert!(!guest.host("new").exists());
    assert_eq!(guest.stat("file", 0).unwrap().size, 4);
    // A file that fails to open takes no room.
    guest.close(4).unwrap();
    for _ in 0..10 {
        assert_eq!(errno(guest.open("none", OFlags::NONE, READ)), Errno::NoEnt);
    }
    assert_eq!(guest.create("new"), 4);
}

#[test]
fn the_threads_of_a_guest_share_one_limit() {
    const LIMIT: usize = 20;
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("file"), "").unwrap();
    let builder = WasiCtxBuilder::new().preopened_dir(temp.path(), "/", DirAccess::ReadOnly);
    let ctx = builder.max_descriptors(LIMIT).build().unwrap();
    let opened: usize = std::thread::scope(|scope| {
        let threads = [(); 4].map(|()| {
            let ctx = ctx.clone();
            let temp = tempfile::tempdir().unwrap();
            scope.spawn(move || {
                let memory = FakeMemory::new(MEMORY as usize);
                let mut guest = Guest { ctx: ctx.pin(), memory, temp };
                (0..LIMIT).filter(|_| guest.open("file", OFlags::NONE, READ).is_ok()).count()
            })
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(opened, LIMIT - 4);
}

#[test]
fn a_guest_leaves_its_host_some_descriptors() {
    let mut guest = Guest::new();
    std::fs::write(guest.host("file"), "").unwrap();
    let opened = (0..1 << 20).take_while(|_| guest.open("file", OFlags::NONE, READ).is_ok());
    let process = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = process.map_or(1024, |limit| (limit / 2).min(1024));
    assert_eq!(opened.count() as u64 + 4, most);
    std::fs::File::open(guest.host("file")).unwrap();
}
