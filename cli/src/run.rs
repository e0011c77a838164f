//! `seqfault run`: a program under WASI, or one function of a module.
//!
//! A module is a *command* when it exports an entry, which is its whole life, and a *reactor* when
//! it exports `_initialize`, after which any of its functions may be called. Which function is called is
//! decided in `entry`.

use crate::args::{Dir, EngineArgs, EnvVar, Size, Span};
use crate::entry::Entry;
use crate::load::{self, Source};
use crate::time_limit::{TimeLimit, exceeded};
use clap::Args;
use seqfault::message::Escaped;
use seqfault::{
    CompileError, Engine, Error, ExternType, Linker, Module, ResourceLimiter, Result, Store,
    StoreLimits, StoreLimitsBuilder, TrapCode,
};
use seqfault_wasi::{BuildError, DirAccess, Interrupted, WasiCtx, WasiCtxBuilder, WasiThreads};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

/// Stack for the host's own functions, beside what wasm may use.
const HOST_STACK: usize = 1 << 20;

/// Threads that a program can have beside its first.
const MAX_THREADS: usize = 4096;

#[derive(Args, Clone, Debug)]
pub(crate) struct RunCommand {
    /// Give the program a directory, under the same or another name
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    dirs: Vec<Dir>,

    /// Give the program a variable of the environment; without a value, your own
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<EnvVar>,

    /// What the program finds as its own name, its first argument [default: the name of FILE]
    #[arg(long, value_name = "NAME")]
    argv0: Option<String>,

    /// Call this exported function and print its results; the arguments are read by its type
    #[arg(long, value_name = "NAME")]
    invoke: Option<String>,

    /// Stop after this time, as in 500ms, 2s or 1m; reading and compiling the program counts
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,

    /// How large all linear memories and the objects of the GC proposal may become together, those of
    /// all threads, as in 64M
    #[arg(long, value_name = "SIZE")]
    memory_limit: Option<Size>,

    /// How many elements all tables may have together, those of all threads; each takes 8 bytes
    #[arg(long, value_name = "COUNT")]
    table_limit: Option<usize>,

    /// How many descriptors the program may have open, those of all threads and its standard streams
    /// included [default: half of what this process may, at most 1024]
    #[arg(long, value_name = "COUNT")]
    descriptor_limit: Option<usize>,

    /// The program, .wasm or .wat, or `-` for standard input, and its arguments: everything behind
    /// FILE is its own
    // One list, so that clap looks for no option of ours behind FILE.
    #[arg(value_names = ["FILE", "ARGS"], trailing_var_arg = true, required = true, num_args = 1..)]
    program: Vec<OsString>,

    #[command(flatten)]
    engine: EngineArgs,
}

/// What a store holds for the host.
struct Host {
    wasi: WasiCtx,
    limits: StoreLimits,
}

impl RunCommand {
    /// Runs the program and returns its exit code.
    pub(crate) fn execute(self) -> Result<ExitCode> {
        let Some(stack) = self.thread_stack() else { return self.run() };
        // The main thread's stack is as large as the system made it.
        let thread = thread::Builder::new().stack_size(stack);
        let running = thread.spawn(move || self.run()).map_err(|error| {
            let what = "--max-wasm-stack: cannot have a stack of that size, give less";
            Error::from(error).context(what)
        })?;
        running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Bytes of stack for a thread that runs the program, when the option for it was given.
    fn thread_stack(&self) -> Option<usize> {
        let Size(stack) = self.engine.max_wasm_stack?;
        Some(stack.saturating_add(HOST_STACK))
    }

    fn file(&self) -> &Path {
        Path::new(&self.program[0])
    }

    /// What is behind FILE.
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

    /// What the program may have, one sum for the stores of all threads.
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

    /// The program, compiled so that it can be interrupted where that may be needed.
    fn module(&self, limit: Option<&TimeLimit>, wasi: &WasiCtx) -> Result<Module> {
        let source = Source::read(self.file())?;
        let mut config = self.engine.config();
        config.epoch_interruption(limit.is_some());
        let engine = Engine::new(&config)?;
        if let Some(limit) = limit {
            limit.interrupt(engine.clone(), wasi.interrupt_handle()?)?;
        }
        let module = source.compile(&engine)?;
        if limit.is_some() || !WasiThreads::<Host>::are_needed(&module) {
            return Ok(module);
        }
        // The exit of one thread ends the others, wherever they are.
        config.epoch_interruption(true);
        source.compile(&Engine::new(&config)?)
    }

    /// What makes the stores: one for a program, or one for each of its threads.
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

    /// Says that the time limit has caused an interruption.
    fn explain(&self, error: Error) -> Error {
        let interrupted = error.trap().is_some_and(|trap| trap.code() == TrapCode::Interrupt)
            || error.is::<Interrupted>()
            || matches!(error.downcast_ref(), Some(CompileError::Interrupted));
        match self.timeout {
            Some(Span(timeout)) if interrupted => error.context(exceeded(timeout)),
            _ => error,
        }
    }
}

/// Counts what the shared memories that `module` imports begin with: they belong to no store, whose
/// limiter would be asked. An error if that is more than they may have.
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
