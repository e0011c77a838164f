//! `-W`: which features of WebAssembly modules may use.

use clap::builder::{StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};
use seqfault::{Compilation, Config, Engine, Feature, Module};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::str::FromStr;

/// One feature, switched on or off: `NAME`, `NAME=y` or `NAME=n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeatureSwitch {
    /// Which one.
    pub(crate) feature: Feature,
    /// Whether modules may use it.
    pub(crate) on: bool,
}

impl FromStr for FeatureSwitch {
    type Err = String;

    fn from_str(text: &str) -> Result<FeatureSwitch, String> {
        let (name, value) = text.split_once('=').unwrap_or((text, "y"));
        let feature = name.parse::<Feature>().map_err(|unknown| unknown.to_string())?;
        let on = match value {
            "y" | "yes" => true,
            "n" | "no" => false,
            _ => return Err(format!("`{value}` is neither y nor n: write {name}=y or {name}=n")),
        };
        Ok(FeatureSwitch { feature, on })
    }
}

/// Reads a [`FeatureSwitch`]; the word `help` lists all features instead, as `--help` does options.
#[derive(Clone)]
pub(crate) struct FeatureSwitchParser;

impl TypedValueParser for FeatureSwitchParser {
    type Value = FeatureSwitch;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<FeatureSwitch, Error> {
        if value == "help" {
            // Like `--help`, wherever it stands, and whatever else is missing. An error of clap's
            // would call itself one. A closed pipe is no reason to panic.
            let _ = std::io::stdout().write_all(list().as_bytes());
            std::process::exit(0);
        }
        let parser = StringValueParser::new().try_map(|text| text.parse::<FeatureSwitch>());
        parser.parse_ref(command, arg, value)
    }
}

/// The names of the features that a module needs beside those of `config`, which has refused it; none
/// when that was for another reason.
pub(crate) fn missing(config: &Config, module: &[u8]) -> Vec<&'static str> {
    let is_accepted_with = |features: &[Feature]| {
        let mut config = config.clone();
        // Checked, and not compiled over and over.
        config.compilation(Compilation::Lazy);
        for &feature in features {
            config.wasm_feature(feature, true);
        }
        Engine::new(&config).and_then(|engine| Module::new(&engine, module)).is_ok()
    };
    let mut needed = Feature::ALL.to_vec();
    if !is_accepted_with(&needed) {
        return Vec::new();
    }
    for &feature in Feature::ALL {
        let others: Vec<_> = needed.iter().copied().filter(|&other| other != feature).collect();
        if is_accepted_with(&others) {
            needed = others;
        }
    }
    needed.into_iter().map(Feature::name).collect()
}

/// The features and their defaults, one a line.
fn list() -> String {
    let mut list = String::from("Features of WebAssembly, and whether they are on by default:\n");
    for &feature in Feature::ALL {
        let default = if feature.is_default() { "y" } else { "n" };
        // Writing to a string cannot fail.
        let _ = writeln!(list, "  -W {feature}={default}");
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_switched_on_unless_it_says_off() {
        let switch = |text: &str| text.parse::<FeatureSwitch>().map(|s| (s.feature, s.on));
        assert_eq!(switch("simd"), Ok((Feature::Simd, true)));
        assert_eq!(switch("simd=y"), Ok((Feature::Simd, true)));
        assert_eq!(switch("multi-memory=n"), Ok((Feature::MultiMemory, false)));
        assert!(switch("simd=2").unwrap_err().contains("simd=n"));
        assert!(switch("sind").unwrap_err().contains("simd"));
    }

    #[test]
    fn what_a_module_lacks_is_named_and_nothing_else() {
        let config = Config::new();
        let discard = "(module (memory 1) (func (memory.discard (i32.const 0) (i32.const 0))))";
        assert_eq!(missing(&config, discard.as_bytes()), ["memory-control"]);
        let small = b"(module (memory 1 (pagesize 1)) (func (param i64) local.get 0 local.get 0 i64.mul_wide_s drop drop))";
        assert_eq!(missing(&config, small), ["wide-arithmetic", "custom-page-sizes"]);
        let mut without = Config::new();
        without.wasm_feature(Feature::Simd, false).wasm_feature(Feature::Gc, false);
        assert_eq!(missing(&without, b"(module (func (param v128)))"), ["simd"]);
        assert!(missing(&config, b"(module (func (result i32)))").is_empty());
        assert!(missing(&config, b"(modul)").is_empty());
    }

    #[test]
    fn each_feature_can_be_switched_off_and_is_then_named() {
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
            // The types alone come with the garbage collection, too.
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
            other => panic!("a module that needs {other}"),
        };
        for &feature in Feature::ALL {
            let mut config = Config::new();
            for &other in Feature::ALL {
                config.wasm_feature(other, other != feature);
            }
            let module = format!("(module {})", uses(feature));
            assert_eq!(missing(&config, module.as_bytes()), [feature.name()], "{module}");
        }
    }

    #[test]
    fn the_list_has_a_line_for_each() {
        let list = list();
        for feature in Feature::ALL {
            assert!(list.contains(&format!("-W {feature}=")), "{list}");
        }
    }
}
