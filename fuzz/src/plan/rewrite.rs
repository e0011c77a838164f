//! Makes what the generator has made fit for comparison.
//!
//! * Exports get short names, and the fuel that bounds every run is exported as [`FUEL`], so that
//!   the script can fill it up.
//! * `memory.atomic.wait` gets a timeout of 0: nobody is there to notify.
//! * Compact imports are expanded for the peers, which do not know them.

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
        reencode(self, code, body, |operator| match operator {
            Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. } => {
                Phrase::After(&[Instruction::Drop, Instruction::I64Const(0)])
            }
            _ => Phrase::Same,
        })
    }
}

/// How an operator is put.
pub(super) enum Phrase {
    /// As it is.
    Same,
    /// As it is, after these.
    After(&'static [Instruction<'static>]),
    /// In these words.
    Instead([Instruction<'static>; 2]),
}

/// Reencodes a function, with its operators put as `phrase` says.
pub(super) fn reencode(
    reencode: &mut impl Reencode<Error = Infallible>,
    code: &mut CodeSection,
    body: FunctionBody<'_>,
    phrase: impl Fn(&Operator<'_>) -> Phrase,
) -> Result<(), Error<Infallible>> {
    let mut function = reencode.new_function_with_parsed_locals(&body)?;
    let mut reader = body.get_operators_reader()?;
    while !reader.eof() {
        let operator = reader.read()?;
        let phrase = phrase(&operator);
        let words: &[_] = match &phrase {
            Phrase::Same => &[],
            Phrase::After(before) => before,
            Phrase::Instead(words) => words,
        };
        for instruction in words {
            function.instruction(instruction);
        }
        if !matches!(phrase, Phrase::Instead(_)) {
            function.instruction(&reencode.instruction(operator)?);
        }
    }
    code.function(&function);
    Ok(())
}
