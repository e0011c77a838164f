//! [`Feature`]: the proposals of WebAssembly, each of which can be switched on and off.
//!
//! One table, [`TABLE`], has for each feature its name, the parser's flag, and either the version
//! of the specification that it belongs to or whether it is on by default. Everything else (the
//! defaults, the versions, the names on the command line) follows from it.

use crate::message;
use std::fmt;
use std::str::FromStr;
use wasmparser::WasmFeatures;

/// A version of the WebAssembly specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WasmVersion {
    /// The first edition: the minimum viable product and mutable globals.
    V1,
    /// The second: vectors, bulk memory, reference types, multiple values.
    V2,
    /// The third: tail calls, exceptions, garbage collection, 64-bit and several memories.
    V3,
}

/// Where a feature comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Since {
    /// A version of the specification.
    Version(WasmVersion),
    /// A proposal that is not part of a version yet, and whether it is on by default.
    Proposal { default: bool },
}

struct Row {
    feature: Feature,
    name: &'static str,
    flag: WasmFeatures,
    since: Since,
}

macro_rules! features {
    ($($(#[$doc:meta])+ $feature:ident = $name:literal, $flag:ident, $since:expr;)*) => {
        /// What a module may use beyond the minimum viable product.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Feature {
            $($(#[$doc])+ $feature,)*
        }

        impl Feature {
            /// Every feature there is.
            pub const ALL: &[Feature] = &[$(Feature::$feature),*];
        }

        /// In the order of the features' own numbers.
        const TABLE: &[Row] = &[$(Row {
            feature: Feature::$feature,
            name: $name,
            flag: WasmFeatures::$flag,
            since: $since,
        }),*];
    };
}

const V1: Since = Since::Version(WasmVersion::V1);
const V2: Since = Since::Version(WasmVersion::V2);
const V3: Since = Since::Version(WasmVersion::V3);
const ON: Since = Since::Proposal { default: true };
const OFF: Since = Since::Proposal { default: false };

features! {
    /// Imported and exported globals may be mutable.
    MutableGlobal = "mutable-global", MUTABLE_GLOBAL, V1;
    /// Conversions that saturate instead of trapping.
    SaturatingFloatToInt = "saturating-float-to-int", SATURATING_FLOAT_TO_INT, V2;
    /// `i32.extend8_s` and its like.
    SignExtension = "sign-extension", SIGN_EXTENSION, V2;
    /// References as values.
    ReferenceTypes = "reference-types", REFERENCE_TYPES, V2;
    /// Functions and blocks with several results, blocks with parameters.
    MultiValue = "multi-value", MULTI_VALUE, V2;
    /// `memory.copy`, `table.init` and their like.
    BulkMemory = "bulk-memory", BULK_MEMORY, V2;
    /// 128-bit vectors.
    Simd = "simd", SIMD, V2;
    /// Vector operations whose results may depend on the machine.
    RelaxedSimd = "relaxed-simd", RELAXED_SIMD, V3;
    /// Arithmetic in constant expressions.
    ExtendedConst = "extended-const", EXTENDED_CONST, V3;
    /// Several memories in a module.
    MultiMemory = "multi-memory", MULTI_MEMORY, V3;
    /// Memories and tables with 64-bit addresses.
    Memory64 = "memory64", MEMORY64, V3;
    /// Calls that replace their caller.
    TailCall = "tail-call", TAIL_CALL, V3;
    /// Tags, `throw` and `try_table`.
    Exceptions = "exceptions", EXCEPTIONS, V3;
    /// References to functions of one type.
    FunctionReferences = "function-references", FUNCTION_REFERENCES, V3;
    /// Structs and arrays that the engine collects.
    Gc = "gc", GC, V3;
    /// Shared memories and atomic operations.
    Threads = "threads", THREADS, ON;
    /// `memory.discard`.
    MemoryControl = "memory-control", MEMORY_CONTROL, OFF;
    /// 64-bit arithmetic with 128-bit results.
    WideArithmetic = "wide-arithmetic", WIDE_ARITHMETIC, OFF;
    /// Memories with pages of one byte.
    CustomPageSizes = "custom-page-sizes", CUSTOM_PAGE_SIZES, OFF;
    /// Import sections that name each module once.
    CompactImports = "compact-imports", COMPACT_IMPORTS, OFF;
    /// The legacy form of exceptions, with `try` and `catch`, which compilers still emit.
    LegacyExceptions = "legacy-exceptions", LEGACY_EXCEPTIONS, ON;
}

impl Feature {
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The name of the feature, as [`Feature::from_str`] takes it.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether modules may use it unless the engine's configuration says otherwise.
    pub fn is_default(self) -> bool {
        matches!(self.row().since, Since::Version(_) | Since::Proposal { default: true })
    }

    /// The flag of the parser.
    pub fn flag(self) -> WasmFeatures {
        self.row().flag
    }

    fn is_part_of(self, version: WasmVersion) -> bool {
        matches!(self.row().since, Since::Version(since) if since <= version)
    }
}

/// The features that are on by default.
pub fn default_flags() -> WasmFeatures {
    flags_of(Feature::is_default)
}

/// The features of a version.
pub fn version_flags(version: WasmVersion) -> WasmFeatures {
    flags_of(|feature| feature.is_part_of(version))
}

fn flags_of(chosen: impl Fn(Feature) -> bool) -> WasmFeatures {
    let chosen = Feature::ALL.iter().filter(|&&feature| chosen(feature));
    chosen.fold(WasmFeatures::MVP, |flags, feature| flags.union(feature.flag()))
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Feature {
    type Err = UnknownFeature;

    fn from_str(name: &str) -> Result<Feature, UnknownFeature> {
        let known = TABLE.iter().find(|row| row.name == name);
        known.map(|row| row.feature).ok_or_else(|| UnknownFeature(name.to_owned()))
    }
}

/// A name that no [`Feature`] has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFeature(String);

impl fmt::Display for UnknownFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = message::closest(&self.0, Feature::ALL.iter().map(|feature| feature.name()));
        write!(f, "unknown feature `{}`: choose one of {known}", message::Escaped::name(&self.0))
    }
}

impl std::error::Error for UnknownFeature {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_has_its_row_and_its_name_leads_back_to_it() {
        for &feature in Feature::ALL {
            assert_eq!(feature.row().feature, feature);
            assert_eq!(feature.name().parse(), Ok(feature));
        }
        let unknown = "simdd".parse::<Feature>().unwrap_err().to_string();
        assert!(unknown.contains("`simdd`: choose one of `simd`, "), "{unknown}");
    }

    #[test]
    fn versions_are_what_the_parser_takes_them_for() {
        assert_eq!(version_flags(WasmVersion::V1), WasmFeatures::WASM1);
        assert_eq!(version_flags(WasmVersion::V2), WasmFeatures::WASM2);
        // The parser includes threads, which are part of no version.
        let third = version_flags(WasmVersion::V3);
        assert_eq!(third, WasmFeatures::WASM3.difference(WasmFeatures::THREADS));
    }

    #[test]
    fn by_default_there_is_the_third_version_with_threads_and_legacy_exceptions() {
        assert_eq!(default_flags(), WasmFeatures::WASM3.union(WasmFeatures::LEGACY_EXCEPTIONS));
    }
}
