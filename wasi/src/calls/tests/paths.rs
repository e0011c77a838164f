//! Paths that stay inside: opening files, and other operations on names.

use super::*;

#[test]
fn flags_of_open_are_those_of_the_host() {
    let mut guest = Guest::new();
    assert_eq!(errno(guest.open("file", OFlags::NONE, BOTH)), Errno::NoEnt);
    // Created by a call that only reads.
    let file = guest.open("file", OFlags::CREAT, READ).unwrap();
    assert_eq!(errno(guest.write(file, b"x")), Errno::BadF);
    assert_eq!(errno(guest.open("file", OFlags::CREAT.or(OFlags::EXCL), BOTH)), Errno::Exist);
    std::fs::write(guest.host("file"), "12345").unwrap();
    guest.open("file", OFlags::CREAT, BOTH).unwrap();
    assert_eq!(guest.stat("file", 0).unwrap().size, 5);
    guest.open("file", OFlags::TRUNC, BOTH).unwrap();
    assert_eq!(guest.stat("file", 0).unwrap().size, 0);
    assert_eq!(errno(guest.open("file", OFlags::DIRECTORY, READ)), Errno::NotDir);
    assert_eq!(errno(guest.open(".", OFlags::DIRECTORY, BOTH)), Errno::IsDir);
    assert_eq!(errno(guest.open(".", OFlags::NONE, WRITE)), Errno::IsDir);
    assert_eq!(errno(guest.open_with(ROOT, "f", 2, OFlags::NONE, READ, 0)), Errno::Inval);
}

#[test]
fn creating_does_not_open_for_writing() {
    // It would fail on an existing file that cannot be written.
    let mut guest = Guest::new();
    for flags in [OFlags::CREAT, OFlags::CREAT.or(OFlags::TRUNC)] {
        let file = guest.open("file", flags, READ).unwrap();
        let descriptor = guest.ctx.table.get(file).unwrap();
        let host = rustix::fs::fcntl_getfl(descriptor.host_fd().unwrap()).unwrap();
        assert_eq!(host & rustix::fs::OFlags::RWMODE, rustix::fs::OFlags::RDONLY);
    }
}

#[test]
fn directories_open_with_and_without_the_flag() {
    let mut guest = Guest::new();
    guest.mkdir("dir").unwrap();
    std::fs::write(guest.host("dir/file"), "inside").unwrap();
    for flags in [OFlags::DIRECTORY, OFlags::NONE] {
        let dir = guest.open("dir", flags, READ).unwrap();
        assert_eq!(guest.fdstat(dir).unwrap().0, kind(FileType::Directory));
        let file = guest.open_with(dir, "file", 0, OFlags::NONE, READ, 0).unwrap();
        assert_eq!(guest.read(file, 100).unwrap(), b"inside");
        // It is not preopened.
        let result = fd::fd_prestat_get(&guest.ctx, &mut guest.memory, dir, ptr(RESULT));
        assert_eq!(errno(result), Errno::BadF);
    }
    let file = guest.open("dir/file", OFlags::NONE, READ).unwrap();
    assert_eq!(errno(guest.open_with(file, "x", 0, OFlags::NONE, READ, 0)), Errno::NotDir);
    assert_eq!(errno(guest.open_with(1, "x", 0, OFlags::NONE, READ, 0)), Errno::NotDir);
    assert_eq!(errno(guest.open_with(99, "x", 0, OFlags::NONE, READ, 0)), Errno::BadF);
}

#[test]
fn odd_spellings_of_a_path() {
    let mut guest = Guest::new();
    guest.mkdir("dir").unwrap();
    guest.mkdir("dir/nested").unwrap();
    guest.create("dir/nested/file");
    for path in ["dir/.//nested/../../dir/nested/../nested///./file", "./dir/nested/file"] {
        guest.open(path, OFlags::NONE, READ).unwrap();
    }
    for path in ["dir/nested/file/", "dir/nested/file///", "dir/nested/file/."] {
        assert_eq!(errno(guest.open(path, OFlags::NONE, READ)), Errno::NotDir, "{path}");
        assert_eq!(errno(guest.stat(path, FOLLOW)), Errno::NotDir, "{path}");
    }
    for path in ["dir/nested/", "dir/nested///", "dir/.", ".", "./"] {
        guest.open(path, OFlags::NONE, READ).unwrap();
        assert_eq!(guest.stat(path, 0).unwrap().filetype, kind(FileType::Directory), "{path}");
    }
    assert_eq!(errno(guest.open("", OFlags::NONE, READ)), Errno::NoEnt);
    assert_eq!(errno(guest.stat("", FOLLOW)), Errno::NoEnt);
    assert_eq!(errno(guest.mkdir("")), Errno::NoEnt);
    assert_eq!(errno(guest.open("dir\0x", OFlags::NONE, READ)), Errno::Inval);
    let bad = guest.open_with(ROOT, b"\xff\xfe", 0, OFlags::CREAT, BOTH, 0);
    assert_eq!(errno(bad), Errno::IlSeq);
    let long = "x".repeat(300);
    assert_eq!(errno(guest.open(&long, OFlags::CREAT, BOTH)), Errno::NameTooLong);
    let longer = "x/".repeat(2100);
    assert_eq!(errno(guest.open(&longer, OFlags::CREAT, BOTH)), Errno::NameTooLong);
}

#[test]
fn directories_are_made_and_removed() {
    let mut guest = Guest::new();
    guest.mkdir("dir").unwrap();
    assert_eq!(errno(guest.mkdir("dir")), Errno::Exist);
    guest.mkdir("dir/inner/").unwrap();
    assert_eq!(errno(guest.rmdir("dir")), Errno::NotEmpty);
    assert_eq!(errno(guest.unlink("dir")), Errno::IsDir);
    assert_eq!(errno(guest.unlink("dir/")), Errno::IsDir);
    guest.rmdir("dir/inner/").unwrap();
    guest.create("dir/file");
    assert_eq!(errno(guest.rmdir("dir/file")), Errno::NotDir);
    assert_eq!(errno(guest.rmdir("dir/file/")), Errno::NotDir);
    assert_eq!(errno(guest.unlink("dir/file/")), Errno::NotDir);
    guest.unlink("dir/file").unwrap();
    assert_eq!(errno(guest.unlink("dir/file")), Errno::NoEnt);
    guest.rmdir("dir").unwrap();
    assert_eq!(errno(guest.rmdir("dir")), Errno::NoEnt);
}

#[test]
fn renaming_is_the_hosts() {
    let mut guest = Guest::new();
    guest.mkdir("source").unwrap();
    guest.rename("source/", "target").unwrap();
    guest.rename("target", "source/").unwrap();
    guest.mkdir("target").unwrap();
    guest.rename("source", "target").unwrap();
    assert_eq!(errno(guest.stat("source", 0)), Errno::NoEnt);
    guest.mkdir("source").unwrap();
    guest.create("target/file");
    assert_eq!(errno(guest.rename("source", "target")), Errno::NotEmpty);
    assert_eq!(errno(guest.rename("source", "target/file")), Errno::NotDir);
    assert_eq!(errno(guest.rename("target/file", "source")), Errno::IsDir);
    assert_eq!(errno(guest.rename("target/file/", "x")), Errno::NotDir);
    assert_eq!(errno(guest.rename("missing", "x")), Errno::NoEnt);
    std::fs::write(guest.host("target/file"), "new").unwrap();
    guest.create("other");
    guest.rename("target/file", "other").unwrap();
    assert_eq!(guest.stat("other", 0).unwrap().size, 3);
}

#[test]
fn hard_links_are_the_same_file() {
    let mut guest = Guest::new();
    guest.create("file");
    guest.link("file", "link", 0).unwrap();
    let (file, link) = (guest.stat("file", 0).unwrap(), guest.stat("link", 0).unwrap());
    assert_eq!(file, link);
    assert_eq!(file.nlink, 2);
    assert_eq!(errno(guest.link("file", "link", 0)), Errno::Exist);
    assert_eq!(errno(guest.link("file", "file", 0)), Errno::Exist);
    guest.mkdir("dir").unwrap();
    assert_eq!(errno(guest.link("dir", "other", 0)), Errno::Perm);
    assert_eq!(errno(guest.link("file", "other/", 0)), Errno::NoEnt);
    assert_eq!(errno(guest.link("missing", "other", 0)), Errno::NoEnt);
    // The link itself gets another name, wherever it points.
    guest.symlink("nowhere", "sym").unwrap();
    guest.link("sym", "sym2", 0).unwrap();
    assert_eq!(guest.readlink("sym2", 99).unwrap(), b"nowhere");
    assert_eq!(errno(guest.link("sym", "sym3", FOLLOW)), Errno::Inval);
}

#[test]
fn symbolic_links_are_followed_when_asked() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    guest.write(file, b"text").unwrap();
    guest.mkdir("dir").unwrap();
    guest.symlink("file", "to-file").unwrap();
    guest.symlink("dir/", "to-dir").unwrap();

    assert_eq!(guest.stat("to-file", FOLLOW).unwrap().filetype, kind(FileType::RegularFile));
    assert_eq!(guest.stat("to-file", 0).unwrap().filetype, kind(FileType::SymbolicLink));
    guest.open("to-file", OFlags::NONE, READ).unwrap();
    let without = |guest: &mut Guest, path, flags| guest.open_with(ROOT, path, 0, flags, READ, 0);
    assert_eq!(errno(without(&mut guest, "to-file", OFlags::NONE)), Errno::Loop);
    guest.open("to-dir", OFlags::DIRECTORY, READ).unwrap();
    let refused = errno(without(&mut guest, "to-dir", OFlags::DIRECTORY));
    assert!(matches!(refused, Errno::Loop | Errno::NotDir), "{refused}");
    // Links in the middle of a path are always followed.
    guest.create("to-dir/new");
    guest.stat("dir/new", 0).unwrap();

    assert_eq!(guest.readlink("to-file", 99).unwrap(), b"file");
    assert_eq!(guest.readlink("to-file", 2).unwrap(), b"fi");
    assert_eq!(errno(guest.readlink("file", 99)), Errno::Inval);
    assert_eq!(errno(guest.symlink("file", "to-file")), Errno::Exist);
    assert_eq!(errno(guest.symlink("file", "new/")), Errno::NoEnt);
    assert_eq!(errno(guest.symlink("file", "dir/")), Errno::Exist);
    guest.unlink("to-file").unwrap();
    assert_eq!(guest.stat("file", 0).unwrap().size, 4);
}

#[test]
fn times_of_a_link_are_its_own() {
    let mut guest = Guest::new();
    guest.create("file");
    guest.symlink("file", "link").unwrap();
    for (lookup, mtim) in [(0, 1_000), (FOLLOW, 2_000)] {
        let path = guest.path(0, "link");
        let (ctx, memory) = (&guest.ctx, &mut guest.memory);
        path::path_filestat_set_times(ctx, memory, ROOT, lookup, path, (0, mtim), 0b100).unwrap();
        assert_eq!(guest.stat("link", lookup).unwrap().mtim, mtim);
    }
    assert_eq!(guest.stat("link", 0).unwrap().mtim, 1_000);
    assert_eq!(guest.stat("file", 0).unwrap().mtim, 2_000);
}

#[test]
fn loops_and_dangling_links() {
    let mut guest = Guest::new();
    guest.symlink("loop", "loop").unwrap();
    guest.symlink("b", "a").unwrap();
    guest.symlink("a", "b").unwrap();
    guest.symlink("nowhere", "dangling").unwrap();
    for path in ["loop", "a", "loop/x"] {
        assert_eq!(errno(guest.open(path, OFlags::NONE, READ)), Errno::Loop, "{path}");
        assert_eq!(errno(guest.stat(path, FOLLOW)), Errno::Loop, "{path}");
    }
    assert_eq!(errno(guest.open("dangling", OFlags::NONE, READ)), Errno::NoEnt);
    assert_eq!(guest.stat("dangling", 0).unwrap().filetype, kind(FileType::SymbolicLink));
    // As with open(2): creating through a dangling link creates its target.
    guest.create("dangling");
    guest.stat("nowhere", 0).unwrap();
    assert_eq!(errno(guest.open("loop", OFlags::CREAT, BOTH)), Errno::Loop);
}
