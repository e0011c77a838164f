//! Why a module of a script was refused, and whether that is what the script expects.

use seqfault::{CompileError, Error};
use std::fmt;
use wast::core::ModuleKind;
use wast::{QuoteWat, Wat};

/// Why a module of a script was refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Its text does not parse, or names something that it does not define.
    Text(String),
    /// Its bytes are not a module.
    Malformed(Error),
    /// It breaks a rule of validation.
    Invalid(Error),
    /// Another reason: a limit, or a feature that the engine does not provide.
    Other(Error),
}

/// How a script gives a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As text, quoted or not.
    Text,
    /// As bytes.
    Binary,
}

impl Form {
    /// The form of `source`.
    pub(crate) fn of(source: &QuoteWat<'_>) -> Form {
        match source {
            QuoteWat::Wat(Wat::Module(module)) if matches!(module.kind, ModuleKind::Binary(_)) => {
                Form::Binary
            }
            _ => Form::Text,
        }
    }
}

impl Refusal {
    /// The refusal that the engine's `error` on compiling a module stands for.
    pub(crate) fn from_engine(error: Error) -> Refusal {
        let reason = match error.downcast_ref::<CompileError>() {
            // A script that is written for certain features does not know the others.
            Some(CompileError::MissingFeatures { otherwise, .. }) => Some(&**otherwise),
            reason => reason,
        };
        match reason {
            Some(CompileError::Malformed { .. }) => Refusal::Malformed(error),
            Some(CompileError::Invalid { .. }) => Refusal::Invalid(error),
            _ => Refusal::Other(error),
        }
    }

    /// Whether `assert_malformed` holds with this refusal.
    pub(crate) fn is_malformed(&self) -> bool {
        matches!(self, Refusal::Text(_) | Refusal::Malformed(_))
    }

    /// Whether `assert_invalid` holds with this refusal of a module that the script gives in this
    /// form.
    ///
    /// A module in the text format reaches the engine in the encoding that the text parser has
    /// chosen. For example, an offset that is too large for the memory is invalid in the script,
    /// and does not fit its field in the encoding. It is refused either way, and the kind of the
    /// refusal depends on the encoder.
    pub(crate) fn is_invalid(&self, form: Form) -> bool {
        match self {
            Refusal::Invalid(_) => true,
            Refusal::Malformed(_) => form == Form::Text,
            Refusal::Text(_) | Refusal::Other(_) => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Text(message) => write!(f, "text that does not parse: {message}"),
            Refusal::Malformed(error) | Refusal::Invalid(error) | Refusal::Other(error) => {
                write!(f, "{error}")
            }
        }
    }
}
