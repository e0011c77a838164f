//! Reading directories the way C libraries do.

use super::*;
use std::collections::BTreeMap;

/// An entry as the guest sees it.
struct Seen {
    next: u64,
    ino: u64,
    filetype: u8,
    name: String,
}

/// The complete entries in `bytes`.
fn parse(mut bytes: &[u8]) -> Vec<Seen> {
    let mut entries = Vec::new();
    while bytes.len() >= 24 {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let len = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
        let Some(name) = bytes.get(24..24 + len) else {
            break;
        };
        let name = String::from_utf8(name.to_vec()).unwrap();
        entries.push(Seen { next: word(0), ino: word(8), filetype: bytes[20], name });
        bytes = &bytes[24 + len..];
    }
    entries
}

/// Reads a directory with a buffer of `len` bytes, as wasi-libc's `readdir` does: it asks again for
/// an entry that was cut off, and stops at a buffer that is not full.
fn read_all(guest: &mut Guest, number: u32, len: u32) -> Vec<Seen> {
    let mut all = Vec::new();
    let mut cookie = 0;
    loop {
        let bytes = guest.readdir(number, len, cookie).unwrap();
        let entries = parse(&bytes);
        if entries.is_empty() && bytes.len() == len as usize {
            panic!("no entry fits into {len} bytes");
        }
        cookie = entries.last().map_or(cookie, |entry| entry.next);
        all.extend(entries);
        if bytes.len() < len as usize {
            return all;
        }
    }
}

#[test]
fn every_buffer_size_sees_every_entry_once() {
    let mut guest = Guest::new();
    for number in 0..300 {
        std::fs::write(guest.host(&format!("{}{number}", "x".repeat(number % 40))), "").unwrap();
    }
    let whole = read_all(&mut guest, ROOT, 65536);
    assert_eq!(whole.len(), 302);
    for len in [68, 69, 100, 256, 257, 1000, 4096] {
        let names: Vec<_> =
            read_all(&mut guest, ROOT, len).into_iter().map(|entry| entry.name).collect();
        let want: Vec<_> = whole.iter().map(|entry| entry.name.clone()).collect();
        assert_eq!(names, want, "with {len} bytes");
    }
}

#[test]
fn entries_say_what_they_are() {
    let mut guest = Guest::new();
    guest.mkdir("dir").unwrap();
    guest.create("file");
    guest.symlink("file", "link").unwrap();
    let entries: BTreeMap<_, _> = read_all(&mut guest, ROOT, 4096)
        .into_iter()
        .map(|entry| (entry.name, (entry.filetype, entry.ino)))
        .collect();
    let ino = |guest: &mut Guest, path| guest.stat(path, 0).unwrap().ino;
    let want = BTreeMap::from(
        [
            (".", FileType::Directory, ino(&mut guest, ".")),
            ("..", FileType::Directory, ino(&mut guest, ".")),
            ("dir", FileType::Directory, ino(&mut guest, "dir")),
            ("file", FileType::RegularFile, ino(&mut guest, "file")),
            ("link", FileType::SymbolicLink, ino(&mut guest, "link")),
        ]
        .map(|(name, filetype, ino)| (name.to_owned(), (kind(filetype), ino))),
    );
    assert_eq!(entries, want);
}

#[test]
fn a_cookie_continues_where_it_was_given() {
    let mut guest = Guest::new();
    for number in 0..10 {
        guest.create(&number.to_string());
    }
    let whole = read_all(&mut guest, ROOT, 4096);
    for (index, entry) in whole.iter().enumerate() {
        let rest = parse(&guest.readdir(ROOT, 4096, entry.next).unwrap());
        let names = |entries: &[Seen]| entries.iter().map(|e| e.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&rest), names(&whole[index + 1..]));
    }
    assert_eq!(guest.readdir(ROOT, 4096, 1000).unwrap(), b"");
    assert_eq!(guest.readdir(ROOT, 4096, u64::MAX).unwrap(), b"");
}

#[test]
fn a_directory_emptied_while_it_is_read_is_emptied() {
    let mut guest = Guest::new();
    for number in 0..2000 {
        std::fs::write(guest.host(&format!("a-name-of-some-length-{number}")), "").unwrap();
    }
    // As `rm -r` does: remove the entries of one read, then continue from its last cookie.
    let mut cookie = 0;
    loop {
        let bytes = guest.readdir(ROOT, 512, cookie).unwrap();
        for entry in parse(&bytes) {
            cookie = entry.next;
            if !entry.name.starts_with('.') {
                guest.unlink(&entry.name).unwrap();
            }
        }
        if bytes.len() < 512 {
            break;
        }
    }
    assert_eq!(std::fs::read_dir(guest.host("")).unwrap().count(), 0);
}

#[test]
fn starting_over_sees_what_is_new() {
    let mut guest = Guest::new();
    assert_eq!(read_all(&mut guest, ROOT, 4096).len(), 2);
    guest.create("new");
    assert_eq!(read_all(&mut guest, ROOT, 4096).len(), 3);
}

#[test]
fn only_directories_can_be_read() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    assert_eq!(errno(guest.readdir(file, 100, 0)), Errno::NotDir);
    assert_eq!(errno(guest.readdir(99, 100, 0)), Errno::BadF);
    assert_eq!(guest.readdir(ROOT, 0, 0).unwrap(), b"");
}
