//! How late a good agent answers beside agents that compute for ever, all on one shard.

use std::{
    sync::mpsc::sync_channel,
    time::{Duration, Instant},
};

use caxton_engine::bare::BareAgent;
use caxton_model::Durability;

use super::{
    Plan, guests,
    node::{Measured, post},
    row::{Row, Unit, failed},
};
use crate::failure::Failure;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(2);

/// What one turn of an endless loop takes until its limit ends it.
const LOOP: Duration = Duration::from_millis(100);

/// Beside none, two and twenty.
pub(super) async fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let questions = plan.pick(50, 1_000);
    let alone = answers(plan, 0, questions).await?;
    let mut rows = vec![Row::times(
        "a good agent's answer, alone",
        Unit::Micros,
        alone.clone(),
        "another thread's bare store, two queues",
        bare(questions)?,
    )];
    for loops in [2, 20] {
        rows.push(Row::times(
            format!("a good agent's answer beside {loops} endless loops"),
            Unit::Micros,
            answers(plan, loops, questions).await?,
            "the same agent alone",
            alone.clone(),
        ));
    }
    Ok(rows)
}

async fn answers(plan: &Plan, loops: usize, questions: usize) -> Result<Vec<Duration>, Failure> {
    let measured = Measured::start(Durability::Memory, 1, &plan.dir).await?;
    measured
        .deploy("good", &guests::replier()?, Durability::Memory, None)
        .await?;
    let endless = guests::endless()?;
    // Enough for longer than it takes: while one waits for its answer, the loops get on.
    let lasts = (PAUSE + Duration::from_millis(3)) * u32::try_from(questions).unwrap_or(1);
    let turns = lasts.as_millis() / (LOOP.as_millis() * loops.max(1) as u128) + 3;
    for number in 0..loops {
        let name = format!("loop-{number}");
        measured
            .deploy(&name, &endless, Durability::Memory, None)
            .await?;
        for turn in 0..turns {
            // A client of its own for each: who makes an agent fault too often is not heard.
            let post = post(&format!("client-{number}-{turn}"), &name);
            measured
                .node
                .post(post, None)
                .await
                .map_err(|refusal| failed(refusal.text))?;
        }
    }
    let mut times = Vec::with_capacity(questions);
    measured.ask("good").await?;
    for _ in 0..questions {
        tokio::time::sleep(PAUSE).await;
        times.push(measured.ask("good").await?);
    }
    measured.node.shutdown(Duration::ZERO).await;
    Ok(times)
}

fn bare(questions: usize) -> Result<Vec<Duration>, Failure> {
    let (there, inbox) = sync_channel::<Vec<u8>>(1);
    let (back, outbox) = sync_channel::<Vec<u8>>(1);
    let mut agent = BareAgent::new(&guests::replier()?).map_err(failed)?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Ok(message) = inbox.recv() {
                let sent = agent.handle(&message).ok().and_then(|_| agent.take_sent());
                let Some(sent) = sent else { break };
                if back.send(sent).is_err() {
                    break;
                }
            }
        });
        let mut times = Vec::with_capacity(questions);
        for _ in 0..questions {
            std::thread::park_timeout(PAUSE);
            let begun = Instant::now();
            let sent = there.send(b"{}".to_vec()).is_ok() && outbox.recv().is_ok();
            times.push(begun.elapsed());
            if !sent {
                return Err(failed("a bare agent fell silent"));
            }
        }
        drop(there);
        Ok(times)
    })
}
