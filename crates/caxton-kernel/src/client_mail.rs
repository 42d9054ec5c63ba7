//! How a message gets into an outside client's mailbox: nothing is pushed out in silence, and mail
//! never takes the place of a reply that the client waits for.

use std::sync::Arc;

use caxton_model::{
    CLIENT_REPLIES_MAX, CLIENT_REPLY_BYTES_MAX, Delivery, ErrorCode, MessageKey, Pending, Record,
    Sent,
};

use crate::{
    Effect, Kernel, Refusal, alarm::Alarm, awaited::Mail, host_message, mailbox::queue_full,
    retention,
};

/// Replies dropped by one record, of those that waiting callers were given.
///
/// A client that always waits has a full mailbox of them; each record is some bytes in the journal.
const HANDED_AT_ONCE: usize = 256;

impl Kernel {
    /// One delivery to a client: into its mailbox, or refused there.
    pub(crate) fn accept_mail(&mut self, client: &Arc<str>, delivery: Delivery) {
        let mail = Pending {
            key: delivery.key,
            message: delivery.message.clone(),
            at: delivery.at,
            attempts: 0,
        };
        let what = self.awaited.judge(client, &mail.message);
        let refusal = match &what {
            Mail::Forged => Some(not_asked(client)),
            Mail::Reply(_) => {
                self.make_room(client, mail.message.bytes(), true);
                None
            }
            Mail::Other => {
                let fits = self.make_room(client, mail.message.bytes(), false);
                (!fits).then(|| self.full(client))
            }
        };
        self.deliver(delivery);
        if let Some(refusal) = refusal {
            return self.refuse_mail(client, mail, &refusal);
        }
        // One that was long on its way may be older than those that are here.
        let alarm = Alarm::Replies(Arc::clone(client));
        self.alarms
            .set_by(alarm, mail.at.after(retention::REPLY_KEPT));
        let answers = match what {
            Mail::Reply(name) => {
                self.awaited.answered(self.now, client, &name, mail.key);
                Some(name)
            }
            Mail::Forged | Mail::Other => None,
        };
        let client = Arc::clone(client);
        self.effects.push(Effect::ClientMail {
            client,
            mail,
            answers,
        });
    }

    /// Makes room for one more message, and answers whether there is.
    ///
    /// What a caller that waited was given goes first. For a reply, other mail goes to the dead
    /// letters, the oldest first, and unread replies only where there is nothing else.
    fn make_room(&mut self, client: &Arc<str>, bytes: u64, is_reply: bool) -> bool {
        while self.is_full(client, bytes) {
            let Some(state) = self.state.clients.get(client) else {
                return true;
            };
            let mail = state.replies();
            let handed = mail.iter().map(|mail| mail.key);
            let handed: Vec<MessageKey> = handed
                .filter(|key| self.awaited.is_handed(client, *key))
                .take(HANDED_AT_ONCE)
                .collect();
            if !handed.is_empty() {
                self.drop_replies(client, handed);
                continue;
            }
            if !is_reply {
                return false;
            }
            let other = |mail: &&Pending| self.awaited.judge(client, &mail.message) == Mail::Other;
            let Some(victim) = mail.iter().find(other).or(mail.front()).cloned() else {
                return true;
            };
            let dead = host_message::dead(
                &victim.message,
                client,
                ErrorCode::QueueFull,
                "it made room in a full mailbox for a reply that the client waits for",
            );
            self.commit(Record::HostSent { sent: vec![dead] }, true);
            self.drop_replies(client, vec![victim.key]);
        }
        true
    }

    fn is_full(&self, client: &str, bytes: u64) -> bool {
        self.state.clients.get(client).is_some_and(|state| {
            state.replies().len() >= CLIENT_REPLIES_MAX
                || (state.bytes().saturating_add(bytes) > CLIENT_REPLY_BYTES_MAX
                    && !state.replies().is_empty())
        })
    }

    fn full(&self, client: &str) -> Refusal {
        let state = self.state.clients.get(client);
        let (messages, bytes) = state.map_or((0, 0), |s| (s.replies().len(), s.bytes()));
        queue_full(client, messages as u64, bytes)
    }

    /// Records that a delivery was refused at a client's mailbox: its dead letter, and the answer to
    /// its sender.
    pub(crate) fn refuse_mail(&mut self, client: &Arc<str>, mail: Pending, refusal: &Refusal) {
        let (code, text) = (refusal.code, &*refusal.text);
        let mut sent: Vec<Sent> = vec![host_message::dead(&mail.message, client, code, text)];
        // Who speaks is the host: a client has no agent to speak for it.
        sent.extend(host_message::failure(
            &self.directory,
            &mail.message,
            "ams",
            code,
            text,
        ));
        self.commit(Record::HostSent { sent }, true);
        self.take_reply(client, mail.key);
    }

    fn take_reply(&mut self, client: &Arc<str>, key: MessageKey) {
        let (client, keys) = (Arc::clone(client), vec![key]);
        self.commit(Record::RepliesDropped { client, keys }, true);
    }
}

pub(crate) fn not_asked(client: &str) -> Refusal {
    let text = format!(
        "the message answers a request that `{client}` did not send to its sender; let whoever was \
         asked relay the answer"
    );
    Refusal::new(ErrorCode::Denied, text)
}
