//! The world outside: answers what turns ask of it, and remembers for ever what it was asked.
//!
//! A crash of the node takes nothing from it. That is what makes repetitions visible.

use std::{collections::BTreeMap, sync::Arc};

use caxton_kernel::{NextAccess, TurnCtx};
use caxton_model::{AgentId, Digest, ErrorCode, InputRef, Record, Timestamp, stable_hash};

use crate::{Breach, Rule, machine::Leaving, world::World};

/// What was asked of the outside.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// Requests by idempotency key.
    requests: BTreeMap<String, String>,
    /// Keys by request. Every request is unlike every other.
    keys: BTreeMap<String, String>,
    /// Answers that are on their way to the node.
    answers: Vec<(AgentId, u64, u32, Arc<[u8]>)>,
}

/// What the outside answers.
pub(crate) fn answer(request: &str) -> Arc<[u8]> {
    format!("the answer to {request}").into_bytes().into()
}

/// How many accesses a turn with this input makes: the same when it runs again.
pub(crate) fn planned(agent: AgentId, input: &InputRef) -> usize {
    match input {
        InputRef::Message(_) | InputRef::Timer { .. } => {
            let hash = stable_hash(format!("{agent} {input:?}").as_bytes());
            [0, 0, 1, 3].get(hash as usize % 4).copied().unwrap_or(0)
        }
        _ => 0,
    }
}

/// What a turn asks for next. It depends on the clock and on chance as the guest sees them, so that a
/// turn which sees others when it runs again asks for something else.
fn request(ctx: &mut TurnCtx, input: &InputRef, number: usize, now: Timestamp) -> String {
    let (agent, at, random) = (ctx.agent(), ctx.read_clock(now), ctx.random_u32());
    format!("{agent} {input:?} {number} at {} {random}", at.0)
}

impl Outside {
    fn ask(&mut self, key: &str, request: &str) -> Result<(), Breach> {
        let broken = |how: String| Err(Breach::new(Rule::AccessesHaveKeys, how));
        if let Some(other) = self.requests.get(key).filter(|known| *known != request) {
            return broken(format!("`{request}` has the key {key} of `{other}`"));
        }
        if let Some(other) = self.keys.get(request).filter(|known| *known != key) {
            return broken(format!(
                "`{request}` came with {other}, and again with {key}"
            ));
        }
        self.requests.insert(key.to_owned(), request.to_owned());
        self.keys.insert(request.to_owned(), key.to_owned());
        Ok(())
    }
    /// The process ended: what was on its way to it is lost.
    pub(crate) fn forget_answers(&mut self) {
        self.answers.clear();
    }
}

impl World {
    /// Whether a turn has something left to ask.
    pub(crate) fn asks(&self, id: AgentId) -> bool {
        self.running.get(&id).is_some_and(|turn| {
            turn.waits.is_some() || turn.asked < planned(id, &turn.run.input.reference())
        })
    }

    /// Lets a turn ask for its next access, unless it waits for the last one.
    pub(crate) fn ask(&mut self, id: AgentId) {
        let now = self.now;
        let Some(turn) = self.running.get_mut(&id).filter(|t| t.waits.is_none()) else {
            return;
        };
        let (shard, number) = (turn.shard, turn.asked);
        turn.asked += 1;
        let input = turn.run.input.reference();
        let request = request(&mut turn.run.ctx, &input, number, now);
        match turn
            .run
            .ctx
            .next_access(Digest::of(request.as_bytes()), &request)
        {
            Ok(NextAccess::Known(outcome)) => {
                self.say(format_args!("  known {request}"));
                if outcome != answer(&request) {
                    let how = format!("`{request}` was given another one's outcome");
                    self.hold(Err(Breach::new(Rule::OutcomeIsItsOwn, how)));
                }
            }
            Ok(NextAccess::Ask(asked)) => {
                turn.waits = Some(request.clone());
                self.say(format_args!("  ask {request}"));
                self.step(shard, caxton_kernel::Event::AccessAsked(Box::new(asked)));
            }
            Ok(NextAccess::Perform) => {}
            Err(fault) if fault.code == ErrorCode::Interrupted => {
                self.hold(Err(Breach::new(Rule::AsksTheSameAgain, fault.text)));
            }
            Err(fault) => self.say(format_args!("  {}", fault.text)),
        }
    }

    /// An access leaves the node.
    pub(crate) fn access_leaves(&mut self, agent: AgentId, turn: u64, number: u32, key: String) {
        let request = self.running.get(&agent).and_then(|turn| turn.waits.clone());
        self.machine.leave(Leaving::Access {
            agent,
            turn,
            number,
            key,
            request: request.unwrap_or_default(),
        });
    }

    /// The outside is asked, after so many records were durable.
    pub(crate) fn performed(&mut self, after: usize, leaving: Leaving) {
        let Leaving::Access {
            agent,
            turn,
            number,
            key,
            request,
        } = leaving
        else {
            return;
        };
        let again = match self.outside.keys.contains_key(&request) {
            true => ", again",
            false => "",
        };
        self.say(format_args!("  outside{again}: {request}"));
        let durable = self.machine.published.get(..after).unwrap_or_default();
        let is_intent =
            |record: &Record| matches!(record, Record::Intent(i) if *i.shown == *request);
        if !durable.iter().any(|entry| is_intent(&entry.record)) {
            let how = format!("`{request}` left the node before its intent was durable");
            self.hold(Err(Breach::new(Rule::IntentBeforeAccess, how)));
        }
        let seen = self.outside.ask(&key, &request);
        self.hold(seen);
        let outcome = answer(&request);
        self.outside.answers.push((agent, turn, number, outcome));
    }

    /// One answer of the outside arrives, whichever comes first; answers whether there was one.
    pub(crate) fn take_answer(&mut self, at: usize) -> bool {
        if self.outside.answers.is_empty() {
            return false;
        }
        let at = at % self.outside.answers.len();
        let (agent, turn, number, outcome) = self.outside.answers.swap_remove(at);
        let shard = self.shard_of(agent);
        let event = caxton_kernel::Event::AccessEnded {
            agent,
            turn,
            number,
            outcome,
        };
        self.step(shard, event);
        true
    }

    /// A turn goes on with what its access came to.
    pub(crate) fn resume(&mut self, agent: AgentId, number: u64, outcome: &[u8]) {
        let Some(turn) = self.running.get_mut(&agent) else {
            return;
        };
        if turn.run.turn != number {
            return;
        }
        turn.run.ctx.access_ended(outcome);
        let request = turn.waits.take().unwrap_or_default();
        if *outcome != *answer(&request) {
            let how = format!("`{request}` was given another one's outcome");
            self.hold(Err(Breach::new(Rule::OutcomeIsItsOwn, how)));
        }
    }
}
