//! An agent's log lines: those there are, and those to come.

use caxton_api::{EventKind, LogEntry, Page};
use caxton_model::AgentId;
use caxton_node::{LogLine, Node};
use http::{HeaderName, StatusCode, header};

use super::agents::meant;
use crate::{
    call::Call,
    refuse::{Answered, json},
    streams::{self, Begin, Source},
    views,
};

struct Lines {
    node: Node,
    agent: AgentId,
    boot: String,
}

impl Source for Lines {
    type Item = LogLine;
    fn number(line: &LogLine) -> u64 {
        line.number
    }
    fn last(&self) -> u64 {
        let last = self.node.logs(None, 0, 1);
        last.last().map_or(0, Self::number)
    }
    fn after(&self, number: u64) -> Vec<LogLine> {
        self.node.logs(None, number, usize::MAX)
    }
    fn wants(&self, line: &LogLine) -> bool {
        line.agent == self.agent
    }
    fn show(&self, line: &LogLine) -> (EventKind, String) {
        let data = serde_json::to_string(&views::log(&self.boot, line)).unwrap_or_default();
        (EventKind::Status, data)
    }
    fn named(&self) -> bool {
        false
    }
}

pub(super) fn read(call: &Call) -> Answered {
    read_of(call, meant(call)?.spec.id)
}

/// The lines of the guest with this id.
pub(super) fn read_of(call: &Call, agent: AgentId) -> Answered {
    let limit = call.query.limit()?;
    let cursor = call
        .query
        .get("cursor")
        .map(|id| ("query parameter `cursor`", id));
    let after = || {
        call.query
            .get("after")
            .map(|id| ("query parameter `after`", id))
    };
    let streamed = call.query.flag("follow")?
        || call
            .header(header::ACCEPT)
            .is_some_and(|accept| accept.starts_with("text/event-stream"));
    let (node, boot) = (call.app.node.clone(), call.app.boot.clone());
    let begin = match cursor.or_else(after) {
        None => Begin::Now,
        Some((name, id)) => match id.parse() {
            Ok(number) => Begin::After(number),
            Err(_) => Begin::at(&call.app, name, id)?,
        },
    };
    if streamed {
        let last = call.header(HeaderName::from_static("last-event-id"));
        let begin = match Begin::of(&call.app, last)? {
            Begin::Now => begin,
            given => given,
        };
        let live = node.watch_logs();
        return streams::open(&call.app, Lines { node, agent, boot }, live, &begin);
    }
    let lines = match begin {
        Begin::Now => node.logs(Some(agent), 0, limit),
        // One more than the page has, so as to know whether there is a next one.
        Begin::After(number) => node.logs_after(agent, number, limit + 1),
        Begin::Restarted => node.logs_after(agent, 0, limit + 1),
    };
    call.caller.work.visit(lines.len());
    let shown = lines.get(..limit).unwrap_or(&lines);
    let items: Vec<LogEntry> = shown.iter().map(|line| views::log(&boot, line)).collect();
    let last = items.last().filter(|_| lines.len() > shown.len());
    let next_cursor = last.map(|last| last.id.clone());
    json(StatusCode::OK, &Page { items, next_cursor })
}
