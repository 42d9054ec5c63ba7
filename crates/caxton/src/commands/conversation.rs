//! `caxton conversation`: a conversation as a sequence diagram.

use std::fmt::Write as _;

use caxton_client::{AgentFilter, CaxtonClient, api::ConversationView};

use crate::{
    connection::Connection,
    environment::Environment,
    failure::Failure,
    output::{Output, one_line},
};

/// Parties drawn side by side; more would not fit a terminal, and are listed as lines.
const PARTIES_MAX: usize = 6;

/// Which conversation.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The conversation's id
    id: String,
    #[command(flatten)]
    connection: Connection,
}

/// Does it.
pub(crate) async fn run(
    args: Args,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let client = args.connection.client(environment).await?;
    let mut conversation = client.conversation(&args.id).await?;
    name_parties(&client, &mut conversation).await?;
    output.value(&conversation, diagram)
}

/// Puts names where destinations are ids: people know names.
pub(super) async fn name_parties(
    client: &CaxtonClient,
    conversation: &mut ConversationView,
) -> Result<(), Failure> {
    let agents = client.agents(&AgentFilter::default()).await?;
    for to in conversation.lines.iter_mut().flat_map(|line| &mut line.to) {
        if let Some(agent) = agents.iter().find(|agent| agent.id == *to) {
            agent.name.clone_into(to);
        }
    }
    Ok(())
}

/// Draws it.
pub(super) fn diagram(conversation: &ConversationView) -> String {
    if conversation.lines.is_empty() {
        return format!(
            "nothing was said in conversation {}",
            one_line(&conversation.id)
        );
    }
    let mut parties: Vec<String> = Vec::new();
    for line in &conversation.lines {
        for party in std::iter::once(&line.sender).chain(&line.to) {
            let party = one_line(party);
            if !parties.contains(&party) {
                parties.push(party);
            }
        }
    }
    if parties.len() > PARTIES_MAX {
        return lines(conversation);
    }
    let longest = conversation
        .lines
        .iter()
        .map(|line| line.performative.len())
        .max()
        .unwrap_or(0);
    let widest = parties
        .iter()
        .map(|party| party.chars().count())
        .max()
        .unwrap_or(0);
    let gap = (longest + 6).max(widest + 3);
    let mut text = String::new();
    for party in &parties {
        let _ = write!(text, "{party:<gap$}");
    }
    for line in &conversation.lines {
        for to in &line.to {
            let from = parties
                .iter()
                .position(|party| *party == one_line(&line.sender))
                .unwrap_or(0);
            let to = one_line(to);
            let to = parties.iter().position(|party| *party == to).unwrap_or(0);
            let _ = write!(
                text,
                "\n{}",
                arrow(from, to, parties.len(), gap, &one_line(&line.performative))
            );
        }
    }
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// One message: an arrow between two columns with its performative on it.
fn arrow(from: usize, to: usize, parties: usize, gap: usize, word: &str) -> String {
    let mut cells: Vec<char> = vec![' '; parties * gap];
    for column in 0..parties {
        if let Some(cell) = cells.get_mut(column * gap) {
            *cell = '│';
        }
    }
    let (left, right) = (from.min(to) * gap, from.max(to) * gap);
    let (left, right) = if left == right {
        (left, left + gap)
    } else {
        (left, right)
    };
    let shaft: Vec<char> = if from == to {
        format!("⟲ {word}").chars().collect()
    } else {
        let room = right - left - 1;
        let word = format!(" {word} ");
        let width = word.chars().count().min(room.saturating_sub(1));
        let before = (room - width) / 2;
        let mut shaft: Vec<char> = vec!['─'; room];
        for (cell, letter) in shaft.iter_mut().skip(before).zip(word.chars().take(width)) {
            *cell = letter;
        }
        let head = if from < to {
            shaft.last_mut()
        } else {
            shaft.first_mut()
        };
        if let Some(head) = head {
            *head = if from < to { '▶' } else { '◀' };
        }
        shaft
    };
    for (cell, drawn) in cells.iter_mut().skip(left + 1).zip(shaft) {
        *cell = drawn;
    }
    cells.into_iter().collect()
}

fn lines(conversation: &ConversationView) -> String {
    let lines = conversation.lines.iter().map(|line| {
        one_line(&format!(
            "{} {} → {} {}",
            line.at,
            line.sender,
            line.to.join(", "),
            line.performative
        ))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(said: &[(&str, &str, &str)]) -> ConversationView {
        let lines: Vec<_> = said
            .iter()
            .map(|(sender, to, performative)| {
                serde_json::json!({
                    "id": "m-0-1-0", "at": "2026-01-01T00:00:00Z", "performative": performative,
                    "sender": sender, "to": [to], "bytes": 1
                })
            })
            .collect();
        serde_json::from_value(serde_json::json!({ "id": "c", "lines": lines })).unwrap()
    }

    #[test]
    fn a_conversation_is_drawn_with_its_arrows_both_ways() {
        let drawn = diagram(&view(&[
            ("me", "greeter", "request"),
            ("greeter", "counter", "query-ref"),
            ("counter", "greeter", "inform"),
            ("greeter", "me", "inform"),
            ("me", "me", "cancel"),
        ]));
        expect_test::expect![[r#"
            me             greeter        counter
            │── request ──▶│              │
            │              │─ query-ref ─▶│
            │              │◀── inform ───│
            │◀── inform ───│              │
            │⟲ cancel      │              │"#]]
        .assert_eq(&drawn);
    }

    #[test]
    fn many_parties_become_lines() {
        let names: Vec<String> = (0..9).map(|n| format!("a{n}")).collect();
        let said: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), "hub", "inform"))
            .collect();
        assert_eq!(diagram(&view(&said)).lines().count(), 9);
    }
}
