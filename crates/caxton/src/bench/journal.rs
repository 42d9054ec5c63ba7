//! The journal against a plain file: as many bytes, as many syncs, in the same directory.

use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, mpsc::sync_channel},
    time::{Duration, Instant},
};

use caxton_model::Entry;
use caxton_store::{Store, StoreOptions};

use super::{
    Plan,
    node::folder,
    record,
    row::{Rate, Row, Unit, failed},
};
use crate::failure::Failure;

/// Records that are made durable together.
const GROUP: usize = 1_000;

/// One record at a time, then groups of a thousand.
pub(super) fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let folder = folder(&plan.dir)?;
    let (store, _) =
        Store::open(&folder.path().join("store"), StoreOptions::default()).map_err(failed)?;
    let mut plain = Plain::create(&folder.path().join("plain"))?;
    durable(&store, record::of_agents().map_err(failed)?)?;
    let mut seq = record::AGENTS;
    let single = single(plan, &store, &mut plain, &mut seq)?;
    let grouped = grouped(plan, &store, &mut plain, &mut seq)?;
    store.close();
    folder.close()?;
    Ok(vec![single, grouped])
}

fn single(plan: &Plan, store: &Store, plain: &mut Plain, seq: &mut u64) -> Result<Row, Failure> {
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..plan.pick(50, 1_000) {
        let records = records(seq, 1);
        let before = store.metrics().written_bytes;
        let begun = Instant::now();
        durable(store, records)?;
        ours.push(begun.elapsed());
        beside.push(plain.append(store.metrics().written_bytes.saturating_sub(before))?);
    }
    Ok(Row::times(
        "durable append, one record",
        Unit::Micros,
        ours,
        "plain file of full length, same bytes, fdatasync",
        beside,
    ))
}

/// Ours has the next group queued while one is synced, as shards do; the plain file can't.
fn grouped(plan: &Plan, store: &Store, plain: &mut Plain, seq: &mut u64) -> Result<Row, Failure> {
    let time = Duration::from_millis(plan.pick(300, 5_000) as u64);
    let groups: Vec<_> = (0..16).map(|_| records(seq, GROUP)).collect();
    let before = store.metrics().written_bytes;
    let (tell, told) = sync_channel(1_024);
    let (mut ours, mut given, mut known) = (Rate::default(), 0, 0);
    let begun = Instant::now();
    while begun.elapsed() < time || known < given {
        if begun.elapsed() < time && given < known + groups.len() && store.takes_turns() {
            if let Some(group) = groups.get(given % groups.len()) {
                group
                    .iter()
                    .for_each(|record| store.append(Arc::clone(record)));
            }
            let tell = tell.clone();
            // A measurement that was given up no longer listens.
            store.notify(move |result| drop(tell.send(result)));
            given += 1;
            while let Ok(result) = told.try_recv() {
                result.map_err(failed)?;
                known += 1;
                ours.note(begun.elapsed(), GROUP);
            }
        } else if known < given {
            told.recv().map_err(failed)?.map_err(failed)?;
            known += 1;
            ours.note(begun.elapsed(), GROUP);
        } else {
            // The checkpoint is behind: turns would wait here too.
            std::thread::yield_now();
        }
    }
    let bytes = store.metrics().written_bytes.saturating_sub(before) / (known.max(1) as u64);
    let (mut bare, mut took) = (Rate::default(), Duration::ZERO);
    while took < time / 2 {
        took += plain.append(bytes)?;
        bare.note(took, GROUP);
    }
    Ok(Row::rates(
        "durable append, records a second",
        &ours,
        "plain file of full length, 1,000 records' bytes, fdatasync",
        &bare,
    ))
}

fn records(seq: &mut u64, count: usize) -> Vec<Arc<Entry>> {
    (0..count)
        .map(|_| {
            *seq += 1;
            record::of_turn(*seq)
        })
        .collect()
}

fn durable(store: &Store, records: Vec<Arc<Entry>>) -> Result<(), Failure> {
    let (tell, told) = sync_channel(1);
    records.into_iter().for_each(|record| store.append(record));
    store.notify(move |result| drop(tell.send(result)));
    told.recv().map_err(failed)?.map_err(failed)
}

/// Bytes of the plain file, there before it is measured. Unit: bytes.
const PLAIN_BYTES: usize = 64 << 20;

/// A plain file, written over from its start again and again: no journal's file can be cheaper.
struct Plain {
    file: File,
    at: u64,
}

impl Plain {
    fn create(path: &Path) -> Result<Self, Failure> {
        let mut file = File::create_new(path)?;
        file.write_all(&vec![0; PLAIN_BYTES])?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }
    fn append(&mut self, bytes: u64) -> Result<Duration, Failure> {
        if self.at + bytes > PLAIN_BYTES as u64 {
            self.at = 0;
        }
        let content = vec![
            7;
            usize::try_from(bytes)
                .unwrap_or(PLAIN_BYTES)
                .min(PLAIN_BYTES)
        ];
        let begun = Instant::now();
        self.file.write_all_at(&content, self.at)?;
        self.file.sync_data()?;
        let took = begun.elapsed();
        self.at += bytes;
        Ok(took)
    }
}
