//! Who said what to whom, for people who look on: kept within bounds, forgotten when silent.

use std::sync::Arc;

use crate::{
    Conversation, ConversationLine, Message, MessageKey, Part, Sent, State, Timestamp,
    state::{
        CONVERSATION_BYTES_MAX, CONVERSATION_BYTES_TOTAL, CONVERSATION_IDLE,
        CONVERSATION_LINES_MAX, CONVERSATIONS_MAX,
    },
};

/// What a message takes besides its text: its fields, its names, its line. Unit: bytes.
const MESSAGE_WEIGHT: u64 = 600;

/// What keeping a message takes, about. Unit: bytes.
fn weight(message: &Message) -> u64 {
    MESSAGE_WEIGHT + message.bytes()
}

impl Conversation {
    /// Adds a line; the oldest lines lose first their content, then their place.
    pub(crate) fn note(&mut self, line: ConversationLine) {
        self.last = line.at;
        self.count += 1;
        self.bytes += line.message.as_ref().map_or(0, weight);
        if self.lines.is_empty() {
            // Most are a question and its answer: no room for the four lines of a first growth.
            self.lines.reserve_exact(2);
        }
        self.lines.push_back(line);
        if self.lines.len() > CONVERSATION_LINES_MAX {
            let oldest = self.lines.pop_front().and_then(|line| line.message);
            let freed = oldest.as_ref().map_or(0, weight);
            self.bytes = self.bytes.saturating_sub(freed);
        }
        for line in &mut self.lines {
            if self.bytes <= CONVERSATION_BYTES_MAX {
                break;
            }
            if let Some(message) = line.message.take() {
                self.bytes = self.bytes.saturating_sub(weight(&message));
            }
        }
    }
    /// Keeps who said what to whom, not the words.
    pub(crate) fn drop_content(&mut self) {
        for line in &mut self.lines {
            line.message = None;
        }
        self.bytes = 0;
    }
}

impl State {
    /// Adds what was sent to its conversation.
    pub(crate) fn note_conversation(&mut self, at: Timestamp, key: MessageKey, sent: &Sent) {
        let Some(id) = &sent.message.conversation_id else {
            return;
        };
        self.touch(Part::Conversation(Arc::clone(id)));
        let conversation = self.conversations.entry(Arc::clone(id)).or_default();
        let before = conversation.bytes;
        if at.since(conversation.last) >= CONVERSATION_IDLE {
            *conversation = Conversation::default();
        }
        conversation.note(ConversationLine {
            key,
            at,
            performative: sent.message.performative,
            sender: Arc::clone(&sent.message.sender),
            to: sent.to.clone(),
            bytes: sent.message.bytes(),
            message: Some(sent.message.clone()),
        });
        self.conversation_bytes =
            (self.conversation_bytes + conversation.bytes).saturating_sub(before);
        if self.conversations.len() > CONVERSATIONS_MAX
            || self.conversation_bytes > CONVERSATION_BYTES_TOTAL
        {
            self.thin_conversations();
        }
    }

    /// Makes room: the tenth that was silent longest goes, the third loses its content.
    ///
    /// Cost: a walk over all; rare, since it frees a share of all.
    fn thin_conversations(&mut self) {
        let mut ids: Vec<_> = self
            .conversations
            .iter()
            .map(|(id, conversation)| (conversation.last, Arc::clone(id)))
            .collect();
        ids.sort_unstable();
        let too_many = if ids.len() > CONVERSATIONS_MAX {
            ids.len() / 10
        } else {
            0
        };
        for (_, id) in ids.iter().take(too_many) {
            self.touch(Part::Conversation(Arc::clone(id)));
            self.conversations.remove(id);
        }
        self.conversation_bytes = self.conversations.values().map(|c| c.bytes).sum();
        for (_, id) in ids.iter().skip(too_many) {
            if self.conversation_bytes <= CONVERSATION_BYTES_TOTAL / 3 * 2 {
                break;
            }
            self.touch(Part::Conversation(Arc::clone(id)));
            if let Some(conversation) = self.conversations.get_mut(id) {
                self.conversation_bytes -= conversation.bytes;
                conversation.drop_content();
            }
        }
    }

    /// Forgets conversations in which nothing was said for 30 minutes.
    ///
    /// Nothing is recorded for it: whoever has the journal and the time comes to the same.
    pub fn expire_conversations(&mut self, now: Timestamp) {
        let idle: Vec<_> = self
            .conversations
            .iter()
            .filter(|(_, conversation)| now.since(conversation.last) >= CONVERSATION_IDLE)
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for id in idle {
            self.touch(Part::Conversation(Arc::clone(&id)));
            if let Some(conversation) = self.conversations.remove(&id) {
                self.conversation_bytes =
                    self.conversation_bytes.saturating_sub(conversation.bytes);
            }
        }
    }
}
