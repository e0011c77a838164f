//! Standard streams: the kernel's, the embedder's, and missing ones.

use super::*;
use crate::MemoryOutputPipe;
use crate::abi::FdFlags;
use std::io::{Read, Write};

#[test]
fn by_default_input_is_empty_and_output_leads_nowhere() {
    let mut guest = Guest::new();
    assert_eq!(guest.read(0, 10).unwrap(), b"");
    assert_eq!(guest.write(1, b"lost").unwrap(), 4);
    assert_eq!(errno(guest.write(0, b"x")), Errno::BadF);
    assert_eq!(errno(guest.read(1, 1)), Errno::BadF);
    assert_eq!(errno(guest.seek(0, 0, 1)), Errno::Spipe);
    assert_eq!(guest.fdstat(1).unwrap().0, kind(FileType::Unknown));
    assert_eq!(guest.fd_stat(2).unwrap().filetype, kind(FileType::Unknown));
    fd_stat::fd_sync(&guest.ctx, 1).unwrap();
}

#[test]
fn streams_of_the_embedder() {
    let (out, err) = (MemoryOutputPipe::new(8), MemoryOutputPipe::new(100));
    let mut guest = Guest::with(|builder, _| {
        let input = std::io::Cursor::new("some input");
        builder.stdin(input).stdout(out.clone()).stderr(err.clone())
    });
    assert_eq!(guest.read(0, 4).unwrap(), b"some");
    assert_eq!(guest.read(0, 100).unwrap(), b" input");
    assert_eq!(guest.read(0, 100).unwrap(), b"");
    assert_eq!(guest.write(2, b"error").unwrap(), 5);
    assert_eq!(guest.write(1, b"more than fits").unwrap(), 8);
    assert_eq!(errno(guest.write(1, b"more")), Errno::NoSpc);
    assert_eq!((out.contents(), err.contents()), (b"more tha".to_vec(), b"error".to_vec()));
}

#[test]
fn a_sync_flushes_a_stream_of_the_embedder() {
    #[derive(Clone, Default)]
    struct Flushed(Arc<std::sync::atomic::AtomicU32>);
    impl Write for Flushed {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        }
    }
    let out = Flushed::default();
    let guest = Guest::with(|builder, _| builder.stdout(out.clone()));
    let flushed = || out.0.swap(0, std::sync::atomic::Ordering::Relaxed);
    flushed();
    fd_stat::fd_sync(&guest.ctx, 1).unwrap();
    assert_eq!(flushed(), 1);
    fd_stat::fd_datasync(&guest.ctx, 1).unwrap();
    assert_eq!(flushed(), 1);
    assert_eq!(errno(fd_stat::fd_sync(&guest.ctx, 0)), Errno::NotCapable);
}

#[test]
fn a_stream_of_the_embedder_has_no_flags_but_one() {
    let guest = Guest::new();
    for stream in [0, 1] {
        for flags in 0..1 << 5 {
            let set = fd_stat::fd_fdstat_set_flags(&guest.ctx, stream, flags);
            match FdFlags::NONBLOCK.contains(FdFlags::new(flags).unwrap()) {
                true => set.unwrap(),
                false => assert_eq!(errno(set), Errno::NotSup, "{flags:#b}"),
            }
        }
    }
}

#[test]
fn a_reader_or_writer_that_misbehaves_harms_nobody() {
    struct Liar;
    impl Read for Liar {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            Ok(buffer.len() + 1000)
        }
    }
    impl Write for Liar {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len() + 1000)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut guest = Guest::with(|builder, _| builder.stdin(Liar).stdout(Liar));
    assert_eq!(guest.read(0, 5).unwrap().len(), 5);
    assert_eq!(guest.write(1, b"hello").unwrap(), 5);
}

#[test]
fn pipes_of_the_kernel() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let (out_reader, out_writer) = rustix::pipe::pipe().unwrap();
    let mut guest = Guest::with(|builder, _| builder.stdin_fd(reader).stdout_fd(out_writer));
    rustix::io::write(&writer, b"typed").unwrap();
    assert_eq!(guest.read(0, 100).unwrap(), b"typed");
    drop(writer);
    assert_eq!(guest.read(0, 100).unwrap(), b"");
    assert_eq!(errno(guest.seek(0, 0, 1)), Errno::Spipe);
    guest.write(1, b"printed").unwrap();
    let mut buffer = [0; 7];
    rustix::io::read(&out_reader, &mut buffer).unwrap();
    assert_eq!(&buffer, b"printed");
    drop(out_reader);
    assert_eq!(errno(guest.write(1, b"nobody reads")), Errno::Pipe);
}

#[test]
fn a_stream_that_must_not_block_says_again() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let (_out_reader, out_writer) = rustix::pipe::pipe().unwrap();
    let mut guest = Guest::with(|builder, _| builder.stdin_fd(reader).stdout_fd(out_writer));
    for number in [0, 1] {
        let flags = FdFlags::NONBLOCK.bits();
        fd_stat::fd_fdstat_set_flags(&guest.ctx, number, flags.into()).unwrap();
        assert_eq!(guest.fdstat(number).unwrap().1, flags);
    }
    assert_eq!(errno(guest.read(0, 1)), Errno::Again);
    rustix::io::write(&writer, b"x").unwrap();
    assert_eq!(guest.read(0, 1).unwrap(), b"x");
    let mut filled = 0;
    let refused = loop {
        match guest.write(1, &[0; 4096]) {
            Ok(written) => filled += written,
            refused => break errno(refused),
        }
    };
    assert!(filled >= 4096);
    assert_eq!(refused, Errno::Again);
}

#[test]
fn a_file_as_output_is_written_and_not_resized() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut guest = Guest::with(|builder, _| builder.stdout_fd(file.reopen().unwrap()));
    guest.write(1, b"line 1\n").unwrap();
    guest.write(1, b"line 2\n").unwrap();
    assert_eq!(std::fs::read(file.path()).unwrap(), b"line 1\nline 2\n");
    assert_eq!(guest.fdstat(1).unwrap().0, kind(FileType::RegularFile));
    assert_eq!(errno(fd_stat::fd_filestat_set_size(&guest.ctx, 1, 0)), Errno::NotCapable);
    assert_eq!(errno(guest.read(1, 1)), Errno::BadF);
}

#[test]
fn standard_streams_can_be_closed_and_moved() {
    let out = MemoryOutputPipe::new(100);
    let mut guest = Guest::with(|builder, root| {
        builder.stdout(out.clone()).preopened_dir(root, "/", DirAccess::ReadWrite)
    });
    let file = guest.create("file");
    fd::fd_renumber(&guest.ctx, 1, file).unwrap();
    assert_eq!(errno(guest.fdstat(1)), Errno::BadF);
    guest.write(file, b"to the stream").unwrap();
    assert_eq!(out.contents(), b"to the stream");
    // As freopen does: the free number is used.
    assert_eq!(guest.create("file"), 1);
}

#[test]
fn one_threads_wait_does_not_hold_up_another() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let mut guest = Guest::with(|builder, root| {
        builder.stdin_fd(reader).preopened_dir(root, "/", DirAccess::ReadWrite)
    });
    let ctx = Arc::clone(&guest.ctx);
    let waiting = std::thread::spawn(move || {
        let mut memory = FakeMemory::new(64);
        memory.put(0, &[16, 0, 0, 0, 4, 0, 0, 0]);
        fd_io::fd_read(&ctx, &mut memory, 0, slice(0, 1), ptr(8)).unwrap();
        memory.get(16, 4)
    });
    // Whether the reader already waits or not, none of these calls may wait for it; closing is the
    // hardest case.
    let file = guest.create("file");
    guest.write(file, b"x").unwrap();
    guest.fdstat(0).unwrap();
    guest.close(file).unwrap();
    rustix::io::write(&writer, b"done").unwrap();
    assert_eq!(waiting.join().unwrap(), b"done");
}
