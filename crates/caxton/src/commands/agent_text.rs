//! What is said about agents to people.

use caxton_client::api::{
    AccessEntry, AgentDetail, AgentFault, AgentSummary, GrantEntry, LimitUse, LogEntry, NotGranted,
    RequestedEntry, StreamGap,
};
use caxton_model::{ByteSize, LimitName, Micros};
use owo_colors::Style;

use crate::output::{Output, count, one_line, painted_table, pairs, table};

pub(super) fn word(agent: &AgentSummary) -> String {
    serde_json::to_value(agent.status)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn painted(word: &str, output: &Output) -> String {
    let style = match word {
        "running" | "passivated" => Style::new().green(),
        "failed" => Style::new().red(),
        _ => Style::new().yellow(),
    };
    output.paint(word, style)
}

pub(super) fn status_line(agent: &AgentSummary, output: &Output) -> String {
    format!(
        "{} ({}) is {}",
        one_line(&agent.name),
        one_line(&agent.id),
        painted(&word(agent), output)
    )
}

pub(super) fn acts_table(acts: &[AccessEntry]) -> String {
    if acts.is_empty() {
        return "no accesses: the agent is in no turn that has asked for one".to_owned();
    }
    let rows = acts.iter().map(|act| {
        let outcome = match act.outcome {
            Some(0) => "done".to_owned(),
            Some(code) => format!("answered {code}"),
            None => "asked".to_owned(),
        };
        [
            act.turn.to_string(),
            act.number.to_string(),
            act.at.clone(),
            act.access.clone(),
            outcome,
            act.idempotency_key.clone(),
        ]
    });
    table(
        [
            "turn",
            "number",
            "at",
            "access",
            "outcome",
            "idempotency key",
        ],
        rows,
    )
}

pub(super) fn agents_table(agents: &[AgentSummary], output: &Output) -> String {
    const STATUS: usize = 2;
    if agents.is_empty() {
        return "no agents; deploy one with `caxton agent deploy FILE`".to_owned();
    }
    let rows = agents.iter().map(|agent| {
        let offers = if agent.capabilities.is_empty() {
            agent.declared.join(", ")
        } else {
            agent.capabilities.join(", ")
        };
        [
            agent.name.clone(),
            agent.id.clone(),
            word(agent),
            agent.version.clone(),
            agent.mailbox.messages.to_string(),
            offers,
        ]
    });
    painted_table(
        ["name", "id", "status", "version", "mail", "offers"],
        rows,
        |column, text| match column {
            STATUS => painted(&text, output),
            _ => text,
        },
    )
}

/// Everything about an agent, for people.
pub(super) fn detail_text(detail: &AgentDetail) -> String {
    let lines = pairs(&detail_lines(detail));
    let mut parts = vec![lines, limits_table(&detail.limits)];
    parts.extend(rights_tables(detail.requested.as_deref(), &detail.grants));
    parts.join("\n")
}

/// What a guest asks for and what it is granted, each where there is any of it.
pub(super) fn rights_tables(
    requested: Option<&[RequestedEntry]>,
    granted: &[GrantEntry],
) -> Vec<String> {
    let requested = requested.filter(|all| !all.is_empty()).map(requested_table);
    let granted = (!granted.is_empty()).then(|| grants_table(granted));
    let tables = requested.into_iter().chain(granted);
    tables.map(|table| format!("\n{table}")).collect()
}

fn requested_table(requested: &[RequestedEntry]) -> String {
    let rows = requested.iter().map(|entry| {
        let reason = entry.reason.clone().unwrap_or_default();
        [entry.rule.clone(), reason]
    });
    table(["asked for", "reason"], rows)
}

/// The rules that an agent is granted.
pub(super) fn grants_table(granted: &[GrantEntry]) -> String {
    let rows = granted.iter().map(|entry| {
        let requested = match entry.requested {
            Some(true) => "yes",
            Some(false) => "no: it gives nothing",
            None => "",
        };
        [
            entry.rule.clone(),
            entry
                .expires
                .clone()
                .unwrap_or_else(|| "revoked".to_owned()),
            entry.by.clone(),
            entry.at.clone(),
            requested.to_owned(),
            entry.reason.clone().unwrap_or_default(),
        ]
    });
    table(
        ["granted", "until", "by", "at", "asked for", "reason"],
        rows,
    )
}

/// The line that tells of a rule that is asked for and not granted.
pub(super) fn not_granted(missing: &NotGranted) -> String {
    let reason = match &missing.reason {
        Some(reason) => format!(" ({})", one_line(reason)),
        None => String::new(),
    };
    let rule = one_line(&missing.rule);
    let next = match (&missing.command, &missing.forbidden_by) {
        (_, Some(line)) => format!("{} forbids it", one_line(line)),
        (Some(command), None) => format!("to allow it: {}", one_line(command)),
        (None, None) => "no grant would allow it".to_owned(),
    };
    format!("it asks for `{rule}`{reason}, and is not granted that; {next}")
}

fn detail_lines(detail: &AgentDetail) -> Vec<(&'static str, String)> {
    let agent = &detail.agent;
    let counters = &detail.counters;
    let memory = detail
        .memory_bytes
        .map_or("no live instance".to_owned(), |b| ByteSize(b).to_string());
    let mut lines = vec![
        ("name", agent.name.clone()),
        ("id", agent.id.clone()),
        (
            "status",
            format!("{} {}", word(agent), detail.status_reason),
        ),
        ("version", agent.version.clone()),
        ("module", agent.module.clone()),
        (
            "durability",
            format!("{:?}", agent.durability).to_lowercase(),
        ),
        ("profile", agent.profile.to_string()),
        ("deployed", agent.deployed_at.clone()),
        ("offers", agent.capabilities.join(", ")),
        ("mailbox", count(agent.mailbox.messages as u64, "message")),
        (
            "turns",
            format!(
                "{} ({}, {})",
                counters.turns,
                count(counters.errors, "error"),
                count(counters.faults, "fault")
            ),
        ),
        ("sent", counters.messages_sent.to_string()),
        ("cpu", Micros(counters.cpu_micros).to_string()),
        (
            "state",
            format!(
                "{}, {}",
                count(counters.state_keys, "key"),
                ByteSize(counters.state_bytes)
            ),
        ),
        ("memory", memory),
    ];
    if let Some(to) = &detail.message_send {
        lines.push(("may send to", to.join(", ")));
    }
    if let Some(previous) = &detail.previous_version {
        lines.push(("rolls back to", previous.clone()));
    }
    if let Some(fault) = &detail.last_fault {
        lines.extend(fault_lines(fault));
    }
    lines
}

fn fault_lines(fault: &AgentFault) -> Vec<(&'static str, String)> {
    let text = format!("{} {}: {}", fault.at, fault.code, fault.text);
    let frames = fault.backtrace.iter().map(|frame| {
        let source = match &frame.source {
            Some(source) => format!(" ({source})"),
            None => String::new(),
        };
        ("", format!("  at {}{source}", frame.function))
    });
    std::iter::once(("last fault", text))
        .chain(frames)
        .collect()
}

pub(super) fn limits_table(limits: &[LimitUse]) -> String {
    let rows = limits.iter().map(|row| {
        let show = |value: u64| match row.name.parse::<LimitName>() {
            Ok(name) => name.show(value),
            Err(_) => value.to_string(),
        };
        [
            row.name.clone(),
            row.limit.map_or("unlimited".to_owned(), show),
            show(row.used),
            show(row.peak),
            row.last_breach.clone().unwrap_or_default(),
        ]
    });
    table(["limit", "value", "used", "peak", "last breach"], rows)
}

pub(super) fn log_line(line: &LogEntry, output: &Output) -> String {
    let style = match line.level.as_str() {
        "error" => Style::new().red(),
        "warn" => Style::new().yellow(),
        _ => Style::new().dimmed(),
    };
    let level = output.paint(&format!("{:5}", one_line(&line.level)), style);
    format!(
        "{} {level} {} {}",
        one_line(&line.at),
        one_line(&line.name),
        one_line(&line.text)
    )
}

/// What is said of a gap. The lines that the node keeps are those of all agents.
pub(super) fn lost_lines(gap: &StreamGap) -> String {
    let reason = one_line(&gap.reason);
    match gap.missed {
        Some(1) => format!("1 line of this agent or another was lost: {reason}"),
        Some(missed) => format!("{missed} lines of this agent and others were lost: {reason}"),
        None => format!("lines may have been lost: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_lines_are_counted_in_words() {
        let lost = |missed| {
            let reason = "slow\u{1b}".to_owned();
            lost_lines(&StreamGap { missed, reason })
        };
        assert!(lost(None).starts_with("lines may have been lost: slow"));
        assert!(lost(Some(1)).starts_with("1 line of this agent or another was lost: "));
        assert!(lost(Some(7)).starts_with("7 lines of this agent and others were lost: "));
        assert!(!lost(None).contains('\u{1b}'), "{}", lost(None));
    }
}
