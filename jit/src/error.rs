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
    /// The module is valid, but with features that are switched off.
    #[error("the module needs {}, off here: {message} (at offset {offset:#x})", dozen(.features))]
    MissingFeatures {
        /// What it needs beside the features that are on, and nothing else.
        features: Vec<Feature>,
        /// What was refused first.
        message: String,
        /// Byte offset in the module.
        offset: usize,
        /// What the module is for those who know no other features: malformed, or invalid.
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
    /// The host has given up before all was compiled.
    #[error("the compilation was interrupted")]
    Interrupted,
    /// No address space or memory is left for machine code.
    #[error("no room for {bytes} bytes of machine code: {message}")]
    CodeSpace {
        /// How much was asked for.
        bytes: usize,
        /// What stands in the way.
        message: String,
    },
}
