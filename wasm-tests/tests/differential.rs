//! Random modules on seqfault and on an interpreter, which share no code but the parser.
//!
//! The same with a second compiler, and for as long as one likes: `fuzz/README.md`. A seed that
//! fails here may show an error of wasmi's; `seqfault-fuzz --seed N --modules 1` asks the third.

use seqfault_fuzz::campaign::{Campaign, Limit, Peers};
use std::thread;

/// What the interpreter and the generator need when they are not optimised.
const STACK: usize = 64 << 20;

#[test]
fn random_modules_do_the_same_as_in_an_interpreter() {
    let (limit, peers) = (Limit::Modules(300), Peers::Wasmi);
    let campaign = Campaign { first_seed: 1, limit, findings: None, peers };
    let thread = thread::Builder::new().stack_size(STACK).spawn(move || campaign.run());
    let figures = thread.expect("a thread").join().expect("no panic");
    assert!(figures.differences.is_empty(), "{figures}");
    // Nothing is proven by calls that all trap at once.
    assert!(
        figures.calls.returned > figures.calls.trapped && figures.calls.trapped > 0,
        "{figures}"
    );
    assert!(figures.wasmi.steps > 3_000, "{figures}");
}
