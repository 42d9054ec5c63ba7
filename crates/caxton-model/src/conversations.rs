//! Who said what to whom, for people who look on: kept within bounds, forgotten when silent.

use std::sync::Arc;

use crate::{
    Conversation, ConversationLine, MessageKey, Part, Sent, State, Timestamp,
    state::CONVERSATION_IDLE,
};

impl Conversation {
    /// Adds a line that costs so many bytes.
    pub(crate) fn add(&mut self, line: ConversationLine, bytes: u64) {
        self.last = line.at;
        self.count += 1;
        self.bytes += bytes;
        if self.lines.is_empty() {
            // Most are a question and its answer: no room for the four lines of a first growth.
            self.lines.reserve_exact(2);
        }
        self.lines.push_back(line);
    }
    /// Takes a line out.
    pub(crate) fn take(&mut self, key: MessageKey) -> Option<ConversationLine> {
        // It is the oldest, nearly always.
        let at = self.lines.iter().position(|line| line.key == key)?;
        self.lines.remove(at)
    }
}

impl State {
    /// Adds what was sent to its conversation.
    pub(crate) fn note_conversation(&mut self, at: Timestamp, key: MessageKey, sent: &Sent) {
        let Some(id) = &sent.message.conversation_id else {
            return;
        };
        self.touch(Part::Conversation(Arc::clone(id)));
        let known = self.conversations.get(id);
        if known.is_some_and(|known| at.since(known.last) >= CONVERSATION_IDLE) {
            self.forget_conversation(id);
        }
        self.keep_line(
            id,
            ConversationLine {
                key,
                at,
                performative: sent.message.performative,
                sender: Arc::clone(&sent.message.sender),
                to: sent.to.clone(),
                bytes: sent.message.bytes(),
                message: Some(sent.message.clone()),
            },
        );
    }

    fn forget_conversation(&mut self, id: &Arc<str>) {
        self.touch(Part::Conversation(Arc::clone(id)));
        if let Some(conversation) = self.conversations.remove(id) {
            self.uncharge(&conversation);
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
            self.forget_conversation(&id);
        }
    }
}
