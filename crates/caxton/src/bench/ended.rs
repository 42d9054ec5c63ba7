//! How soon an endless loop is ended after its CPU limit: one of arithmetic, and one whose single
//! instruction fills all the memory there is.

use std::time::Duration;

use caxton_engine::bare;
use caxton_model::{Durability, Kind, LimitName, Limits, Performative};
use serde_json::Value;

use super::{
    Plan, guests,
    node::{Measured, agent, deploy, post},
    row::{Row, Target, Unit, failed},
};
use crate::failure::Failure;

/// How long the sender waits for the news.
const PATIENCE: Duration = Duration::from_secs(30);

/// Times over the limit, as the sender of the message sees them.
pub(super) async fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let limits = Limits::for_kind(Kind::Agent);
    let cpu = Duration::from_micros(limits.get(LimitName::Cpu));
    let pages = limits.get(LimitName::Memory) >> 16;
    let mib = pages >> 4;
    let loops = [
        ("arithmetic".to_owned(), guests::endless()?, 3.0),
        (
            format!("memory.fill of {mib} MiB"),
            guests::filler(pages)?,
            100.0,
        ),
    ];
    let mut rows = Vec::new();
    for (what, module, most) in loops {
        let measured = Measured::start(Durability::Memory, 1, &plan.dir).await?;
        let (mut ours, mut beside) = (Vec::new(), Vec::new());
        for number in 0..plan.pick(3, 100) {
            let over = |took: Duration| took.saturating_sub(cpu);
            ours.push(over(ended(&measured, number, &module).await?));
            beside.push(over(bare::endless(&module, cpu).map_err(failed)?));
        }
        measured.stop().await?;
        let row = Row::times(
            format!(
                "endless loop ended, {what}: time over its limit of {} ms",
                cpu.as_millis()
            ),
            Unit::Millis,
            ours,
            "wasmtime, ended by its epoch at that time",
            beside,
        );
        rows.push(row.must(Target::WorstAtMost(most)));
    }
    Ok(rows)
}

/// From the message that sets a loop off to the news that it was ended. An agent and a client of
/// their own for each: who has faulted pauses, and who makes others fault is not heard.
async fn ended(measured: &Measured, number: usize, module: &[u8]) -> Result<Duration, Failure> {
    let (name, client) = (format!("loop-{number}"), guests::slot_client(number));
    let one = agent(&name, module, Durability::Memory)?;
    deploy(&measured.node, one).await?;
    let begun = std::time::Instant::now();
    let post = post(&client, &name, &Value::Null);
    let posted = measured.node.post(post, Some(PATIENCE)).await;
    let took = begun.elapsed();
    let told = posted.map_err(|refusal| failed(refusal.text))?.reply;
    let told = told.ok_or_else(|| failed("an endless loop was not ended"))?;
    let said = told.message.json();
    if told.message.performative != Performative::Failure || !said.contains("cpu") {
        return Err(failed(said));
    }
    let removed = measured.node.remove(&name).await;
    removed.map_err(|refusal| failed(refusal.text))?;
    Ok(took)
}
