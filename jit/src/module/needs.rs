//! Finds which features a module needs that are switched off.
//!
//! The parser stops at the first thing that it refuses, so missing features are found by trial.
//! Trying each feature on the whole module would cost one validation per feature. So the module is
//! cut into pieces: the sections, and each body. A piece that is valid with the features found so
//! far needs no trials. A piece that is refused is tried with more features, and adds at least one.
//! So there are at most as many such pieces as features, and the whole costs about one validation.
//!
//! This relies on the fact that more features never make a valid module invalid.

use super::parse::{BodyValidation, ValidationScratch};
use crate::feature::Feature;
use wasmparser::{Parser, ValidPayload, Validator, WasmFeatures};

/// The features that `bytes` needs in addition to `given`, with which it was refused. `None` if no
/// features make it valid.
pub(super) fn missing(bytes: &[u8], given: WasmFeatures) -> Option<Vec<Feature>> {
    search(bytes, given).0
}

/// The same; also returns how many bodies were validated for it.
fn search(bytes: &[u8], given: WasmFeatures) -> (Option<Vec<Feature>>, usize) {
    let off: Vec<Feature> =
        Feature::ALL.iter().copied().filter(|&f| !given.contains(f.flag())).collect();
    let Some(bodies) = sections(bytes, with(given, &off)) else { return (None, 0) };
    let scratch = ValidationScratch::default();
    let mut search = Search { bytes, given, off, bodies, scratch, validated: 0 };
    let missing = search.missing().filter(|missing| !missing.is_empty());
    (missing, search.validated)
}

struct Search<'a> {
    bytes: &'a [u8],
    /// What is on.
    given: WasmFeatures,
    /// What is off.
    off: Vec<Feature>,
    /// The bodies, as the sections with all features on describe them.
    bodies: Vec<BodyValidation>,
    scratch: ValidationScratch,
    validated: usize,
}

/// The sections (`None`), or the body with this number.
type Piece = Option<usize>;

impl Search<'_> {
    /// The missing features, found piece by piece; none if features are not all that is wrong.
    fn missing(&mut self) -> Option<Vec<Feature>> {
        let mut missing = self.needs_of(None, &[])?;
        // The pieces that were refused once.
        let mut refused = vec![None];
        for body in 0..self.bodies.len() {
            if !self.accepts(Some(body), &missing) {
                missing = self.needs_of(Some(body), &missing)?;
                refused.push(Some(body));
            }
        }
        Some(self.least(missing, &refused))
    }

    /// Whether a piece is valid with `more` features.
    fn accepts(&mut self, piece: Piece, more: &[Feature]) -> bool {
        let features = with(self.given, more);
        match piece {
            None => sections(self.bytes, features).is_some(),
            Some(body) => {
                self.validated += 1;
                self.bodies[body].check_with(features, self.bytes, &mut self.scratch).is_ok()
            }
        }
    }

    /// `known`, and the other features that a piece needs; none if no features make it valid.
    fn needs_of(&mut self, piece: Piece, known: &[Feature]) -> Option<Vec<Feature>> {
        let mut needed = self.off.clone();
        if !self.accepts(piece, &needed) {
            return None;
        }
        for feature in self.off.clone() {
            let less = without(&needed, feature);
            if !known.contains(&feature) && self.accepts(piece, &less) {
                needed = less;
            }
        }
        Some(needed)
    }

    /// `missing` without features that are not needed after all: where either of two features would
    /// do, a piece has named one, and a later piece needs the other.
    fn least(&mut self, mut missing: Vec<Feature>, refused: &[Piece]) -> Vec<Feature> {
        for feature in missing.clone() {
            let less = without(&missing, feature);
            // Nearly always one of the pieces that were refused before is refused again, so that
            // the others need not be tried.
            if refused.iter().all(|&piece| self.accepts(piece, &less))
                && (0..self.bodies.len()).all(|body| self.accepts(Some(body), &less))
            {
                missing = less;
            }
        }
        missing
    }
}

/// Validates everything except function bodies, and returns those; none if something is invalid.
fn sections(bytes: &[u8], features: WasmFeatures) -> Option<Vec<BodyValidation>> {
    let mut validator = Validator::new_with_features(features);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut bodies = Vec::new();
    for payload in parser.parse_all(bytes) {
        if let ValidPayload::Func(func, body) = validator.payload(&payload.ok()?).ok()? {
            bodies.push(BodyValidation::new(func, &body));
        }
    }
    Some(bodies)
}

fn with(given: WasmFeatures, more: &[Feature]) -> WasmFeatures {
    more.iter().fold(given, |flags, feature| flags.union(feature.flag()))
}

fn without(features: &[Feature], one: Feature) -> Vec<Feature> {
    features.iter().copied().filter(|&feature| feature != one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::default_flags;

    fn missing_of(text: &str, given: WasmFeatures) -> Vec<Feature> {
        missing(&wat::parse_str(text).expect("it is text"), given).unwrap_or_default()
    }

    #[test]
    fn what_a_module_lacks_is_named_and_nothing_else() {
        let discard = "(module (memory 1) (func (memory.discard (i32.const 0) (i32.const 0))))";
        assert_eq!(missing_of(discard, default_flags()), [Feature::MemoryControl]);
        let small = "(module (memory 1 (pagesize 1))
            (func (param i64) local.get 0 local.get 0 i64.mul_wide_s drop drop))";
        let both = [Feature::WideArithmetic, Feature::CustomPageSizes];
        assert_eq!(missing_of(small, default_flags()), both);
        let without = default_flags().difference(WasmFeatures::SIMD | WasmFeatures::GC);
        assert_eq!(missing_of("(module (func (param v128)))", without), [Feature::Simd]);
        assert!(missing_of("(module (func (result i32)))", default_flags()).is_empty());
        // Valid as it is, or valid with no features at all.
        assert!(missing_of("(module)", default_flags()).is_empty());
        let wrong_too = "(module (func (param v128)) (func (result i32)))";
        assert!(missing_of(wrong_too, WasmFeatures::WASM1).is_empty());
    }

    #[test]
    fn where_either_of_two_features_would_do_only_what_all_pieces_need_is_named() {
        // Either feature allows the types.
        let first = "(type $f (func)) (func (param (ref $f)))";
        let given = WasmFeatures::WASM2;
        for (second, needs) in [
            ("(func (param (ref $f)) (call_ref $f (local.get 0)))", Feature::FunctionReferences),
            ("(func (param i31ref) (drop (i31.get_s (local.get 0))))", Feature::Gc),
        ] {
            let alone = missing_of(&format!("(module (type $f (func)) {second})"), given);
            assert!(alone.contains(&needs), "{alone:?}");
            for text in [format!("{first} {second}"), format!("{second} (func (param (ref $f)))")] {
                let text = text.replacen(second, &format!("(type $g (func)) {second}"), 1);
                let text = match text.contains("(type $f") {
                    true => text,
                    false => format!("(type $f (func)) {text}"),
                };
                assert_eq!(missing_of(&format!("(module {text})"), given), alone, "{text}");
            }
        }
    }

    #[test]
    fn every_feature_is_named_where_it_alone_is_missing() {
        let uses = |feature| match feature {
            Feature::MutableGlobal => "(global (export \"g\") (mut i32) (i32.const 0))",
            Feature::SaturatingFloatToInt => {
                "(func (param f32) (drop (i32.trunc_sat_f32_s (local.get 0))))"
            }
            Feature::SignExtension => "(func (param i32) (drop (i32.extend8_s (local.get 0))))",
            Feature::ReferenceTypes => "(func (param externref))",
            Feature::MultiValue => "(func (result i32 i32) (i32.const 0) (i32.const 0))",
            Feature::BulkMemory => {
                "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))"
            }
            Feature::Simd => "(func (param v128))",
            Feature::RelaxedSimd => {
                "(func (param v128) (result v128)
                    (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))"
            }
            Feature::ExtendedConst => "(global i32 (i32.add (i32.const 1) (i32.const 1)))",
            Feature::MultiMemory => "(memory 1) (memory 1)",
            Feature::Memory64 => "(memory i64 1)",
            Feature::TailCall => "(func $f (return_call $f))",
            Feature::Exceptions => "(tag)",
            // Garbage collection allows the types, too.
            Feature::FunctionReferences => {
                "(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))"
            }
            Feature::Gc => "(type (struct))",
            Feature::Threads => "(memory 1 1 shared)",
            Feature::MemoryControl => {
                "(memory 1) (func (memory.discard (i32.const 0) (i32.const 0)))"
            }
            Feature::WideArithmetic => {
                "(func (param i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 0)))"
            }
            Feature::CustomPageSizes => "(memory 1 (pagesize 1))",
            Feature::CompactImports => "(import \"m\" (item \"a\" (func)) (item \"b\" (func)))",
            Feature::LegacyExceptions => "(func try catch_all end)",
        };
        let all = with(WasmFeatures::MVP, Feature::ALL);
        for &feature in Feature::ALL {
            let module = format!("(module {})", uses(feature));
            let given = all.difference(feature.flag());
            assert_eq!(missing_of(&module, given), [feature], "{module}");
        }
    }

    #[test]
    fn it_costs_about_one_validation_of_the_bodies() {
        const BODIES: usize = 3_000;
        let bodies = (0..BODIES).map(|number| match number % 1000 {
            500 => "(func (param v128))",
            600 => "(func (param i64) (drop (i64.extend8_s (local.get 0))))",
            700 => "(func (param i32) (return_call 700 (local.get 0)))",
            _ => "(func (param i32) (result i32) (local.get 0))",
        });
        let text = format!("(module {})", bodies.collect::<String>());
        let bytes = wat::parse_str(text).expect("it is text");
        let (missing, validated) = search(&bytes, WasmFeatures::WASM1);
        let expected = [Feature::SignExtension, Feature::Simd, Feature::TailCall];
        assert_eq!(missing.as_deref(), Some(&expected[..]));
        let few = 100;
        assert!(validated < BODIES + few, "{validated}");
    }
}
