//! The node itself.

use std::{fmt::Write as _, sync::LazyLock};

use axum::response::Response;
use bytes::Bytes;
use caxton_api::{BudgetView, JournalView, Live, Ready, VersionView};
use caxton_kernel::{Verb, border::Target};
use caxton_model::ErrorCode;
use caxton_node::Health;
use http::StatusCode;

use crate::{
    call::Call,
    error_pages, guest_families,
    metrics::of_agents,
    refuse::{Answered, Failure, json, with_type},
};

pub(super) fn live() -> Answered {
    json(
        StatusCode::OK,
        &Live {
            status: "live".to_owned(),
        },
    )
}

pub(super) fn ready(call: &Call) -> Answered {
    let health = call.app.node.health();
    if *call.app.closing.borrow() {
        return Err(Failure::new(
            ErrorCode::ShuttingDown,
            "the server is shutting down",
        ));
    }
    if let Some(refusal) = health.reason {
        return Err(Failure::new(refusal.code, refusal.text));
    }
    let mut ready = Ready {
        status: "ready".to_owned(),
        agents: None,
        instances: None,
        uptime_secs: None,
        budgets: Vec::new(),
    };
    if call.caller.may_do(Verb::See, Target::Node) {
        ready.agents = Some(health.agents as u64);
        ready.instances = Some(health.instances as u64);
        ready.uptime_secs = Some(health.uptime.as_secs());
        ready.budgets = budgets(&health, call.app.node.options().agents_max);
    }
    json(StatusCode::OK, &ready)
}

fn budgets(health: &caxton_node::Health, agents_max: usize) -> Vec<BudgetView> {
    let view = |name: &str, (used, budget): (u64, u64)| BudgetView {
        name: name.to_owned(),
        used,
        budget: (budget < u64::MAX).then_some(budget),
    };
    vec![
        view("agents", (health.agents as u64, agents_max as u64)),
        view("memory", health.memory),
        view("disk", health.disk),
    ]
}

pub(super) fn version(call: &Call) -> Answered {
    let node = &call.app.node;
    let version = VersionView {
        name: "caxton".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: "v1".to_owned(),
        engine: node.options().engine.to_string(),
        compiles_in: node.compiles_in().as_str().to_owned(),
    };
    json(StatusCode::OK, &version)
}

/// How the journal is, as far as the caller may know it: its records are those of all namespaces.
pub(super) fn journal_view(call: &Call, health: &Health) -> JournalView {
    let store = &health.store;
    let mut view = JournalView {
        durable: health.durable,
        durable_place: None,
        lag_records: None,
        lag_micros: None,
        damage: None,
    };
    if call.caller.may_do(Verb::See, Target::Node) {
        view.durable_place = Some(store.durable_place);
        view.lag_records = Some(store.place.saturating_sub(store.durable_place));
        view.lag_micros = Some(store.lag_micros);
        view.damage.clone_from(&health.damage);
    }
    view
}

pub(super) fn journal(call: &Call) -> Answered {
    json(StatusCode::OK, &journal_view(call, &call.app.node.health()))
}

/// Owners that have a series of what the host keeps for them: those with most.
const KEPT_SERIES_MAX: usize = 100;

/// What the host keeps, by owner. Written anew each time, so that no owner stays who is gone.
fn kept(call: &Call) -> String {
    let mut text =
        "# HELP caxton_host_bytes What the host keeps for an agent or client beside its \
                    mailbox and state.\n# TYPE caxton_host_bytes gauge\n"
            .to_owned();
    for kept in super::top::kept(call, KEPT_SERIES_MAX) {
        let owner = kept.owner.replace('\\', "\\\\").replace('"', "\\\"");
        let owner = owner.replace('\n', "\\n");
        let _ = writeln!(
            text,
            "caxton_host_bytes{{owner=\"{owner}\"}} {}",
            kept.bytes
        );
    }
    text
}

pub(super) async fn metrics(call: &Call) -> Answered {
    if let Some(footprint) = call.app.node.footprint().await {
        call.app.metrics.memory(&footprint);
    }
    let metrics = call.app.node.guest_metrics();
    call.caller.work.visit(metrics.len());
    let text = call.app.metrics.text();
    let text = text.map(|text| text + &guest_families::text(metrics));
    let own = |text: String| match call.caller.may_do(Verb::LearnOf, Target::Node) {
        true => text,
        false => of_agents(&text, |name| {
            name.parse().is_ok_and(|name| call.caller.learns_of(&name))
        }),
    };
    match text.map(own) {
        Some(text) => Ok(with_type(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            text + &kept(call),
        )),
        None => {
            let mut failure =
                Failure::not_found("the program that embeds this node keeps the metrics");
            "ask that program for them".clone_into(&mut failure.problem.remedy);
            Err(failure)
        }
    }
}

/// The API's document. Written at the first question: a start does not wait for it.
pub(super) fn document() -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| caxton_api::openapi_text().into());
    with_type(StatusCode::OK, "application/json", DOCUMENT.clone())
}

pub(super) fn error_page(call: &Call) -> Answered {
    let name = call.parameter("code")?;
    match error_pages::find(name) {
        Some(text) => Ok(with_type(
            StatusCode::OK,
            "text/markdown; charset=utf-8",
            text,
        )),
        None => {
            let shown: String = name.chars().take(100).collect();
            Err(Failure::not_found(format!(
                "there is no error code `{shown}`"
            )))
        }
    }
}
