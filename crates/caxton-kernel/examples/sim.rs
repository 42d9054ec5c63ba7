//! Lives simulated lives: `cargo run -p caxton-kernel --features sim --example sim -- 1000..2000 600`.
//!
//! The first number pair is a range of seeds, the second the steps of each life (default: 500).
//! A rule that does not hold is shown with the end of its life's transcript.

use std::process::ExitCode;

use caxton_kernel::sim::run;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let range = words.next().unwrap_or_else(|| "0..100".to_owned());
    let steps = words.next().map_or(Ok(500), |text| text.parse());
    let bounds = range.split_once("..").map(|(a, b)| (a.parse(), b.parse()));
    let (Some((Ok(from), Ok(to))), Ok(steps)) = (bounds, steps) else {
        eprintln!("usage: sim [SEEDS] [STEPS], for instance `sim 1000..2000 600`; got `{range}`");
        return ExitCode::from(2);
    };
    let (mut lives, mut records, mut crashes, mut acknowledged) = (0_u64, 0, 0, 0);
    for seed in from..to {
        match run(seed, steps) {
            Ok(report) => {
                lives += 1;
                records += report.records;
                crashes += report.crashes;
                acknowledged += report.acknowledged;
            }
            Err(broken) => {
                println!("{broken}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{lives} lives, {crashes} crashes, {records} records, {acknowledged} acknowledged: every rule held"
    );
    ExitCode::SUCCESS
}
