//! The picture that `caxton top` shows: a head of figures, then the busiest agents.

use caxton_client::api::{BusyAgent, JournalView, KeptFor, TopSort, TopView};
use caxton_model::ByteSize;
use owo_colors::Style;

use crate::output::{count, one_line, table};

/// One line of it.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) style: Style,
}

/// The whole picture; the first line of agents stands below their head.
pub(super) fn lines(node: &str, view: &TopView, sort: TopSort, problem: Option<&str>) -> Vec<Line> {
    let plain = |text: String| Line {
        text,
        style: Style::new(),
    };
    let mut lines: Vec<Line> = head(node, view, sort).into_iter().map(plain).collect();
    lines.push(match problem {
        None => plain(String::new()),
        Some(problem) => Line {
            text: format!("the node does not answer: {}", one_line(problem)),
            style: Style::new().red().bold(),
        },
    });
    let agents = tables(view);
    for (i, text) in agents.lines().enumerate() {
        lines.push(Line {
            text: text.to_owned(),
            style: if i == 0 {
                Style::new().reversed()
            } else {
                Style::new()
            },
        });
    }
    lines
}

/// The same for a file or a pipe.
pub(super) fn plain(node: &str, view: &TopView, sort: TopSort) -> String {
    let mut text = head(node, view, sort).join("\n");
    text.push_str("\n\n");
    text.push_str(&tables(view));
    text
}

fn head(node: &str, view: &TopView, sort: TopSort) -> Vec<String> {
    let (agents, rates, memory) = (&view.agents, &view.rates, &view.memory);
    let journal = &view.journal;
    vec![
        format!(
            "{node} up {}; agents {}: {} running, {} passivated, {} failed, {} stopped",
            time(view.uptime_secs),
            agents.total,
            agents.running,
            agents.passivated,
            agents.failed,
            agents.stopped
        ),
        format!(
            "turns {}/s  messages {}/s  faults {}/s  cpu {:.1} %  by {}",
            rate(rates.turns_per_second),
            rate(rates.messages_per_second),
            rate(rates.faults_per_second),
            rates.cpu_percent,
            sort.as_str()
        ),
        format!(
            "mailboxes {} ({}){}{}",
            view.waiting.messages,
            ByteSize(view.waiting.bytes),
            lag(journal).unwrap_or_default(),
            if journal.durable {
                ""
            } else {
                " (nothing is kept)"
            }
        ),
        format!(
            "resident {}; guests {}, packed {}, stacks {}, code {}, page tables {}",
            ByteSize(memory.resident_bytes),
            ByteSize(memory.guest_bytes),
            ByteSize(memory.packed_bytes),
            ByteSize(memory.stack_bytes),
            ByteSize(memory.code_bytes),
            ByteSize(memory.page_table_bytes)
        ),
    ]
}

fn tables(view: &TopView) -> String {
    let mut text = agents(&view.busiest);
    if !view.kept.is_empty() {
        text.push_str("\n\n");
        text.push_str(&kept(&view.kept));
    }
    text
}

fn kept(kept: &[KeptFor]) -> String {
    let head = ["kept by the host for", "bytes", "peak", "limit"];
    let rows = kept.iter().map(|kept| {
        [
            kept.owner.clone(),
            ByteSize(kept.bytes).to_string(),
            ByteSize(kept.peak_bytes).to_string(),
            kept.limit.map_or_else(
                || "unlimited".to_owned(),
                |limit| ByteSize(limit).to_string(),
            ),
        ]
    });
    table(head, rows)
}

fn agents(busiest: &[BusyAgent]) -> String {
    let head = [
        "name", "status", "cpu %", "turns/s", "faults/s", "mailbox", "memory",
    ];
    let rows = busiest.iter().map(|agent| {
        [
            agent.name.clone(),
            agent.status.as_str().to_owned(),
            format!("{:.1}", agent.cpu_percent),
            rate(agent.turns_per_second),
            rate(agent.faults_per_second),
            agent.mailbox.messages.to_string(),
            ByteSize(agent.memory_bytes).to_string(),
        ]
    });
    table(head, rows)
}

fn time(secs: u64) -> String {
    let (days, hours, minutes) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min {} s", secs % 60),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A rate with three figures or so.
fn rate(per_second: f64) -> String {
    match per_second {
        few if few < 10.0 && few > 0.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

/// How far the disk is behind; `None` where the caller's token does not show it.
fn lag(journal: &JournalView) -> Option<String> {
    let records = count(journal.lag_records?, "record");
    let millis = millis(journal.lag_micros?);
    Some(format!("  journal lag {records}, {millis:.1} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use caxton_client::api::{AgentCounts, MailboxUse, MemoryUse, Rates, Totals, Waiting};
    use caxton_model::AgentStatus;
    use expect_test::expect;

    fn view() -> TopView {
        TopView {
            uptime_secs: 90_061,
            span_micros: 1_000_000,
            agents: AgentCounts {
                total: 5,
                running: 2,
                passivated: 1,
                failed: 1,
                stopped: 1,
            },
            rates: Rates {
                turns_per_second: 1_234.4,
                messages_per_second: 9.96,
                faults_per_second: 0.0,
                cpu_percent: 42.04,
            },
            totals: Totals::default(),
            waiting: Waiting {
                messages: 7,
                bytes: 2_048,
            },
            journal: JournalView {
                durable: true,
                durable_place: Some(10),
                lag_records: Some(3),
                lag_micros: Some(1_250),
                damage: None,
            },
            memory: MemoryUse {
                guest_bytes: 3 << 20,
                packed_bytes: 9 << 10,
                stack_bytes: 16 << 10,
                code_bytes: 512,
                resident_bytes: 3 << 30,
                page_table_bytes: 1 << 20,
            },
            busiest: vec![BusyAgent {
                id: "a-1".to_owned(),
                name: "acme/worker".to_owned(),
                status: AgentStatus::Running,
                turns_per_second: 1_234.4,
                faults_per_second: 0.5,
                cpu_percent: 42.04,
                mailbox: MailboxUse {
                    messages: 7,
                    bytes: 2_048,
                },
                memory_bytes: 1 << 16,
            }],
            kept: vec![KeptFor {
                owner: "acme/worker".to_owned(),
                bytes: 3 << 10,
                peak_bytes: 5 << 20,
                limit: Some(8 << 20),
            }],
        }
    }

    #[test]
    fn the_picture_has_every_figure() {
        expect![[r#"
            http://127.0.0.1:8080 up 1 d 1 h; agents 5: 2 running, 1 passivated, 1 failed, 1 stopped
            turns 1234/s  messages 10.0/s  faults 0/s  cpu 42.0 %  by cpu
            mailboxes 7 (2 KiB)  journal lag 3 records, 1.2 ms
            resident 3 GiB; guests 3 MiB, packed 9 KiB, stacks 16 KiB, code 512 bytes, page tables 1 MiB

            NAME         STATUS   CPU %  TURNS/S  FAULTS/S  MAILBOX  MEMORY
            acme/worker  running  42.0   1234     0.5       7        64 KiB

            KEPT BY THE HOST FOR  BYTES  PEAK   LIMIT
            acme/worker           3 KiB  5 MiB  8 MiB"#]]
        .assert_eq(&plain("http://127.0.0.1:8080", &view(), TopSort::Cpu));
    }

    #[test]
    fn a_node_that_does_not_answer_is_said_above_the_agents() {
        let lines = lines(
            "http://127.0.0.1:8080",
            &view(),
            TopSort::Cpu,
            Some("no route"),
        );
        assert_eq!(lines[4].text, "the node does not answer: no route");
        assert!(lines[5].text.starts_with("NAME"));
    }
}
