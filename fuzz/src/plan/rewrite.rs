//! Makes what the generator has made fit for comparison.
//!
//! * Exports get short names, and the fuel that bounds every run is exported as [`FUEL`], so that
//!   the script can fill it up.
//! * `memory.atomic.wait` gets a timeout of 0: nobody is there to notify.
//! * The peers get what they do not know, or get wrong, in other words.

use std::convert::Infallible;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, ExportKind, ExportSection, ImportSection, Instruction};
use wasmparser::{ExportSectionReader, FunctionBody, ImportSectionReader, Operator, Parser};

/// The name of the export that holds the fuel.
pub(super) const FUEL: &str = "fuel";

/// The module with its exports renamed, its fuel exported, and its waits cut short.
pub(super) fn rewrite(wasm: &[u8], fuel_global: u32) -> Option<Vec<u8>> {
    let mut module = wasm_encoder::Module::new();
    let mut rewriter = Rewriter { fuel_global, exports: 0 };
    rewriter.parse_core_module(&mut module, Parser::new(0), wasm).ok()?;
    Some(module.finish())
}

/// The module with an import section that names the module of each import, as engines without
/// `compact-imports` want it.
pub(super) fn expand_imports(wasm: &[u8]) -> Option<Vec<u8>> {
    struct Expander;

    impl Reencode for Expander {
        type Error = Infallible;

        fn parse_import_section(
            &mut self,
            imports: &mut ImportSection,
            section: ImportSectionReader<'_>,
        ) -> Result<(), Error<Infallible>> {
            for import in section.into_imports() {
                self.parse_import(imports, import?)?;
            }
            Ok(())
        }
    }

    let mut module = wasm_encoder::Module::new();
    Expander.parse_core_module(&mut module, Parser::new(0), wasm).ok()?;
    Some(module.finish())
}

/// `plain`, a module without compact imports, with selects that wasmi 2.0.0 gets right.
///
/// It fuses `select` with an `i32.eqz` before it by leaving the latter away and choosing by what is
/// in the accumulator. That is right where the accumulator holds the operand of `i32.eqz`, but not
/// where the operand is a local. A rotated condition is zero exactly when it was, and not fused.
pub(super) fn part_selects(plain: &[u8]) -> Option<Vec<u8>> {
    struct Parter;

    impl Reencode for Parter {
        type Error = Infallible;

        fn parse_function_body(
            &mut self,
            code: &mut CodeSection,
            body: FunctionBody<'_>,
        ) -> Result<(), Error<Infallible>> {
            insert(self, code, body, |operator| match operator {
                Operator::Select | Operator::TypedSelect { .. } => {
                    &[Instruction::I32Const(1), Instruction::I32Rotl]
                }
                _ => &[],
            })
        }
    }

    let mut module = wasm_encoder::Module::new();
    Parter.parse_core_module(&mut module, Parser::new(0), plain).ok()?;
    Some(module.finish())
}

struct Rewriter {
    fuel_global: u32,
    exports: usize,
}

impl Reencode for Rewriter {
    type Error = Infallible;

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        utils::parse_export_section(self, exports, section)?;
        exports.export(FUEL, ExportKind::Global, self.fuel_global);
        Ok(())
    }

    fn parse_export(
        &mut self,
        exports: &mut ExportSection,
        export: wasmparser::Export<'_>,
    ) -> Result<(), Error<Infallible>> {
        let name = format!("e{}", self.exports);
        self.exports += 1;
        utils::parse_export(self, exports, wasmparser::Export { name: &name, ..export })
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), Error<Infallible>> {
        insert(self, code, body, |operator| match operator {
            Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. } => {
                &[Instruction::Drop, Instruction::I64Const(0)]
            }
            _ => &[],
        })
    }
}

/// Reencodes a function, with what `before` says in front of each operator.
fn insert(
    reencode: &mut impl Reencode<Error = Infallible>,
    code: &mut CodeSection,
    body: FunctionBody<'_>,
    before: fn(&Operator<'_>) -> &'static [Instruction<'static>],
) -> Result<(), Error<Infallible>> {
    let mut function = reencode.new_function_with_parsed_locals(&body)?;
    let mut reader = body.get_operators_reader()?;
    while !reader.eof() {
        let operator = reader.read()?;
        for instruction in before(&operator) {
            function.instruction(instruction);
        }
        function.instruction(&reencode.instruction(operator)?);
    }
    code.function(&function);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `f` of `wasm` returns in wasmi.
    fn run(wasm: &[u8], argument: i32) -> i32 {
        let engine = wasmi::Engine::default();
        let module = wasmi::Module::new(&engine, wasm).expect("it is valid");
        let mut store = wasmi::Store::new(&engine, ());
        let instance = wasmi::Instance::new(&mut store, &module, &[]).expect("it imports nothing");
        let f = instance.get_typed_func::<i32, i32>(&store, "f").expect("it is exported");
        f.call(&mut store, argument).expect("it does not trap")
    }

    #[test]
    fn wasmi_gets_parted_selects_right_and_only_those() {
        let wasm = wat::parse_str(
            r#"(module
                 (func (export "f") (param i32) (result i32)
                   (select (i32.const 1) (local.get 0) (i32.eqz (local.get 0)))))"#,
        );
        let wasm = wasm.expect("it is valid");
        let parted = part_selects(&wasm).expect("it is valid");
        assert_eq!([0, 5, i32::MIN].map(|n| run(&parted, n)), [1, 5, i32::MIN]);
        // It chooses by what is in its accumulator: one of these is wrong, whatever that is.
        assert_ne!([0, 5].map(|n| run(&wasm, n)), [1, 5], "there is no need to part selects");
    }
}
