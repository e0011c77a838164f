//! `seqfault run`: a program under WASI, or one function of a module.
//!
//! A module is a *command* if it exports an entry, which runs from start to end, and a *reactor* if it exports
//! `_initialize`, after which any of its functions may be called. `entry` decides which function is called.

use crate::args::{Dir, EngineArgs, EnvVar, Size, Span};
use crate::entry::Entry;
use crate::load::{self, Source};
use crate::report;
use crate::time_limit::{TimeLimit, exceeded};
use clap::Args;
use seqfault::message::Escaped;
use seqfault::{
    CompileError, Engine, Error, ExternType, Linker, Module, RefusedByLimiter, ResourceLimiter,
    Result, Store, StoreLimits, StoreLimitsBuilder, TrapCode,
};
use seqfault_wasi::{BuildError, DirAccess, Interrupted, WasiCtx, WasiCtxBuilder, WasiThreads};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

/// Stack for the host's own functions, beside what wasm may use.
const HOST_STACK: usize = 1 << 20;

/// The most threads that a program can have beside its first.
const MAX_THREADS: usize = 4096;

#[derive(Args, Clone, Debug)]
pub(crate) struct RunCommand {
    /// Give the program a directory, under the same or another name
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    dirs: Vec<Dir>,

    /// Give the program a variable of the environment; without a value, your own
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<EnvVar>,

    /// The program's own name, its first argument [default: the name of FILE]
    #[arg(long, value_name = "NAME")]
    argv0: Option<String>,

    /// Call this exported function and print its results; the arguments are read by its type
    #[arg(long, value_name = "NAME")]
    invoke: Option<String>,

    /// Stop after this time, as in 500ms, 2s or 1m; reading and compiling the program counts
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,

    /// Limit the size of all linear memories and objects of the GC proposal together, those of all threads, as in 64M
    #[arg(long, value_name = "SIZE")]
    memory_limit: Option<Size>,

    /// Limit the elements of all tables together, those of all threads; each takes 8 bytes
    #[arg(long, value_name = "COUNT")]
    table_limit: Option<usize>,

    /// Limit how many descriptors the program may have open, including its standard streams and those of all threads
    /// [default: half of what this process may open, at most 1024]
    #[arg(long, value_name = "COUNT")]
    descriptor_limit: Option<usize>,

    /// The program, .wasm or .wat, or `-` for standard input, and its arguments: everything behind FILE is passed to
    /// the program
    // A single list, so that clap does not look for our options behind FILE.
    #[arg(value_names = ["FILE", "ARGS"], trailing_var_arg = true, required = true, num_args = 1..)]
    program: Vec<OsString>,

    #[command(flatten)]
    engine: EngineArgs,
}

/// The host's data in a store.
struct Host {
    wasi: WasiCtx,
    limits: StoreLimits,
}

impl RunCommand {
    /// Runs the program and returns its exit code.
    pub(crate) fn execute(self) -> Result<ExitCode> {
        let Some(stack) = self.thread_stack() else { return self.run() };
        // The system has chosen the size of the main thread's stack.
        let thread = thread::Builder::new().stack_size(stack);
        let running = thread.spawn(move || self.run()).map_err(|error| {
            let what = "--max-wasm-stack: cannot have a stack of that size, give less";
            Error::from(error).context(what)
        })?;
        running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Bytes of stack for a thread that runs the program, if the option was given.
    fn thread_stack(&self) -> Option<usize> {
        let Size(stack) = self.engine.max_wasm_stack?;
        Some(stack.saturating_add(HOST_STACK))
    }

    fn file(&self) -> &Path {
        Path::new(&self.program[0])
    }

    /// The arguments behind FILE.
    fn args(&self) -> Result<Vec<String>> {
        let text = |arg: &OsString| {
            arg.clone().into_string().map_err(|arg| {
                let arg = arg.to_string_lossy();
                let arg = Escaped::name(&arg);
                Error::msg(format!("the argument `{arg}` is not UTF-8, which programs expect"))
            })
        };
        self.program[1..].iter().map(text).collect()
    }

    fn run(&self) -> Result<ExitCode> {
        let limit = self.timeout.map(|Span(timeout)| TimeLimit::start(timeout)).transpose()?;
        let outcome = self.run_within(limit.as_ref());
        outcome.map(|()| ExitCode::SUCCESS).map_err(|error| self.explain(error))
    }

    fn run_within(&self, limit: Option<&TimeLimit>) -> Result<()> {
        let wasi = self.wasi()?;
        let module = self.module(limit, &wasi)?;
        let engine = module.engine();
        let entry = Entry::of(&module, self.invoke.as_deref(), &load::display_name(self.file()))?;
        let mut linker = Linker::new(engine);
        seqfault_wasi::add_to_linker(&mut linker, |host: &mut Host| &mut host.wasi)?;
        let threads = WasiThreads::with_limits(MAX_THREADS, self.thread_stack());
        let mut limits = self.limits();
        count_shared_memories(&mut limits, &module)?;
        let args = self.args()?;
        let main = |store: &mut Store<Host>, instance| entry.call(store, instance, &args);
        let fresh = self.stores(engine, wasi, &limits);
        threads.add_to_linker(&mut linker, &fresh()?, &module)?;
        if WasiThreads::<Host>::are_needed(&module) {
            let pre = linker.instantiate_pre(&module)?;
            threads.run(&pre, fresh, |host| &mut host.wasi, main)
        } else {
            let mut store = fresh()?;
            linker.instantiate(&mut store, &module).and_then(|instance| main(&mut store, instance))
        }
    }

    /// The limits for the program, with one sum for the stores of all threads.
    fn limits(&self) -> StoreLimits {
        let mut limits = StoreLimitsBuilder::new();
        if let Some(Size(bytes)) = self.memory_limit {
            limits = limits.total_memory_size(bytes);
        }
        if let Some(elements) = self.table_limit {
            limits = limits.total_table_elements(elements);
        }
        limits.build()
    }

    /// The program, compiled so that it can be interrupted where necessary.
    fn module(&self, limit: Option<&TimeLimit>, wasi: &WasiCtx) -> Result<Module> {
        let source = Source::read(self.file())?;
        let mut config = self.engine.config();
        config.epoch_interruption(limit.is_some());
        let engine = Engine::new(&config)?;
        report::announce(&engine);
        if let Some(limit) = limit {
            limit.interrupt(engine.clone(), wasi.interrupt_handle()?)?;
        }
        let module = source.compile(&engine)?;
        if limit.is_some() || !WasiThreads::<Host>::are_needed(&module) {
            return Ok(module);
        }
        // When one thread exits, the others must end, even if they compute.
        config.epoch_interruption(true);
        source.compile(&Engine::new(&config)?)
    }

    /// Makes stores: one for a program, or one for each of its threads.
    fn stores(
        &self,
        engine: &Engine,
        wasi: WasiCtx,
        limits: &StoreLimits,
    ) -> impl Fn() -> Result<Store<Host>> + Send + Sync + 'static {
        let engine = engine.clone();
        let timed = self.timeout.is_some();
        let limits = limits.clone();
        move || {
            let host = Host { wasi: wasi.clone(), limits: limits.clone() };
            let mut store = Store::new(&engine, host);
            store.limiter(|host| &mut host.limits);
            if timed {
                store.set_epoch_deadline(1);
            }
            Ok(store)
        }
    }

    fn wasi(&self) -> Result<WasiCtx> {
        let argv0 = self.argv0.clone().unwrap_or_else(|| load::program_name(self.file()));
        let mut wasi = WasiCtxBuilder::new().inherit_stdio().arg(argv0).args(self.args()?);
        if let Some(limit) = self.descriptor_limit {
            wasi = wasi.max_descriptors(limit);
        }
        for EnvVar { name, value } in &self.env {
            if let Some(value) = value {
                wasi = wasi.env(name, value);
            }
        }
        for Dir { host, guest } in &self.dirs {
            wasi = wasi.preopened_dir(host, guest, DirAccess::ReadWrite);
        }
        wasi.build().map_err(|error| match error {
            BuildError::Directory { path, source } => Error::msg(format!(
                "--dir: cannot open `{}`: {source}: give a directory that exists",
                Escaped::name(&path.to_string_lossy())
            )),
            error => error.into(),
        })
    }

    /// Replaces an interruption by the time limit, and what the limits on sizes have refused, with an error that names
    /// the option.
    fn explain(&self, error: Error) -> Error {
        let option = match error.downcast_ref() {
            Some(RefusedByLimiter::Memory { .. }) => Some("--memory-limit"),
            Some(RefusedByLimiter::Table { .. }) => Some("--table-limit"),
            _ => None,
        };
        if let Some(option) = option {
            return Error::msg(format!("{error}: allow so much with {option}"));
        }
        let interrupted = error.trap().is_some_and(|trap| trap.code() == TrapCode::Interrupt)
            || error.is::<Interrupted>()
            || matches!(error.downcast_ref(), Some(CompileError::Interrupted));
        match self.timeout {
            Some(Span(timeout)) if interrupted => error.context(exceeded(timeout)),
            _ => error,
        }
    }
}

/// Counts the initial size of the shared memories that `module` imports, because they belong to no store whose limiter
/// would be asked. An error if that exceeds the limits.
fn count_shared_memories(limits: &mut StoreLimits, module: &Module) -> Result<()> {
    for import in module.imports() {
        let ExternType::Memory(ty) = import.ty() else { continue };
        let bytes = ty.minimum.saturating_mul(ty.page_size());
        if ty.shared && !limits.shared_memory_growing(0, bytes as usize, None)? {
            return Err(Error::msg(format!(
                "the shared memory `{}::{}` begins with {bytes} bytes: allow so many with \
                 --memory-limit",
                Escaped::name(import.module()),
                Escaped::name(import.name())
            )));
        }
    }
    Ok(())
}
