//! What else a node promises beside its limits: the namespaces, the disk, the journal, the compiler.

use caxton_client::{
    AgentConfig, CaxtonClient, Durability,
    api::{SendOptions, VersionView},
};
use serde_json::Value;

use super::{
    attack, guests,
    row::Found,
    ward::{Ward, message},
};
use crate::failure::Failure;

/// What is looked at, in the report's order.
pub(super) const CHECKS: [&str; 5] = ["namespaces", "durability", "journal", "compiler", "engine"];

/// Looks at one of them.
pub(super) async fn check(
    ward: &mut Ward,
    name: &str,
    version: &VersionView,
) -> Result<Found, Failure> {
    match name {
        "namespaces" => attack::namespaces(ward).await,
        "durability" => durability(ward).await,
        "journal" => journal(&ward.client).await,
        "compiler" => Ok(compiler(version)),
        _ => Ok(Found::said(format!(
            "{}, caxton {}",
            version.engine, version.version
        ))),
    }
}

/// A message that must be on the disk when it is acknowledged.
async fn durability(ward: &mut Ward) -> Result<Found, Failure> {
    let before = ward.client.journal().await?;
    if !before.durable {
        return Ok(Found::said(
            "this node has no data directory: nothing outlives it",
        ));
    }
    let module = guests::module(guests::QUIET)?;
    let config = AgentConfig::default();
    let placed = ward.place("durable", module, config).await?;
    let sender = ward.sender("asker");
    let message = message(&sender, &placed.name, "inform", Value::Null);
    let sent = ward
        .client
        .send_with(&message, &SendOptions::default())
        .await?;
    let after = ward.client.journal().await?;
    let is_durable = sent.acknowledged == Durability::Durable;
    let (Some(after), Some(before)) = (after.durable_place, before.durable_place) else {
        let said =
            "a message acknowledged as durable; the token does not show the journal's places";
        return Ok(Found::judged(is_durable, said));
    };
    Ok(Found::judged(
        is_durable && after > before,
        format!("a message acknowledged, the journal durable up to place {after}, before {before}"),
    ))
}

async fn journal(client: &CaxtonClient) -> Result<Found, Failure> {
    let journal = client.journal().await?;
    Ok(
        match (journal.durable, journal.damage, journal.lag_records) {
            (false, ..) => Found::said("none"),
            (true, Some(damage), _) => Found::judged(false, damage),
            (true, None, None) => Found::said("there is one; the token does not show how it is"),
            (true, None, Some(lag)) => Found::judged(
                true,
                format!(
                    "no damage found at the start or since, {lag} records wait for the disk; `caxton \
                 journal verify` reads all of it"
                ),
            ),
        },
    )
}

fn compiler(version: &VersionView) -> Found {
    Found::said(match version.compiles_in.as_str() {
        "sandbox" => "each module in a process of its own, without files and network",
        "process" => {
            "each module in a process of its own with limits; this kernel has no landlock to take \
             files and network away"
        }
        "node" => {
            "in the node's own process, bounded by size alone: set `engine.compile_worker = true`"
        }
        _ => "the node does not say",
    })
}
