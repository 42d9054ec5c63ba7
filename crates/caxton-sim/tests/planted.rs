//! A simulator that never saw the faults it looks for proves nothing: each is planted, and found.
//!
//! One test, since what is planted is planted in the whole process.

#![allow(
    clippy::panic,
    reason = "a helper of a test says what is wrong by its panic"
)]

use caxton_model::planted::{Planted, plant};
use caxton_sim::{Broken, run};

/// Seeds within which each must be found.
const SEEDS: u64 = 1_000;

fn find(planted: Planted) -> Option<Box<Broken>> {
    plant(Some(planted));
    let found = (1..=SEEDS).find_map(|seed| run(seed).err());
    plant(None);
    // What was found is what was planted: without it the same life keeps every rule.
    if let Some(Err(broken)) = found.as_ref().map(|broken| run(broken.seed)) {
        panic!("{planted:?}: nothing is planted, and yet\n{broken}");
    }
    found
}

#[test]
fn every_planted_fault_is_found_within_a_thousand_seeds() {
    let all = [
        Planted::DeliverEarly,
        Planted::SkipDedupe,
        Planted::DropSync,
        Planted::DoubleTimer,
        Planted::ForgetWatermark,
        Planted::ReuseFaultedInstance,
        Planted::LoseDeadLetter,
        Planted::WidenQueue,
        Planted::PerformEarly,
        Planted::DropOutcome,
        Planted::WrongAccess,
        Planted::SameAccessKey,
    ];
    let mut missed = Vec::new();
    for planted in all {
        match find(planted) {
            Some(broken) => println!(
                "{planted:?}: seed {}, step {}: {}",
                broken.seed,
                broken.step,
                broken.breach.to_string().lines().next().unwrap_or_default()
            ),
            None => missed.push(planted),
        }
    }
    assert_eq!(missed, [], "not found within {SEEDS} seeds");
}
