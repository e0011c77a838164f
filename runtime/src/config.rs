//! [`Config`]: what an engine can be told before it starts.

use crate::error::{Error, Result};
use crate::types::WASM_PAGE_SIZE;
use crate::vm;
use seqfault_jit::{Feature, OptLevel, Tunables, WasmFeatures, WasmVersion};
use seqfault_mm::{DisplacedHandlers, PagerKind};

/// When functions are compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compilation {
    /// When they are first called.
    #[default]
    Lazy,
    /// All of them when the module is made, on all cores.
    Eager,
}

/// The most that a 64-bit memory may reserve: 4 TiB. What is known of its pages then takes 512 MiB
/// of addresses by itself.
const MEMORY64_LARGEST: u64 = 4 << 40;

/// Half of the addresses that all code of the process shares.
const CODE_LIMIT: usize = 1 << 30;

/// The code of the largest modules that are known takes up a fifth of it.
const MODULE_CODE_LIMIT: usize = 512 << 20;

/// Choices for an [`Engine`](crate::Engine).
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) tunables: Tunables,
    pub(crate) features: WasmFeatures,
    pub(crate) compilation: Compilation,
    pub(crate) max_wasm_stack: usize,
    pub(crate) max_backtrace_frames: usize,
    pub(crate) pager: PagerKind,
    pub(crate) displaced_handlers: DisplacedHandlers,
    pub(crate) speculation: bool,
    pub(crate) memory_resident_limit: Option<usize>,
    pub(crate) check_segments_first: bool,
    /// What was chosen; resolved when an engine is made.
    pub(crate) signals_based_traps: Option<bool>,
    pub(crate) gc_heap_limit: Option<usize>,
    pub(crate) gc_stress: bool,
    pub(crate) code_limit: Option<usize>,
    pub(crate) module_code_limit: Option<usize>,
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

impl Config {
    /// The defaults: the features that [`Feature::is_default`] tells, functions compiled when first
    /// called, 1 MiB of stack.
    pub fn new() -> Config {
        Config {
            tunables: Tunables::default(),
            features: seqfault_jit::default_flags(),
            compilation: Compilation::Lazy,
            max_wasm_stack: 1 << 20,
            max_backtrace_frames: 64,
            pager: PagerKind::Auto,
            displaced_handlers: DisplacedHandlers::Reclaim,
            speculation: true,
            memory_resident_limit: None,
            check_segments_first: false,
            signals_based_traps: None,
            gc_heap_limit: None,
            gc_stress: false,
            code_limit: Some(CODE_LIMIT),
            module_code_limit: Some(MODULE_CODE_LIMIT),
        }
    }

    /// Accepts exactly what that version of the specification has.
    pub fn wasm_version(&mut self, version: WasmVersion) -> &mut Config {
        self.features = seqfault_jit::version_flags(version);
        self
    }

    /// Accepts or refuses one feature.
    pub fn wasm_feature(&mut self, feature: Feature, on: bool) -> &mut Config {
        self.features.set(feature.flag(), on);
        self
    }

    /// When functions are compiled. Default: when first called.
    pub fn compilation(&mut self, compilation: Compilation) -> &mut Config {
        self.compilation = compilation;
        self
    }

    /// Lets [`Engine::increment_epoch`](crate::Engine::increment_epoch) interrupt running code, at
    /// the price of a check in every function and loop. Default: off.
    pub fn epoch_interruption(&mut self, on: bool) -> &mut Config {
        self.tunables.epoch_interruption = on;
        self
    }

    /// Bytes of stack that wasm may use before it traps. Default: 1 MiB.
    ///
    /// On a thread whose stack is smaller, the limit is what the thread has, less a reserve of
    /// 128 KiB for the host: with less than that, every call traps. On a stack that the thread has not
    /// come with, such as that of a coroutine, nobody knows how much there is: it must have room for
    /// these bytes and the reserve.
    ///
    /// The entries into one store that are on the same stack share the limit.
    pub fn max_wasm_stack(&mut self, bytes: usize) -> &mut Config {
        self.max_wasm_stack = bytes;
        self
    }

    /// How many frames a backtrace keeps. Default: 64.
    pub fn max_backtrace_frames(&mut self, frames: usize) -> &mut Config {
        self.max_backtrace_frames = frames;
        self
    }

    /// How much the generated code is optimised. Default: [`OptLevel::Speed`].
    pub fn cranelift_opt_level(&mut self, level: OptLevel) -> &mut Config {
        self.tunables.opt_level = level;
        self
    }

    /// Compiles every function plainly: not optimised, registers allocated in one pass, locals in the
    /// frame. Default: off, only functions that it would otherwise take too long for.
    ///
    /// It is there to test that way of compiling on ordinary functions.
    pub fn compile_plainly(&mut self, on: bool) -> &mut Config {
        self.tunables.plain = on;
        self
    }

    /// Gives every NaN result the same bits, for reproducible runs. Default: off.
    pub fn cranelift_nan_canonicalization(&mut self, on: bool) -> &mut Config {
        self.tunables.nan_canonicalization = on;
        self
    }

    /// Gives relaxed vector operators the same results on every machine, as the specification's
    /// deterministic profile has them, and not what the processor does fastest. Default: off.
    pub fn relaxed_simd_deterministic(&mut self, on: bool) -> &mut Config {
        self.tunables.relaxed_simd_deterministic = on;
        self
    }

    /// Whether the generated code uses all instructions that the processor of this machine has, and not
    /// only those that every processor of the architecture has. Results are the same, except for those of
    /// relaxed vector operators. Default: on.
    pub fn native_cpu(&mut self, on: bool) -> &mut Config {
        self.tunables.native_cpu = on;
        self
    }

    /// Checks the generated intermediate code. Default: on in debug builds.
    pub fn cranelift_verifier(&mut self, on: bool) -> &mut Config {
        self.tunables.verifier = on;
        self
    }

    /// The most bytes of each store's heap that objects may take up; what does not fit traps with
    /// [`TrapCode::GcHeapOutOfMemory`](crate::TrapCode::GcHeapOutOfMemory). Default: nearly 2 GiB,
    /// which is also the most.
    ///
    /// A collection copies, so that for a moment twice as much may be resident.
    pub fn gc_heap_limit(&mut self, bytes: Option<usize>) -> &mut Config {
        self.gc_heap_limit = bytes;
        self
    }

    /// Collects at every allocation, to test how a host holds its references. What a collection has left is
    /// overwritten, and references that lead there are panics or traps. Default: off.
    pub fn gc_stress(&mut self, on: bool) -> &mut Config {
        self.gc_stress = on;
        self
    }

    /// The most bytes of machine code, in whole pages, that all modules of the engine may have at one time.
    /// To go beyond is a [`CompileError::CodeSpace`](crate::CompileError::CodeSpace), also in a call of a
    /// function that would be compiled then. Default: 1 GiB. `None`: as much as there is.
    ///
    /// The code of all engines of a process shares 2 GiB of addresses. That of a module is given back
    /// with the last clone and instance of it.
    pub fn code_limit(&mut self, bytes: Option<usize>) -> &mut Config {
        self.code_limit = bytes;
        self
    }

    /// The same for each module. Default: 512 MiB.
    pub fn module_code_limit(&mut self, bytes: Option<usize>) -> &mut Config {
        self.module_code_limit = bytes;
        self
    }

    /// How pages of linear memories and of heaps are made present. Default: [`PagerKind::Auto`], the
    /// best that the system allows.
    pub fn pager(&mut self, pager: PagerKind) -> &mut Config {
        self.pager = pager;
        self
    }

    /// What to do when another part of the process has installed a handler for SIGSEGV, SIGBUS, SIGILL
    /// or SIGFPE after the first engine was made, in the place of the runtime's. Default:
    /// [`DisplacedHandlers::Reclaim`].
    ///
    /// The runtime looks when a module is instantiated and a memory is made, and when a fault has
    /// reached it through another handler; [`Engine::check_signals`](crate::Engine::check_signals)
    /// looks at once.
    pub fn displaced_handlers(&mut self, displaced: DisplacedHandlers) -> &mut Config {
        self.displaced_handlers = displaced;
        self
    }

    /// Whether traps and first touches of memory rest on signals, for which the engine installs handlers. Default: they
    /// do, except under valgrind, and faster code is the result.
    ///
    /// Without, the engine installs no handler, and neither its code nor its memories ever raise SIGSEGV, SIGBUS,
    /// SIGILL or SIGFPE: each access to memory is compared with the length, each division with zero, and so on, by
    /// branches of the compiled code, and memories are paged by the kernel alone ([`PagerKind::Demand`]). This is for
    /// hosts that can have no handlers, or whose own ones cannot be shared. It costs 1.4 to 1.5 times the time in loops
    /// that do little but access memory, nothing measurable in divisions and calls, and larger code. A process that runs
    /// out of memory is killed by the kernel, where otherwise the guest traps. Very large functions, which the checks make larger still, may no longer be optimised and
    /// then need several times the stack: the interpreter loop of CPython wants [`max_wasm_stack`](Self::max_wasm_stack) of
    /// 4 MiB.
    ///
    /// [`Engine::new`](crate::Engine::new) refuses what cannot be had without: a pager other than `Auto` and `Demand`,
    /// and [`memory_resident_limit`](Self::memory_resident_limit).
    ///
    /// Under valgrind, which with its default settings (`--vex-iropt-register-updates`) loses stores that a handler lets
    /// run again and so computes wrong results, the default is to do without; where the configuration asks for such a
    /// pager or limit, or for signals, the user must call valgrind with
    /// `--vex-iropt-register-updates=allregs-at-mem-access`.
    pub fn signals_based_traps(&mut self, on: bool) -> &mut Config {
        self.signals_based_traps = Some(on);
        self
    }

    /// Whether faults are first tried without a lock. Default: on.
    pub fn speculation(&mut self, on: bool) -> &mut Config {
        self.speculation = on;
        self
    }

    /// Address space for each memory with 64-bit addresses, in bytes: none of them grows beyond,
    /// whatever its maximum. Default: 64 GiB.
    ///
    /// It costs addresses and nothing else; a process has 128 TiB of them on x86-64. It is rounded
    /// up to whole pages of 64 KiB, and 4 TiB at most.
    pub fn memory64_reservation(&mut self, bytes: u64) -> &mut Config {
        self.tunables.memory64_reservation =
            bytes.clamp(1, MEMORY64_LARGEST).next_multiple_of(WASM_PAGE_SIZE as u64);
        self
    }

    /// Looks at all active segments of a module before any of them is written: instantiation that
    /// traps because one does not fit has then changed no memory and no table, as in the first
    /// edition. Default: off, what comes before that segment stays written.
    pub fn check_segments_first(&mut self, on: bool) -> &mut Config {
        self.check_segments_first = on;
        self
    }

    /// The most bytes of each linear memory that may take up memory of the machine; a touch beyond
    /// traps with [`TrapCode::ResidentLimit`](crate::TrapCode::ResidentLimit). Default: none.
    ///
    /// Other than a limit on a memory's size it does not count what is declared and never touched.
    pub fn memory_resident_limit(&mut self, bytes: Option<usize>) -> &mut Config {
        self.memory_resident_limit = bytes;
        self
    }

    /// The configuration with everything decided that the machine has a say in.
    ///
    /// # Errors
    ///
    /// When the choices contradict each other.
    pub(crate) fn resolve(&self) -> Result<Config> {
        let mut config = self.clone();
        let pager = config.pager;
        let faulting = !matches!(pager, PagerKind::Auto | PagerKind::Demand);
        let limited = config.memory_resident_limit.is_some();
        let signals = config
            .signals_based_traps
            .unwrap_or_else(|| faulting || limited || !vm::restarts_are_unsafe());
        if !signals && faulting {
            return Err(Error::msg(format!(
                "the pager {pager:?} needs signals, which `signals_based_traps(false)` rules out: choose \
                 `PagerKind::Demand`, or no pager"
            )));
        }
        if !signals && limited {
            return Err(Error::msg(
                "a limit on resident memory needs signals, which `signals_based_traps(false)` rules out: limit \
                 the sizes of memories instead",
            ));
        }
        if !signals {
            config.pager = PagerKind::Demand;
        }
        config.signals_based_traps = Some(signals);
        config.tunables.signals_based_traps = signals;
        Ok(config)
    }
}
