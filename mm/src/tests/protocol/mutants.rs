//! Every fence and every step is needed: without it, a scenario fails.

use super::primitive::{Fence, Mutant, Step};
use super::scenarios::{
    discard_image, first_grow, is_caught, open, rebirth, reuse, reuse_of_a_vma, split,
};

#[test]
fn the_writers_fence_after_the_odd_count_is_needed() {
    assert!(is_caught(Mutant::Without(Fence::WriteBegin), || first_grow(None)));
}

#[test]
fn the_readers_fence_before_the_second_look_is_needed() {
    assert!(is_caught(Mutant::Without(Fence::ReadRetry), || split(1, Some(2))));
}

#[test]
fn validating_a_denial_is_needed() {
    assert!(is_caught(Mutant::Skips(Step::ValidateDenial), || split(1, Some(2))));
}

#[test]
fn the_fence_between_claim_and_check_is_needed() {
    assert!(is_caught(Mutant::Without(Fence::ClaimThenCheck), || discard_image(1, None)));
}

#[test]
fn the_fence_between_mark_and_look_is_needed() {
    assert!(is_caught(Mutant::Without(Fence::MarkThenLook), || discard_image(1, None)));
}

#[test]
fn checking_before_publishing_is_needed() {
    assert!(is_caught(Mutant::Skips(Step::Recheck), || discard_image(1, None)));
}

#[test]
fn waiting_for_claims_is_needed() {
    assert!(is_caught(Mutant::Skips(Step::WaitForClaims), || discard_image(1, None)));
}

#[test]
fn waiting_for_claims_before_a_window_is_opened_is_needed() {
    assert!(is_caught(Mutant::Skips(Step::WaitForClaims), || open(1, None)));
}

#[test]
fn checking_before_publishing_into_what_may_be_open_is_needed() {
    assert!(is_caught(Mutant::Skips(Step::Recheck), || open(1, None)));
}

#[test]
fn the_owner_check_is_needed() {
    assert!(is_caught(Mutant::Skips(Step::CheckOwner), || reuse(Some(2))));
}

#[test]
fn looking_again_at_the_geometry_is_needed() {
    assert!(is_caught(Mutant::Skips(Step::CheckGeometry), || rebirth(1, Some(2))));
}

#[test]
fn keeping_the_count_over_a_reuse_is_needed() {
    assert!(is_caught(Mutant::Skips(Step::KeepCount), || reuse_of_a_vma(None)));
}
