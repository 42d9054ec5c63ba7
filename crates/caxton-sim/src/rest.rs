//! The end of a life: everything ends, nothing is forgotten, and a restart changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use caxton_model::{
    AgentId, AgentState, AgentStatus, CONVERSATION_IDLE, Durability, MessageKey, Micros, Timestamp,
};

use crate::{Breach, Rule, crash::replayed, life::Life, machine::Crash, world::World};

/// Rounds in which everything must have ended.
const ROUNDS_MAX: usize = 2_000;
/// How long a client's replies are kept: 15 minutes.
const REPLY_KEPT: Micros = Micros::secs(15 * 60);

impl Life {
    /// Lets everything end: the disk's faults, wires, turns, pauses; then looks at all of it.
    pub(crate) fn come_to_rest(&mut self) -> Result<(), Breach> {
        self.world.say(format_args!("come to rest"));
        self.world.machine.files.set_room(None);
        for _ in 0..ROUNDS_MAX {
            self.settle()?;
            self.world.check()?;
            let running: Vec<AgentId> = self.world.running.keys().copied().collect();
            if running.is_empty() {
                if !self.waits_for_time() {
                    break;
                }
                self.world.now = self.world.now.after(Micros::secs(40));
                self.world.tick();
            }
            for id in running {
                self.end_turn(id, false);
            }
        }
        self.world.check()?;
        nothing_is_overdue(&self.world)?;
        nothing_is_forged(&self.world)?;
        let published = replayed(&self.world.machine.published);
        self.world.audit.fates(&published)?;
        if self.world.tables != published.tables {
            let how = "the tables that turns see are not what the records came to";
            return Err(Breach::new(Rule::RecoveredIsRecorded, how));
        }
        let before = kept(&self.world);
        self.crashes += 1;
        self.world.crash(Crash::Kill, &mut self.rng)?;
        same(&before, &kept(&self.world))
    }

    /// Delivers, writes and hears until nothing is on its way.
    fn settle(&mut self) -> Result<(), Breach> {
        loop {
            self.world.perform_all();
            for shard in 0..self.world.shards.len() {
                self.world.wake(shard);
            }
            if let Some(wire) = self.world.busy_wires().first().copied() {
                self.world.deliver(wire, usize::MAX);
                continue;
            }
            match self.world.machine.write() {
                Ok(true) => {}
                Ok(false) => break,
                Err(failed) => {
                    self.world.say(format_args!("{failed}"));
                    self.crash(Crash::Power)?;
                }
            }
        }
        while self.world.machine.has_completions() {
            self.hear();
        }
        if self.world.take_answer(0) {
            return self.settle();
        }
        Ok(())
    }

    fn waits_for_time(&self) -> bool {
        let agents = self.world.shards.iter().flat_map(|shard| {
            let state = shard.kernel.state();
            state.agents.values()
        });
        agents.into_iter().any(|agent| {
            let pauses = matches!(
                agent.status,
                AgentStatus::Restarting | AgentStatus::Draining
            );
            pauses || (agent.status == AgentStatus::Running && !agent.timers.is_empty())
        })
    }
}

/// What was due is done.
fn nothing_is_overdue(world: &World) -> Result<(), Breach> {
    let broken = |how: String| Err(Breach::new(Rule::DueIsDone, how));
    let now = world.now;
    for shard in &world.shards {
        let state = shard.kernel.state();
        if shard.ticked < now {
            continue;
        }
        for ((asker, reply_with), request) in &state.open {
            if request.reply_by <= now {
                return broken(format!(
                    "{asker} waits for an answer to `{reply_with}` that was due"
                ));
            }
        }
        for (name, client) in &state.clients {
            if let Some(old) = client
                .replies()
                .iter()
                .find(|m| now.since(m.at) >= REPLY_KEPT)
            {
                return broken(format!("{} of `{name}` is older than 15 minutes", old.key));
            }
        }
        let limit = CONVERSATION_IDLE.0 + Micros::secs(60).0;
        for (name, conversation) in &state.conversations {
            // They are looked for once a minute.
            let since = conversation.last.max(world.booted);
            if now.since(conversation.last).0 > limit && now.since(since) > Micros::secs(60) {
                return broken(format!("conversation `{name}` has been silent too long"));
            }
        }
    }
    Ok(())
}

/// No mailbox of a client holds an answer of somebody who was not asked, also after restarts that
/// lost the record of its refusal.
fn nothing_is_forged(world: &World) -> Result<(), Breach> {
    for shard in &world.shards {
        for (name, client) in &shard.kernel.state().clients {
            for mail in client.replies() {
                world.audit.answer(name, mail, mail.at)?;
            }
        }
    }
    Ok(())
}

/// What a restart must not change.
#[derive(Debug, Default)]
struct Kept {
    agents: BTreeMap<AgentId, AgentState>,
    replies: BTreeSet<(Arc<str>, MessageKey)>,
    dead: BTreeSet<MessageKey>,
    posts: BTreeSet<(Arc<str>, Arc<str>)>,
}

fn kept(world: &World) -> Kept {
    let published = world.machine.published.iter();
    let published: BTreeSet<(u16, u64)> = published.map(|e| (e.shard, e.seq)).collect();
    let has = |key: &MessageKey| published.contains(&(key.shard, key.seq));
    let mut kept = Kept::default();
    for shard in &world.shards {
        let state = shard.kernel.state();
        for (id, agent) in &state.agents {
            if agent.spec.durability == Durability::Memory {
                continue;
            }
            let mut agent = agent.clone();
            // Shards' messages may arrive in another order than they were recorded, and what
            // nobody had recorded before has the time of its acceptance.
            agent.mailbox.make_contiguous().sort_by_key(|mail| mail.key);
            for mail in &mut agent.mailbox {
                mail.at = Timestamp::default();
            }
            kept.agents.insert(*id, agent);
        }
        for (name, client) in &state.clients {
            let keys = client.replies().iter().map(|mail| mail.key).filter(has);
            kept.replies.extend(keys.map(|key| (Arc::clone(name), key)));
        }
        kept.dead.extend(state.dead.keys().copied().filter(has));
        let posts = state.posts.iter().filter(|(_, seen)| has(&seen.key));
        kept.posts.extend(posts.map(|(name, _)| name.clone()));
    }
    kept
}

fn same(before: &Kept, after: &Kept) -> Result<(), Breach> {
    let broken = |how: String| Err(Breach::new(Rule::RestartChangesNothing, how));
    let ids: BTreeSet<_> = before.agents.keys().chain(after.agents.keys()).collect();
    for id in ids {
        let (was, is) = (before.agents.get(id), after.agents.get(id));
        if was != is {
            return broken(format!("{id} is not where it was:\n{was:?}\n{is:?}"));
        }
    }
    if before.replies != after.replies {
        return broken("a client's replies are not those that were".to_owned());
    }
    if before.dead != after.dead {
        return broken("the dead letters are not those that were".to_owned());
    }
    if before.posts != after.posts {
        return broken("the message ids are not those that were".to_owned());
    }
    Ok(())
}
