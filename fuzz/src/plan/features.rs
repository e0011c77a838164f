//! Which features there are to draw from, and how each engine and the generator are told.
//!
//! A feature takes part as soon as seqfault provides it: [`TABLE`] is the only place to change.

use rand::Rng;
use rand::rngs::StdRng;
use seqfault::Feature;

/// A feature, and who knows it.
#[derive(Debug)]
pub struct FeatureRow {
    /// The feature, as seqfault calls it.
    pub feature: Feature,
    /// Features without which it makes no sense.
    needs: &'static [Feature],
    /// How likely it is on.
    chance: f64,
    /// Whether wasmi has it, or does not see it.
    wasmi: bool,
    /// Tells the generator.
    smith: fn(&mut wasm_smith::Config, bool),
}

/// Every feature that modules are generated with.
///
/// Not here: `mutable-global`, which the generator always uses, and what it does not know,
/// `memory-control` and `legacy-exceptions`.
pub const TABLE: &[FeatureRow] = &[
    row(Feature::SaturatingFloatToInt, &[], 0.8, true, |c, on| {
        c.saturating_float_to_int_enabled = on
    }),
    row(Feature::SignExtension, &[], 0.8, true, |c, on| c.sign_extension_ops_enabled = on),
    row(Feature::BulkMemory, &[], 0.8, true, |c, on| c.bulk_memory_enabled = on),
    row(Feature::ReferenceTypes, &[Feature::BulkMemory], 0.8, true, |c, on| {
        c.reference_types_enabled = on;
    }),
    row(Feature::MultiValue, &[], 0.8, true, |c, on| c.multi_value_enabled = on),
    row(Feature::Simd, &[], 0.5, true, |c, on| c.simd_enabled = on),
    row(Feature::RelaxedSimd, &[Feature::Simd], 0.3, true, |c, on| c.relaxed_simd_enabled = on),
    row(Feature::ExtendedConst, &[], 0.5, true, |c, on| c.extended_const_enabled = on),
    row(Feature::MultiMemory, &[], 0.5, true, |c, on| c.max_memories = if on { 4 } else { 1 }),
    row(Feature::Memory64, &[], 0.5, true, |c, on| c.memory64_enabled = on),
    row(Feature::TailCall, &[], 0.5, true, |c, on| c.tail_call_enabled = on),
    row(Feature::Exceptions, &[Feature::ReferenceTypes], 0.4, false, |c, on| {
        c.exceptions_enabled = on;
    }),
    row(Feature::FunctionReferences, &[Feature::ReferenceTypes], 0.5, false, |_, _| ()),
    // The generator has one switch for both.
    row(Feature::Gc, &[Feature::FunctionReferences], 0.8, false, |c, on| c.gc_enabled = on),
    row(Feature::Threads, &[Feature::BulkMemory], 0.3, false, |c, on| c.threads_enabled = on),
    row(Feature::WideArithmetic, &[], 0.4, true, |c, on| c.wide_arithmetic_enabled = on),
    row(Feature::CustomPageSizes, &[], 0.3, true, |c, on| c.custom_page_sizes_enabled = on),
    row(Feature::CompactImports, &[], 0.3, true, |c, on| c.compact_imports_enabled = on),
];

const fn row(
    feature: Feature,
    needs: &'static [Feature],
    chance: f64,
    wasmi: bool,
    smith: fn(&mut wasm_smith::Config, bool),
) -> FeatureRow {
    FeatureRow { feature, needs, chance, wasmi, smith }
}

/// A random subset of what seqfault provides.
pub(super) fn draw(rng: &mut StdRng) -> Vec<Feature> {
    let mut on = vec![Feature::MutableGlobal];
    for row in TABLE {
        // Drawn in any case, so that a feature that is added later changes as little as can be.
        let wanted = rng.random_bool(row.chance);
        let possible = row.needs.iter().all(|need| on.contains(need));
        if wanted && possible {
            on.push(row.feature);
        }
    }
    on
}

/// Tells the generator which features are on.
pub(super) fn tell(config: &mut wasm_smith::Config, on: &[Feature]) {
    for row in TABLE {
        (row.smith)(config, on.contains(&row.feature));
    }
}

/// Whether wasmi has all of these.
pub(crate) fn suit_wasmi(on: &[Feature]) -> bool {
    TABLE.iter().all(|row| row.wasmi || !on.contains(&row.feature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn what_is_needed_comes_first_and_nothing_comes_twice() {
        for (i, row) in TABLE.iter().enumerate() {
            let before = |feature| TABLE[..i].iter().any(|row| row.feature == feature);
            assert!(row.needs.iter().all(|&need| before(need)), "{}", row.feature);
            assert!(!before(row.feature), "{}", row.feature);
        }
    }

    #[test]
    fn every_feature_with_a_chance_is_on_in_some_seeds_and_off_in_others() {
        let drawn: Vec<_> = (0..200).map(|s| draw(&mut StdRng::seed_from_u64(s))).collect();
        // Threads are never drawn: what they do is not the same on every run.
        for row in TABLE.iter().filter(|row| row.chance > 0.0) {
            let on = drawn.iter().filter(|on| on.contains(&row.feature)).count();
            assert!(on > 0 && on < drawn.len(), "{} is on in {on} of 200", row.feature);
        }
    }
}
