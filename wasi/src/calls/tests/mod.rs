//! The calls as a guest makes them, on a memory without an engine.
//!
//! [`Guest`] acts as the C library: it writes strings and records where the calls look for them.

mod files;
mod hostile;
mod paths;
mod posix;
mod readdir;
mod sandbox;
mod stdio;
mod waiting;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::{fd, fd_io, fd_stat, path, path_open, readdir as calls_readdir};
use crate::abi::{Errno, FdFlags, FileType, Iovec, OFlags, Rights};
use crate::ctx::Pinned;
use crate::error::{Error, Result};
use crate::guest::{GuestSlice, GuestStr, ptr, slice};
use crate::memory::fake::FakeMemory;
use crate::{DirAccess, WasiCtxBuilder};

/// Bytes in a guest's memory.
const MEMORY: u32 = 1 << 17;
/// The address of results of fixed size.
const RESULT: u32 = 0;
/// The address of lists of buffers.
const LIST: u32 = 256;
/// The addresses of the first and the second path.
const PATHS: [u32; 2] = [1024, 8192];
/// The address of data.
const DATA: u32 = 16384;
/// The first preopened directory.
const ROOT: u32 = 3;
/// `LookupFlags::SYMLINK_FOLLOW`.
const FOLLOW: u32 = 1;

const READ: Rights = Rights::FD_READ;
const WRITE: Rights = Rights::FD_WRITE;
const BOTH: Rights = Rights::FD_READ.or(Rights::FD_WRITE);

/// The attributes that a guest sees.
#[derive(Debug, PartialEq)]
struct Stat {
    ino: u64,
    filetype: u8,
    nlink: u64,
    size: u64,
    atim: u64,
    mtim: u64,
}

/// A guest whose root is a folder of its own, inside a folder that it must not reach.
struct Guest {
    ctx: Arc<Pinned>,
    memory: FakeMemory,
    temp: TempDir,
}

impl Guest {
    fn new() -> Self {
        Self::with(|builder, root| builder.preopened_dir(root, "/", DirAccess::ReadWrite))
    }

    fn read_only() -> Self {
        Self::with(|builder, root| builder.preopened_dir(root, "/", DirAccess::ReadOnly))
    }

    fn with(build: impl FnOnce(WasiCtxBuilder, &Path) -> WasiCtxBuilder) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(temp.path().join("secret"), "secret").unwrap();
        let ctx = build(WasiCtxBuilder::new(), &root).build().unwrap().pin();
        Self { ctx, memory: FakeMemory::new(MEMORY as usize), temp }
    }

    /// The host's path to a file in the guest's root.
    fn host(&self, path: &str) -> PathBuf {
        self.temp.path().join("root").join(path)
    }

    /// Checks that the files outside are unchanged.
    fn check_outside(&self) {
        let outside = self.temp.path();
        assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
        assert_eq!(std::fs::read_dir(outside).unwrap().count(), 2, "root and secret");
    }

    fn path(&mut self, which: usize, path: impl AsRef<[u8]>) -> GuestStr {
        let path = path.as_ref();
        self.memory.put(PATHS[which], path);
        slice(PATHS[which], path.len() as u32)
    }

    fn open_with(
        &mut self,
        dir: u32,
        path: impl AsRef<[u8]>,
        lookup: u32,
        flags: OFlags,
        rights: Rights,
        fd_flags: u32,
    ) -> Result<u32> {
        let path = self.path(0, path);
        let (flags, rights) = (flags.bits().into(), (rights.bits(), 0));
        let (ctx, memory) = (&self.ctx, &mut self.memory);
        path_open::path_open(ctx, memory, dir, lookup, path, flags, rights, fd_flags, ptr(RESULT))?;
        Ok(self.memory.u32_at(RESULT))
    }

    fn open(&mut self, path: &str, flags: OFlags, rights: Rights) -> Result<u32> {
        self.open_with(ROOT, path, FOLLOW, flags, rights, 0)
    }

    fn create(&mut self, path: &str) -> u32 {
        self.open(path, OFlags::CREAT, BOTH).unwrap()
    }

    fn close(&self, number: u32) -> Result<()> {
        fd::fd_close(&self.ctx, number)
    }

    fn list(&mut self, buffers: &[(u32, u32)]) -> GuestSlice<Iovec> {
        for (index, (at, len)) in (0..).zip(buffers) {
            self.memory.put(LIST + index * 8, &at.to_le_bytes());
            self.memory.put(LIST + index * 8 + 4, &len.to_le_bytes());
        }
        slice(LIST, buffers.len() as u32)
    }

    fn write(&mut self, number: u32, bytes: &[u8]) -> Result<u32> {
        self.memory.put(DATA, bytes);
        let list = self.list(&[(DATA, bytes.len() as u32)]);
        fd_io::fd_write(&self.ctx, &mut self.memory, number, list, ptr(RESULT))?;
        Ok(self.memory.u32_at(RESULT))
    }

    fn read(&mut self, number: u32, len: u32) -> Result<Vec<u8>> {
        let list = self.list(&[(DATA, len)]);
        fd_io::fd_read(&self.ctx, &mut self.memory, number, list, ptr(RESULT))?;
        Ok(self.memory.get(DATA, self.memory.u32_at(RESULT) as usize))
    }

    fn seek(&mut self, number: u32, offset: i64, whence: u32) -> Result<u64> {
        fd_io::fd_seek(&self.ctx, &mut self.memory, number, offset, whence, ptr(RESULT))?;
        Ok(self.memory.u64_at(RESULT))
    }

    /// Type, flags and rights of a descriptor.
    fn fdstat(&mut self, number: u32) -> Result<(u8, u16, Rights, Rights)> {
        fd_stat::fd_fdstat_get(&self.ctx, &mut self.memory, number, ptr(RESULT))?;
        let bytes = self.memory.get(RESULT, 4);
        let rights = [8, 16].map(|at| Rights::from_bits(self.memory.u64_at(at)));
        Ok((bytes[0], u16::from_le_bytes([bytes[2], bytes[3]]), rights[0], rights[1]))
    }

    fn stat_result(&self) -> Stat {
        let at = |offset| self.memory.u64_at(RESULT + offset);
        let filetype = self.memory.get(RESULT + 16, 1)[0];
        Stat { ino: at(8), filetype, nlink: at(24), size: at(32), atim: at(40), mtim: at(48) }
    }

    fn fd_stat(&mut self, number: u32) -> Result<Stat> {
        fd_stat::fd_filestat_get(&self.ctx, &mut self.memory, number, ptr(RESULT))?;
        Ok(self.stat_result())
    }

    fn stat(&mut self, path: &str, lookup: u32) -> Result<Stat> {
        let path = self.path(0, path);
        path::path_filestat_get(&self.ctx, &mut self.memory, ROOT, lookup, path, ptr(RESULT))?;
        Ok(self.stat_result())
    }

    fn mkdir(&mut self, path: &str) -> Result<()> {
        let path = self.path(0, path);
        path::path_create_directory(&self.ctx, &mut self.memory, ROOT, path)
    }

    fn rmdir(&mut self, path: &str) -> Result<()> {
        let path = self.path(0, path);
        path::path_remove_directory(&self.ctx, &mut self.memory, ROOT, path)
    }

    fn unlink(&mut self, path: &str) -> Result<()> {
        let path = self.path(0, path);
        path::path_unlink_file(&self.ctx, &mut self.memory, ROOT, path)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.path(0, from), self.path(1, to));
        path::path_rename(&self.ctx, &mut self.memory, ROOT, from, ROOT, to)
    }

    fn link(&mut self, from: &str, to: &str, lookup: u32) -> Result<()> {
        let (from, to) = (self.path(0, from), self.path(1, to));
        path::path_link(&self.ctx, &mut self.memory, ROOT, lookup, from, ROOT, to)
    }

    fn symlink(&mut self, contents: &str, path: &str) -> Result<()> {
        let (contents, path) = (self.path(0, contents), self.path(1, path));
        path::path_symlink(&self.ctx, &mut self.memory, contents, ROOT, path)
    }

    fn readlink(&mut self, path: &str, len: u32) -> Result<Vec<u8>> {
        let path = self.path(0, path);
        let (ctx, memory) = (&self.ctx, &mut self.memory);
        path::path_readlink(ctx, memory, ROOT, path, slice(DATA, len), ptr(RESULT))?;
        Ok(self.memory.get(DATA, self.memory.u32_at(RESULT) as usize))
    }

    /// The bytes that one `fd_readdir` writes.
    fn readdir(&mut self, number: u32, len: u32, cookie: u64) -> Result<Vec<u8>> {
        let (ctx, memory) = (&self.ctx, &mut self.memory);
        calls_readdir::fd_readdir(ctx, memory, number, slice(DATA, len), cookie, ptr(RESULT))?;
        Ok(self.memory.get(DATA, self.memory.u32_at(RESULT) as usize))
    }
}

/// The errno with which a call ended.
#[track_caller]
fn errno<T: std::fmt::Debug>(result: Result<T>) -> Errno {
    match result {
        Err(Error::Errno(errno)) => errno,
        other => panic!("expected an errno, got {other:?}"),
    }
}

fn kind(filetype: FileType) -> u8 {
    filetype as u8
}
