//! Many short lives, each from its seed.

use crate::sim::run;

#[test]
fn the_rules_hold_in_many_lives() {
    let (mut crashes, mut records, mut acknowledged) = (0, 0, 0);
    for seed in 0..100 {
        match run(seed, 400) {
            Ok(report) => {
                crashes += report.crashes;
                records += report.records;
                acknowledged += report.acknowledged;
            }
            Err(broken) => panic!("{broken}"),
        }
    }
    assert!(crashes > 50 && records > 10_000 && acknowledged > 1_000);
}

#[test]
fn a_seed_tells_the_same_story_again() {
    for seed in [1, 7, 42] {
        let (one, two) = (run(seed, 500).unwrap(), run(seed, 500).unwrap());
        assert!(one.transcript.len() > 10_000);
        assert_eq!(one, two);
    }
}

/// Lives from other seeds, as many as wished: `SIM_SEEDS=1000..9000`.
#[test]
fn more_lives_if_wished() {
    let wished = option_env!("SIM_SEEDS").and_then(|text| text.split_once(".."));
    let Some((from, to)) = wished else { return };
    for seed in from.parse().unwrap()..to.parse::<u64>().unwrap() {
        if let Err(broken) = run(seed, 600) {
            panic!("{broken}");
        }
    }
}
