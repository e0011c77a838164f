//! Threads of a script: `(thread $T (shared (module $M)) directive...)` and `(wait $T)`.
//!
//! A thread of a script is a thread of the system with a context of its own: its own store, only
//! `spectest` registered, and no instance. It knows the name of the module that it is given, which
//! stands for the shared memories that the instance exports: stores can share nothing else. Its
//! directives run there and may start more threads. They are counted when the thread is waited for,
//! or when its starter ends.

use crate::context::WastContext;
use crate::mismatch::{Mismatch, Verdict};
use crate::report::Report;
use crate::runner::Source;
use seqfault::SharedMemory;
use std::ops::Range;
use std::panic;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// The meaning of the name of a shared module in a thread: its shared memories by their names.
pub(crate) type SharedExports = Vec<(String, SharedMemory)>;

/// The beginning of a thread directive, before its own directives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ThreadHead<'a> {
    pub(crate) name: &'a str,
    /// The offset of its keyword in the piece.
    pub(crate) keyword: usize,
    /// The instance that its starter shares with it.
    pub(crate) shared: Option<&'a str>,
    /// The range of its directives in the piece.
    pub(crate) body: Range<usize>,
}

/// A thread that is running or has run.
pub(crate) struct ScriptThread(JoinHandle<Report>);

impl WastContext {
    /// Starts a thread whose directives are those in `body` of `source`.
    pub(crate) fn start_thread(
        &mut self,
        name: &str,
        shared: Option<&str>,
        source: &Arc<Source>,
        body: Range<usize>,
    ) -> Verdict {
        let shared = match shared {
            Some(module) => Some((module.to_owned(), self.shared_exports(module)?)),
            None => None,
        };
        let (engine, source) = (self.store.engine().clone(), Arc::clone(source));
        let run = move || match WastContext::new(&engine) {
            Ok(mut context) => {
                context.shared.extend(shared);
                context.run_source(&source, body)
            }
            Err(error) => source.broken(body.start, &error),
        };
        let thread = Builder::new().name(name.to_owned()).spawn(run);
        let thread = thread.map_err(|error| Mismatch::new(format!("no thread: {error}")))?;
        match self.threads.insert(name.to_owned(), ScriptThread(thread)) {
            None => Ok(()),
            Some(other) => {
                self.finished.add(other.join());
                Err(Mismatch::new(format!("there was a thread ${name} already")))
            }
        }
    }

    /// Waits for a thread and takes over its report.
    pub(crate) fn wait_for_thread(&mut self, name: &str) -> Verdict {
        let thread = self.threads.remove(name);
        let thread = thread.ok_or_else(|| Mismatch::new(format!("there is no thread ${name}")))?;
        self.finished.add(thread.join());
        Ok(())
    }

    /// Waits for the threads that the script has not waited for.
    pub(crate) fn wait_for_all_threads(&mut self) {
        for (_, thread) in self.threads.drain() {
            self.finished.add(thread.join());
        }
    }

    /// The shared memories of the instance with this name, for another thread.
    fn shared_exports(&mut self, module: &str) -> Verdict<SharedExports> {
        if let Some(exports) = self.shared.get(module) {
            return Ok(exports.clone());
        }
        let instance = self.named_instance(module);
        let instance =
            instance.ok_or_else(|| Mismatch::new(format!("there is no instance ${module}")))?;
        let exports = instance.exports(&mut self.store).into_iter();
        let exports = exports.filter_map(|export| {
            let name = export.name().to_owned();
            Some((name, export.into_extern().into_shared_memory()?))
        });
        Ok(exports.collect())
    }
}

impl ScriptThread {
    fn join(self) -> Report {
        // A panic is a bug of the engine or of this crate; the waiting thread continues it.
        self.0.join().unwrap_or_else(|bug| panic::resume_unwind(bug))
    }
}
