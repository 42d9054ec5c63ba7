//! Requests about messages: sending, replies, conversations, dead letters.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use caxton_kernel::{Done, Event, Post, Reach, Refusal, shard_of_client};
use caxton_model::{ConversationLine, DeadLetter, ErrorCode, MessageKey, Micros, Pending};
use tokio::sync::oneshot;

use crate::{budget, node::Node, request::Posted, shard::ShardMessage, waiters::Wanted};

impl Node {
    /// Sends a message from outside; with `wait`, waits that long for the reply.
    ///
    /// When this returns, what was accepted is as durable as the answer says.
    /// Cancel: an accepted message stays accepted; a reply stays in the client's mailbox.
    /// Errors: the message is refused, and nothing was recorded.
    pub async fn post(&self, post: Post, wait: Option<Duration>) -> Result<Posted, Refusal> {
        match wait {
            Some(wait) => self.post_until(post, wait, std::future::pending()).await,
            None => {
                self.check_room(&post.client)?;
                let shard = shard_of_client(&post.client, self.shared.directory.shards());
                let ask = self.ask(shard, |ticket| Event::Post { ticket, post });
                posted(ask.await?)
            }
        }
    }

    fn check_room(&self, client: &str) -> Result<(), Refusal> {
        if let Some(refusal) = self.shared.budget.refuses_bytes() {
            return Err(refusal);
        }
        if self.shared.adds_too_much(client) {
            return Err(budget::heavy(client));
        }
        Ok(())
    }

    /// The same, waiting for the reply no longer than until `ended`.
    pub async fn post_until(
        &self,
        mut post: Post,
        wait: Duration,
        ended: impl Future<Output = ()>,
    ) -> Result<Posted, Refusal> {
        self.check_room(&post.client)?;
        let client = Arc::clone(&post.client);
        let shard = shard_of_client(&client, self.shared.directory.shards());
        // Known before the message is sent, so that no reply can come before the wait has begun.
        let number = self.shared.next_name.fetch_add(1, Ordering::Relaxed);
        post.fill_names(|| format!("r-{number:x}").into());
        let wanted = Wanted::first(&post.fields);
        let (number, reply) = self.shared.waiters.begin(&client, wanted).ok_or_else(|| {
            Refusal::new(
                ErrorCode::TooManyRequests,
                format!("client `{client}` has too many requests waiting for replies"),
            )
        })?;
        let waiting = Waiting {
            node: self,
            client: &client,
            number,
        };
        let mut posted = posted(
            self.ask(shard, |ticket| Event::PostAndWait {
                ticket,
                post,
                wait: Micros(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)),
            })
            .await?,
        )?;
        let enough = async {
            let _ended = tokio::time::timeout(wait, ended).await;
        };
        if posted.duplicate {
            drop(waiting);
            let wanted = Wanted::again(&posted.message);
            posted.reply = self.wait_reply(&client, wanted, enough).await?;
        } else {
            posted.reply = until(reply, enough).await;
        }
        Ok(posted)
    }

    /// Waits for a reply that may already be there.
    async fn wait_reply(
        &self,
        client: &Arc<str>,
        wanted: Wanted,
        enough: impl Future<Output = ()>,
    ) -> Result<Option<Pending>, Refusal> {
        let Some((number, reply)) = self.shared.waiters.begin(client, wanted.clone()) else {
            return Ok(None);
        };
        let _waiting = Waiting {
            node: self,
            client,
            number,
        };
        let there = self.replies(client).await?;
        if let Some(found) = there
            .into_iter()
            .find(|mail| wanted.fits(&mail.message, None))
        {
            return Ok(Some(found));
        }
        Ok(until(reply, enough).await)
    }

    /// A client's replies, oldest first; all of them are durable.
    pub async fn replies(&self, client: &str) -> Result<Vec<Pending>, Refusal> {
        let shard = shard_of_client(client, self.shared.directory.shards());
        let name = client.to_owned();
        let replies = self
            .inspect(shard, move |view| {
                let client = view.kernel.state().clients.get(name.as_str());
                client
                    .map(|c| c.replies().iter().cloned().collect::<Vec<_>>())
                    .unwrap_or_default()
            })
            .await?;
        self.settle().await?;
        Ok(replies)
    }

    /// Drops replies that a client has read.
    pub fn drop_replies(&self, client: &str, keys: Vec<MessageKey>) -> Result<(), Refusal> {
        let shard = shard_of_client(client, self.shared.directory.shards());
        let event = Event::DropReplies {
            client: client.into(),
            keys,
        };
        self.shared.send(shard, ShardMessage::Event(event))
    }

    /// What was said under a conversation id, by time; empty if nothing is known of it.
    pub async fn conversation(&self, id: &str) -> Result<Vec<ConversationLine>, Refusal> {
        let mut lines: BTreeMap<_, ConversationLine> = BTreeMap::new();
        for shard in 0..self.shared.directory.shards() {
            let name = id.to_owned();
            let of_shard = self
                .inspect(shard, move |view| {
                    let conversation = view.kernel.state().conversations.get(name.as_str());
                    conversation
                        .map(|c| c.lines.iter().cloned().collect::<Vec<_>>())
                        .unwrap_or_default()
                })
                .await?;
            lines.extend(of_shard.into_iter().map(|line| ((line.at, line.key), line)));
        }
        self.settle().await?;
        Ok(lines.into_values().collect())
    }

    /// The newest dead letters, newest first.
    pub async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, Refusal> {
        let mut letters = Vec::new();
        for shard in 0..self.shared.directory.shards() {
            let of_shard = self
                .inspect(shard, move |view| {
                    let state = view.kernel.state();
                    let newest = state.dead_order.iter().rev();
                    newest
                        .filter_map(|key| state.dead.get(key).cloned())
                        .take(limit)
                        .collect::<Vec<_>>()
                })
                .await?;
            letters.extend(of_shard);
        }
        // Stable: the letters of one moment stay in their order, so that pages follow each other.
        letters.sort_by_key(|letter| std::cmp::Reverse(letter.at));
        letters.truncate(limit);
        self.settle().await?;
        Ok(letters)
    }

    /// The dead letter with this key, if there is one.
    pub async fn dead_letter(&self, key: MessageKey) -> Result<Option<DeadLetter>, Refusal> {
        let mut found = None;
        for shard in 0..self.shared.directory.shards() {
            let of_shard = self
                .inspect(shard, move |view| {
                    view.kernel.state().dead.get(&key).cloned()
                })
                .await?;
            found = found.or(of_shard);
        }
        self.settle().await?;
        Ok(found)
    }

    /// Deletes dead letters or, with `resend`, sends those again that may be sent within that reach;
    /// answers how many there were.
    pub async fn take_dead_letters(
        &self,
        keys: Vec<MessageKey>,
        resend: Option<Reach>,
    ) -> Result<u32, Refusal> {
        let mut all = 0;
        for shard in 0..self.shared.directory.shards() {
            let (keys, resend) = (keys.clone(), resend.clone());
            let event = |ticket| Event::TakeDeadLetters {
                ticket,
                keys,
                resend,
            };
            if let Done::DeadLetters { taken } = self.ask(shard, event).await? {
                all += taken;
            }
        }
        Ok(all)
    }
}

/// The reply, unless it is not there when `enough` ends.
async fn until(
    reply: oneshot::Receiver<Pending>,
    enough: impl Future<Output = ()>,
) -> Option<Pending> {
    tokio::select! {
        biased;
        reply = reply => reply.ok(),
        () = enough => None,
    }
}

fn posted(done: Done) -> Result<Posted, Refusal> {
    match done {
        Done::Posted {
            key,
            message,
            deliveries,
            durable,
            duplicate,
        } => Ok(Posted {
            key,
            message,
            deliveries,
            durable,
            duplicate,
            reply: None,
        }),
        other => Err(Refusal::new(
            ErrorCode::Internal,
            format!("a message was answered with {other:?}"),
        )),
    }
}

/// A wait that ends with its request, whichever way that ends.
struct Waiting<'a> {
    node: &'a Node,
    client: &'a str,
    number: u64,
}
impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.node.shared.waiters.end(self.client, self.number);
    }
}
