//! `-W`: which features of WebAssembly modules may use.

use clap::builder::{StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};
use seqfault::Feature;
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

/// Reads a [`FeatureSwitch`]; the word `help` lists all features instead.
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
            // Works like `--help`: wherever it is, and whatever else is missing. It is not returned
            // as an error, because clap would print it as one. A closed pipe must not cause a
            // panic.
            let _ = std::io::stdout().write_all(list().as_bytes());
            std::process::exit(0);
        }
        let parser = StringValueParser::new().try_map(|text| text.parse::<FeatureSwitch>());
        parser.parse_ref(command, arg, value)
    }
}

/// The features and their defaults, one per line.
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
    fn the_list_has_a_line_for_each() {
        let list = list();
        for feature in Feature::ALL {
            assert!(list.contains(&format!("-W {feature}=")), "{list}");
        }
    }
}
