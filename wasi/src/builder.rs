//! [`WasiCtxBuilder`]: decides what a guest gets.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cap_std::fs::Dir;
use rand::RngCore;

use crate::clocks::{SystemClocks, WasiClocks};
use crate::ctx::{State, Strings, StringsTooLong, WasiCtx};
use crate::descriptor::{Descriptor, DirAccess, Direction, Directory};
use crate::interrupt::Interrupt;
use crate::kernel;
use crate::listing::Listing;
use crate::random::Random;
use crate::table::Table;

/// Builds a [`WasiCtx`].
///
/// A guest gets only what it is given. By default it has no arguments, no environment, an empty standard input, outputs
/// that are discarded, and no directories. Time and randomness are the host's.
///
/// ```no_run
/// use seqfault_wasi::{DirAccess, WasiCtxBuilder};
///
/// let ctx = WasiCtxBuilder::new()
///     .args(["program", "--verbose"])
///     .env("LANG", "C.UTF-8")
///     .inherit_stdio()
///     .preopened_dir("/srv/data", "/data", DirAccess::ReadOnly)
///     .build()?;
/// # Ok::<(), seqfault_wasi::BuildError>(())
/// ```
#[must_use]
pub struct WasiCtxBuilder {
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdio: [Stdio; 3],
    directories: Vec<(PathBuf, String, DirAccess)>,
    sockets: Vec<OwnedFd>,
    clocks: Option<Box<dyn WasiClocks>>,
    random: Random,
    max_descriptors: Option<usize>,
}

/// The source or target of a standard stream.
enum Stdio {
    Nothing,
    Inherit,
    Fd(OwnedFd),
    Reader(Box<dyn Read + Send>),
    Writer(Box<dyn Write + Send>),
}

/// Why a context could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An argument, or a name or value of the environment, that a C string cannot hold.
    #[error("{what} {string:?} contains {}, which a WASI program cannot be given", culprit(*byte))]
    BadString {
        /// Where the string was to be used.
        what: &'static str,
        /// The string.
        string: String,
        /// The character that cannot be in it.
        byte: u8,
    },
    /// Arguments or environment of 4 GiB or more.
    #[error("the arguments or the environment do not fit into a 32-bit memory")]
    TooLong,
    /// A directory to preopen cannot be opened.
    #[error("cannot open the directory {path:?} for the guest: {source}")]
    Directory {
        /// The host's path.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// A descriptor for the guest cannot be used.
    #[error("cannot use the {what} given for the guest: {source}")]
    Descriptor {
        /// Which one.
        what: &'static str,
        /// The host's error.
        source: io::Error,
    },
}

fn culprit(byte: u8) -> &'static str {
    if byte == 0 { "a NUL character" } else { "an equals sign" }
}

impl Default for WasiCtxBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl WasiCtxBuilder {
    /// A guest that gets nothing.
    pub fn new() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            stdio: [Stdio::Nothing, Stdio::Nothing, Stdio::Nothing],
            directories: Vec::new(),
            sockets: Vec::new(),
            clocks: None,
            random: Random::Host,
            max_descriptors: None,
        }
    }

    /// Adds an argument. The first one is, by custom, the program's name.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the environment; replaces an earlier one of that name.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.env.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.env.push((name, value)),
        }
        self
    }

    /// Sets variables of the environment.
    pub fn envs(
        self,
        pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        pairs.into_iter().fold(self, |builder, (name, value)| builder.env(name, value))
    }

    /// Passes on the process's own environment, except variables that are not UTF-8.
    pub fn inherit_env(self) -> Self {
        let pairs = std::env::vars_os();
        self.envs(pairs.filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))))
    }

    /// Lets the guest use the process's standard input.
    pub fn inherit_stdin(self) -> Self {
        self.stdio(0, Stdio::Inherit)
    }

    /// Lets the guest use the process's standard output.
    pub fn inherit_stdout(self) -> Self {
        self.stdio(1, Stdio::Inherit)
    }

    /// Lets the guest use the process's standard error.
    pub fn inherit_stderr(self) -> Self {
        self.stdio(2, Stdio::Inherit)
    }

    /// Lets the guest use the process's three standard streams. Nothing is buffered in between.
    pub fn inherit_stdio(self) -> Self {
        self.inherit_stdin().inherit_stdout().inherit_stderr()
    }

    /// Makes `reader` the standard input; for example a `std::io::Cursor` over bytes in memory.
    pub fn stdin(self, reader: impl Read + Send + 'static) -> Self {
        self.stdio(0, Stdio::Reader(Box::new(reader)))
    }

    /// Makes `writer` the standard output. It is flushed after every write.
    pub fn stdout(self, writer: impl Write + Send + 'static) -> Self {
        self.stdio(1, Stdio::Writer(Box::new(writer)))
    }

    /// Makes `writer` the standard error. It is flushed after every write.
    pub fn stderr(self, writer: impl Write + Send + 'static) -> Self {
        self.stdio(2, Stdio::Writer(Box::new(writer)))
    }

    /// Makes an open file, pipe, terminal or socket the standard input, with nothing in between.
    pub fn stdin_fd(self, fd: impl Into<OwnedFd>) -> Self {
        self.stdio(0, Stdio::Fd(fd.into()))
    }

    /// Makes an open file, pipe, terminal or socket the standard output, with nothing in between.
    pub fn stdout_fd(self, fd: impl Into<OwnedFd>) -> Self {
        self.stdio(1, Stdio::Fd(fd.into()))
    }

    /// Makes an open file, pipe, terminal or socket the standard error, with nothing in between.
    pub fn stderr_fd(self, fd: impl Into<OwnedFd>) -> Self {
        self.stdio(2, Stdio::Fd(fd.into()))
    }

    fn stdio(mut self, number: usize, stdio: Stdio) -> Self {
        self.stdio[number] = stdio;
        self
    }

    /// Gives the guest the host's directory `host`, under the name `guest`.
    ///
    /// [`build`](Self::build) opens it. The guest finds its directories at descriptors 3, 4 and so on, in the given
    /// order, and cannot reach anything outside of them.
    pub fn preopened_dir(
        mut self,
        host: impl AsRef<Path>,
        guest: impl Into<String>,
        access: DirAccess,
    ) -> Self {
        self.directories.push((host.as_ref().to_owned(), guest.into(), access));
        self
    }

    /// Gives the guest a socket, listening or connected, such as a std `TcpListener` or `UnixStream`.
    ///
    /// Sockets get higher numbers than directories: a C library stops looking for preopened directories at the first
    /// descriptor that is not one.
    ///
    /// A listening socket is made non-blocking for the host, which the guest does not see. The flag also applies to
    /// clones of the socket, which share it.
    pub fn preopened_socket(mut self, socket: impl Into<OwnedFd>) -> Self {
        self.sockets.push(socket.into());
        self
    }

    /// Takes the guest's time from `clocks`.
    pub fn clocks(mut self, clocks: impl WasiClocks + 'static) -> Self {
        self.clocks = Some(Box::new(clocks));
        self
    }

    /// Takes the guest's random bytes from `rng`. They are then no longer secret.
    pub fn random(mut self, rng: impl RngCore + Send + 'static) -> Self {
        self.random = Random::Given(Mutex::new(Box::new(rng)));
        self
    }

    /// Limits how many descriptors the guest may have open at once: those of all its threads, and those that it is
    /// given. Opening one more fails with EMFILE.
    ///
    /// The default is half of what the process may open (the soft RLIMIT_NOFILE when the context is built), and at most
    /// 1,024, so that one guest does not take all from the others and the host.
    pub fn max_descriptors(mut self, limit: usize) -> Self {
        self.max_descriptors = Some(limit);
        self
    }

    /// Opens the directories, and makes the context.
    ///
    /// A guest's write to a closed pipe or socket fails with EPIPE, and one beyond the limit on the size of files
    /// (RLIMIT_FSIZE) with EFBIG: the signals are held back, if the process does not ignore SIGPIPE or has such a limit
    /// at this time. If that changes later, SIGPIPE and SIGXFSZ end the process.
    ///
    /// # Errors
    ///
    /// [`BuildError`], which names what cannot be given to the guest.
    pub fn build(self) -> Result<WasiCtx, BuildError> {
        let given = self.stdio.len() + self.directories.len() + self.sockets.len();
        let limit = self.max_descriptors.unwrap_or_else(default_max_descriptors);
        // There is room for what is given in any case.
        let table = Table::new(limit.clamp(given, NUMBERS));
        for (number, stdio) in self.stdio.into_iter().enumerate() {
            insert(&table, open_stdio(number, stdio)?);
        }
        for (path, guest, access) in self.directories {
            insert(&table, open_directory(path, guest, access)?);
        }
        for socket in self.sockets {
            let what = "socket";
            let opened = Descriptor::socket(socket);
            insert(&table, opened.map_err(|source| BuildError::Descriptor { what, source })?);
        }
        let file_limit = file_limit();
        Ok(WasiCtx::new(State {
            args: arguments(&self.args)?,
            env: environment(&self.env)?,
            table,
            clocks: self.clocks.unwrap_or_else(|| Box::new(SystemClocks::new())),
            random: self.random,
            interrupt: Interrupt::default(),
            file_limit,
            writes_kill: file_limit != rlimit::INFINITY || kernel::dies_of_closed_pipes(),
        }))
    }
}

/// Numbers have 31 bits: programs keep them in an `int`, where negative values mean failure.
const NUMBERS: usize = 1 << 31;

fn default_max_descriptors() -> usize {
    // A system that does not tell has some limit, and the usual one is 1024.
    let process = rlimit::Resource::NOFILE.get_soft().unwrap_or(1024);
    usize::try_from(process / 2).unwrap_or(usize::MAX).min(1024)
}

/// How large a file of the process may become, in bytes.
fn file_limit() -> u64 {
    // A system that does not tell may have one. This number stands for one that is not reached.
    rlimit::Resource::FSIZE.get_soft().unwrap_or(rlimit::INFINITY - 1)
}

fn insert(table: &Table, descriptor: Descriptor) {
    table.reserve().expect("the table has room for what is given").fill(descriptor);
}

fn open_stdio(number: usize, stdio: Stdio) -> Result<Descriptor, BuildError> {
    let (what, direction) = [
        ("standard input", Direction::Read),
        ("standard output", Direction::Write),
        ("standard error", Direction::Write),
    ][number];
    let own = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()][number];
    let opened = match stdio {
        Stdio::Inherit => Descriptor::stdio(own, direction),
        Stdio::Fd(fd) => Descriptor::lent(fd, direction),
        Stdio::Reader(reader) => Ok(Descriptor::input(reader)),
        Stdio::Writer(writer) => Ok(Descriptor::output(writer)),
        Stdio::Nothing if number == 0 => Ok(Descriptor::input(Box::new(io::empty()))),
        Stdio::Nothing => Ok(Descriptor::output(Box::new(io::sink()))),
    };
    opened.map_err(|source| BuildError::Descriptor { what, source })
}

fn open_directory(
    path: PathBuf,
    guest: String,
    access: DirAccess,
) -> Result<Descriptor, BuildError> {
    check_string("the directory name", &guest, b"\0")?;
    let open = || {
        // With the flag, opening a named pipe fails instead of waiting for its other end.
        fs::File::options().read(true).custom_flags(libc::O_DIRECTORY).open(&path)
    };
    let file = match open() {
        Ok(file) => file,
        Err(source) => return Err(BuildError::Directory { path, source }),
    };
    let directory = Directory {
        dir: Dir::from_std_file(file),
        access,
        preopen: Some(guest),
        listing: Mutex::new(Listing::default()),
    };
    Ok(Descriptor::directory(directory, Descriptor::preopen_rights()))
}

fn arguments(args: &[String]) -> Result<Strings, BuildError> {
    let mut strings = Strings::default();
    for arg in args {
        check_string("the argument", arg, b"\0")?;
        strings.push(arg)?;
    }
    Ok(strings)
}

fn environment(env: &[(String, String)]) -> Result<Strings, BuildError> {
    let mut strings = Strings::default();
    for (name, value) in env {
        check_string("the environment variable", name, b"\0=")?;
        check_string("the environment's value", value, b"\0")?;
        strings.push(&format!("{name}={value}"))?;
    }
    Ok(strings)
}

fn check_string(what: &'static str, string: &str, bad: &[u8]) -> Result<(), BuildError> {
    match string.bytes().find(|byte| bad.contains(byte)) {
        Some(byte) => Err(BuildError::BadString { what, string: string.into(), byte }),
        None => Ok(()),
    }
}

impl From<StringsTooLong> for BuildError {
    fn from(_: StringsTooLong) -> Self {
        BuildError::TooLong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(builder: WasiCtxBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_given_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let missing = temp.path().join("missing");
        let builder = WasiCtxBuilder::new().preopened_dir(&missing, "/", DirAccess::ReadWrite);
        let said = error(builder);
        assert!(said.contains("missing") && said.contains("No such file"), "{said}");

        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        let said = error(WasiCtxBuilder::new().preopened_dir(&file, "/", DirAccess::ReadOnly));
        assert!(said.contains("file") && said.contains("Not a directory"), "{said}");

        let pipe = temp.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let said = error(WasiCtxBuilder::new().preopened_dir(&pipe, "/", DirAccess::ReadOnly));
        assert!(said.contains("pipe") && said.contains("Not a directory"), "{said}");

        let said = error(WasiCtxBuilder::new().arg("a\0b"));
        assert_eq!(
            said,
            r#"the argument "a\0b" contains a NUL character, which a WASI program cannot be given"#
        );
        let said = error(WasiCtxBuilder::new().env("A=B", ""));
        assert!(said.contains("an equals sign"), "{said}");
        let said = error(WasiCtxBuilder::new().preopened_socket(fs::File::open(&file).unwrap()));
        assert!(said.contains("socket"), "{said}");
    }

    #[test]
    fn the_last_value_of_a_variable_wins() {
        let ctx = WasiCtxBuilder::new().env("A", "1").env("B", "2").env("A", "3").build().unwrap();
        assert_eq!(format!("{:?}", ctx.pin().env), r#"["A=3", "B=2"]"#);
    }
}
