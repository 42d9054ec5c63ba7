//! Prints what the journal does a second; asserts only that all arrived.

use std::{
    sync::{Arc, mpsc::channel},
    time::{Duration, Instant},
};

use super::sample::{deployed, usual_turn};
use crate::{Store, StoreOptions};

#[test]
fn records_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let records: u64 = if cfg!(debug_assertions) {
        20_000
    } else {
        1_000_000
    };
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    for id in 0..1_000 {
        store.append(Arc::new(deployed(1, id + 1, id)));
    }
    let entries: Vec<_> = (1..=10_000).map(|seq| Arc::new(usual_turn(seq))).collect();
    let start = Instant::now();
    let (mut sent, mut paused) = (0, Duration::ZERO);
    while sent < records {
        for entry in entries.iter().take(1_000) {
            store.append(Arc::clone(entry));
        }
        sent += 1_000;
        let wait = Instant::now();
        while !store.takes_turns() {
            std::thread::yield_now();
        }
        paused += wait.elapsed();
    }
    let (tell, told) = channel();
    store.notify(move |result| tell.send(result).unwrap());
    assert_eq!(told.recv(), Ok(Ok(())));
    let took = start.elapsed();
    let metrics = store.metrics();
    println!(
        "{:.0} records/s of {:.0} B; {} groups, longest {} µs; checkpoint behind by {}; held back {paused:?}",
        records as f64 / took.as_secs_f64(),
        metrics.written_bytes as f64 / (records + 1_000) as f64,
        metrics.groups,
        metrics.longest_sync_micros,
        metrics.checkpoint_lag_records,
    );
    assert_eq!(metrics.durable_place, records + 1_000);
    store.close();
    println!("with the last checkpoint {:?}", start.elapsed());
}
