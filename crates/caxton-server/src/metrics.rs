//! The node's metrics for Prometheus: every family, described, and there from the start.

use std::{sync::OnceLock, time::Duration};

use caxton_model::{AgentStatus, ErrorClass, ErrorCode, LimitName};
use caxton_node::Footprint;
use http::StatusCode;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// What a family counts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric family.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name, with the unit in it.
    pub name: &'static str,
    /// What it counts with.
    pub kind: FamilyKind,
    /// The label that tells its series apart, if it has one.
    pub label: Option<&'static str>,
    /// One sentence.
    pub what: &'static str,
}

const fn family(
    name: &'static str,
    kind: FamilyKind,
    label: Option<&'static str>,
    what: &'static str,
) -> Family {
    Family {
        name,
        kind,
        label,
        what,
    }
}

/// Every family of a node.
pub const FAMILIES: &[Family] = {
    use FamilyKind::{Counter, Gauge, Histogram};
    &[
        family("caxton_agents", Gauge, None, "Agents deployed."),
        family(
            "caxton_agents_by_status",
            Gauge,
            Some("status"),
            "Agents, by where they are in their life.",
        ),
        family(
            "caxton_audit_records_total",
            Counter,
            None,
            "Records written to the audit log.",
        ),
        family(
            "caxton_budget_bytes",
            Gauge,
            Some("budget"),
            "What a budget of the node allows, by budget.",
        ),
        family(
            "caxton_budget_faulted_total",
            Counter,
            None,
            "Turns and calls ended because their guest was the largest while memory was at its end.",
        ),
        family(
            "caxton_budget_passivated_total",
            Counter,
            None,
            "Idle instances asked to go because memory was short.",
        ),
        family(
            "caxton_budget_refused_total",
            Counter,
            Some("budget"),
            "What was refused at a budget of the node, by budget.",
        ),
        family(
            "caxton_budget_used_bytes",
            Gauge,
            Some("budget"),
            "What is used of a budget of the node, by budget.",
        ),
        family(
            "caxton_cache_hits_total",
            Counter,
            None,
            "Modules that were compiled before.",
        ),
        family(
            "caxton_cache_misses_total",
            Counter,
            None,
            "Modules that had to be compiled.",
        ),
        family(
            "caxton_call_seconds",
            Histogram,
            None,
            "Time of a call of a processor, waiting included.",
        ),
        family(
            "caxton_calls_running",
            Gauge,
            None,
            "Calls of processors that run.",
        ),
        family(
            "caxton_calls_total",
            Counter,
            None,
            "Calls of processors that ended.",
        ),
        family(
            "caxton_compile_seconds",
            Histogram,
            None,
            "Time to compile a module.",
        ),
        family(
            "caxton_dead_letters_total",
            Counter,
            None,
            "Messages that could not be delivered.",
        ),
        family(
            "caxton_execution_seconds",
            Histogram,
            None,
            "Time a guest really ran in a turn or a call.",
        ),
        family(
            "caxton_faults_total",
            Counter,
            Some("code"),
            "Turns and calls that faulted, by code.",
        ),
        family(
            "caxton_http_request_seconds",
            Histogram,
            Some("route"),
            "Time to answer a request, by route.",
        ),
        family(
            "caxton_http_requests_total",
            Counter,
            Some("route, status"),
            "Requests answered, by route and status.",
        ),
        family("caxton_instances", Gauge, None, "Live instances."),
        family(
            "caxton_instantiate_seconds",
            Histogram,
            None,
            "Time to make an instance.",
        ),
        family(
            "caxton_journal_lag_records",
            Gauge,
            None,
            "Records done but not yet durable.",
        ),
        family(
            "caxton_journal_lag_seconds",
            Gauge,
            None,
            "How long the oldest record waits that is not yet durable.",
        ),
        family(
            "caxton_journal_queue_depth",
            Gauge,
            None,
            "Records that wait for their sync.",
        ),
        family(
            "caxton_journal_sync_seconds",
            Gauge,
            None,
            "Time the last sync took.",
        ),
        family(
            "caxton_limit_traps_total",
            Counter,
            Some("limit"),
            "Limits reached, by limit.",
        ),
        family(
            "caxton_log_lines_dropped_total",
            Counter,
            None,
            "Guests' log lines over their rate.",
        ),
        family(
            "caxton_mailbox_depth",
            Gauge,
            None,
            "Messages waiting in all mailboxes.",
        ),
        family(
            "caxton_memory_bytes",
            Gauge,
            Some("kind"),
            "Memory of the process, by kind; `resident` is the whole.",
        ),
        family(
            "caxton_memory_peak_bytes",
            Gauge,
            None,
            "The most memory one instance has had.",
        ),
        family("caxton_messages_total", Counter, None, "Messages sent."),
        family(
            "caxton_permission_violations_total",
            Counter,
            None,
            "Acts of guests that were denied.",
        ),
        family("caxton_processors", Gauge, None, "Processors deployed."),
        family(
            "caxton_shard_wait_seconds",
            Histogram,
            None,
            "Time turns waited for their shard.",
        ),
        family(
            "caxton_turn_seconds",
            Histogram,
            None,
            "Time of a turn, waiting included.",
        ),
        family("caxton_turns_total", Counter, None, "Turns that ended."),
    ]
};

/// The node's budgets that are counted here.
const BUDGETS: [&str; 3] = ["agents", "disk", "memory"];

/// Upper ends of the buckets of time, from a turn of microseconds to a compilation of minutes.
const SECONDS: &[f64] = &[
    0.000_01, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0,
];

/// Kinds of memory, as the label `kind` has them.
const MEMORY_KINDS: [&str; 6] = [
    "guest",
    "packed",
    "stack",
    "code",
    "resident",
    "page-tables",
];

/// Between two times that buckets are emptied, so that an unscraped node does not grow.
const UPKEEP: Duration = Duration::from_secs(5);

/// The process's recorder; `None` if the embedding program has one of its own.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Where metrics go.
pub(crate) struct Metrics {
    handle: Option<PrometheusHandle>,
}

impl Metrics {
    /// Takes the process's metrics, unless the program that embeds the node has taken them.
    pub(crate) fn install() -> Self {
        let handle = RECORDER.get_or_init(|| {
            let built = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
                .map_err(|error| error.to_string())
                .and_then(|builder| {
                    let recorder = builder.build_recorder();
                    let handle = recorder.handle();
                    metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
                    Ok(handle)
                });
            match built {
                Ok(handle) => {
                    describe();
                    Some(handle)
                }
                Err(error) => {
                    tracing::warn!(
                        error,
                        "metrics go to the program's own recorder, not to /metrics"
                    );
                    None
                }
            }
        });
        Self {
            handle: handle.clone(),
        }
    }

    /// Notes a request.
    pub(crate) fn request(&self, route: &'static str, status: StatusCode, took: Duration) {
        metrics::counter!("caxton_http_requests_total", "route" => route, "status" => status.as_u16().to_string())
            .increment(1);
        metrics::histogram!("caxton_http_request_seconds", "route" => route)
            .record(took.as_secs_f64());
    }

    /// Notes where the process's memory is.
    #[allow(clippy::cast_precision_loss, reason = "gauges are shown, not added up")]
    pub(crate) fn memory(&self, footprint: &Footprint) {
        let bytes = [
            footprint.guest_bytes,
            footprint.packed_bytes,
            footprint.stack_bytes,
            footprint.code_bytes,
            footprint.resident_bytes,
            footprint.page_table_bytes,
        ];
        for (kind, bytes) in MEMORY_KINDS.into_iter().zip(bytes) {
            metrics::gauge!("caxton_memory_bytes", "kind" => kind).set(bytes as f64);
        }
    }

    /// All of them as text; `None` if they go elsewhere.
    pub(crate) fn text(&self) -> Option<String> {
        self.handle.as_ref().map(PrometheusHandle::render)
    }

    /// Empties buckets for ever.
    pub(crate) async fn keep(&self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            if let Some(handle) = &self.handle {
                handle.run_upkeep();
            }
        }
    }
}

/// What of the metrics is about agents whose names fit, with the families' own lines.
///
/// The rest is of the whole node, and tells one namespace what another does.
pub(crate) fn of_agents(text: &str, fits: impl Fn(&str) -> bool) -> String {
    let (mut own, mut head, mut in_head) = (String::new(), Vec::new(), false);
    for line in text.lines() {
        if line.starts_with('#') {
            if !in_head {
                head.clear();
            }
            in_head = true;
            head.push(line);
        } else {
            in_head = false;
            let label = line.split_once("agent=\"").map(|(_, rest)| rest);
            let agent = label.and_then(|rest| rest.split('"').next());
            if agent.is_some_and(&fits) {
                for line in head.drain(..).chain([line]) {
                    own.push_str(line);
                    own.push('\n');
                }
            }
        }
    }
    own
}

/// Describes every family and makes its first series, so that it is there before anything happened.
fn describe() {
    for family in FAMILIES {
        let (name, what) = (family.name, family.what);
        let labels: Vec<(&'static str, String)> = match family.label {
            Some("limit") => LimitName::ALL
                .iter()
                .map(|name| ("limit", name.to_string()))
                .collect(),
            Some("budget") => BUDGETS
                .iter()
                .map(|name| ("budget", (*name).to_owned()))
                .collect(),
            Some("code") => ErrorCode::ALL
                .iter()
                .filter(|code| code.class() == ErrorClass::Guest)
                .map(|code| ("code", code.to_string()))
                .collect(),
            Some("kind") => MEMORY_KINDS
                .iter()
                .map(|kind| ("kind", (*kind).to_owned()))
                .collect(),
            Some("status") => AgentStatus::ALL
                .iter()
                .map(|status| ("status", status.as_str().to_owned()))
                .collect(),
            Some("route") => caxton_api::ROUTES
                .iter()
                .map(|route| ("route", route.id.as_str().to_owned()))
                .collect(),
            Some(_) => vec![("route", "none".to_owned())],
            None => Vec::new(),
        };
        match family.kind {
            FamilyKind::Counter => {
                metrics::describe_counter!(name, what);
                if labels.is_empty() {
                    metrics::counter!(name).increment(0);
                }
                for label in labels {
                    match family.label {
                        Some("route, status") => {
                            metrics::counter!(name, "route" => label.1, "status" => "404")
                                .increment(0);
                        }
                        _ => metrics::counter!(name, &[label]).increment(0),
                    }
                }
            }
            FamilyKind::Gauge => {
                metrics::describe_gauge!(name, what);
                if labels.is_empty() {
                    metrics::gauge!(name).set(0.0);
                }
                for label in labels {
                    metrics::gauge!(name, &[label]).set(0.0);
                }
            }
            FamilyKind::Histogram => {
                metrics::describe_histogram!(name, what);
                if labels.is_empty() {
                    let _there_from_now_on = metrics::histogram!(name);
                }
                for label in labels {
                    let _there_from_now_on = metrics::histogram!(name, &[label]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn the_families_are_the_golden_file() {
        let mut text = String::new();
        for family in FAMILIES {
            let kind = format!("{:?}", family.kind).to_lowercase();
            let label = family
                .label
                .map(|label| format!("{{{label}}}"))
                .unwrap_or_default();
            writeln!(text, "{}{label} {kind}: {}", family.name, family.what).unwrap();
        }
        expect_test::expect_file!["../../../docs/api/metrics.txt"].assert_eq(&text);
        assert!(FAMILIES.is_sorted_by_key(|family| family.name));
    }

    #[test]
    fn every_family_is_there_from_the_start() {
        let text = Metrics::install().text().unwrap();
        for family in FAMILIES {
            let kind = format!("{:?}", family.kind).to_lowercase();
            assert!(
                text.contains(&format!("# TYPE {} {kind}\n", family.name)),
                "{}",
                family.name
            );
            assert!(
                text.contains(&format!("# HELP {} ", family.name)),
                "{}",
                family.name
            );
        }
    }
}
