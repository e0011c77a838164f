//! Makes what the generator has made fit for comparison.
//!
//! * Exports get short names, and the fuel that bounds every run is exported as [`FUEL`], so that
//!   the script can fill it up.
//! * `memory.atomic.wait` gets a timeout of 0: nobody is there to notify.
//! * The peers get what they do not know, or get wrong, in other words.

use std::convert::Infallible;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{BlockType, CodeSection, ExportKind, ExportSection, ImportSection, Instruction};
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

/// `plain`, a module without compact imports, in words that wasmi 2.0.0 gets right.
///
/// * It fuses `select` with an `i32.eqz` before it by leaving the latter away and choosing by what
///   is in the accumulator, which is wrong where the operand of `i32.eqz` is a local. A rotated
///   condition is zero exactly when it was, and not fused.
/// * A local that lies on the stack under the parameters of an `if` is copied from its variable by
///   the first block inside, and is lost where the `if` is not taken. A block before the `if` has
///   all of them copied.
pub(super) fn suit_wasmi(plain: &[u8]) -> Option<Vec<u8>> {
    struct Rephraser;

    impl Reencode for Rephraser {
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
                Operator::If { .. } => &[Instruction::Block(BlockType::Empty), Instruction::End],
                _ => &[],
            })
        }
    }

    let mut module = wasm_encoder::Module::new();
    Rephraser.parse_core_module(&mut module, Parser::new(0), plain).ok()?;
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

    /// wasmi chooses by what is in its accumulator: for 0 or for 5 that is wrong, whatever it is.
    const SELECT: &str = r#"(module
        (func (export "f") (param i32) (result i32)
          (select (i32.const 1) (local.get 0) (i32.eqz (local.get 0)))))"#;

    /// wasmi returns the same, whatever lies there, for every number that is not negative.
    const IF: &str = r#"(module
        (func (export "f") (param i32) (result i32)
          local.get 0
          i32.const -1
          (i32.lt_s (local.get 0) (i32.const 0))
          if (param i32) (result i32)
            drop
            (loop (result i32) (i32.const 3))
          end
          drop))"#;

    #[test]
    fn wasmi_gets_right_what_is_put_in_other_words_and_nothing_is_so_needlessly() {
        for (text, inputs, right) in [(SELECT, [0, 5], [1, 5]), (IF, [8, 9], [8, 9])] {
            let wasm = wat::parse_str(text).expect("it is valid");
            let rephrased = suit_wasmi(&wasm).expect("it is valid");
            assert_eq!(inputs.map(|input| run(&rephrased, input)), right, "{text}");
            assert_ne!(inputs.map(|input| run(&wasm, input)), right, "no need to rephrase {text}");
        }
    }
}
