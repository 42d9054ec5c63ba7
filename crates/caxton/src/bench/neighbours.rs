//! How late a good agent and the API answer beside agents that compute for ever.
//!
//! On a node as it is served, loops on every shard. An answer's time is taken apart by the node's own
//! note of when the agent's turn ended: until then it was the shard that was late, after that the way
//! back to the client's thread.

use std::{
    sync::mpsc::sync_channel,
    time::{Duration, Instant, SystemTime},
};

use caxton_engine::bare::BareAgent;
use caxton_model::Durability;
use serde_json::Value;

use super::{
    Plan, guests,
    http::Line,
    node::{Measured, ask, post, unhurried},
    row::{Row, Target, Unit, failed},
};
use crate::failure::Failure;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(2);

/// What the API is asked: something a shard has to answer, and something it has not.
const ROUTES: [&str; 2] = ["/api/v1/agents/good", "/health/ready"];

/// Beside none, then beside more and more.
pub(super) async fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let questions = plan.pick(50, 1_000);
    let alone = answers(plan, 0, questions).await?;
    let mut rows = vec![Row::times(
        "a good agent's answer, alone",
        Unit::Micros,
        alone.agent.clone(),
        "another thread's bare store, two queues",
        bare(questions)?,
    )];
    let loops: &[usize] = if plan.quick { &[2] } else { &[2, 20, 200] };
    for &loops in loops {
        let beside = answers(plan, loops, questions).await?;
        let row = |what: &str, ours: &[Duration], quiet: &[Duration]| {
            let bare_part = "the same without loops";
            let what = format!("{what} beside {loops} endless loops");
            Row::times(what, Unit::Micros, ours.to_vec(), bare_part, quiet.to_vec())
        };
        let answer = row("a good agent's answer", &beside.agent, &alone.agent);
        rows.push(answer.must(Target::WorstAtMost(3_000.0)));
        rows.push(row(
            "  until its turn ended,",
            &beside.until_turn,
            &alone.until_turn,
        ));
        rows.push(row(
            "  from there to the client,",
            &beside.way_back,
            &alone.way_back,
        ));
        for ((route, ours), quiet) in ROUTES.iter().zip(&beside.api).zip(&alone.api) {
            let row = row(&format!("GET {route}"), ours, quiet);
            rows.push(row.must(Target::WorstRatioAtMost(2.0)));
        }
    }
    Ok(rows)
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    agent: Vec<Duration>,
    until_turn: Vec<Duration>,
    way_back: Vec<Duration>,
    api: [Vec<Duration>; ROUTES.len()],
}

async fn answers(plan: &Plan, loops: usize, questions: usize) -> Result<Seen, Failure> {
    let shards = caxton_node::NodeOptions::default().shards;
    let measured = Measured::start(Durability::Memory, shards, &plan.dir).await?;
    measured
        .deploy("good", &guests::replier()?, Durability::Memory, Some(0))
        .await?;
    let endless = guests::endless()?;
    for number in 0..loops {
        let name = format!("loop-{number}");
        // By turns: drawn at random, two could both lie where the good agent does not.
        let shard = u16::try_from(number).unwrap_or(0) % shards.max(1);
        let one = unhurried(&name, &endless)?;
        measured.place(one, Some(shard)).await?;
        let post = post(guests::CLIENT, &name, &Value::Null);
        let posted = measured.node.post(post, None).await;
        posted.map_err(|refusal| failed(refusal.text))?;
    }
    let requests = ROUTES.map(|route| format!("{}\r\n", measured.head(&format!("GET {route}"))));
    let mut seen = Seen::default();
    measured.ask("good").await?;
    for _ in 0..questions {
        tokio::time::sleep(PAUSE).await;
        let begun = now();
        let answer = ask(&measured.node, guests::CLIENT, "good", &Value::Null).await?;
        let turn_ended = Duration::from_micros(u64::try_from(answer.at.0).unwrap_or(0));
        let until_turn = turn_ended.saturating_sub(begun);
        seen.agent.push(answer.took);
        seen.until_turn.push(until_turn);
        seen.way_back.push(answer.took.saturating_sub(until_turn));
        for (request, times) in requests.iter().zip(&mut seen.api) {
            tokio::time::sleep(PAUSE).await;
            // A connection of its own: one that is kept may be closed while a slow machine is silent.
            let begun = Instant::now();
            let mut line = Line::open(measured.address(), request.clone().into_bytes()).await?;
            line.ask().await?;
            times.push(begun.elapsed());
        }
    }
    measured.stop_within(Duration::ZERO).await?;
    Ok(seen)
}

/// The same clock as the node's own notes of time.
#[allow(
    clippy::disallowed_methods,
    reason = "put beside the node's times, and nothing is decided by it"
)]
fn now() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
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
