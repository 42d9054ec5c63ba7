//! What a checkpoint keeps under the key of a part: the place of the part's last change, the version
//! of the part's form, and the part.

use std::{collections::VecDeque, sync::Arc};

use caxton_model::{Part, State};

use crate::{
    form::{Form, decode, encode},
    frame::u64_at,
    v1,
};

/// Bits of the first 8 bytes that hold the place. The 8 bits above them hold the version, counted
/// from 0: version 1 had the whole for the place, and no journal has 2^56 records.
const PLACE_BITS: u32 = 56;

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
) -> Option<Result<Vec<u8>, String>> {
    let mut bytes = place.to_le_bytes().to_vec();
    let to = &mut bytes;
    let encoded = match part {
        Part::Agent(id) => encode::<v1::AgentState>(state.agents.get(id)?, to),
        Part::Client(name) => encode::<v1::ClientState>(state.clients.get(name)?, to),
        Part::Dead(key) => encode::<v1::DeadLetter>(state.dead.get(key)?, to),
        Part::Post(client, id) => {
            let name = (Arc::clone(client), Arc::clone(id));
            encode::<v1::PostSeen>(state.posts.get(&name)?, to)
        }
        Part::Conversation(id) => encode::<v1::Conversation>(state.conversations.get(id)?, to),
        Part::Open(asker, reply_with) => {
            let name = (Arc::clone(asker), Arc::clone(reply_with));
            encode::<v1::OpenRequest>(state.open.get(&name)?, to)
        }
        Part::DfSubscriptions if state.df_subscriptions.is_empty() => return None,
        Part::DfSubscriptions => encode::<DfSubscriptions>(&state.df_subscriptions, to),
        Part::Held if state.held.is_empty() => return None,
        Part::Held => encode::<Held>(&state.held, to),
        Part::Migrating(id) => encode::<Arc<v1::AgentSpec>>(state.migrating.get(id)?, to),
        Part::SpentIds(block) => encode::<v1::SpentBlock>(state.spent.blocks.get(block)?, to),
        Part::SpentUntil => encode::<SpentUntil>(&state.spent.until, to),
    };
    Some(encoded.map(|()| bytes))
}

/// What stands under a part's key.
pub(crate) struct PartValue<'a> {
    /// The place of the part's last change.
    pub(crate) place: u64,
    version: u64,
    body: &'a [u8],
}

impl<'a> PartValue<'a> {
    pub(crate) fn split(bytes: &'a [u8]) -> Self {
        let word = u64_at(bytes, 0);
        Self {
            place: word & ((1 << PLACE_BITS) - 1),
            version: (word >> PLACE_BITS) + 1,
            body: bytes.get(8..).unwrap_or_default(),
        }
    }

    /// The part, of a kind that has version 1 alone.
    ///
    /// Errors: in words.
    pub(crate) fn read<F: Form>(&self) -> Result<F::Value, String> {
        match self.version {
            1 => decode::<F>(self.body),
            other => Err(format!(
                "it has version {other} of its form, and this program knows version 1"
            )),
        }
    }
}
