//! [`Config`]: the choices for an engine.

use crate::engine::{AddressSpace, Scarcity};
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

/// How linear memories and heaps of objects are used again, by one store after another.
///
/// A memory that is dropped is made what it was before it was used, and waits in its engine for the next memory of the
/// same kind, best of the same module. Pages that guests write again and again stay in memory meanwhile, holding their
/// first contents; no byte of a former guest is left. So making and dropping a
/// memory changes no mapping; where the kernel brings its pages, it is asked once which of them were written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reuse {
    /// Most memories that wait. Each takes up the address space that it reserves, and two or three mappings of the
    /// kernel. Default: 1,024. With 0 nothing is used again. Those that one thread drops fill at most a sixteenth
    /// of it, and are no more than it took lately.
    pub max_idle: usize,
    /// Most bytes that a waiting memory keeps in memory. Default: 1 MiB.
    pub keep_resident: usize,
    /// Most bytes that all waiting memories together keep in memory. They keep that much only if as many were in use at
    /// the same time lately; those that one thread drops keep at most a sixteenth of it. Default: 64 MiB.
    pub max_resident: usize,
}

impl Default for Reuse {
    fn default() -> Reuse {
        Reuse { max_idle: 1024, keep_resident: 1 << 20, max_resident: 64 << 20 }
    }
}

impl Reuse {
    /// Nothing is used again.
    pub fn none() -> Reuse {
        Reuse { max_idle: 0, ..Reuse::default() }
    }
}

/// The most that a 64-bit memory may reserve: 4 TiB. The page states for it alone take 512 MiB of address space.
const MEMORY64_LARGEST: u64 = 4 << 40;

/// Half of the address space that all code of the process shares.
const CODE_LIMIT: usize = 1 << 30;

/// The code of the largest known modules takes a fifth of it.
const MODULE_CODE_LIMIT: usize = 512 << 20;

/// A bound on what all memories and heaps of an engine may hold together. See [`Config::resident_budget`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResidentBudget {
    /// None.
    #[default]
    Unlimited,
    /// What the container of the process (its memory cgroup, version 1 or 2, or one that it is in) allows, less what the
    /// process uses otherwise and a margin. None where there is no such limit, and where no pager is in use that counts
    /// ([`PagerKind::Demand`]).
    Auto,
    /// So many bytes.
    Bytes(usize),
}

/// Choices for an [`Engine`](crate::Engine).
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) tunables: Tunables,
    pub(crate) features: WasmFeatures,
    pub(crate) compilation: Compilation,
    /// What the host has chosen; decided when an engine is made.
    pub(crate) max_wasm_stack: Option<usize>,
    pub(crate) max_backtrace_frames: usize,
    pub(crate) pager: PagerKind,
    pub(crate) displaced_handlers: DisplacedHandlers,
    pub(crate) speculation: bool,
    pub(crate) memory_resident_limit: Option<usize>,
    pub(crate) resident_budget: ResidentBudget,
    pub(crate) memory_huge_pages: bool,
    pub(crate) reuse: Reuse,
    pub(crate) check_segments_first: bool,
    pub(crate) address_space: AddressSpace,
    /// Decided when an engine is made.
    pub(crate) scarcity: Option<Scarcity>,
    /// What the host has chosen; decided when an engine is made.
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
    /// The defaults: the features for which [`Feature::is_default`] is true, functions compiled when they are first
    /// called, 1 MiB of stack.
    pub fn new() -> Config {
        Config {
            tunables: Tunables::default(),
            features: seqfault_jit::default_flags(),
            compilation: Compilation::Lazy,
            max_wasm_stack: None,
            max_backtrace_frames: 64,
            pager: PagerKind::Auto,
            displaced_handlers: DisplacedHandlers::Reclaim,
            speculation: true,
            memory_resident_limit: None,
            resident_budget: ResidentBudget::Unlimited,
            memory_huge_pages: true,
            reuse: Reuse::default(),
            check_segments_first: false,
            address_space: AddressSpace::Auto,
            scarcity: None,
            signals_based_traps: None,
            gc_heap_limit: None,
            gc_stress: false,
            code_limit: Some(CODE_LIMIT),
            module_code_limit: Some(MODULE_CODE_LIMIT),
        }
    }

    /// Accepts exactly the features of that version of the specification.
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

    /// Bytes of stack that wasm may use before it traps. Default: 1 MiB; 4 MiB [without
    /// signals](Self::signals_based_traps), where large functions have large frames.
    ///
    /// On a thread whose stack is smaller, the limit is the thread's stack less a reserve of 128 KiB for the host; on a
    /// thread that has less than the reserve, every call traps. The size of a stack that the thread did not start on,
    /// such as a coroutine's, is not known: it must have room for these bytes and the reserve.
    ///
    /// Entries into one store that are on the same stack share the limit.
    pub fn max_wasm_stack(&mut self, bytes: usize) -> &mut Config {
        self.max_wasm_stack = Some(bytes);
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

    /// Compiles every function in the plain way: not optimised, registers allocated in one pass, locals kept in the
    /// frame. Default: off, so that only functions are compiled in this way which would otherwise take too long.
    ///
    /// It exists to test this way of compiling on ordinary functions.
    pub fn compile_plainly(&mut self, on: bool) -> &mut Config {
        self.tunables.plain = on;
        self
    }

    /// Gives every NaN result the same bits, for reproducible runs. Default: off.
    pub fn cranelift_nan_canonicalization(&mut self, on: bool) -> &mut Config {
        self.tunables.nan_canonicalization = on;
        self
    }

    /// Gives relaxed vector operators the same results on every machine, those of the specification's deterministic
    /// profile, instead of whatever is fastest on the processor. Default: off.
    pub fn relaxed_simd_deterministic(&mut self, on: bool) -> &mut Config {
        self.tunables.relaxed_simd_deterministic = on;
        self
    }

    /// Whether the generated code uses all instructions of this machine's processor, or only those that every processor
    /// of the architecture has. Results are the same, except those of relaxed vector operators. Default: on.
    pub fn native_cpu(&mut self, on: bool) -> &mut Config {
        self.tunables.native_cpu = on;
        self
    }

    /// Checks the generated intermediate code. Default: on in debug builds.
    pub fn cranelift_verifier(&mut self, on: bool) -> &mut Config {
        self.tunables.verifier = on;
        self
    }

    /// Limits the bytes of each store's heap that objects may take. An allocation beyond it traps with
    /// [`TrapCode::GcHeapOutOfMemory`](crate::TrapCode::GcHeapOutOfMemory). Default and maximum: nearly 2 GiB.
    ///
    /// A collection copies objects, so for a moment twice as much may be resident. While it copies, the guest cannot be
    /// interrupted: about 25 ms for each million small objects that are alive, or 3.5 s for the largest heap.
    pub fn gc_heap_limit(&mut self, bytes: Option<usize>) -> &mut Config {
        self.gc_heap_limit = bytes;
        self
    }

    /// Collects at every allocation, to test how a host holds its references. The memory that a collection has left is
    /// overwritten, so that references into it cause panics or traps. Default: off.
    pub fn gc_stress(&mut self, on: bool) -> &mut Config {
        self.gc_stress = on;
        self
    }

    /// Limits the bytes of machine code, in whole pages, that all modules of the engine may have at one time. Beyond
    /// it, compilations fail with [`CompileError::CodeSpace`](crate::CompileError::CodeSpace), also those that happen
    /// in a call. Default: 1 GiB. `None`: no limit.
    ///
    /// The code of all engines of a process shares 2 GiB of addresses. The code of a module is freed with its last
    /// clone and instance.
    pub fn code_limit(&mut self, bytes: Option<usize>) -> &mut Config {
        self.code_limit = bytes;
        self
    }

    /// The same limit for each module. Default: 512 MiB.
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

    /// What to do when another part of the process has installed a handler for SIGSEGV, SIGBUS, SIGILL or SIGFPE over
    /// the runtime's. Default: [`DisplacedHandlers::Reclaim`].
    ///
    /// The runtime checks this when a module is instantiated, when a memory is made, and after a fault has reached it
    /// through another handler; [`Engine::check_signals`](crate::Engine::check_signals) checks at once.
    pub fn displaced_handlers(&mut self, displaced: DisplacedHandlers) -> &mut Config {
        self.displaced_handlers = displaced;
        self
    }

    /// Whether traps and first touches of memory rely on signals, for which the engine installs handlers. Default: yes,
    /// except under valgrind. It makes code faster.
    ///
    /// Without signals, the engine installs no handler, and neither its code nor its memories ever raise SIGSEGV,
    /// SIGBUS, SIGILL or SIGFPE. Compiled code compares each access to memory with the length, each divisor with zero,
    /// and so on, by branches. The kernel alone pages memories ([`PagerKind::Demand`]). This is for hosts that can have
    /// no handlers, or that cannot share their own. Loops that do little but access memory take 1.4 to 1.5 times as
    /// long; divisions and calls are not measurably slower; code is larger. When a process runs out of memory, the
    /// kernel kills it, where otherwise the guest traps. The checks make functions larger. Very large ones may then no
    /// longer be optimised, and need several times the stack: CPython starts with 2.5 MiB of it. So the default of
    /// [`max_wasm_stack`](Self::max_wasm_stack) is larger.
    ///
    /// [`Engine::new`](crate::Engine::new) refuses what is not possible without signals: a pager other than `Auto` and
    /// `Demand`, [`memory_resident_limit`](Self::memory_resident_limit), and a
    /// [`resident_budget`](Self::resident_budget) of so many bytes.
    ///
    /// valgrind's default settings (`--vex-iropt-register-updates`) lose a store that runs again after a handler, so
    /// the guest would compute wrong results. So under valgrind the default is to do without signals. If the
    /// configuration asks for signals, or for such a pager or limit, the user must call valgrind with
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

    /// Address space for each memory with 64-bit addresses, in bytes. No such memory grows beyond it, whatever its
    /// maximum. Default: 64 GiB.
    ///
    /// It costs only addresses, of which a process has 128 TiB on x86-64. It is rounded up to whole pages of 64 KiB,
    /// and is at most 4 TiB.
    pub fn memory64_reservation(&mut self, bytes: u64) -> &mut Config {
        self.tunables.memory64_reservation =
            bytes.clamp(1, MEMORY64_LARGEST).next_multiple_of(WASM_PAGE_SIZE as u64);
        self
    }

    /// How much address space memories and heaps take. Default: [`AddressSpace::Auto`], little where the limits of the
    /// process are low, much elsewhere. Results are the same.
    ///
    /// Where it is [scarce](AddressSpace::Scarce) and no pager and no limit on resident memory is chosen, the kernel alone
    /// pages memories ([`PagerKind::Demand`]). Loops that do little but access memory take 1.4 to 2 times as long.
    pub fn address_space(&mut self, space: AddressSpace) -> &mut Config {
        self.address_space = space;
        self
    }

    /// Checks all active segments of a module before any of them is written. If instantiation traps because one does
    /// not fit, no memory and no table has changed then, as in the first edition. Default: off: segments before that
    /// one stay written.
    pub fn check_segments_first(&mut self, on: bool) -> &mut Config {
        self.check_segments_first = on;
        self
    }

    /// Limits the bytes of each linear memory that may take up memory of the machine. A touch beyond it traps with
    /// [`TrapCode::ResidentLimit`](crate::TrapCode::ResidentLimit). Default: no limit.
    ///
    /// Unlike a limit on a memory's size, it does not count memory that is declared and never touched.
    /// [`PagerKind::Demand`] cannot limit it.
    pub fn memory_resident_limit(&mut self, bytes: Option<usize>) -> &mut Config {
        self.memory_resident_limit = bytes;
        self
    }

    /// Limits the bytes of all linear memories and heaps of the engine together, those that wait to be used again included,
    /// that may take up memory of the machine. A touch beyond it traps with
    /// [`TrapCode::ResidentLimit`](crate::TrapCode::ResidentLimit) in the guest that makes it, and everyone else goes on.
    /// So a guest that eats all that a container allows ends itself, where otherwise the kernel would kill the process.
    /// Accesses by the host are errors there. Default: [`ResidentBudget::Unlimited`].
    ///
    /// Before a guest traps, memories that wait to be used again are emptied. Memory that was left to the kernel, and so counts
    /// as a whole, is looked at, and counts as far as it was touched; see `docs/tuning.md`.
    ///
    /// Code, tables, stacks and whatever else the host has are not limited. [`ResidentBudget::Auto`] leaves a margin for them, and
    /// looks at what the process uses again and again.
    pub fn resident_budget(&mut self, budget: ResidentBudget) -> &mut Config {
        self.resident_budget = budget;
        self
    }

    /// Whether linear memories may get huge pages, as far as the system's setting
    /// (`/sys/kernel/mm/transparent_hugepage/enabled`) allows. Default: yes.
    ///
    /// Where the setting is `madvise`, they are asked for ahead of a sequence of first touches, when it is 2 MiB long and
    /// longer: no more becomes resident than twice what is touched. Where it is `always`, all memories of 2 MiB and more
    /// have them from the first touch on, 2 MiB at a time, as everything else in the process; `false` prevents that, for
    /// hosts with many small instances. With a [`memory_resident_limit`](Self::memory_resident_limit) none are asked
    /// for.
    pub fn memory_huge_pages(&mut self, on: bool) -> &mut Config {
        self.memory_huge_pages = on;
        self
    }

    /// How memories are used again. Default: [`Reuse::default`].
    pub fn reuse(&mut self, reuse: Reuse) -> &mut Config {
        self.reuse = reuse;
        self
    }

    /// The configuration with everything decided that depends on the machine.
    ///
    /// # Errors
    ///
    /// When choices contradict each other.
    pub(crate) fn resolve(&self) -> Result<Config> {
        let mut config = self.clone();
        let pager = config.pager;
        let faulting = !matches!(pager, PagerKind::Auto | PagerKind::Demand);
        let has_budget = matches!(config.resident_budget, ResidentBudget::Bytes(_));
        let limited = config.memory_resident_limit.is_some() || has_budget;
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
        if limited && pager == PagerKind::Demand {
            return Err(Error::msg(
                "the pager Demand cannot limit what is resident: choose another pager, or limit the sizes of memories \
                 instead",
            ));
        }
        if !signals {
            config.pager = PagerKind::Demand;
        }
        config.scarcity = match config.address_space {
            AddressSpace::Auto => Scarcity::now(),
            AddressSpace::Ample => None,
            AddressSpace::Scarce => Some(Scarcity::Asked),
        };
        config.tunables.scarce_addresses = config.scarcity.is_some();
        if config.scarcity.is_some() && pager == PagerKind::Auto && !limited {
            // It needs the fewest mappings.
            config.pager = PagerKind::Demand;
        }
        if config.pager == PagerKind::Demand {
            config.resident_budget = ResidentBudget::Unlimited;
        }
        config.max_wasm_stack.get_or_insert(if signals { 1 << 20 } else { 4 << 20 });
        config.signals_based_traps = Some(signals);
        config.tunables.signals_based_traps = signals;
        Ok(config)
    }
}
