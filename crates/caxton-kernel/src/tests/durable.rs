//! What of a state must survive, as lines that can be compared.

use std::{collections::BTreeSet, sync::Arc};

use caxton_model::{CONVERSATION_IDLE, Durability, Entry, MessageKey, Record, State, Timestamp};

/// What a journal knows of, to tell it from what was never meant to survive.
pub(super) struct Durable {
    records: BTreeSet<(u16, u64)>,
    messages: BTreeSet<String>,
}

impl Durable {
    pub(super) fn of(journal: &[Arc<Entry>]) -> Self {
        // What opens requests.
        let asks = |record: &Record| matches!(record, Record::Turn(_) | Record::Posted { .. });
        let asking = journal.iter().filter(|entry| asks(&entry.record));
        let sent = asking.flat_map(|entry| entry.record.sent());
        Self {
            records: journal
                .iter()
                .map(|entry| (entry.shard, entry.seq))
                .collect(),
            messages: sent.map(|sent| sent.message.json().to_owned()).collect(),
        }
    }
    fn has(&self, key: MessageKey) -> bool {
        self.records.contains(&(key.shard, key.seq))
    }

    /// A state's durable parts, a line each, in no order.
    pub(super) fn lines(&self, state: &State, now: Timestamp) -> Vec<String> {
        let mut lines = Vec::new();
        for (id, agent) in &state.agents {
            if agent.spec.durability == Durability::Memory {
                lines.push(format!("agent {id} {:?} {:?}", agent.spec, agent.status));
                continue;
            }
            let mut agent = agent.clone();
            // Deliveries of different shards may arrive in another order than they were recorded.
            let mailbox = agent.mailbox.make_contiguous();
            mailbox.sort_by_key(|mail| mail.key);
            for mail in mailbox {
                // When a message was accepted that nobody had recorded before.
                if !self.has(mail.key) {
                    mail.at = Timestamp::default();
                }
            }
            lines.push(format!("agent {id} {agent:?}"));
        }
        for (name, client) in &state.clients {
            let replies = client.replies().iter().filter(|mail| self.has(mail.key));
            lines.extend(replies.map(|mail| format!("reply {name} {mail:?}")));
        }
        let letters = state.dead.values().filter(|letter| self.has(letter.key));
        lines.extend(letters.map(|letter| format!("dead {letter:?}")));
        for (name, seen) in state.posts.iter().filter(|(_, seen)| self.has(seen.key)) {
            lines.push(format!("post {name:?} {seen:?}"));
        }
        for (id, conversation) in &state.conversations {
            // Each shard forgets its own part; only what is young is everywhere.
            let young = |at| now.since(at) < CONVERSATION_IDLE;
            let lines_kept = conversation.lines.iter();
            let kept = lines_kept.filter(|line| self.has(line.key) && young(line.at));
            lines.extend(kept.map(|line| format!("line {id} {line:?}")));
        }
        for (name, request) in &state.open {
            if self.messages.contains(request.message.json()) {
                lines.push(format!("open {name:?} {request:?}"));
            }
        }
        let forgetful = |name: &str| {
            state.agents.values().any(|agent| {
                agent.spec.durability == Durability::Memory && agent.spec.name.as_str() == name
            })
        };
        let subscriptions = state
            .df_subscriptions
            .iter()
            .filter(|s| !forgetful(&s.subscriber));
        lines.extend(subscriptions.map(|subscription| format!("subscription {subscription:?}")));
        let held = state.held.iter().filter(|(_, mail)| self.has(mail.key));
        lines.extend(held.map(|held| format!("held {held:?}")));
        lines
    }
}
