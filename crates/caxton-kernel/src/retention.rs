//! What grows old: requests with a `reply_by`, replies that nobody reads, silent conversations.

use std::{collections::HashSet, sync::Arc};

use caxton_model::{
    Delivery, Destination, ErrorCode, Fields, MessageKey, Micros, Performative, REPLY_BY_MAX,
    Receiver, Record, Sent, destination_text,
};

use crate::{Kernel, alarm::Alarm};

/// How long a client's replies are kept. Unit: 15 minutes.
pub(crate) const REPLY_KEPT: Micros = Micros::secs(15 * 60);

impl Kernel {
    /// Sets the alarms of requests that a record has opened, and enters who may answer them: agents
    /// of other shards are known here, not where the record is applied.
    pub(crate) fn watch_requests(&mut self, record: &Record) {
        let asker = match record {
            Record::Turn(turn) => Destination::Agent(turn.agent),
            Record::Posted { client, .. } => Destination::Client(Arc::clone(client)),
            _ => return,
        };
        for sent in record.sent().iter().filter(|sent| sent.is_on_its_way()) {
            let message = &sent.message;
            if let (Some(due), Some(reply_with)) = (message.reply_by, &message.reply_with)
                && !message.performative.concludes()
            {
                let name = (destination_text(&asker), Arc::clone(reply_with));
                let asked = self.directory.asked(message, &sent.to);
                self.state.set_asked(name.clone(), asked);
                let due = self.moment_of(due).min(self.now.after(REPLY_BY_MAX));
                self.alarms.set(Alarm::ReplyBy(name.0, name.1), due);
            }
        }
    }

    /// Delivers to a mailbox of this shard, and clears the alarm of a request that is answered by it.
    pub(crate) fn deliver(&mut self, delivery: Delivery) {
        let answers = delivery.message.in_reply_to.clone();
        let answers = answers.filter(|_| !self.state.open.is_empty());
        let request = answers.map(|name| (destination_text(&delivery.to), name));
        self.state.deliver(delivery);
        if let Some(request) = request.filter(|name| !self.state.open.contains_key(name)) {
            self.alarms.clear(&Alarm::ReplyBy(request.0, request.1));
        }
    }

    /// The asker's time is over: it is told so, and the request is open no more.
    pub(crate) fn reply_by_is_over(&mut self, asker: Arc<str>, reply_with: Arc<str>) {
        let Some(request) = self.state.open.get(&(asker, reply_with)) else {
            return;
        };
        let (to, message) = (request.asker.clone(), request.message.clone());
        let intended = match &message.receiver {
            Receiver::One(name) => name.to_string(),
            Receiver::List(names) => names.join(", "),
            Receiver::Capability(name) => format!("capability:{name}"),
        };
        let text = format!("no answer of `{intended}` until {}", request.reply_by);
        // The first name stands for all: who did not answer is said in words.
        let speaker = match &message.receiver {
            Receiver::One(name) => Arc::clone(name),
            _ => Arc::from("ams"),
        };
        let content = serde_json::json!({
            "error": text, "code": ErrorCode::Timeout.as_str(), "agent": intended,
        });
        let mut fields = Fields::reply_to(&message, Performative::Failure, speaker, &content);
        fields.receiver = Receiver::One(Arc::clone(&message.sender));
        let sent = vec![Sent {
            message: fields.seal(),
            to: vec![to.clone()],
        }];
        let durable = match to {
            Destination::Agent(id) => self.is_durable(id),
            _ => true,
        };
        self.commit(Record::HostSent { sent }, durable);
    }

    /// Drops a client's replies that nobody read for 15 minutes.
    pub(crate) fn replies_are_old(&mut self, client: &Arc<str>) {
        let Some(state) = self.state.clients.get(client) else {
            return;
        };
        let now = self.now;
        let old: Vec<MessageKey> = state
            .replies()
            .iter()
            .filter(|mail| now.since(mail.at) >= REPLY_KEPT)
            .map(|mail| mail.key)
            .collect();
        if !old.is_empty() {
            self.drop_replies(client, old);
        }
        self.watch_replies(client);
    }

    /// Sets the alarm for a client's oldest reply.
    pub(crate) fn watch_replies(&mut self, client: &Arc<str>) {
        let oldest = self.state.clients.get(client);
        let oldest = oldest.and_then(|state| state.replies().iter().map(|mail| mail.at).min());
        let alarm = Alarm::Replies(Arc::clone(client));
        match oldest {
            Some(at) => self.alarms.set(alarm, at.after(REPLY_KEPT)),
            None => self.alarms.clear(&alarm),
        }
    }

    /// A client has read these, or they are too old.
    pub(crate) fn drop_replies(&mut self, client: &Arc<str>, mut keys: Vec<MessageKey>) {
        self.awaited.gone(client, &keys);
        let Some(state) = self.state.clients.get(client) else {
            return;
        };
        self.work.visit(keys.len() + state.replies().len());
        let there: HashSet<MessageKey> = state.replies().iter().map(|mail| mail.key).collect();
        keys.retain(|key| there.contains(key));
        if !keys.is_empty() {
            let client = Arc::clone(client);
            self.commit(Record::RepliesDropped { client, keys }, true);
        }
    }

    /// Forgets what was silent for 30 minutes.
    pub(crate) fn conversations_are_old(&mut self) {
        self.state.expire_conversations(self.now);
        self.awaited.expire(self.now);
        self.watch_conversations();
    }
}
