//! Messages one way: each is routed, and has a turn of its receiver's.

use std::time::{Duration, Instant};

use caxton_model::Durability;
use tokio::task::JoinSet;

use super::{
    Plan,
    agents::{KINDS, Pair},
    guests,
    node::{Measured, ask},
    row::{Rate, Row, Target, failed},
};
use crate::failure::Failure;

/// Messages of one burst; its receiver acknowledges it with one, which is not counted.
const BURST: usize = 256;

/// Bursts that one request of ours sets off.
const BURSTS: usize = 32;

/// A pair of agents on one shard, then one on each shard of the node.
pub(super) async fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let all = caxton_node::NodeOptions::default().shards;
    let mut rows = Vec::new();
    for ((durability, kind), least) in KINDS.into_iter().zip([500_000.0, 200_000.0]) {
        let one = of_shards(plan, durability, 1).await?;
        let alone = pair(plan, 1)?;
        let bare_part = "two bare stores, one queue";
        rows.push(Row::rates(
            format!("messages one way, one shard, {kind}"),
            &one,
            bare_part,
            &alone,
        ));
        let row = Row::rates(
            format!("messages one way, all {all} shards, {kind}"),
            &of_shards(plan, durability, all).await?,
            "the same on as many threads",
            &pair(plan, all)?,
        );
        rows.push(row.must(Target::AtLeast(least)).must(Target::Steady));
    }
    Ok(rows)
}

fn time(plan: &Plan) -> Duration {
    Duration::from_millis(plan.pick(300, 5_000) as u64)
}

fn modules(client: &str, pair: u16) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let source = guests::source(&format!("sink-{pair}"), BURST, BURSTS, client)?;
    Ok((source, guests::answerer(&format!("source-{pair}"), BURST)?))
}

async fn of_shards(plan: &Plan, durability: Durability, shards: u16) -> Result<Rate, Failure> {
    let measured = Measured::start(durability, shards, &plan.dir).await?;
    for pair in 0..shards {
        let (source, sink) = modules(&guests::slot_client(pair.into()), pair)?;
        for (name, module) in [("source", source), ("sink", sink)] {
            let name = format!("{name}-{pair}");
            measured
                .deploy(&name, &module, durability, Some(pair))
                .await?;
        }
    }
    let (begun, time) = (Instant::now(), time(plan));
    let mut pairs = JoinSet::new();
    for pair in 0..shards {
        let node = measured.node.clone();
        pairs.spawn(async move {
            let mut rate = Rate::default();
            let (client, source) = (guests::slot_client(pair.into()), format!("source-{pair}"));
            while begun.elapsed() < time {
                ask(&node, &client, &source, &serde_json::Value::Null).await?;
                rate.note(begun.elapsed(), BURST * BURSTS);
            }
            Ok::<_, Failure>(rate)
        });
    }
    let mut all = Rate::default();
    while let Some(done) = pairs.join_next().await {
        all.merge(done.map_err(failed)??);
    }
    measured.stop().await?;
    Ok(all)
}

/// So many bare pairs, a thread each.
fn pair(plan: &Plan, threads: u16) -> Result<Rate, Failure> {
    let time = time(plan) / 5;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|number| {
                scope.spawn(move || {
                    let (source, sink) = modules(guests::CLIENT, number)?;
                    let (mut pair, mut rate) = (Pair::new(&source, &sink)?, Rate::default());
                    let begun = Instant::now();
                    while begun.elapsed() < time {
                        pair.run()?;
                        rate.note(begun.elapsed(), BURST * BURSTS);
                    }
                    Ok::<_, Failure>(rate)
                })
            })
            .collect();
        let mut all = Rate::default();
        for thread in threads {
            let rate = thread
                .join()
                .map_err(|_| failed("a bare thread panicked"))?;
            all.merge(rate?);
        }
        Ok(all)
    })
}
