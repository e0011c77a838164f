//! Plays patterns on an engine: a guest reads the steps from a second memory and does them.
//!
//! So every pattern is executed by the same few instructions, which cost little beside a fault, in both engines.

use crate::probe::{Figures, Probe};
use std::time::Duration;

/// Bytes of the memory that steps are in.
pub(crate) const SCRIPT: usize = 4 << 20;

/// What one play of a pattern took.
#[derive(Clone, Debug)]
pub struct Play {
    /// All phases.
    pub run: Duration,
    /// Dropping the store afterwards.
    pub end: Duration,
    /// The sum of all that was loaded: the same in all engines.
    pub sum: u64,
    /// What else was seen, if a probe was given.
    pub figures: Option<Figures>,
}

fn module(size: u32) -> String {
    let pages = size / super::WASM_PAGE;
    let script = SCRIPT / super::WASM_PAGE as usize;
    format!(
        r#"(module
  (memory $memory (export "memory") {pages})
  (memory $script (export "script") {script})
  ;; Does the steps in the script from `at` to `end`: a store if the lowest bit is set, growth if the next one
  ;; is, else a load.
  (func (export "run") (param $at i32) (param $end i32) (result i64)
    (local $step i32) (local $place i32) (local $sum i64)
    (if (i32.eq (local.get $at) (local.get $end)) (then (return (i64.const 0))))
    (loop $again
      (local.set $step (i32.load $script (local.get $at)))
      (local.set $place (i32.and (local.get $step) (i32.const -8)))
      (if (i32.and (local.get $step) (i32.const 1))
        (then (i64.store $memory (local.get $place) (i64.extend_i32_u (local.get $step))))
        (else
          (if (i32.and (local.get $step) (i32.const 2))
            (then
              (if (i32.eq (memory.grow $memory (i32.const 1)) (i32.const -1))
                (then (unreachable))))
            (else
              (local.set $sum
                (i64.add (local.get $sum) (i64.load $memory (local.get $place))))))))
      (br_if $again
        (i32.lt_u
          (local.tee $at (i32.add (local.get $at) (i32.const 4)))
          (local.get $end))))
    (local.get $sum)))"#
    )
}

/// What plays patterns on one engine: its API is the same word for word in both, except discarding.
macro_rules! player {
    ($name:ident, $engine:ident, $discard:expr) => {
        #[doc = concat!("Plays patterns on ", stringify!($engine), ".")]
        pub mod $name {
            use super::{Play, Probe, SCRIPT};
            use crate::Clock;
            use crate::patterns::{Pattern, Phase};
            use std::collections::HashMap;
            use std::ops::Range;
            use $engine::{Config, Engine, InstancePre, Linker, Memory, Module, Store, TypedFunc};

            /// An engine, and the guests for memories of each size.
            #[allow(missing_debug_implementations)]
            pub struct Player {
                engine: Engine,
                guests: HashMap<u32, InstancePre<()>>,
            }

            impl Player {
                /// An engine set up by `config`.
                ///
                /// # Errors
                ///
                /// When this system has not what it needs.
                pub fn new(config: &Config) -> $engine::Result<Player> {
                    Ok(Player { engine: Engine::new(config)?, guests: HashMap::new() })
                }

                /// Plays `pattern` in a new instance. With a probe, looks closely, which takes time
                /// of its own: the times are then not to be used.
                pub fn play(&mut self, pattern: &Pattern, probe: Option<&Probe>) -> Play {
                    let engine = &self.engine;
                    let guest = self.guests.entry(pattern.size).or_insert_with_key(|&size| {
                        let module = Module::new(engine, super::module(size)).expect("valid");
                        Linker::new(engine).instantiate_pre(&module).expect("no imports")
                    });
                    let mut store = Store::new(engine, ());
                    let instance = guest.instantiate(&mut store).expect("room");
                    let mut memory =
                        |name| instance.get_memory(&mut store, name).expect("exported");
                    let (memory, script) = (memory("memory"), memory("script"));
                    let ranges = write_script(&mut store, &script, pattern);
                    let run = instance.get_typed_func::<(u32, u32), u64>(&mut store, "run");
                    let run = run.expect("exported");
                    let (mut sum, mut figures) = (0, None);
                    let time = Clock::Thread.time(|| {
                        let looking = probe.map(Probe::start);
                        sum = play(&mut store, &memory, &run, pattern, &ranges);
                        figures = looking.map(|looking| {
                            let start = memory.data_ptr(&store).addr();
                            looking.finish(start..start + memory.data_size(&store))
                        });
                    });
                    let end = Clock::Thread.time(|| drop(store));
                    Play { run: time, end, sum, figures }
                }
            }

            /// Where in the script the steps of each phase are.
            fn write_script(
                store: &mut Store<()>,
                script: &Memory,
                pattern: &Pattern,
            ) -> Vec<Range<u32>> {
                let mut at = 0;
                let write = |phase: &Phase| {
                    let Phase::Run(steps) = phase else { return at as u32..at as u32 };
                    let bytes: Vec<u8> =
                        steps.iter().flat_map(|step| step.code().to_le_bytes()).collect();
                    assert!(at + bytes.len() <= SCRIPT, "{} is too long", pattern.name);
                    script.write(&mut *store, at, &bytes).expect("in bounds");
                    let start = at as u32;
                    at += bytes.len();
                    start..at as u32
                };
                pattern.phases.iter().map(write).collect()
            }

            fn play(
                store: &mut Store<()>,
                memory: &Memory,
                run: &TypedFunc<(u32, u32), u64>,
                pattern: &Pattern,
                ranges: &[Range<u32>],
            ) -> u64 {
                let mut sum = 0u64;
                for (phase, steps) in pattern.phases.iter().zip(ranges) {
                    match phase {
                        Phase::Run(_) => {
                            let loaded = run.call(&mut *store, (steps.start, steps.end));
                            sum = sum.wrapping_add(loaded.expect("no trap"));
                        }
                        Phase::Grow(pages) => {
                            memory.grow(&mut *store, u64::from(*pages)).expect("room");
                        }
                        Phase::Discard(range) => {
                            let range = range.start as usize..range.end as usize;
                            let discard: fn(&mut Store<()>, &Memory, Range<usize>) = $discard;
                            discard(&mut *store, memory, range);
                        }
                    }
                }
                sum
            }
        }
    };
}

player!(ours, seqfault, |store, memory, range| {
    memory.discard(store, range).expect("whole pages");
});

// Wasmtime has no way to discard: what a host can do instead is to ask the kernel itself.
player!(theirs, wasmtime, |store, memory, range| {
    let bytes = &mut memory.data_mut(store)[range];
    // SAFETY: the range is inside of a memory that this thread has for itself, which no image is behind.
    let done =
        unsafe { libc::madvise(bytes.as_mut_ptr().cast(), bytes.len(), libc::MADV_DONTNEED) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
});
