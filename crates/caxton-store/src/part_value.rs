//! What a checkpoint keeps under the key of a part: the place of the part's last change, the version
//! of the part's form, and the part.

use std::{collections::VecDeque, sync::Arc};

use caxton_model::{AgentSpec, AgentState, DfSubscription, Part, ProcessorSpec, State};

use crate::{
    form::{Form, decode, encode_cut},
    frame::u64_at,
    texts::Cuts,
    v1, v2, v3, v4, v5,
};

/// Bits of the first 8 bytes that hold the place. The 7 bits above them hold the version, counted
/// from 0: version 1 had the whole for the place, and no journal has 2^56 records.
const PLACE_BITS: u32 = 56;
/// The highest bit: long messages in the part are references. Programs that do not know it see a
/// version that they do not know.
const REFERS: u64 = 1 << 63;

/// The directory's subscriptions.
pub(crate) type DfSubscriptions = Vec<v1::DfSubscription>;
/// Mail in nobody's mailbox.
pub(crate) type Held = VecDeque<(v1::AgentId, v1::Pending)>;
/// The time up to which ids that carry one are spent.
pub(crate) type SpentUntil = Option<v1::Timestamp>;

/// The bytes of a part that was last changed at this place; `None`: the part is no more.
pub(crate) fn encode_part(
    state: &State,
    part: &Part,
    place: u64,
    cuts: &mut Cuts,
) -> Option<Result<Vec<u8>, String>> {
    let mut bytes = vec![0; size_of::<u64>()];
    let to = &mut bytes;
    let encoded = match part {
        Part::Agent(id) => encode_cut::<v4::AgentState>(state.agents.get(id)?, to, cuts),
        Part::Client(name) => encode_cut::<v1::ClientState>(state.clients.get(name)?, to, cuts),
        Part::Dead(key) => encode_cut::<v1::DeadLetter>(state.dead.get(key)?, to, cuts),
        Part::Post(client, id) => {
            let name = (Arc::clone(client), Arc::clone(id));
            encode_cut::<v1::PostSeen>(state.posts.get(&name)?, to, cuts)
        }
        Part::Conversation(id) => {
            encode_cut::<v1::Conversation>(state.conversations.get(id)?, to, cuts)
        }
        Part::Open(asker, reply_with) => {
            let name = (Arc::clone(asker), Arc::clone(reply_with));
            encode_cut::<v1::OpenRequest>(state.open.get(&name)?, to, cuts)
        }
        // Each has a part of its own now.
        Part::DfSubscriptions => return None,
        Part::DfSubscription(subscriber, conversation) => {
            let all = &mut state.df_subscriptions.iter();
            let wanted = |s: &&DfSubscription| {
                s.subscriber == *subscriber && s.conversation == *conversation
            };
            encode_cut::<v1::DfSubscription>(all.find(wanted)?, to, cuts)
        }
        Part::Held if state.held.is_empty() => return None,
        Part::Held => encode_cut::<Held>(&state.held, to, cuts),
        Part::Migrating(id) => encode_cut::<Arc<v4::AgentSpec>>(state.migrating.get(id)?, to, cuts),
        Part::Accesses(id) => encode_cut::<v2::TurnAccesses>(state.accesses.get(id)?, to, cuts),
        Part::Granted(id) => {
            encode_cut::<Arc<Vec<v2::GrantedRule>>>(state.granted.get(id)?, to, cuts)
        }
        Part::SpentIds(block) => {
            encode_cut::<v1::SpentBlock>(state.spent.blocks.get(block)?, to, cuts)
        }
        Part::SpentUntil => encode_cut::<SpentUntil>(&state.spent.until, to, cuts),
        Part::Processor(name) => {
            encode_cut::<Arc<v5::ProcessorSpec>>(state.processors.get(name)?, to, cuts)
        }
        Part::Row(table, key) => {
            encode_cut::<Arc<str>>(state.tables.get(table)?.get(key)?, to, cuts)
        }
    };
    let refers = if cuts.is_empty() { 0 } else { REFERS };
    if let Some(word) = bytes.first_chunk_mut() {
        let version = newest(part) - 1;
        *word = (place | version << PLACE_BITS | refers).to_le_bytes();
    }
    Some(encoded.map(|()| bytes))
}

/// The version of the form that a part is written in.
const fn newest(part: &Part) -> u64 {
    match part {
        Part::Agent(_) | Part::Migrating(_) | Part::Processor(_) => 2,
        _ => 1,
    }
}

/// What stands under a part's key.
pub(crate) struct PartValue<'a> {
    /// The place of the part's last change.
    pub(crate) place: u64,
    version: u64,
    /// Whether long messages in it are references.
    pub(crate) refers: bool,
    body: &'a [u8],
}

impl<'a> PartValue<'a> {
    pub(crate) fn split(bytes: &'a [u8]) -> Self {
        let word = u64_at(bytes, 0) & !REFERS;
        Self {
            place: word & ((1 << PLACE_BITS) - 1),
            version: (word >> PLACE_BITS) + 1,
            refers: u64_at(bytes, 0) & REFERS != 0,
            body: bytes.get(8..).unwrap_or_default(),
        }
    }

    /// An agent.
    ///
    /// Errors: in words.
    pub(crate) fn read_agent(&self) -> Result<AgentState, String> {
        match self.version {
            2 => decode::<v4::AgentState>(self.body),
            _ => self.read::<v1::AgentState>(),
        }
    }

    /// The version whose state an agent still has.
    ///
    /// Errors: in words.
    pub(crate) fn read_spec(&self) -> Result<Arc<AgentSpec>, String> {
        match self.version {
            2 => decode::<Arc<v4::AgentSpec>>(self.body),
            _ => self.read::<Arc<v1::AgentSpec>>(),
        }
    }

    /// A processor.
    ///
    /// Errors: in words.
    pub(crate) fn read_processor(&self) -> Result<Arc<ProcessorSpec>, String> {
        match self.version {
            2 => decode::<Arc<v5::ProcessorSpec>>(self.body),
            _ => self.read::<Arc<v3::ProcessorSpec>>(),
        }
    }

    /// The part, of a kind that has version 1 alone.
    ///
    /// Errors: in words.
    pub(crate) fn read<F: Form>(&self) -> Result<F::Value, String> {
        match self.version {
            1 => decode::<F>(self.body),
            other => Err(format!(
                "it has version {other} of its form, which this program does not know"
            )),
        }
    }
}
