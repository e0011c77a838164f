//! A short run with seeds that are always the same.

use seqfault_fuzz::Plan;
use seqfault_fuzz::campaign::{Campaign, Limit, Peers};

#[test]
fn a_thousand_modules_do_the_same_on_all_engines() {
    let (limit, peers) = (Limit::Modules(1_000), Peers::All);
    let figures = Campaign { first_seed: 0, limit, findings: None, peers }.run();
    println!("{figures}");
    assert!(figures.differences.is_empty(), "{figures}");
    // Nothing is proven by calls that all trap at once, nor by peers that never take part.
    assert!(
        figures.calls.returned > figures.calls.trapped && figures.calls.trapped > 0,
        "{figures}"
    );
    assert!(figures.wasmtime.modules > 900 && figures.wasmi.modules > 100, "{figures}");
    assert!(figures.instantiations.returned > 900, "{figures}");
    assert!(figures.plans > figures.seeds / 10 * 9, "{figures}");
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..20 {
        let [once, again] = [(), ()].map(|()| format!("{:?}", Plan::from_seed(seed)));
        assert_eq!(once, again);
    }
}
