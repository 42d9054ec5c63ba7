//! A random life of a node: one seed, some hundred steps, and the rules after each.

use std::collections::BTreeMap;
use std::sync::Arc;

use caxton_kernel::Ticket;
use caxton_model::{AgentId, AgentSpec, ErrorCode, Fault, Fields, Micros, Timestamp};

use crate::{
    Breach, Rule,
    guest::{Mood, guest},
    machine::{Crash, Leaving, Machine, options},
    rng::Rng,
    show,
    world::World,
};

/// When a simulated life begins: 2026-01-01.
const BEGIN: Timestamp = Timestamp(1_767_225_600_000_000);

/// Steps of a life before it comes to rest: enough for several crashes.
const STEPS: usize = 500;

/// Bytes of the transcript that are shown with a rule that did not hold.
const TRANSCRIPT_BYTES: usize = 6_000;

/// What a life came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Everything that happened, line by line.
    pub transcript: String,
    /// Records that got their place.
    pub records: usize,
    /// Posts acknowledged as durable.
    pub acknowledged: usize,
    /// Times the process died.
    pub crashes: usize,
}

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The seed that shows it.
    pub seed: u64,
    /// At which step.
    pub step: usize,
    /// Which rule, and how.
    pub breach: Breach,
    /// The last of what happened.
    pub transcript: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\nseed {}, step {}: {}\nrepeat it: cargo xtask sim --seeds 1 --from {}",
            self.transcript, self.seed, self.step, self.breach, self.seed
        )
    }
}

impl std::error::Error for Broken {}

/// Lives one life.
///
/// Errors: the first rule that did not hold.
pub fn run(seed: u64) -> Result<Report, Box<Broken>> {
    let mut rng = Rng::new(seed);
    let shards = u16::try_from(1 + rng.below(6)).unwrap_or(1);
    let machine = Machine::new(options(&mut rng)).map_err(|error| {
        Box::new(Broken {
            seed,
            step: 0,
            breach: Breach::new(Rule::JournalOpens, error.to_string()),
            transcript: String::new(),
        })
    })?;
    let mut life = Life {
        rng,
        world: World::new(shards, machine.0, BEGIN),
        specs: BTreeMap::new(),
        bad_inits: BTreeMap::new(),
        haste: 0,
        next_agent: 10,
        tickets: 0,
        numbers: 0,
        posted: Vec::new(),
        crashes: 0,
        records: 0,
    };
    let haste = [95, 80, 50, 20];
    life.haste = life.rng.pick(&haste).copied().unwrap_or_default();
    for step in 0..STEPS {
        let result = life.step().and_then(|()| life.world.check());
        result.map_err(|breach| life.broken(seed, step, breach))?;
    }
    let rest = life.come_to_rest();
    rest.map_err(|breach| life.broken(seed, STEPS, breach))?;
    Ok(Report {
        records: life.records + life.world.machine.published.len(),
        acknowledged: life.world.machine.acknowledged.len(),
        crashes: life.crashes,
        transcript: std::mem::take(&mut life.world.transcript),
    })
}

/// A life that is lived.
pub(crate) struct Life {
    pub(crate) rng: Rng,
    pub(crate) world: World,
    pub(crate) specs: BTreeMap<AgentId, Arc<AgentSpec>>,
    /// How many of a hundred inits of each agent fail.
    pub(crate) bad_inits: BTreeMap<AgentId, usize>,
    /// In how many steps of a hundred a shard does at once what it decided.
    haste: usize,
    pub(crate) next_agent: u64,
    pub(crate) tickets: u64,
    pub(crate) numbers: u64,
    pub(crate) posted: Vec<(&'static str, u64, Fields)>,
    pub(crate) crashes: usize,
    /// Records that crashes took.
    records: usize,
}

impl Life {
    fn broken(&self, seed: u64, step: usize, breach: Breach) -> Box<Broken> {
        let transcript = &self.world.transcript;
        let from = transcript.len().saturating_sub(TRANSCRIPT_BYTES);
        let from = (from..transcript.len())
            .find(|at| transcript.is_char_boundary(*at))
            .unwrap_or(0);
        Box::new(Broken {
            seed,
            step,
            breach,
            transcript: transcript.get(from..).unwrap_or_default().to_owned(),
        })
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn step(&mut self) -> Result<(), Breach> {
        match self.rng.below(1_000) {
            0..36 => self.deploy(),
            36..40 => self.processors(),
            40..240 => self.post(),
            240..280 => self.begin_some_turn(),
            280..540 => self.end_some_turn(),
            540..620 => self.perform_some(),
            620..770 => self.deliver(),
            770..810 => self.pass_time(),
            810..850 => self.operate(),
            850..858 => self.dead_letters(),
            858..866 => self.read(),
            866..936 => return self.write(),
            936..946 => return self.checkpoint(),
            946..952 => return self.sync_head(),
            952..980 => self.hear(),
            980..988 => self.answer(),
            988..993 => self.disturb(),
            993..996 => return self.crash(Crash::Kill),
            _ => return self.crash(Crash::Power),
        }
        for shard in 0..self.world.shards.len() {
            if self.rng.percent(self.haste) {
                self.world.perform(shard, usize::MAX);
                self.world.wake(shard);
            }
        }
        Ok(())
    }

    fn begin_some_turn(&mut self) {
        if !self.world.takes_turns() {
            return;
        }
        let fresh = self
            .world
            .running
            .iter()
            .filter(|(_, turn)| !turn.has_begun);
        let fresh: Vec<AgentId> = fresh.map(|(id, _)| *id).collect();
        if let Some(id) = self.rng.pick(&fresh)
            && let Some(turn) = self.world.running.get_mut(id)
        {
            turn.has_begun = true;
        }
    }

    /// While turns stop, only those end that had begun.
    fn end_some_turn(&mut self) {
        let takes_turns = self.world.takes_turns();
        let running = self.world.running.iter();
        let may_end = running.filter(|(_, turn)| turn.has_begun || takes_turns);
        let may_end: Vec<AgentId> = may_end.map(|(id, _)| *id).collect();
        if let Some(id) = self.rng.pick(&may_end).copied() {
            self.end_turn(id, true);
        }
    }

    /// Answers of the outside arrive.
    fn answer(&mut self) {
        for _ in 0..=self.rng.below(4) {
            let at = self.rng.below(8);
            self.world.take_answer(at);
        }
    }

    /// Lets a turn go on: to its next access, or to its end. Some end while they wait for one.
    pub(crate) fn end_turn(&mut self, id: AgentId, is_wild: bool) {
        if self.world.asks(id) && !(is_wild && self.rng.percent(10)) {
            return self.world.ask(id);
        }
        let now = self.world.now;
        let mut plan = Vec::new();
        if is_wild {
            for _ in 0..self.rng.below(3) {
                let to = self.receiver();
                self.numbers += 1;
                plan.push(crate::guest::message(&mut self.rng, to, self.numbers, now));
            }
            if self.rng.percent(20)
                && let Some((client, _, asked)) = self.rng.pick(&self.posted)
                && let Some(reply_with) = &asked.reply_with
            {
                plan.push(crate::guest::answer(client, reply_with));
            }
        }
        let mood = Mood {
            is_wild,
            bad_inits: match self.bad_inits.get(&id) {
                Some(chance) if is_wild => *chance,
                _ => 0,
            },
        };
        let mut rng = Rng::new(self.rng.number());
        let mut rows = Vec::new();
        if is_wild && rng.percent(30) {
            self.numbers += 1;
            rows = crate::guest::rows(&self.world.tables, &mut rng, self.numbers);
        }
        let is_cut = self.world.asks(id);
        self.world.end_turn(id, |ctx, input| {
            let mut did = guest(ctx, input, &plan, &mut rng, now, mood);
            did.rows = rows;
            if is_cut {
                let text = "the turn waited too long for the outside";
                did.result = Err(Fault::new(ErrorCode::WallLimit, text));
            }
            did
        });
    }

    fn perform_some(&mut self) {
        let shard = self.rng.below(self.world.shards.len());
        let count = 1 + self.rng.below(4);
        self.world.perform(shard, count);
    }

    fn deliver(&mut self) {
        let wires = self.world.busy_wires();
        if let Some(wire) = self.rng.pick(&wires).copied() {
            let count = 1 + self.rng.below(3);
            self.world.deliver(wire, count);
        }
    }

    fn pass_time(&mut self) {
        let times = [
            Micros::millis(50),
            Micros::millis(150),
            Micros::secs(1),
            Micros::secs(20),
            Micros::secs(20 * 60),
        ];
        let time = self.rng.pick(&times).copied().unwrap_or_default();
        self.world.say(format_args!("{time} pass"));
        self.world.now = self.world.now.after(time);
        self.world.tick();
    }

    /// The scribe writes a few groups.
    fn write(&mut self) -> Result<(), Breach> {
        for _ in 0..=self.rng.below(4) {
            match self.world.machine.write() {
                Ok(true) if !self.world.takes_requests() => {
                    self.world.say(format_args!("no room: turns stop"));
                }
                Ok(true) => {}
                Ok(false) => break,
                Err(failed) => {
                    self.world.say(format_args!("{failed}"));
                    return self.crash_somehow();
                }
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), Breach> {
        let prune = self.rng.percent(5);
        self.world.machine.has_pruned |= prune;
        match self.world.machine.store.checkpoint(prune) {
            Ok(()) => Ok(()),
            Err(failed) => {
                self.world.say(format_args!("checkpoint: {failed}"));
                self.crash_somehow()
            }
        }
    }

    fn sync_head(&mut self) -> Result<(), Breach> {
        match self.world.machine.store.sync_head() {
            Ok(()) => Ok(()),
            Err(failed) => {
                self.world.say(format_args!("{failed}"));
                self.crash_somehow()
            }
        }
    }

    /// Completions arrive, in any order.
    pub(crate) fn hear(&mut self) {
        for _ in 0..=self.rng.below(12) {
            let Some((after, leaving)) = self.world.machine.hear(&mut self.rng) else {
                break;
            };
            match leaving {
                access @ Leaving::Access { .. } => self.world.performed(after, access),
                Leaving::Answer(ticket, answer) => {
                    let answer = show::answer(&answer);
                    self.world
                        .say(format_args!("  answer {}: {answer}", ticket.0));
                }
                Leaving::Mail(client, key) => {
                    self.world.say(format_args!("  mail for {client}: {key}"));
                }
                Leaving::Event(event) => self.world.say(format_args!("  event {event}")),
            }
        }
    }

    /// Something goes wrong with the disk, or is right again.
    fn disturb(&mut self) {
        let files = self.world.machine.files.clone();
        let what = match self.rng.below(10) {
            0..4 => {
                let room = files.used() + self.rng.below(1_500) as u64;
                files.set_room(Some(room));
                "the disk is nearly full"
            }
            4..7 => {
                files.set_room(None);
                "there is room"
            }
            7 => {
                files.fail_syncs();
                "no sync succeeds"
            }
            _ => {
                files.crash_after(self.rng.below(6) as u64);
                "the process dies within a few writes"
            }
        };
        self.world.say(format_args!("{what}"));
    }

    fn crash_somehow(&mut self) -> Result<(), Breach> {
        let how = if self.rng.percent(50) {
            Crash::Kill
        } else {
            Crash::Power
        };
        self.crash(how)
    }

    pub(crate) fn crash(&mut self, how: Crash) -> Result<(), Breach> {
        self.crashes += 1;
        let before = self.world.machine.published.len();
        self.world.crash(how, &mut self.rng)?;
        self.records += before - self.world.machine.published.len();
        self.world.tick();
        Ok(())
    }
}
