//! Tests of the translator: everything that it makes goes through Cranelift's verifier.

mod golden;
mod operators;
mod optimized;
mod shapes;
mod signals;

use super::{FunctionInput, Result};
use crate::module::{ModuleInfo, ValidationScratch, function_body, parse};
use crate::tunables::Tunables;
use crate::vm::VMOffsets;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use std::sync::Arc;
use wasmparser::WasmFeatures;

const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::MEMORY64)
    .union(WasmFeatures::THREADS)
    .union(WasmFeatures::MEMORY_CONTROL)
    .union(WasmFeatures::CUSTOM_PAGE_SIZES)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::WIDE_ARITHMETIC)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXCEPTIONS)
    .union(WasmFeatures::FUNCTION_REFERENCES)
    .union(WasmFeatures::GC);

/// A validated module, with what is needed to translate its functions.
struct TestModule {
    bytes: Vec<u8>,
    info: ModuleInfo,
    offsets: VMOffsets,
    isa: Arc<dyn TargetIsa>,
    builder: FunctionBuilderContext,
}

impl TestModule {
    fn new(text: &str) -> TestModule {
        TestModule::try_new(text).unwrap()
    }

    fn try_new(text: &str) -> Result<TestModule> {
        let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
        let parsed = parse(&bytes, FEATURES).unwrap();
        let mut scratch = ValidationScratch::default();
        for body in parsed.bodies {
            let checked = body.run(&parsed.info, &bytes, &mut scratch);
            checked.map_err(|invalid| invalid.into_error(&bytes))?;
        }
        let offsets = VMOffsets::new(&parsed.info);
        let builder = FunctionBuilderContext::new();
        Ok(TestModule { bytes, info: parsed.info, offsets, isa: isa(), builder })
    }

    /// The indices of the functions that have bodies.
    fn funcs(&self) -> std::ops::Range<u32> {
        self.info.num_imported_functions as u32..self.info.functions.len() as u32
    }

    fn body(&self, func: u32) -> wasmparser::FunctionBody<'_> {
        let defined = self.info.defined_function(func).unwrap();
        function_body(&self.bytes, self.info.bodies[defined].clone(), FEATURES)
    }

    fn try_translate(&mut self, func: u32, tunables: &Tunables) -> Result<Function> {
        let mut builder = std::mem::take(&mut self.builder);
        let input = FunctionInput {
            module: &self.info,
            offsets: &self.offsets,
            tunables,
            isa: &*self.isa,
            func,
            body: self.body(func),
        };
        let mut function = Function::new();
        let result = super::translate(input, &mut builder, &mut function);
        self.builder = builder;
        result.map(|_| function)
    }

    /// Translates and verifies one function.
    fn translate(&mut self, func: u32, tunables: &Tunables) -> Function {
        let function = self.try_translate(func, tunables).unwrap();
        cranelift_codegen::verify_function(&function, &*self.isa)
            .unwrap_or_else(|errors| panic!("{errors}\n{}", function.display()));
        function
    }
}

fn isa() -> Arc<dyn TargetIsa> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed").unwrap();
    flags.set("enable_multi_ret_implicit_sret", "true").unwrap();
    cranelift_native::builder().unwrap().finish(settings::Flags::new(flags)).unwrap()
}
