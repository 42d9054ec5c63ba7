//! An agent's log lines: those there are, and those to come.

use caxton_api::{EventKind, Page};
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
}

impl Source for Lines {
    type Item = LogLine;
    fn number(line: &LogLine) -> u64 {
        line.number
    }
    fn after(&self, number: u64) -> Vec<LogLine> {
        self.node.logs(None, number, usize::MAX)
    }
    fn wants(&self, line: &LogLine) -> bool {
        line.agent == self.agent
    }
    fn show(&self, line: &LogLine) -> (EventKind, String) {
        let data = serde_json::to_string(&views::log(line)).unwrap_or_default();
        (EventKind::Status, data)
    }
    fn named(&self) -> bool {
        false
    }
}

pub(super) fn read(call: &Call) -> Answered {
    let (agent, limit) = (meant(call)?.spec.id, call.query.limit()?);
    let after = call.query.parsed::<u64>("after", "a line's number")?;
    let streamed = call.query.flag("follow")?
        || call
            .header(header::ACCEPT)
            .is_some_and(|accept| accept.starts_with("text/event-stream"));
    let node = call.app.node.clone();
    if streamed {
        let last = call.header(HeaderName::from_static("last-event-id"));
        let begin = match (Begin::of(&call.app, last)?, after) {
            (Begin::Now, Some(after)) => Begin::After(after),
            (begin, _) => begin,
        };
        let live = node.watch_logs();
        return streams::open(&call.app, Lines { node, agent }, live, &begin);
    }
    let lines = node.logs(Some(agent), after.unwrap_or(0), limit);
    json(
        StatusCode::OK,
        &Page::all(lines.iter().map(views::log).collect()),
    )
}
