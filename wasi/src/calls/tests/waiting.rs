//! `poll_oneoff`, sockets, and being interrupted.

use super::*;
use crate::abi::FdFlags;
use crate::calls::{poll, sock};
use crate::error::{Abort, Interrupted};
use crate::{ClockId, DeterministicClocks, WasiCtx};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const MONOTONIC: u32 = 1;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// A subscription as a guest writes it.
enum Sub {
    Clock { id: u32, timeout: u64, absolute: bool },
    Read(u32),
    Write(u32),
}

/// An event as a guest reads it: user data, errno, type, bytes, hang-up.
type Seen = (u64, u16, u8, u64, bool);

impl Guest {
    fn poll(&mut self, subs: &[Sub]) -> Result<Vec<Seen>> {
        let (input, output) = (DATA, DATA + 65536);
        for (index, sub) in (0..).zip(subs) {
            let mut bytes = [0; 48];
            bytes[0] = index + 100;
            match *sub {
                Sub::Clock { id, timeout, absolute } => {
                    bytes[16..20].copy_from_slice(&id.to_le_bytes());
                    bytes[24..32].copy_from_slice(&timeout.to_le_bytes());
                    bytes[40] = absolute.into();
                }
                Sub::Read(number) | Sub::Write(number) => {
                    bytes[8] = if matches!(sub, Sub::Read(_)) { 1 } else { 2 };
                    bytes[16..20].copy_from_slice(&number.to_le_bytes());
                }
            }
            self.memory.put(input + u32::from(index) * 48, &bytes);
        }
        let count = subs.len() as u32;
        poll::poll_oneoff(
            &self.ctx,
            &mut self.memory,
            ptr(input),
            ptr(output),
            count,
            ptr(RESULT),
        )?;
        let event = |index| {
            let at = output + index * 32;
            let bytes = self.memory.get(at, 32);
            let errno = u16::from_le_bytes([bytes[8], bytes[9]]);
            (self.memory.u64_at(at), errno, bytes[10], self.memory.u64_at(at + 16), bytes[24] == 1)
        };
        Ok((0..self.memory.u32_at(RESULT)).map(event).collect())
    }
}

fn after(timeout: u64) -> Sub {
    Sub::Clock { id: MONOTONIC, timeout, absolute: false }
}

#[test]
fn sleeping_takes_its_time() {
    let mut guest = Guest::new();
    let begin = Instant::now();
    let events = guest.poll(&[after(30 * MILLISECOND), after(60 * SECOND)]).unwrap();
    let took = begin.elapsed();
    assert_eq!(events, [(100, 0, 0, 0, false)]);
    assert!(took >= Duration::from_millis(30) && took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn a_point_in_time_can_be_waited_for() {
    let mut guest = Guest::new();
    for id in [0, MONOTONIC] {
        let clock = ClockId::new(id).unwrap();
        let now = guest.ctx.clocks.now(clock).unwrap();
        let timeout = (now + Duration::from_millis(20)).as_nanos() as u64;
        assert_eq!(guest.poll(&[Sub::Clock { id, timeout, absolute: true }]).unwrap().len(), 1);
        let later = guest.ctx.clocks.now(clock).unwrap();
        assert!(later >= now + Duration::from_millis(20));
        // A clock that has already passed gives an event at once.
        let past = Sub::Clock { id, timeout: 1, absolute: true };
        assert_eq!(guest.poll(&[past, after(60 * SECOND)]).unwrap(), [(100, 0, 0, 0, false)]);
    }
}

#[test]
fn what_is_ready_comes_before_the_clock() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let mut guest = Guest::with(|builder, root| {
        builder.stdin_fd(reader).preopened_dir(root, "/", DirAccess::ReadWrite)
    });
    let quiet = guest.poll(&[Sub::Read(0), after(MILLISECOND)]).unwrap();
    assert_eq!(quiet, [(101, 0, 0, 0, false)]);

    rustix::io::write(&writer, b"abc").unwrap();
    let events = guest.poll(&[after(60 * SECOND), Sub::Read(0)]).unwrap();
    assert_eq!(events, [(101, 0, 1, 3, false)]);
    guest.read(0, 3).unwrap();

    drop(writer);
    let events = guest.poll(&[after(60 * SECOND), Sub::Read(0)]).unwrap();
    assert_eq!(events, [(101, 0, 1, 0, true)]);

    // Files, and streams that cannot be asked, are always ready.
    let file = guest.create("file");
    guest.write(file, b"12345").unwrap();
    guest.seek(file, 1, 0).unwrap();
    let events = guest.poll(&[Sub::Read(file), Sub::Write(file), Sub::Write(1)]).unwrap();
    let mut seen: Vec<_> = events.iter().map(|event| (event.0, event.2, event.3)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [(100, 1, 4), (101, 2, 4096), (102, 2, 4096)]);
}

#[test]
fn a_writer_wakes_up_the_one_who_waits() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let mut guest = Guest::with(|builder, _| builder.stdin_fd(reader));
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        rustix::io::write(&writer, b"x").unwrap();
        writer
    });
    let events = guest.poll(&[Sub::Read(0)]).unwrap();
    assert_eq!(events, [(100, 0, 1, 1, false)]);
    other.join().unwrap();
}

#[test]
fn what_cannot_be_waited_for_is_an_event_of_its_own() {
    let mut guest = Guest::new();
    let clock = Sub::Clock { id: 9, timeout: 1, absolute: false };
    let subs = [Sub::Read(77), clock, Sub::Read(ROOT), Sub::Read(1), after(60 * SECOND)];
    let events = guest.poll(&subs).unwrap();
    let errors: Vec<_> = events.iter().map(|event| (event.0, event.1)).collect();
    let number = |errno: Errno| errno.raw();
    assert_eq!(
        errors,
        [
            (100, number(Errno::BadF)),
            (101, number(Errno::Inval)),
            (102, number(Errno::BadF)),
            (103, number(Errno::BadF)),
        ]
    );
}

#[test]
fn waiting_for_nothing_or_for_too_much_is_invalid() {
    let mut guest = Guest::new();
    assert_eq!(errno(guest.poll(&[])), Errno::Inval);
    let (ctx, memory) = (&guest.ctx, &mut guest.memory);
    assert_eq!(
        errno(poll::poll_oneoff(ctx, memory, ptr(0), ptr(0), u32::MAX, ptr(0))),
        Errno::Inval
    );
    memory.put(DATA + 8, &[7]);
    assert_eq!(errno(poll::poll_oneoff(ctx, memory, ptr(DATA), ptr(0), 1, ptr(0))), Errno::Inval);
}

#[test]
fn deterministic_time_passes_without_waiting() {
    let step = Duration::from_nanos(1);
    let mut guest =
        Guest::with(|builder, _| builder.clocks(DeterministicClocks::new(Duration::ZERO, step)));
    let begin = Instant::now();
    guest.poll(&[after(3600 * SECOND), after(7200 * SECOND)]).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(60));
    let now = guest.ctx.clocks.now(ClockId::Monotonic).unwrap();
    assert!(now >= Duration::from_secs(3600) && now < Duration::from_secs(3601), "{now:?}");
}

#[test]
fn a_wait_longer_than_the_host_can_express_is_a_wait() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let mut guest = Guest::with(|builder, _| builder.stdin_fd(reader));
    rustix::io::write(&writer, b"x").unwrap();
    let events = guest.poll(&[after(u64::MAX), Sub::Read(0)]).unwrap();
    assert_eq!(events.len(), 1);
}

/// A guest of `ctx`, and a thread that will interrupt it soon.
fn interrupted_soon(ctx: WasiCtx) -> (Guest, JoinHandle<()>) {
    let handle = ctx.interrupt_handle().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let guest = Guest { ctx: ctx.pin(), memory: FakeMemory::new(MEMORY as usize), temp };
    let interrupter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        handle.interrupt();
    });
    (guest, interrupter)
}

#[test]
fn an_interruption_ends_waits_of_every_kind() {
    let (reader, _writer) = rustix::pipe::pipe().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ctx = WasiCtxBuilder::new().stdin_fd(reader).preopened_socket(listener).build().unwrap();
    let (mut guest, interrupter) = interrupted_soon(ctx);
    let interrupted = Error::Abort(Abort::Interrupted(Interrupted));
    assert_eq!(guest.poll(&[after(u64::MAX)]).unwrap_err(), interrupted);
    interrupter.join().unwrap();
    // It also applies to later calls.
    assert_eq!(guest.poll(&[Sub::Read(0)]).unwrap_err(), interrupted);
    assert_eq!(guest.read(0, 1).unwrap_err(), interrupted);
    let accept = sock::sock_accept(&guest.ctx, &mut guest.memory, 3, 0, ptr(RESULT));
    assert_eq!(accept.unwrap_err(), interrupted);
}

#[test]
fn a_guest_that_can_be_interrupted_still_reads_and_sleeps() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let ctx = WasiCtxBuilder::new().stdin_fd(reader).build().unwrap();
    let _handle = ctx.interrupt_handle().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let mut guest = Guest { ctx: ctx.pin(), memory: FakeMemory::new(MEMORY as usize), temp };
    assert_eq!(guest.poll(&[after(MILLISECOND)]).unwrap().len(), 1);
    rustix::io::write(&writer, b"x").unwrap();
    assert_eq!(guest.poll(&[Sub::Read(0), after(60 * SECOND)]).unwrap().len(), 1);
    assert_eq!(guest.read(0, 10).unwrap(), b"x");
}

#[test]
fn an_interruption_ends_a_write_to_a_full_pipe_and_a_send_to_a_full_socket() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let (socket, _other) = UnixStream::pair().unwrap();
    let ctx = WasiCtxBuilder::new().stdout_fd(writer).preopened_socket(socket).build().unwrap();
    let (mut guest, interrupter) = interrupted_soon(ctx);
    let interrupted = Error::Abort(Abort::Interrupted(Interrupted));
    // Without a reader, the pipe takes a part, and then nothing.
    assert_eq!(
        guest.write(1, &[b'x'; 100_000]),
        Err(Error::Abort(Abort::Interrupted(Interrupted)))
    );
    let written = rustix::io::ioctl_fionread(&reader).unwrap();
    assert!(written > 0, "the pipe takes something first");
    interrupter.join().unwrap();
    let list = guest.list(&[(DATA, 50_000)]);
    let error = loop {
        match sock::sock_send(&guest.ctx, &mut guest.memory, 3, list, 0, ptr(RESULT)) {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error, interrupted);
}

#[test]
fn who_was_slower_than_another_thread_waits_on_and_is_interrupted() {
    // Both wait for one byte: the one that does not get it must not stay in the system call.
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let ctx = WasiCtxBuilder::new().stdin_fd(reader).build().unwrap();
    let handle = ctx.interrupt_handle().unwrap();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let ctx = ctx.clone();
            std::thread::spawn(move || {
                let temp = tempfile::tempdir().unwrap();
                let memory = FakeMemory::new(MEMORY as usize);
                Guest { ctx: ctx.pin(), memory, temp }.read(0, 1)
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(20));
    rustix::io::write(&writer, b"x").unwrap();
    while rustix::io::ioctl_fionread(&writer).unwrap() > 0 {
        std::thread::yield_now();
    }
    handle.interrupt();
    let mut results: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    results.sort_by_key(|result| result.is_err());
    assert_eq!(results[0].as_deref(), Ok(&b"x"[..]));
    assert_eq!(results[1], Err(Error::Abort(Abort::Interrupted(Interrupted))));
}

#[test]
fn who_was_slower_to_accept_waits_on_and_is_interrupted() {
    for with_handle in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ctx = WasiCtxBuilder::new().preopened_socket(listener).build().unwrap();
        let handle = with_handle.then(|| ctx.interrupt_handle().unwrap());
        let servers: Vec<_> = (0..2)
            .map(|_| {
                let ctx = ctx.clone();
                std::thread::spawn(move || {
                    let mut memory = FakeMemory::new(64);
                    sock::sock_accept(&ctx.pin(), &mut memory, 3, 0, ptr(RESULT))
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(20));
        let _client = TcpStream::connect(address).unwrap();
        while servers.iter().all(|server| !server.is_finished()) {
            std::thread::yield_now();
        }
        let _another = match &handle {
            Some(handle) => {
                handle.interrupt();
                None
            }
            None => Some(TcpStream::connect(address).unwrap()),
        };
        let mut results: Vec<_> = servers.into_iter().map(|it| it.join().unwrap()).collect();
        results.sort_by_key(|result| result.is_err());
        let second = match with_handle {
            true => Err(Error::Abort(Abort::Interrupted(Interrupted))),
            false => Ok(()),
        };
        assert_eq!(results, [Ok(()), second]);
    }
}

#[test]
fn a_listener_is_as_blocking_as_its_guest_wants_it() {
    for nonblock in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(nonblock).unwrap();
        let mut guest = Guest::with(|builder, _| builder.preopened_socket(listener));
        let bits = FdFlags::NONBLOCK.bits();
        assert_eq!(guest.fdstat(3).unwrap().1, if nonblock { bits } else { 0 });
        fd_stat::fd_fdstat_set_flags(&guest.ctx, 3, bits.into()).unwrap();
        assert_eq!(guest.fdstat(3).unwrap().1, bits);
        fd_stat::fd_fdstat_set_flags(&guest.ctx, 3, 0).unwrap();
        assert_eq!(guest.fdstat(3).unwrap().1, 0);
    }
}

/// Makes the named pipe `pipe`.
fn make_pipe(guest: &Guest) -> std::path::PathBuf {
    let pipe = guest.host("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    pipe
}

#[test]
fn a_named_pipe_waits_for_its_other_end() {
    let mut guest = Guest::new();
    let pipe = make_pipe(&guest);
    // One writer that writes, and one that opens the pipe and is silent for a while.
    for silent in [false, true] {
        let begin = Instant::now();
        let (path, (go_on, until)) = (pipe.clone(), std::sync::mpsc::channel());
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            let mut file = std::fs::File::options().write(true).open(path).unwrap();
            if silent {
                until.recv().unwrap();
            }
            file.write_all(b"text").unwrap();
        });
        let file = guest.open("pipe", OFlags::NONE, READ).unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(30), "it came back before the writer");
        // A writer that is not silent does not wait for this.
        let _ = go_on.send(());
        assert_eq!(guest.read(file, 99).unwrap(), b"text");
        writer.join().unwrap();
        assert_eq!(guest.read(file, 99).unwrap(), b"");
        guest.close(file).unwrap();
    }
    let reader = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        std::fs::read(pipe).unwrap()
    });
    let file = guest.open("pipe", OFlags::NONE, WRITE).unwrap();
    assert_eq!(guest.fdstat(file).unwrap().1, 0, "it does not look like one that never waits");
    // More than the pipe holds, so the write waits for the reader.
    assert_eq!(guest.write(file, &[7; 100_000]).unwrap(), 100_000);
    guest.close(file).unwrap();
    assert_eq!(reader.join().unwrap(), [7; 100_000]);
}

#[test]
fn a_named_pipe_does_not_wait_when_told_so() {
    let mut guest = Guest::new();
    make_pipe(&guest);
    let nonblock = FdFlags::NONBLOCK.bits();
    let open = |guest: &mut Guest, rights| {
        guest.open_with(ROOT, "pipe", 0, OFlags::NONE, rights, nonblock.into())
    };
    assert_eq!(errno(open(&mut guest, WRITE)), Errno::Nxio);
    let reader = open(&mut guest, READ).unwrap();
    assert_eq!(guest.fdstat(reader).unwrap().1, nonblock);
    let writer = open(&mut guest, WRITE).unwrap();
    assert_eq!(errno(guest.read(reader, 1)), Errno::Again);
    let written = guest.write(writer, &[7; 100_000]).unwrap();
    assert!((1..100_000).contains(&written), "what goes without waiting: {written}");
    assert_eq!(errno(guest.write(writer, b"x")), Errno::Again);
    // Opening both ends at once never waits, and the path of a socket is no pipe.
    open(&mut guest, BOTH).unwrap();
    std::os::unix::net::UnixListener::bind(guest.host("socket")).unwrap();
    assert_eq!(errno(guest.open("socket", OFlags::NONE, WRITE)), Errno::Nxio);
}

#[test]
fn a_guest_that_can_be_interrupted_receives_all_it_asks_for() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let ctx = WasiCtxBuilder::new().preopened_socket(theirs).build().unwrap();
    let _handle = ctx.interrupt_handle().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let mut guest = Guest { ctx: ctx.pin(), memory: FakeMemory::new(MEMORY as usize), temp };
    let sender = std::thread::spawn(move || {
        for part in [b"abc", b"def", b"ghi"] {
            (&ours).write_all(part).unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let list = guest.list(&[(DATA, 8)]);
    let waitall = 2;
    let (len, ro_flags) = (ptr(RESULT), ptr(RESULT + 4));
    sock::sock_recv(&guest.ctx, &mut guest.memory, 3, list, waitall, len, ro_flags).unwrap();
    assert_eq!(guest.memory.u32_at(RESULT), 8);
    assert_eq!(guest.memory.get(DATA, 8), b"abcdefgh");
    // At the end of the stream there is less.
    sock::sock_recv(&guest.ctx, &mut guest.memory, 3, list, waitall, len, ro_flags).unwrap();
    assert_eq!(guest.memory.u32_at(RESULT), 1);
    sender.join().unwrap();
}

#[test]
fn what_was_received_before_an_error_is_returned_and_then_the_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let ctx = WasiCtxBuilder::new().preopened_socket(listener.accept().unwrap().0).build().unwrap();
    let _handle = ctx.interrupt_handle().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let mut guest = Guest { ctx: ctx.pin(), memory: FakeMemory::new(MEMORY as usize), temp };
    let list = guest.list(&[(DATA, 8)]);
    (&client).write_all(b"abc").unwrap();
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        (&client).write_all(b"de").unwrap();
        std::thread::sleep(Duration::from_millis(30));
        // Closing resets the connection.
        rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    });
    let (waitall, len, ro_flags) = (2, ptr(RESULT), ptr(RESULT + 4));
    sock::sock_recv(&guest.ctx, &mut guest.memory, 3, list, waitall, len, ro_flags).unwrap();
    assert_eq!(guest.memory.u32_at(RESULT), 5);
    assert_eq!(guest.memory.get(DATA, 5), b"abcde");
    sender.join().unwrap();
    let again = sock::sock_recv(&guest.ctx, &mut guest.memory, 3, list, waitall, len, ro_flags);
    assert_eq!(errno(again), Errno::ConnReset);
}

#[test]
fn a_server_accepts_receives_and_sends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut guest = Guest::with(|builder, _| builder.preopened_socket(listener));
    assert_eq!(guest.fdstat(3).unwrap().0, kind(FileType::SocketStream));
    let mut client = TcpStream::connect(address).unwrap();

    let (ctx, memory) = (&guest.ctx, &mut guest.memory);
    sock::sock_accept(ctx, memory, 3, 0, ptr(RESULT)).unwrap();
    let connection = memory.u32_at(RESULT);
    client.write_all(b"request").unwrap();
    let list = guest.list(&[(DATA, 3), (DATA + 100, 100)]);
    let recv = |guest: &mut Guest, flags| {
        let (len, ro_flags) = (ptr(RESULT), ptr(RESULT + 4));
        sock::sock_recv(&guest.ctx, &mut guest.memory, connection, list, flags, len, ro_flags)
            .unwrap();
        (guest.memory.u32_at(RESULT), guest.memory.get(RESULT + 4, 2))
    };
    for flags in [1, 0] {
        assert_eq!(recv(&mut guest, flags), (7, vec![0, 0]), "peeking first");
        assert_eq!(guest.memory.get(DATA, 3), b"req");
        assert_eq!(guest.memory.get(DATA + 100, 4), b"uest");
    }

    guest.memory.put(DATA, b"response");
    let list = guest.list(&[(DATA, 8)]);
    let (ctx, memory) = (&guest.ctx, &mut guest.memory);
    sock::sock_send(ctx, memory, connection, list, 0, ptr(RESULT)).unwrap();
    assert_eq!(errno(sock::sock_send(ctx, memory, connection, list, 1, ptr(RESULT))), Errno::Inval);
    sock::sock_shutdown(ctx, connection, 2).unwrap();
    assert_eq!(errno(sock::sock_shutdown(ctx, connection, 0)), Errno::Inval);
    let mut got = String::new();
    client.read_to_string(&mut got).unwrap();
    assert_eq!(got, "response");
    assert_eq!(errno(sock::sock_send(ctx, memory, connection, list, 0, ptr(RESULT))), Errno::Pipe);
}

#[test]
fn a_listener_that_must_not_block_says_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut guest = Guest::with(|builder, _| builder.preopened_socket(listener));
    fd_stat::fd_fdstat_set_flags(&guest.ctx, 3, 4).unwrap();
    let accept = sock::sock_accept(&guest.ctx, &mut guest.memory, 3, 4, ptr(RESULT));
    assert_eq!(errno(accept), Errno::Again);
}

#[test]
fn a_connection_that_must_not_block_says_again_also_to_a_guest_that_can_be_interrupted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let ctx = WasiCtxBuilder::new().preopened_socket(listener).build().unwrap();
    let handle = ctx.interrupt_handle().unwrap();
    // Were it to wait, it would not wait for ever.
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(30));
        handle.interrupt();
    });
    let temp = tempfile::tempdir().unwrap();
    let mut guest = Guest { ctx: ctx.pin(), memory: FakeMemory::new(MEMORY as usize), temp };
    sock::sock_accept(&guest.ctx, &mut guest.memory, 3, 4, ptr(RESULT)).unwrap();
    let connection = guest.memory.u32_at(RESULT);
    let list = guest.list(&[(DATA, 4)]);
    let (ctx, memory) = (&guest.ctx, &mut guest.memory);
    let received = sock::sock_recv(ctx, memory, connection, list, 0, ptr(RESULT), ptr(RESULT + 4));
    assert_eq!(errno(received), Errno::Again);
    assert_eq!(errno(guest.read(connection, 4)), Errno::Again);
}

#[test]
fn a_message_that_does_not_fit_is_marked() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let mut guest = Guest::with(|builder, _| builder.preopened_socket(theirs));
    assert_eq!(guest.fdstat(3).unwrap().0, kind(FileType::SocketDgram));
    ours.send(b"0123456789").unwrap();
    let list = guest.list(&[(DATA, 4)]);
    let (ctx, memory) = (&guest.ctx, &mut guest.memory);
    sock::sock_recv(ctx, memory, 3, list, 0, ptr(RESULT), ptr(RESULT + 4)).unwrap();
    assert_eq!(memory.u32_at(RESULT), 4);
    assert_eq!(memory.get(RESULT + 4, 2), [1, 0]);
}

/// A list of more bytes than one system call takes: the whole memory, again and again.
fn long_list(guest: &mut Guest) -> (GuestSlice<Iovec>, u64) {
    let count = (9 << 20) / MEMORY;
    let list = guest.list(&vec![(0, MEMORY); count as usize]);
    (list, u64::from(count * MEMORY))
}

#[test]
fn a_message_is_sent_in_one_piece_or_not_at_all() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut guest = Guest::with(|builder, _| builder.preopened_socket(theirs));
    assert_eq!(guest.write(3, b"short").unwrap(), 5);
    assert_eq!(ours.recv(&mut [0; 10]).unwrap(), 5);
    let (list, _) = long_list(&mut guest);
    let (ctx, memory) = (&guest.ctx, &mut guest.memory);
    assert_eq!(errno(fd_io::fd_write(ctx, memory, 3, list, ptr(RESULT))), Errno::MsgSize);
    assert_eq!(errno(sock::sock_send(ctx, memory, 3, list, 0, ptr(RESULT))), Errno::MsgSize);
    assert!(ours.recv(&mut [0; 10]).is_err(), "nothing was sent");
}

#[test]
fn a_file_takes_and_gives_more_than_one_call_moves() {
    let mut guest = Guest::new();
    let file = guest.create("file");
    let (list, len) = long_list(&mut guest);
    fd_io::fd_write(&guest.ctx, &mut guest.memory, file, list, ptr(RESULT)).unwrap();
    assert_eq!(u64::from(guest.memory.u32_at(RESULT)), len);
    assert_eq!(guest.fd_stat(file).unwrap().size, len);
    guest.seek(file, 0, 0).unwrap();
    let (list, _) = long_list(&mut guest);
    fd_io::fd_read(&guest.ctx, &mut guest.memory, file, list, ptr(RESULT)).unwrap();
    assert_eq!(guest.seek(file, 0, 1).unwrap(), len);
}

#[test]
fn only_sockets_are_sockets() {
    let (one, _two) = UnixStream::pair().unwrap();
    let mut guest = Guest::with(|builder, root| {
        builder.preopened_dir(root, "/", DirAccess::ReadWrite).preopened_socket(one)
    });
    let file = guest.create("file");
    let list = guest.list(&[(DATA, 4)]);
    let (ctx, memory) = (&guest.ctx, &mut guest.memory);
    for number in [0, ROOT, file] {
        assert_eq!(errno(sock::sock_shutdown(ctx, number, 1)), Errno::NotSock);
        assert_eq!(errno(sock::sock_accept(ctx, memory, number, 0, ptr(RESULT))), Errno::NotSock);
        assert_eq!(
            errno(sock::sock_send(ctx, memory, number, list, 0, ptr(RESULT))),
            Errno::NotSock
        );
    }
    assert_eq!(errno(sock::sock_shutdown(ctx, 99, 1)), Errno::BadF);
    assert_eq!(errno(fd_io::fd_tell(ctx, memory, 4, ptr(RESULT))), Errno::Spipe);
    sock::sock_shutdown(ctx, 4, 3).unwrap();
}
