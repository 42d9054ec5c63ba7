//! From what the disk holds to what each shard knows.

use std::sync::Arc;

use caxton_kernel::{Directory, shard_of_client};
use caxton_model::{Destination, State};

/// Splits the node's state into one part for each shard.
///
/// The number of shards may differ from the last time: what has no owner any more goes to a shard
/// that there is.
pub(crate) fn split(mut whole: State, directory: &Directory) -> Vec<State> {
    whole.forget_memory_agents();
    let shards = directory.shards();
    let mut parts: Vec<State> = (0..shards)
        .map(|shard| {
            let mut part = State::default();
            if let Some(seq) = whole.seqs.get(&shard) {
                part.seqs.insert(shard, *seq);
            }
            part
        })
        .collect();
    let client_shard = |client: &str| shard_of_client(client, shards);
    let mut give = |shard: u16, f: &mut dyn FnMut(&mut State)| {
        if let Some(part) = parts.get_mut(usize::from(shard)) {
            f(part);
        }
    };
    for (name, request) in std::mem::take(&mut whole.open) {
        let shard = match &request.asker {
            Destination::Agent(id) => match whole.agents.get(id) {
                Some(agent) => directory.shard_of(&agent.spec),
                None => continue,
            },
            Destination::Client(client) => client_shard(client),
            Destination::Dead { .. } => continue,
        };
        give(shard, &mut |part| {
            part.open.insert(name.clone(), request.clone());
        });
    }
    for (id, agent) in std::mem::take(&mut whole.agents) {
        let shard = directory.shard_of(&agent.spec);
        let mut agent = Some(agent);
        give(shard, &mut |part| {
            if let Some(agent) = agent.take() {
                part.agents.insert(id, agent);
            }
        });
    }
    for (name, client) in std::mem::take(&mut whole.clients) {
        give(client_shard(&name), &mut |part| {
            part.clients.insert(Arc::clone(&name), client.clone());
        });
    }
    for key in std::mem::take(&mut whole.dead_order) {
        if let Some(letter) = whole.dead.remove(&key) {
            give(key.shard % shards, &mut |part| part.bury(letter.clone()));
        }
    }
    for name in std::mem::take(&mut whole.posts_order) {
        if let Some(seen) = whole.posts.remove(&name) {
            give(client_shard(&name.0), &mut |part| {
                part.posts_order.push_back(name.clone());
                part.posts.insert(name.clone(), seen.clone());
            });
        }
    }
    if let Some(first) = parts.first_mut() {
        // Conversations are read from all shards and put in order; who keeps the past is no matter.
        first.conversations = whole.conversations;
        first.df_subscriptions = whole.df_subscriptions;
    }
    parts
}
