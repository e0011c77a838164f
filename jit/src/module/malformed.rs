//! Distinguishes malformed modules (which violate the binary format) from invalid ones.
//!
//! The parser has one kind of error for both. The difference matters to users (a damaged file or a
//! wrong program) and to the specification's tests. So after an error the module is read once more
//! without validation: a module that cannot even be read is malformed. Some rules of the format are
//! left to the validator by the parser. They are checked here: unknown sections, opcodes and flags,
//! bodies without their `end`, a missing data count.

use super::needs;
use crate::error::CompileError;
use crate::message::Escaped;
use wasmparser::{
    DataKind, ElementItems, ElementKind, GlobalType, Operator, OperatorsReader, Parser, Payload,
    TypeRef, WasmFeatures,
};

const ILLEGAL_OPCODE: &str = "illegal opcode";

/// The error that stands for `error`, which stopped validation.
pub(super) fn classify(
    bytes: &[u8],
    features: WasmFeatures,
    error: &wasmparser::Error,
) -> CompileError {
    let refusal = refusal(bytes, features, error);
    match needs::missing(bytes, features) {
        None => refusal,
        Some(features) => CompileError::MissingFeatures {
            features,
            message: Escaped::line(error.message()).to_string(),
            offset: error.offset() as usize,
            otherwise: Box::new(refusal),
        },
    }
}

/// The error for readers that do not know the other features.
fn refusal(bytes: &[u8], features: WasmFeatures, error: &wasmparser::Error) -> CompileError {
    let mut syntax = Syntax { features, data_count: false };
    match syntax.read_all(bytes) {
        Err(Violation { message, offset }) => CompileError::Malformed {
            // The validator knows which proposal the opcode belongs to.
            message: match message.as_str() {
                ILLEGAL_OPCODE => format!("{ILLEGAL_OPCODE}: {}", Escaped::line(error.message())),
                _ => message,
            },
            offset: offset as usize,
        },
        Ok(()) => CompileError::Invalid {
            message: Escaped::line(error.message()).to_string(),
            offset: error.offset() as usize,
        },
    }
}

/// A violation of the binary format, and where it is.
struct Violation {
    message: String,
    offset: u64,
}

impl Violation {
    fn at(offset: u64, message: impl Into<String>) -> Violation {
        Violation { message: message.into(), offset }
    }
}

impl From<wasmparser::Error> for Violation {
    fn from(error: wasmparser::Error) -> Violation {
        Violation::at(error.offset(), Escaped::line(error.message()).to_string())
    }
}

/// A pass over the whole module.
struct Syntax {
    features: WasmFeatures,
    /// Whether the data count section was seen.
    data_count: bool,
}

impl Syntax {
    /// Reads every item of every section.
    fn read_all(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let mut parser = Parser::new(0);
        parser.set_features(self.features);
        for payload in parser.parse_all(bytes) {
            self.payload(payload?)?;
        }
        Ok(())
    }

    fn payload(&mut self, payload: Payload<'_>) -> Result<(), Violation> {
        match payload {
            Payload::TypeSection(section) => read_items(section),
            Payload::ImportSection(section) => {
                for import in section.into_imports_with_offsets() {
                    let (offset, import) = import?;
                    if let TypeRef::Global(ty) = import.ty {
                        self.mutability(ty, offset)?;
                    }
                }
                Ok(())
            }
            Payload::FunctionSection(section) => read_items(section),
            Payload::TableSection(section) => read_items(section),
            Payload::MemorySection(section) => read_items(section),
            Payload::TagSection(section) => read_items(section),
            Payload::GlobalSection(section) => {
                for global in section.into_iter_with_offsets() {
                    let (offset, global) = global?;
                    self.mutability(global.ty, offset)?;
                    self.expression(global.init_expr.get_operators_reader())?;
                }
                Ok(())
            }
            Payload::ExportSection(section) => read_items(section),
            Payload::ElementSection(section) => {
                section.into_iter().try_for_each(|element| self.element(element?))
            }
            Payload::DataCountSection { .. } => {
                self.data_count = true;
                Ok(())
            }
            Payload::DataSection(section) => {
                for data in section {
                    if let DataKind::Active { offset_expr, .. } = data?.kind {
                        self.expression(offset_expr.get_operators_reader())?;
                    }
                }
                Ok(())
            }
            Payload::CodeSectionEntry(body) => {
                for local in body.get_locals_reader()? {
                    local?;
                }
                self.expression(body.get_operators_reader()?)
            }
            Payload::UnknownSection { id, range, .. } => {
                Err(Violation::at(range.start, format!("malformed section id: {id}")))
            }
            _ => Ok(()),
        }
    }

    fn element(&self, element: wasmparser::Element<'_>) -> Result<(), Violation> {
        if let ElementKind::Active { offset_expr, .. } = element.kind {
            self.expression(offset_expr.get_operators_reader())?;
        }
        match element.items {
            ElementItems::Functions(items) => read_items(items),
            ElementItems::Expressions(_, items) => {
                items.into_iter().try_for_each(|item| self.expression(item?.get_operators_reader()))
            }
        }
    }

    /// Reads instructions up to the `end` that closes them.
    fn expression(&self, mut operators: OperatorsReader<'_>) -> Result<(), Violation> {
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            if !is_known(&operator, self.features) {
                return Err(Violation::at(offset, ILLEGAL_OPCODE));
            }
            if !self.features.multi_memory() && alignment(&operator).is_some_and(|log2| log2 >= 32)
            {
                return Err(Violation::at(offset, "malformed memop flags"));
            }
            let names_data =
                matches!(operator, Operator::MemoryInit { .. } | Operator::DataDrop { .. });
            if names_data && !self.data_count {
                return Err(Violation::at(offset, "data count section required"));
            }
        }
        Ok(operators.finish()?)
    }

    /// The parser already accepts the flag of a later proposal.
    fn mutability(&self, ty: GlobalType, offset: u64) -> Result<(), Violation> {
        if ty.shared && !self.features.shared_everything_threads() {
            return Err(Violation::at(offset, "malformed mutability"));
        }
        Ok(())
    }
}

fn read_items<'a, T: wasmparser::FromReader<'a>>(
    section: wasmparser::SectionLimited<'a, T>,
) -> Result<(), Violation> {
    section.into_iter().try_for_each(|item| Ok(item.map(drop)?))
}

macro_rules! define_operator_facts {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        /// Whether the opcode exists in a format with these `features`.
        fn is_known(operator: &Operator<'_>, features: WasmFeatures) -> bool {
            match operator {
                $(Operator::$op { .. } => define_operator_facts!(@has features $proposal),)*
                _ => false,
            }
        }

        /// The binary logarithm of the alignment of the instruction, if it has one.
        fn alignment(operator: &Operator<'_>) -> Option<u8> {
            match operator {
                $($(Operator::$op { $($arg),* } => {
                    None$(.or(define_operator_facts!(@align $arg $arg)))*
                })?)*
                _ => None,
            }
        }
    };
    (@has $features:ident mvp) => { true };
    (@has $features:ident $proposal:ident) => { $features.$proposal() };
    // The name is given twice: once to compare, once to refer to the caller's variable.
    (@align memarg $memarg:ident) => { Some($memarg.align) };
    (@align $name:ident $other:ident) => {{
        let _ = $other;
        None
    }};
}

wasmparser::for_each_operator!(define_operator_facts);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::Feature;
    use crate::module::parse;

    const TYPE_AND_FUNCTION: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0";

    /// The error for a module of one function with the `body` (its size, locals and code) and with
    /// the sections `before` it.
    fn refusal(before: &[u8], body: &[u8], features: WasmFeatures) -> CompileError {
        let code = [&[10, body.len() as u8 + 2, 1, body.len() as u8][..], body].concat();
        let bytes = [TYPE_AND_FUNCTION, before, &code].concat();
        let parsed = match parse(&bytes, features) {
            Ok(parsed) => parsed,
            Err(error) => return error,
        };
        let mut scratch = Default::default();
        let bodies = parsed.bodies.iter().map(|body| body.run(&parsed.info, &bytes, &mut scratch));
        bodies.filter_map(Result::err).next().expect("a refusal").into_error(&bytes)
    }

    fn is_malformed(before: &[u8], body: &[u8]) -> bool {
        match refusal(before, body, WasmFeatures::WASM2) {
            CompileError::Malformed { .. } => true,
            CompileError::Invalid { .. } => false,
            CompileError::MissingFeatures { otherwise, .. } => {
                matches!(*otherwise, CompileError::Malformed { .. })
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_violates_the_format_is_malformed() {
        assert!(is_malformed(b"\x0e\0", b"\0\x0b"), "an unknown section");
        assert!(is_malformed(b"\x06\x06\x01\x7f\x02\x41\0\x0b", b"\0\x0b"), "mutability 2");
        assert!(is_malformed(b"", b"\0\x41\0\x1a"), "no end");
        assert!(is_malformed(b"", b"\0\x02\x40\x0b"), "no end behind that of a block");
        assert!(is_malformed(b"", b"\0\xfc\x09\0\x0b"), "data.drop without a data count");
        assert!(
            is_malformed(b"\x05\x03\x01\0\0", b"\0\x41\0\x28\x20\0\x1a\x0b"),
            "alignment 2**32"
        );
        assert!(is_malformed(b"\x06\x07\x01\x7f\0\xd3\x41\0\x0b", b"\0\x0b"), "ref.eq in 2.0");
    }

    #[test]
    fn what_breaks_a_rule_is_invalid() {
        assert!(!is_malformed(b"", b"\0\x41\0\x0b"), "a value too many");
        assert!(!is_malformed(b"", b"\0\x10\x07\x0b"), "an unknown function");
        assert!(
            !is_malformed(b"\x05\x03\x01\0\0", b"\0\x41\0\x28\x1f\0\x1a\x0b"),
            "alignment 2**31"
        );
    }

    #[test]
    fn an_opcode_of_a_later_version_is_illegal_and_the_message_says_of_which() {
        let error = refusal(b"", b"\0\x41\0\xc0\x1a\x0b", WasmFeatures::WASM1);
        assert!(error.to_string().contains("sign extension"), "{error}");
        assert!(!error.to_string().contains("malformed"), "{error}");
        let CompileError::MissingFeatures { features, otherwise, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(features, [Feature::SignExtension]);
        assert!(matches!(*otherwise, CompileError::Malformed { .. }), "{otherwise}");
        assert!(otherwise.to_string().contains("sign extension"), "{otherwise}");
    }
}
