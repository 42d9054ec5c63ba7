//! Lives simulated lives: `caxton-sim SEEDS [FROM]`; usually by way of `cargo xtask sim`.
//!
//! A rule that does not hold is shown with its name, the end of its life's transcript and the
//! command that repeats it.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use caxton_sim::{Broken, run};

#[derive(Debug, Default)]
struct Sum {
    lives: u64,
    records: usize,
    crashes: usize,
    acknowledged: usize,
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mut number = |default: u64| words.next().map_or(Some(default), |word| word.parse().ok());
    let (Some(seeds), Some(from)) = (number(1_000), number(1)) else {
        eprintln!("usage: caxton-sim [SEEDS] [FROM], for instance `caxton-sim 1000 1`");
        return ExitCode::from(2);
    };
    let begun = Instant::now();
    match live(from, from.saturating_add(seeds)) {
        Ok(sum) => {
            let secs = begun.elapsed().as_secs_f64();
            #[allow(
                clippy::cast_precision_loss,
                reason = "a rate for people, far below 2^52"
            )]
            let rate = sum.lives as f64 / secs;
            println!(
                "{} lives from seed {from}, {} crashes, {} records, {} acknowledged: every rule held ({secs:.1} s, {rate:.0} seeds/s)",
                sum.lives, sum.crashes, sum.records, sum.acknowledged
            );
            ExitCode::SUCCESS
        }
        Err(broken) => {
            println!("{broken}");
            ExitCode::FAILURE
        }
    }
}

/// Lives these seeds, on every core there is; the lowest seed that breaks a rule is the one shown.
fn live(from: u64, to: u64) -> Result<Sum, Box<Broken>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (next, stop) = (AtomicU64::new(from), AtomicU64::new(to));
    let worker = || {
        let mut sum = Sum::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= stop.load(Ordering::Relaxed) {
                return (sum, None);
            }
            match run(seed) {
                Ok(report) => {
                    sum.lives += 1;
                    sum.records += report.records;
                    sum.crashes += report.crashes;
                    sum.acknowledged += report.acknowledged;
                }
                Err(broken) => {
                    stop.fetch_min(seed, Ordering::Relaxed);
                    return (sum, Some(broken));
                }
            }
        }
    };
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|w| w.join().ok()).collect()
    });
    let panicked = results.len() < cores;
    let mut sum = Sum::default();
    let mut worst: Option<Box<Broken>> = None;
    for (part, broken) in results {
        sum.lives += part.lives;
        sum.records += part.records;
        sum.crashes += part.crashes;
        sum.acknowledged += part.acknowledged;
        worst = match (worst, broken) {
            (Some(one), Some(two)) => Some(if one.seed < two.seed { one } else { two }),
            (one, two) => one.or(two),
        };
    }
    match worst {
        Some(broken) => Err(broken),
        None if panicked => std::process::exit(101),
        None => Ok(sum),
    }
}
