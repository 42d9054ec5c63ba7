//! The end of a process, and what the next one finds.

use std::sync::Arc;

use caxton_model::{Entry, State, Timestamp};
use caxton_store::Recovered;

use crate::{
    Breach, Rule,
    audit::Audit,
    machine::{Crash, Machine},
    rng::Rng,
    world::World,
};

impl World {
    /// Ends the process and starts it again with what the disk has.
    ///
    /// Errors: the rule that what was found breaks.
    pub(crate) fn crash(&mut self, how: Crash, rng: &mut Rng) -> Result<(), Breach> {
        self.say(format_args!("{how:?}"));
        let recovered = self
            .machine
            .restart(how, rng)
            .map_err(|error| Breach::new(Rule::JournalOpens, format!("after {how:?}: {error}")))?;
        let place = usize::try_from(recovered.place).unwrap_or(usize::MAX);
        let torn = recovered.torn.as_ref().map_or(0, |torn| torn.bytes);
        self.say(format_args!(
            "  {place} of {} records are there, {torn} torn bytes, {} replayed",
            self.machine.published.len(),
            recovered.replayed
        ));
        survives(&self.machine, place)?;
        self.machine.published.truncate(place);
        self.machine.left_after = self.machine.left_after.min(place);
        compare(&self.machine, &recovered, self.now)?;
        self.audit = Audit::default();
        for entry in &self.machine.published {
            self.audit.note(entry)?;
        }
        self.audit.fates(&recovered.state)?;
        same_values(&self.machine, &self.audit)?;
        self.boot(recovered.state);
        Ok(())
    }
}

/// What left the node is still there.
fn survives(machine: &Machine, place: usize) -> Result<(), Breach> {
    let broken = |how: String| Err(Breach::new(Rule::AcknowledgedSurvives, how));
    if place > machine.published.len() {
        return broken(format!("place {place} was never given"));
    }
    if place < machine.left_after {
        return broken(format!(
            "what left the node stood behind {} records, and {place} are there",
            machine.left_after
        ));
    }
    let kept = machine.published.get(..place).unwrap_or_default();
    for key in &machine.acknowledged {
        let is_there = |entry: &Arc<Entry>| (entry.shard, entry.seq) == (key.shard, key.seq);
        if !kept.iter().any(is_there) {
            return broken(format!("{key} was acknowledged and is gone"));
        }
    }
    Ok(())
}

/// What a journal comes to.
pub(crate) fn replayed(journal: &[Arc<Entry>]) -> State {
    let mut state = State::default();
    for entry in journal {
        state.replay(entry);
    }
    state
}

/// The recovered state, by way of disk and checkpoint, is that of the records themselves.
fn compare(machine: &Machine, recovered: &Recovered, now: Timestamp) -> Result<(), Breach> {
    let mut expected = replayed(&machine.published);
    let mut found = recovered.state.clone();
    expected.expire_conversations(now);
    found.expire_conversations(now);
    // Letters that were taken out may still stand in the order of either.
    for state in [&mut expected, &mut found] {
        let State {
            dead, dead_order, ..
        } = state;
        dead_order.retain(|key| dead.contains_key(key));
    }
    let parts = [
        ("agents", expected.agents == found.agents),
        ("clients", expected.clients == found.clients),
        ("dead letters", expected.dead == found.dead),
        (
            "dead letters' order",
            expected.dead_order == found.dead_order,
        ),
        ("posts", expected.posts == found.posts),
        ("posts' order", expected.posts_order == found.posts_order),
        ("open requests", expected.open == found.open),
        (
            "subscriptions",
            expected.df_subscriptions == found.df_subscriptions,
        ),
        ("held mail", expected.held == found.held),
        ("accesses", expected.accesses == found.accesses),
        ("grants", expected.granted == found.granted),
        ("processors", expected.processors == found.processors),
        ("tables", expected.tables == found.tables),
        ("counters", expected.seqs == found.seqs),
        (
            // A checkpoint that forgets silent ones does so at times of its own.
            "conversations",
            machine.has_pruned || expected.conversations == found.conversations,
        ),
    ];
    let differing = parts.iter().filter(|(_, same)| !same);
    let differing: Vec<&str> = differing.map(|(name, _)| *name).collect();
    if differing.is_empty() {
        return Ok(());
    }
    let agents = expected.agents.iter();
    let agent = agents
        .filter(|(id, agent)| found.agents.get(id) != Some(agent))
        .map(|(id, agent)| format!("\n{agent:?}\n{:?}", found.agents.get(id)))
        .next();
    let how = format!(
        "{} differ{}",
        differing.join(", "),
        agent.unwrap_or_default()
    );
    Err(Breach::new(Rule::RecoveredIsRecorded, how))
}

fn same_values(machine: &Machine, audit: &Audit) -> Result<(), Breach> {
    let image = machine.store.image();
    let broken = |how: String| Err(Breach::new(Rule::RecoveredIsRecorded, how));
    if image.values() != audit.count_values() {
        return broken(format!(
            "{} values are stored, and should be {}",
            image.values(),
            audit.count_values()
        ));
    }
    for (agent, key, value) in audit.values() {
        if image.value(agent, key) != Some(value) {
            return broken(format!(
                "the value {key:?} of {agent} is not as it was written"
            ));
        }
    }
    Ok(())
}
