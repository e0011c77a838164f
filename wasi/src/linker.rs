//! The functions as an engine's host functions.
//!
//! Each registration says in one line what a guest passes and which call takes it. An errno is the
//! call's result; otherwise the call ends the guest, see [`finish`].

use seqfault::{Access, Caller, Extern, Linker, Memory, SharedMemory};

use crate::calls::{env, fd, fd_io, fd_stat, path, path_open, poll, process, readdir, sock, time};
use crate::ctx::WasiCtx;
use crate::error::{Abort, Error, PointerError, Result};
use crate::guest::{ptr, slice};
use crate::kernel::Lent;
use crate::memory::{GuestMemory, MemoryFault};

/// The module name under which the functions are imported.
const MODULE: &str = "wasi_snapshot_preview1";

/// Adds all 46 functions of `wasi_snapshot_preview1` to a linker.
///
/// `get` finds the guest's [`WasiCtx`] in the store's data. The functions work on the memory that the
/// calling instance exports as `memory`.
///
/// ```
/// use seqfault::{Engine, Linker, Module, Store};
/// use seqfault_wasi::{I32Exit, MemoryOutputPipe, WasiCtxBuilder};
///
/// let engine = Engine::default();
/// let mut linker = Linker::new(&engine);
/// seqfault_wasi::add_to_linker(&mut linker, |ctx| ctx)?;
///
/// let module = Module::new(&engine, r#"
///     (module
///       (import "wasi_snapshot_preview1" "fd_write"
///         (func $fd_write (param i32 i32 i32 i32) (result i32)))
///       (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
///       (memory (export "memory") 1)
///       (data (i32.const 0) "\08\00\00\00\06\00\00\00hello\n")
///       (func (export "_start")
///         (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
///         (call $proc_exit (i32.const 7))))
/// "#)?;
///
/// let stdout = MemoryOutputPipe::new(4096);
/// let ctx = WasiCtxBuilder::new().stdout(stdout.clone()).build()?;
/// let mut store = Store::new(&engine, ctx);
/// let instance = linker.instantiate(&mut store, &module)?;
/// let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
/// let error = start.call(&mut store, ()).unwrap_err();
/// assert_eq!(error.downcast_ref(), Some(&I32Exit(7)));
/// assert_eq!(stdout.contents(), b"hello\n");
/// # Ok::<(), seqfault::Error>(())
/// ```
///
/// # Errors
///
/// When the linker already has one of the names and does not allow shadowing.
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> seqfault::Result<()> {
    add_environment(linker, get)?;
    add_descriptors(linker, get)?;
    add_transfers(linker, get)?;
    add_paths(linker, get)?;
    add_sockets(linker, get)
}

/// Registers one function under its own name. `memory` is left out for functions that do not need
/// it.
macro_rules! function {
    ($linker:ident, $get:ident, $name:ident, |$ctx:ident, $memory:ident $(, $arg:ident: $ty:ty)*| $call:expr) => {
        $linker.func_wrap(MODULE, stringify!($name), move |mut caller: Caller<'_, T> $(, $arg: $ty)*| {
            let pinned = $get(caller.data_mut()).pin();
            let $ctx = &**pinned;
            let $memory: &mut dyn GuestMemory = &mut CallerMemory::new(&mut caller);
            finish($call)
        })?;
    };
    ($linker:ident, $get:ident, $name:ident, |$ctx:ident $(, $arg:ident: $ty:ty)*| $call:expr) => {
        $linker.func_wrap(MODULE, stringify!($name), move |mut caller: Caller<'_, T> $(, $arg: $ty)*| {
            let pinned = $get(caller.data_mut()).pin();
            let $ctx = &**pinned;
            finish($call)
        })?;
    };
}

/// Arguments, environment, clocks, randomness and the process.
fn add_environment<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> seqfault::Result<()> {
    function!(linker, get, args_get, |ctx, memory, argv: u32, buf: u32| {
        env::args_get(ctx, memory, ptr(argv), ptr(buf))
    });
    function!(linker, get, args_sizes_get, |ctx, memory, count: u32, size: u32| {
        env::args_sizes_get(ctx, memory, ptr(count), ptr(size))
    });
    function!(linker, get, environ_get, |ctx, memory, environ: u32, buf: u32| {
        env::environ_get(ctx, memory, ptr(environ), ptr(buf))
    });
    function!(linker, get, environ_sizes_get, |ctx, memory, count: u32, size: u32| {
        env::environ_sizes_get(ctx, memory, ptr(count), ptr(size))
    });
    function!(linker, get, clock_res_get, |ctx, memory, clock: u32, result: u32| {
        time::clock_res_get(ctx, memory, clock, ptr(result))
    });
    function!(
        linker,
        get,
        clock_time_get,
        |ctx, memory, clock: u32, precision: u64, result: u32| {
            time::clock_time_get(ctx, memory, clock, precision, ptr(result))
        }
    );
    function!(linker, get, random_get, |ctx, memory, buf: u32, len: u32| {
        process::random_get(ctx, memory, slice(buf, len))
    });
    function!(linker, get, poll_oneoff, |ctx,
                                         memory,
                                         subs: u32,
                                         events: u32,
                                         count: u32,
                                         nevents: u32| {
        poll::poll_oneoff(ctx, memory, ptr(subs), ptr(events), count, ptr(nevents))
    });
    linker.func_wrap(MODULE, "sched_yield", || finish(process::sched_yield()))?;
    linker.func_wrap(MODULE, "proc_raise", |signal: u32| finish(process::proc_raise(signal)))?;
    // The only function without a result: it does not return.
    linker.func_wrap(MODULE, "proc_exit", |status: u32| {
        finish(process::proc_exit(status)).map(|_| ())
    })?;
    Ok(())
}

/// Descriptors and their files.
fn add_descriptors<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> seqfault::Result<()> {
    function!(linker, get, fd_advise, |ctx, fd: u32, offset: u64, len: u64, advice: u32| {
        fd_stat::fd_advise(ctx, fd, offset, len, advice)
    });
    function!(linker, get, fd_allocate, |ctx, fd: u32, offset: u64, len: u64| {
        fd_stat::fd_allocate(ctx, fd, offset, len)
    });
    function!(linker, get, fd_close, |ctx, fd: u32| fd::fd_close(ctx, fd));
    function!(linker, get, fd_datasync, |ctx, fd: u32| fd_stat::fd_datasync(ctx, fd));
    function!(linker, get, fd_fdstat_get, |ctx, memory, fd: u32, stat: u32| {
        fd_stat::fd_fdstat_get(ctx, memory, fd, ptr(stat))
    });
    function!(linker, get, fd_fdstat_set_flags, |ctx, fd: u32, flags: u32| {
        fd_stat::fd_fdstat_set_flags(ctx, fd, flags)
    });
    function!(linker, get, fd_fdstat_set_rights, |ctx, fd: u32, base: u64, inheriting: u64| {
        fd_stat::fd_fdstat_set_rights(ctx, fd, base, inheriting)
    });
    function!(linker, get, fd_filestat_get, |ctx, memory, fd: u32, stat: u32| {
        fd_stat::fd_filestat_get(ctx, memory, fd, ptr(stat))
    });
    function!(linker, get, fd_filestat_set_size, |ctx, fd: u32, size: u64| {
        fd_stat::fd_filestat_set_size(ctx, fd, size)
    });
    function!(
        linker,
        get,
        fd_filestat_set_times,
        |ctx, fd: u32, atim: u64, mtim: u64, flags: u32| {
            fd_stat::fd_filestat_set_times(ctx, fd, atim, mtim, flags)
        }
    );
    function!(linker, get, fd_prestat_get, |ctx, memory, fd: u32, stat: u32| {
        fd::fd_prestat_get(ctx, memory, fd, ptr(stat))
    });
    function!(linker, get, fd_prestat_dir_name, |ctx, memory, fd: u32, path: u32, len: u32| {
        fd::fd_prestat_dir_name(ctx, memory, fd, slice(path, len))
    });
    function!(linker, get, fd_renumber, |ctx, fd: u32, to: u32| fd::fd_renumber(ctx, fd, to));
    function!(linker, get, fd_sync, |ctx, fd: u32| fd_stat::fd_sync(ctx, fd));
    Ok(())
}

/// Reading, writing and seeking.
fn add_transfers<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> seqfault::Result<()> {
    function!(linker, get, fd_read, |ctx, memory, fd: u32, iovs: u32, len: u32, nread: u32| {
        fd_io::fd_read(ctx, memory, fd, slice(iovs, len), ptr(nread))
    });
    function!(linker, get, fd_write, |ctx, memory, fd: u32, iovs: u32, len: u32, nwritten: u32| {
        fd_io::fd_write(ctx, memory, fd, slice(iovs, len), ptr(nwritten))
    });
    function!(linker, get, fd_pread, |ctx,
                                      memory,
                                      fd: u32,
                                      iovs: u32,
                                      len: u32,
                                      at: u64,
                                      nread: u32| {
        fd_io::fd_pread(ctx, memory, fd, slice(iovs, len), at, ptr(nread))
    });
    function!(linker, get, fd_pwrite, |ctx,
                                       memory,
                                       fd: u32,
                                       iovs: u32,
                                       len: u32,
                                       at: u64,
                                       nwritten: u32| {
        fd_io::fd_pwrite(ctx, memory, fd, slice(iovs, len), at, ptr(nwritten))
    });
    function!(linker, get, fd_readdir, |ctx,
                                        memory,
                                        fd: u32,
                                        buf: u32,
                                        len: u32,
                                        cookie: u64,
                                        used: u32| {
        readdir::fd_readdir(ctx, memory, fd, slice(buf, len), cookie, ptr(used))
    });
    function!(linker, get, fd_seek, |ctx,
                                     memory,
                                     fd: u32,
                                     offset: i64,
                                     whence: u32,
                                     result: u32| {
        fd_io::fd_seek(ctx, memory, fd, offset, whence, ptr(result))
    });
    function!(linker, get, fd_tell, |ctx, memory, fd: u32, result: u32| {
        fd_io::fd_tell(ctx, memory, fd, ptr(result))
    });
    Ok(())
}

/// Paths.
fn add_paths<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> seqfault::Result<()> {
    function!(linker, get, path_create_directory, |ctx, memory, fd: u32, path: u32, len: u32| {
        path::path_create_directory(ctx, memory, fd, slice(path, len))
    });
    function!(
        linker,
        get,
        path_filestat_get,
        |ctx, memory, fd: u32, lookup: u32, path: u32, len: u32, stat: u32| {
            path::path_filestat_get(ctx, memory, fd, lookup, slice(path, len), ptr(stat))
        }
    );
    function!(
        linker,
        get,
        path_filestat_set_times,
        |ctx,
         memory,
         fd: u32,
         lookup: u32,
         path: u32,
         len: u32,
         atim: u64,
         mtim: u64,
         flags: u32| {
            path::path_filestat_set_times(
                ctx,
                memory,
                fd,
                lookup,
                slice(path, len),
                (atim, mtim),
                flags,
            )
        }
    );
    function!(linker, get, path_link, |ctx,
                                       memory,
                                       fd: u32,
                                       lookup: u32,
                                       path: u32,
                                       len: u32,
                                       new_fd: u32,
                                       new_path: u32,
                                       new_len: u32| {
        let (old, new) = (slice(path, len), slice(new_path, new_len));
        path::path_link(ctx, memory, fd, lookup, old, new_fd, new)
    });
    function!(linker, get, path_open, |ctx,
                                       memory,
                                       fd: u32,
                                       lookup: u32,
                                       path: u32,
                                       len: u32,
                                       oflags: u32,
                                       base: u64,
                                       inheriting: u64,
                                       flags: u32,
                                       opened: u32| {
        let rights = (base, inheriting);
        let (path, opened) = (slice(path, len), ptr(opened));
        path_open::path_open(ctx, memory, fd, lookup, path, oflags, rights, flags, opened)
    });
    function!(linker, get, path_readlink, |ctx,
                                           memory,
                                           fd: u32,
                                           path: u32,
                                           len: u32,
                                           buf: u32,
                                           buf_len: u32,
                                           used: u32| {
        path::path_readlink(ctx, memory, fd, slice(path, len), slice(buf, buf_len), ptr(used))
    });
    function!(linker, get, path_remove_directory, |ctx, memory, fd: u32, path: u32, len: u32| {
        path::path_remove_directory(ctx, memory, fd, slice(path, len))
    });
    function!(linker, get, path_rename, |ctx,
                                         memory,
                                         fd: u32,
                                         path: u32,
                                         len: u32,
                                         new_fd: u32,
                                         new_path: u32,
                                         new_len: u32| {
        path::path_rename(ctx, memory, fd, slice(path, len), new_fd, slice(new_path, new_len))
    });
    function!(linker, get, path_symlink, |ctx,
                                          memory,
                                          old: u32,
                                          old_len: u32,
                                          fd: u32,
                                          new: u32,
                                          new_len: u32| {
        path::path_symlink(ctx, memory, slice(old, old_len), fd, slice(new, new_len))
    });
    function!(linker, get, path_unlink_file, |ctx, memory, fd: u32, path: u32, len: u32| {
        path::path_unlink_file(ctx, memory, fd, slice(path, len))
    });
    Ok(())
}

/// Sockets.
fn add_sockets<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> seqfault::Result<()> {
    function!(linker, get, sock_accept, |ctx, memory, fd: u32, flags: u32, accepted: u32| {
        sock::sock_accept(ctx, memory, fd, flags, ptr(accepted))
    });
    function!(linker, get, sock_recv, |ctx,
                                       memory,
                                       fd: u32,
                                       iovs: u32,
                                       len: u32,
                                       flags: u32,
                                       received: u32,
                                       ro_flags: u32| {
        sock::sock_recv(ctx, memory, fd, slice(iovs, len), flags, ptr(received), ptr(ro_flags))
    });
    function!(linker, get, sock_send, |ctx,
                                       memory,
                                       fd: u32,
                                       iovs: u32,
                                       len: u32,
                                       flags: u32,
                                       sent: u32| {
        sock::sock_send(ctx, memory, fd, slice(iovs, len), flags, ptr(sent))
    });
    function!(linker, get, sock_shutdown, |ctx, fd: u32, how: u32| {
        sock::sock_shutdown(ctx, fd, how)
    });
    Ok(())
}

/// The result of a call for the engine: an errno is returned, an abort unwinds the guest.
fn finish(ended: Result<()>) -> seqfault::Result<u32> {
    match ended {
        Ok(()) => Ok(0),
        Err(Error::Errno(errno)) => Ok(errno.raw().into()),
        Err(Error::Abort(Abort::Exit(exit))) => Err(exit.into()),
        Err(Error::Abort(Abort::Pointer(error))) => Err(error.into()),
        Err(Error::Abort(Abort::Interrupted(interrupted))) => Err(interrupted.into()),
    }
}

/// The memory that a caller exports.
struct CallerMemory<'a, 'c, T: 'static> {
    caller: &'a mut Caller<'c, T>,
    memory: Option<ExportedMemory>,
}

/// A memory of one store, or a shared one.
enum ExportedMemory {
    Unshared(Memory),
    Shared(SharedMemory),
}

impl<'a, 'c, T: 'static> CallerMemory<'a, 'c, T> {
    fn new(caller: &'a mut Caller<'c, T>) -> Self {
        let memory = match caller.get_export("memory") {
            Some(Extern::Memory(memory)) => Some(ExportedMemory::Unshared(memory)),
            Some(Extern::SharedMemory(memory)) => Some(ExportedMemory::Shared(memory)),
            _ => None,
        };
        Self { caller, memory }
    }

    fn memory(&self) -> Result<&ExportedMemory, MemoryFault> {
        self.memory.as_ref().ok_or(MemoryFault::Pointer(PointerError::NoMemory))
    }

    /// Why a range cannot be used: the guest passed a range outside of its memory; otherwise the
    /// host, or the limit that it set, has no page for it.
    fn fault(&self, at: u32, len: usize) -> MemoryFault {
        let size = match &self.memory {
            Some(ExportedMemory::Unshared(memory)) => memory.data_size(&*self.caller),
            Some(ExportedMemory::Shared(memory)) => memory.data_size(),
            None => 0,
        };
        match (at as usize).checked_add(len) {
            Some(end) if end <= size => MemoryFault::Exhausted,
            _ => MemoryFault::Pointer(PointerError::OutOfBounds { at, len: len as u64 }),
        }
    }
}

impl<T: 'static> GuestMemory for CallerMemory<'_, '_, T> {
    fn read(&self, at: u32, dst: &mut [u8]) -> Result<(), MemoryFault> {
        let read = match self.memory()? {
            ExportedMemory::Unshared(memory) => memory.read(&*self.caller, at as usize, dst),
            ExportedMemory::Shared(memory) => memory.read(at as usize, dst),
        };
        read.map_err(|_| self.fault(at, dst.len()))
    }

    fn write(&mut self, at: u32, src: &[u8]) -> Result<(), MemoryFault> {
        let written = match self.memory.as_ref() {
            Some(ExportedMemory::Unshared(memory)) => {
                memory.write(&mut *self.caller, at as usize, src)
            }
            Some(ExportedMemory::Shared(memory)) => memory.write(at as usize, src),
            None => return Err(MemoryFault::Pointer(PointerError::NoMemory)),
        };
        written.map_err(|_| self.fault(at, src.len()))
    }

    fn lend(&self, at: u32, len: u32, access: Access) -> Result<Lent<'_>, MemoryFault> {
        let (start, len) = (at as usize, len as usize);
        let range = start..start + len;
        let lent = match self.memory()? {
            ExportedMemory::Unshared(memory) => {
                Lent::from_memory(*memory, &*self.caller, range, access)
            }
            ExportedMemory::Shared(memory) => Lent::from_shared(memory, range, access),
        };
        lent.map_err(|_| self.fault(at, len))
    }
}
