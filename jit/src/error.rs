//! Why a module cannot be compiled.

use crate::feature::Feature;
use crate::message::dozen;
use thiserror::Error;

/// Why a module cannot be compiled.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The bytes are not a module: the binary format is violated.
    #[error("malformed module: {message} (at offset {offset:#x})")]
    Malformed {
        /// What is wrong.
        message: String,
        /// Byte offset in the module.
        offset: usize,
    },
    /// The module breaks a rule of validation.
    #[error("invalid module: {message} (at offset {offset:#x})")]
    Invalid {
        /// What is wrong.
        message: String,
        /// Byte offset in the module.
        offset: usize,
    },
    /// The module is valid, but only with features that are switched off.
    #[error("the module needs {}, off here: {message} (at offset {offset:#x})", dozen(.features))]
    MissingFeatures {
        /// The features that it needs in addition to those that are on, and no others.
        features: Vec<Feature>,
        /// The parser's first refusal.
        message: String,
        /// Byte offset in the module.
        offset: usize,
        /// The error for readers that do not know the other features: malformed, or invalid.
        otherwise: Box<CompileError>,
    },
    /// The module is valid but uses something that this engine does not provide.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// One function is too large or complex for the code generator.
    #[error("cannot compile function {func}: {message}")]
    Codegen {
        /// Its index in the module.
        func: u32,
        /// What the code generator said.
        message: String,
    },
    /// The host interrupted the compilation before all functions were compiled.
    #[error("the compilation was interrupted")]
    Interrupted,
    /// No address space or memory is left for machine code.
    #[error("no room for {bytes} bytes of machine code: {message}")]
    CodeSpace {
        /// How many bytes were asked for.
        bytes: usize,
        /// The reason.
        message: String,
    },
}
