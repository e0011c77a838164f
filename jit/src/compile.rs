//! Compiles one function: from the module's bytes to machine code as plain data.
//!
//! A [`Compiler`] is made once per engine and shared by all threads. Each thread has a [`CompileScratch`], whose memory
//! it reuses from one function to the next.

use crate::ahead;
use crate::code::{CodeKind, HandledCall, handled_calls};
use crate::error::CompileError;
use crate::module::{ModuleInfo, function_body};
use crate::trampoline;
use crate::translate::{self, Effort, FunctionInput};
use crate::trap::TrapCode;
use crate::tunables::{OptLevel, Tunables};
use crate::types::FuncType;
use crate::vm::VMOffsets;
use cranelift_codegen::CodegenError;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{StackSlot, UserFuncName};
use cranelift_codegen::isa::unwind::UnwindInfo;
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use wasmparser::WasmFeatures;

/// Generates code for one target with one set of tunables.
pub struct Compiler {
    isa: OwnedTargetIsa,
    /// For functions that would take too long to optimise.
    plain_isa: OwnedTargetIsa,
    tunables: Tunables,
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").field("tunables", &self.tunables).finish_non_exhaustive()
    }
}

/// Memory that compilations on one thread reuse, one after the other.
pub struct CompileScratch {
    context: cranelift_codegen::Context,
    builder: FunctionBuilderContext,
    /// Bytes of the largest function so far.
    largest: usize,
}

impl CompileScratch {
    /// Whether it is small enough to be kept: the memory that one huge function needed is not.
    pub fn is_worth_keeping(&self) -> bool {
        const LARGE: usize = 256 << 10;
        self.largest < LARGE
    }
}

impl Default for CompileScratch {
    fn default() -> CompileScratch {
        CompileScratch {
            context: cranelift_codegen::Context::new(),
            builder: FunctionBuilderContext::new(),
            largest: 0,
        }
    }
}

impl std::fmt::Debug for CompileScratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CompileScratch")
    }
}

/// The machine code of one function; positions are byte offsets from its start.
#[derive(Clone, Debug)]
pub struct CompiledFunction {
    /// What it is.
    pub kind: CodeKind,
    /// The code; it runs at any address.
    pub code: Vec<u8>,
    /// The instructions that may trap, ascending.
    pub traps: Vec<(u32, TrapCode)>,
    /// From each position on, the byte offset in the module from which the code was compiled, ascending.
    pub addresses: Vec<(u32, Option<u32>)>,
    /// The calls that have exception handlers in the function, ascending.
    pub handled_calls: Vec<HandledCall>,
    /// For each call, by the position that it returns to: the references into the heap that the frame holds then, as
    /// bytes below its frame pointer. Ascending.
    pub stack_maps: Vec<(u32, Vec<u32>)>,
    /// How native tools unwind its frame, if the tunables ask for it.
    pub unwind: Option<UnwindInfo>,
}

/// One module, as the compiler sees it.
#[derive(Clone, Copy, Debug)]
pub struct ModuleSource<'a> {
    /// What the module declares.
    pub info: &'a ModuleInfo,
    /// The layout of its instances' context.
    pub offsets: &'a VMOffsets,
    /// The whole module, in the binary format; its bodies have been validated.
    pub bytes: &'a [u8],
    /// The features it was validated with.
    pub features: WasmFeatures,
}

impl Compiler {
    /// A compiler for the machine that this runs on.
    ///
    /// # Errors
    ///
    /// [`CompileError::Unsupported`] on a machine that Cranelift has no code generator for.
    pub fn new(tunables: Tunables) -> Result<Compiler, CompileError> {
        let optimizing = isa(flags(&tunables), tunables.native_cpu)?;
        let plain = Tunables { opt_level: OptLevel::None, ..tunables.clone() };
        let mut plain = flags(&plain);
        plain.set("regalloc_algorithm", "single_pass").expect("a setting of Cranelift");
        Ok(Compiler { isa: optimizing, plain_isa: isa(plain, tunables.native_cpu)?, tunables })
    }

    /// The tunables that it was made with.
    pub fn tunables(&self) -> &Tunables {
        &self.tunables
    }

    /// Compiles the function with index `func` (imports counted) of a module.
    ///
    /// # Errors
    ///
    /// [`CompileError::Codegen`] when the function is too large for the code generator.
    pub fn compile_function(
        &self,
        scratch: &mut CompileScratch,
        module: ModuleSource<'_>,
        func: u32,
    ) -> Result<CompiledFunction, CompileError> {
        let defined = module.info.defined_function(func).expect("imports are not compiled");
        let range = module.info.bodies[defined].clone();
        let input = FunctionInput {
            module: module.info,
            offsets: module.offsets,
            tunables: &self.tunables,
            isa: &*self.isa,
            func,
            body: function_body(module.bytes, range, module.features),
        };
        scratch.context.clear();
        let function = &mut scratch.context.func;
        let isa = match translate::translate(input, &mut scratch.builder, function)? {
            Effort::Optimized => &self.isa,
            Effort::Plain => &self.plain_isa,
        };
        let compiled = self.finish(&**isa, scratch, Source::Function(func))?;
        let frame = frame_size(scratch);
        if self.tunables.signals_based_traps || frame <= UNCHECKED_FRAME {
            return Ok(compiled);
        }
        self.check_ahead(scratch, func, module.info.func_type(func), frame, compiled)
    }

    /// Puts a check ahead of a function whose frame is larger than may be touched without a check.
    fn check_ahead(
        &self,
        scratch: &mut CompileScratch,
        func: u32,
        ty: &FuncType,
        frame: u32,
        compiled: CompiledFunction,
    ) -> Result<CompiledFunction, CompileError> {
        let failed = |message: String| CompileError::Codegen { func, message };
        scratch.context.clear();
        let context = &mut scratch.context;
        ahead::build(ty, frame, &*self.isa, &mut scratch.builder, &mut context.func);
        context
            .compile(&*self.isa, &mut ControlPlane::default())
            .map_err(|error| failed(describe(&error.inner)))?;
        let ahead = context.compiled_code().expect("just compiled");
        without_traps(ahead).map_err(failed)?;
        let code = ahead.buffer.data().to_vec();
        ahead::join(code, ahead.buffer.relocs(), compiled).map_err(failed)
    }

    /// Compiles the trampoline from the host into functions of type `ty`: an [`EntryTrampoline`].
    ///
    /// [`EntryTrampoline`]: crate::vm::EntryTrampoline
    pub fn compile_entry(
        &self,
        scratch: &mut CompileScratch,
        ty: &FuncType,
    ) -> Result<CompiledFunction, CompileError> {
        scratch.context.clear();
        let func = &mut scratch.context.func;
        let store = trampoline::build_entry(ty, &*self.isa, &mut scratch.builder, func);
        self.finish(&*self.isa, scratch, Source::Entry { store })
    }

    /// Compiles the trampoline from wasm to host functions of type `ty`: it is called like a wasm function, with a
    /// [`VMHostContext`] as its first argument.
    ///
    /// [`VMHostContext`]: crate::vm::VMHostContext
    pub fn compile_exit(
        &self,
        scratch: &mut CompileScratch,
        ty: &FuncType,
    ) -> Result<CompiledFunction, CompileError> {
        scratch.context.clear();
        trampoline::build_exit(ty, &*self.isa, &mut scratch.builder, &mut scratch.context.func);
        self.finish(&*self.isa, scratch, Source::Exit)
    }

    fn finish(
        &self,
        isa: &dyn TargetIsa,
        scratch: &mut CompileScratch,
        source: Source,
    ) -> Result<CompiledFunction, CompileError> {
        let context = &mut scratch.context;
        let func = match source {
            Source::Function(func) => func,
            Source::Entry { .. } | Source::Exit => u32::MAX,
        };
        let failed = |message: String| CompileError::Codegen { func, message };
        debug_assert!(
            func == u32::MAX || context.func.name == UserFuncName::user(0, func),
            "the translator names its function"
        );
        context
            .compile(isa, &mut ControlPlane::default())
            .map_err(|error| failed(describe(&error.inner)))?;
        let compiled = context.compiled_code().expect("just compiled");
        let code = compiled.buffer.data().to_vec();
        scratch.largest = scratch.largest.max(code.len());
        // Code is never patched: it finds everything through its context.
        if let Some(reloc) = compiled.buffer.relocs().first() {
            return Err(failed(format!("the code needs a relocation, {:?}", reloc.target)));
        }
        let unwind = match self.tunables.unwind_info {
            true => compiled.create_unwind_info(isa).map_err(|error| failed(error.to_string()))?,
            false => None,
        };
        Ok(CompiledFunction {
            kind: source.kind(compiled),
            traps: match self.tunables.signals_based_traps {
                true => traps(compiled),
                false => {
                    without_traps(compiled).map_err(failed)?;
                    Vec::new()
                }
            },
            addresses: addresses(compiled),
            handled_calls: handled_calls(compiled),
            stack_maps: stack_maps(compiled),
            code,
            unwind,
        })
    }
}

/// The source of a piece of CLIF.
#[derive(Clone, Copy)]
enum Source {
    Function(u32),
    /// An entry trampoline, and the stack slot that holds its store.
    Entry {
        store: StackSlot,
    },
    Exit,
}

impl Source {
    fn kind(self, compiled: &cranelift_codegen::CompiledCode) -> CodeKind {
        match self {
            Source::Function(func) => CodeKind::Function(func),
            Source::Entry { store } => {
                let frame = compiled.buffer.frame_layout().expect("every function has a frame");
                // Slots are counted from the bottom of the frame.
                let store_below_fp = frame.frame_to_fp_offset - frame.stackslots[store].offset;
                CodeKind::Entry { store_below_fp }
            }
            Source::Exit => CodeKind::Exit,
        }
    }
}

/// The message of Cranelift's error; for its verifier, every complaint.
fn describe(error: &CodegenError) -> String {
    match error {
        CodegenError::Verifier(errors) => errors.to_string(),
        other => other.to_string(),
    }
}

fn traps(compiled: &cranelift_codegen::CompiledCode) -> Vec<(u32, TrapCode)> {
    let sites = compiled.buffer.traps().iter();
    sites
        .map(|trap| {
            let code = TrapCode::from_clif(trap.code).expect("only our codes are ever emitted");
            (trap.offset, code)
        })
        .collect()
}

/// Bytes of a frame that a function may touch before it has compared the stack pointer with the limit. The runtime
/// keeps more than this below every limit.
const UNCHECKED_FRAME: u32 = 64 << 10;

/// Checks that no instruction may raise a signal.
fn without_traps(compiled: &cranelift_codegen::CompiledCode) -> Result<(), String> {
    for (offset, code) in traps(compiled) {
        // Cranelift marks every division as one that may trap; the translator has checked their operands.
        if !matches!(code, TrapCode::IntegerDivisionByZero | TrapCode::IntegerOverflow) {
            return Err(format!("the instruction at {offset:#x} would raise a signal ({code})"));
        }
    }
    Ok(())
}

/// Bytes of the frame of the function that was just compiled.
fn frame_size(scratch: &CompileScratch) -> u32 {
    let layout = scratch.context.compiled_code().and_then(|code| code.buffer.frame_layout());
    layout.expect("every function has a frame").frame_to_fp_offset
}

fn stack_maps(compiled: &cranelift_codegen::CompiledCode) -> Vec<(u32, Vec<u32>)> {
    let maps = compiled.buffer.user_stack_maps().iter();
    let mut maps: Vec<_> = maps
        .map(|(site, frame_size, map)| {
            // Entries count from the stack pointer, which is `frame_size` below the frame pointer.
            (*site, map.entries().map(|(_, offset)| frame_size - offset).collect())
        })
        .collect();
    maps.sort_by_key(|map: &(u32, Vec<u32>)| map.0);
    maps
}

/// One entry for each change of the source position; gaps have none.
fn addresses(compiled: &cranelift_codegen::CompiledCode) -> Vec<(u32, Option<u32>)> {
    let mut addresses: Vec<(u32, Option<u32>)> = Vec::new();
    let mut push = |offset: u32, address: Option<u32>| match addresses.last_mut() {
        Some(last) if last.0 == offset => last.1 = address,
        Some(last) if last.1 == address => {}
        _ => addresses.push((offset, address)),
    };
    let mut end = 0;
    for range in compiled.buffer.get_srclocs_sorted() {
        if range.start != end {
            push(end, None);
        }
        push(range.start, (!range.loc.is_default()).then(|| range.loc.bits()));
        end = range.end;
    }
    push(end, None);
    addresses
}

/// Cranelift's code generator for this machine, with these settings; `native` as in [`Tunables::native_cpu`].
fn isa(flags: settings::Builder, native: bool) -> Result<OwnedTargetIsa, CompileError> {
    let unsupported =
        |error: &dyn std::fmt::Display| CompileError::Unsupported(format!("this machine: {error}"));
    cranelift_native::builder_with_options(native)
        .map_err(|error| unsupported(&error))?
        .finish(settings::Flags::new(flags))
        .map_err(|error| unsupported(&error))
}

/// Cranelift's settings for `tunables`.
fn flags(tunables: &Tunables) -> settings::Builder {
    let mut flags = settings::builder();
    let mut set = |name: &str, value: &str| {
        flags.set(name, value).expect("a setting of this version of Cranelift");
    };
    let on_off = |on: bool| if on { "true" } else { "false" };
    set(
        "opt_level",
        match tunables.opt_level {
            OptLevel::None => "none",
            OptLevel::Speed => "speed",
            OptLevel::SpeedAndSize => "speed_and_size",
        },
    );
    set("enable_verifier", on_off(tunables.verifier));
    set("enable_nan_canonicalization", on_off(tunables.nan_canonicalization));
    set("unwind_info", on_off(tunables.unwind_info));
    // Backtraces and unwinding follow frame pointers.
    set("preserve_frame_pointers", "true");
    // Functions may have more results than there are registers.
    set("enable_multi_ret_implicit_sret", "true");
    // A frame larger than a guard page must not step over it.
    set("enable_probestack", "true");
    set("probestack_strategy", "inline");
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::{ValidationScratch, parse};

    const WAT: &str = r#"(module (memory 1)
        (func $callee (param i32) (result i32) (i32.load offset=8 (local.get 0)))
        (func (param i32 i32) (result i32)
          (i32.div_s (call $callee (local.get 0)) (local.get 1))))"#;

    fn compile(tunables: Tunables, func: u32) -> (CompiledFunction, ModuleInfo, Vec<u8>) {
        let bytes = wat::parse_str(WAT).unwrap();
        let parsed = parse(&bytes, WasmFeatures::WASM2).unwrap();
        for body in parsed.bodies {
            body.run(&parsed.info, &bytes, &mut ValidationScratch::default()).unwrap();
        }
        let info = parsed.info;
        let offsets = VMOffsets::new(&info);
        let features = WasmFeatures::WASM2;
        let source = ModuleSource { info: &info, offsets: &offsets, bytes: &bytes, features };
        let compiler = Compiler::new(tunables).unwrap();
        let mut scratch = CompileScratch::default();
        let compiled = compiler.compile_function(&mut scratch, source, func).unwrap();
        (compiled, info, bytes)
    }

    #[test]
    fn traps_are_sorted_and_say_why() {
        let (load, ..) = compile(Tunables::default(), 0);
        assert!(load.traps.iter().any(|&(_, code)| code == TrapCode::MemoryOutOfBounds));
        let (divide, ..) = compile(Tunables::default(), 1);
        let codes: Vec<_> = divide.traps.iter().map(|&(_, code)| code).collect();
        assert!(codes.contains(&TrapCode::IntegerDivisionByZero), "{codes:?}");
        assert!(codes.contains(&TrapCode::StackOverflow), "{codes:?}");
        assert!(divide.traps.is_sorted_by_key(|trap| trap.0));
        assert!(divide.traps.iter().all(|trap| (trap.0 as usize) < divide.code.len()));
    }

    #[test]
    fn addresses_lie_in_the_function_and_cover_its_traps() {
        let (compiled, info, bytes) = compile(Tunables::default(), 0);
        let body = info.bodies[0].clone();
        assert!(compiled.addresses.is_sorted_by_key(|address| address.0));
        for &(site, _) in compiled.traps.iter().filter(|t| t.1 == TrapCode::MemoryOutOfBounds) {
            let after = compiled.addresses.partition_point(|address| address.0 <= site);
            let offset = compiled.addresses[after - 1].1.expect("a load has an address") as usize;
            assert!(body.contains(&offset), "{offset:#x} in {body:x?}");
            assert_eq!(bytes[offset], 0x28, "the opcode of i32.load");
        }
    }

    #[test]
    fn unwind_data_comes_when_asked_for() {
        let with = Tunables { unwind_info: true, ..Tunables::default() };
        let (compiled, ..) = compile(with, 1);
        assert!(matches!(compiled.unwind, Some(UnwindInfo::SystemV(_))));
        assert!(compile(Tunables::default(), 1).0.unwind.is_none());
    }
}
