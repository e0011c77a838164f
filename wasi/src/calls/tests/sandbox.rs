//! Nothing outside of a preopened directory can be reached, and nothing in a read-only one can be
//! changed.

use super::*;
use std::os::unix::fs::symlink;

/// Every way in which a path can try to leave, in a guest whose root holds the links for it.
fn ways_out(guest: &mut Guest) -> Vec<String> {
    guest.mkdir("dir").unwrap();
    // Links that a host's file system may contain; a guest cannot make the absolute ones.
    let outside = guest.temp.path().to_owned();
    symlink(outside.join("secret"), guest.host("absolute-link")).unwrap();
    symlink(&outside, guest.host("absolute-dir")).unwrap();
    symlink("/", guest.host("root-link")).unwrap();
    symlink("../secret", guest.host("relative-link")).unwrap();
    symlink("..", guest.host("parent-link")).unwrap();
    symlink("../relative-link", guest.host("dir/two-steps")).unwrap();
    symlink("dir/../../secret", guest.host("winding-link")).unwrap();
    let absolute = outside.join("secret").to_str().unwrap().to_owned();
    let mut ways: Vec<String> = [
        "../secret",
        "dir/../../secret",
        "./../secret",
        "dir/../dir/.././../secret",
        "absolute-link",
        "absolute-dir/secret",
        "relative-link",
        "parent-link/secret",
        "dir/two-steps",
        "winding-link",
        "/secret",
        "/../secret",
    ]
    .map(String::from)
    .into();
    ways.push(format!("root-link{absolute}"));
    ways.push(absolute);
    ways
}

#[test]
fn no_path_opens_anything_outside() {
    let mut guest = Guest::new();
    for path in ways_out(&mut guest) {
        for flags in [OFlags::NONE, OFlags::CREAT, OFlags::TRUNC, OFlags::CREAT.or(OFlags::EXCL)] {
            for rights in [READ, WRITE, BOTH] {
                let refused = errno(guest.open(&path, flags, rights));
                // EXCL does not follow a link at the end of the path: the link exists, and that is
                // the error.
                let exists = flags.contains(OFlags::EXCL) && refused == Errno::Exist;
                assert!(refused == Errno::Perm || exists, "{path}: {refused}");
            }
        }
        assert_eq!(errno(guest.stat(&path, FOLLOW)), Errno::Perm, "{path}");
    }
    for path in ["..", "../", "../.", "dir/../..", "parent-link", "parent-link/", "/", "root-link"]
    {
        for flags in [OFlags::NONE, OFlags::DIRECTORY] {
            assert_eq!(errno(guest.open(path, flags, READ)), Errno::Perm, "{path}");
        }
        assert_eq!(errno(guest.stat(path, FOLLOW)), Errno::Perm, "{path}");
    }
    guest.check_outside();
}

#[test]
fn no_name_outside_is_made_removed_or_moved() {
    let mut guest = Guest::new();
    ways_out(&mut guest);
    guest.create("file");
    for path in ["../new", "parent-link/new", "dir/../../new", "absolute-dir/new", "/new"] {
        assert_eq!(errno(guest.mkdir(path)), Errno::Perm, "{path}");
        assert_eq!(errno(guest.symlink("file", path)), Errno::Perm, "{path}");
        assert_eq!(errno(guest.link("file", path, 0)), Errno::Perm, "{path}");
        assert_eq!(errno(guest.rename("file", path)), Errno::Perm, "{path}");
        assert_eq!(errno(guest.open(path, OFlags::CREAT, BOTH)), Errno::Perm, "{path}");
    }
    for path in ["../secret", "parent-link/secret", "dir/../../secret", "absolute-dir/secret"] {
        assert_eq!(errno(guest.unlink(path)), Errno::Perm, "{path}");
        assert_eq!(errno(guest.rmdir(path)), Errno::Perm, "{path}");
        assert_eq!(errno(guest.rename(path, "stolen")), Errno::Perm, "{path}");
        assert_eq!(errno(guest.link(path, "stolen", 0)), Errno::Perm, "{path}");
        assert_eq!(errno(guest.readlink(path, 99)), Errno::Perm, "{path}");
        let at = guest.path(0, path);
        let (ctx, memory) = (&guest.ctx, &mut guest.memory);
        let set = path::path_filestat_set_times(ctx, memory, ROOT, FOLLOW, at, (0, 0), 0b101);
        assert_eq!(errno(set), Errno::Perm, "{path}");
    }
    guest.check_outside();
}

#[test]
fn links_out_may_be_made_but_not_followed() {
    let mut guest = Guest::new();
    guest.symlink("../secret", "link").unwrap();
    assert_eq!(guest.readlink("link", 99).unwrap(), b"../secret");
    assert_eq!(errno(guest.open("link", OFlags::TRUNC, BOTH)), Errno::Perm);
    assert_eq!(errno(guest.symlink("/etc/passwd", "absolute")), Errno::Perm);
    guest.check_outside();
}

#[test]
fn an_absolute_link_does_not_tell_where_it_leads() {
    let mut guest = Guest::new();
    symlink("/some/where", guest.host("link")).unwrap();
    assert_eq!(errno(guest.readlink("link", 99)), Errno::Perm);
    guest.unlink("link").unwrap();
}

#[test]
fn a_directory_moved_out_from_under_an_open_one_does_not_help() {
    let mut guest = Guest::new();
    guest.mkdir("dir").unwrap();
    let dir = guest.open("dir", OFlags::DIRECTORY, READ).unwrap();
    // The descriptor is a root of its own: its parent cannot be reached through it.
    let result = guest.open_with(dir, "../dir", FOLLOW, OFlags::NONE, READ, 0);
    assert_eq!(errno(result), Errno::Perm);
}

#[test]
fn a_race_between_links_and_directories_is_never_won() {
    let mut guest = Guest::new();
    std::fs::create_dir(guest.host("real")).unwrap();
    std::fs::write(guest.host("real/secret"), "inside").unwrap();
    std::fs::rename(guest.host("real"), guest.host("flip")).unwrap();
    symlink("..", guest.host("link")).unwrap();
    let (flip, link, aside) = (guest.host("flip"), guest.host("link"), guest.host("aside"));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: the flag orders nothing else.
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for (from, to) in [(&flip, &aside), (&link, &flip), (&flip, &link), (&aside, &flip)]
                {
                    std::fs::rename(from, to).unwrap();
                }
            }
        });
        for _ in 0..3000 {
            if let Ok(file) = guest.open("flip/secret", OFlags::NONE, READ) {
                assert_eq!(guest.read(file, 100).unwrap(), b"inside");
                guest.close(file).unwrap();
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_read_only_directory_is_like_a_read_only_file_system() {
    let mut guest = Guest::read_only();
    std::fs::create_dir(guest.host("dir")).unwrap();
    std::fs::write(guest.host("file"), "text").unwrap();
    let dir = guest.open("dir", OFlags::DIRECTORY, READ).unwrap();

    let file = guest.open("file", OFlags::CREAT, READ).unwrap();
    assert_eq!(guest.read(file, 99).unwrap(), b"text");
    assert_eq!(errno(guest.open("file", OFlags::CREAT.or(OFlags::EXCL), READ)), Errno::Exist);
    assert_eq!(errno(guest.open("new", OFlags::CREAT, READ)), Errno::RoFs);
    assert_eq!(errno(guest.open("missing", OFlags::NONE, READ)), Errno::NoEnt);
    assert_eq!(errno(guest.open("file", OFlags::TRUNC, READ)), Errno::RoFs);
    assert_eq!(errno(guest.open("file", OFlags::NONE, BOTH)), Errno::RoFs);
    assert_eq!(errno(guest.open_with(dir, "f", 0, OFlags::CREAT, WRITE, 0)), Errno::RoFs);
    assert_eq!(errno(guest.mkdir("new")), Errno::RoFs);
    assert_eq!(errno(guest.rmdir("dir")), Errno::RoFs);
    assert_eq!(errno(guest.unlink("file")), Errno::RoFs);
    assert_eq!(errno(guest.rename("file", "other")), Errno::RoFs);
    assert_eq!(errno(guest.link("file", "other", 0)), Errno::RoFs);
    assert_eq!(errno(guest.symlink("file", "other")), Errno::RoFs);
    assert_eq!(errno(fd_stat::fd_filestat_set_times(&guest.ctx, ROOT, 0, 0, 5)), Errno::RoFs);
    assert_eq!(errno(fd_stat::fd_filestat_set_size(&guest.ctx, file, 0)), Errno::NotCapable);
    let at = guest.path(0, "file");
    let (ctx, memory) = (&guest.ctx, &mut guest.memory);
    let set = path::path_filestat_set_times(ctx, memory, ROOT, 0, at, (0, 0), 0b101);
    assert_eq!(errno(set), Errno::RoFs);
    assert_eq!(std::fs::read(guest.host("file")).unwrap(), b"text");
}

#[test]
fn a_file_opened_in_a_read_only_directory_keeps_its_times() {
    let mut guest = Guest::read_only();
    std::fs::write(guest.host("file"), "text").unwrap();
    let file = guest.open("file", OFlags::NONE, READ).unwrap();
    let before = guest.fd_stat(file).unwrap();
    let result = fd_stat::fd_filestat_set_times(&guest.ctx, file, 1, 1, 0b101);
    assert_eq!(errno(result), Errno::NotCapable);
    assert_eq!(guest.fd_stat(file).unwrap().mtim, before.mtim);
}

#[test]
fn read_only_and_writable_directories_do_not_mix() {
    let mut guest = Guest::with(|builder, root| {
        std::fs::create_dir(root.join("other")).unwrap();
        builder.preopened_dir(root.join("other"), "/other", DirAccess::ReadWrite).preopened_dir(
            root,
            "/",
            DirAccess::ReadOnly,
        )
    });
    std::fs::write(guest.host("file"), "text").unwrap();
    let (from, to) = (guest.path(0, "file"), guest.path(1, "stolen"));
    let (ctx, memory) = (&guest.ctx, &mut guest.memory);
    assert_eq!(errno(path::path_link(ctx, memory, 4, 0, from, 3, to)), Errno::RoFs);
    assert_eq!(errno(path::path_rename(ctx, memory, 4, from, 3, to)), Errno::RoFs);
}
