//! Message ids of clients that were used and are no longer known in full: enough is kept to refuse
//! them, so that an old message is never run twice.
//!
//! An id that carries its time (a UUID of version 7) is judged by it, for ever and at no cost: all
//! up to the newest forgotten one are spent. Of any other id a hash is kept; while there is room for
//! no more, new ones of that kind are refused.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{Digest, Micros, POST_IDS_MAX, Part, PostSeen, State, Timestamp, stable_hash};

/// Hashes of spent ids that are kept at least a day; see [`SpentIds::is_full`].
///
/// 8 bytes each, and 9 to 18 in the table in which the kernel looks: 14/16 of 2^24 places.
pub const SPENT_IDS_MAX: usize = 14_000_000;

/// How long a spent id's hash is kept at least. Unit: 24 hours.
pub const SPENT_IDS_KEPT: Micros = Micros::secs(24 * 3600);

/// Hashes of one block: a checkpoint writes whole blocks, and only the newest changes.
const BLOCK_HASHES: usize = 4_096;

/// How far a client's clock may be ahead of the node's for its ids' time to count.
const AHEAD_MAX: Micros = Micros::secs(10);

/// Some spent ids, in the order in which they were forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SpentBlock {
    /// When the newest of them was used.
    pub last: Timestamp,
    /// Their hashes.
    pub hashes: Vec<u64>,
}

/// What is left of message ids that were forgotten.
#[derive(Debug, Clone, Default)]
pub struct SpentIds {
    /// Ids that carry a time up to this one are spent.
    pub until: Option<Timestamp>,
    /// The others' hashes, by number of their block, rising.
    pub blocks: BTreeMap<u64, SpentBlock>,
    count: usize,
    /// Where a kernel looks; whoever only keeps them for a checkpoint has none.
    index: Option<HashSet<u64>>,
}

/// What is known of an id that is not known in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdVerdict {
    /// It was not used.
    New,
    /// It was used.
    Spent,
    /// It carries a time up to which all ids are spent.
    TooOld,
    /// It may be new, but could not be remembered.
    NoRoom,
}

/// A client's name as 16 bits: where its mailbox lives hangs on them.
#[must_use]
pub fn client_hash(name: &str) -> u16 {
    (stable_hash(name.as_bytes()) & 0xffff) as u16
}

/// The client's part of a hash.
#[must_use]
pub const fn hashed_client(hash: u64) -> u16 {
    (hash >> 48) as u16
}

/// 16 bits of the client, so that recovery can divide them, and 48 of the id.
fn hash(client: &str, id: &str) -> u64 {
    let digest = Digest::of(format!("{}:{client}{id}", client.len()).as_bytes());
    let mut low = [0_u8; 8];
    for (to, from) in low.iter_mut().zip(digest.as_bytes().iter().take(6)) {
        *to = *from;
    }
    u64::from_le_bytes(low) | (u64::from(client_hash(client)) << 48)
}

/// The time that a UUID of version 7 carries (RFC 9562, 5.7).
fn carried_time(id: &str) -> Option<Timestamp> {
    let bytes = id.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut millis = 0_i64;
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = char::from(*byte).to_digit(16)?;
        match at {
            0..=12 => millis = (millis << 4) | i64::from(digit),
            14 if digit != 7 => return None,
            19 if digit >> 2 != 0b10 => return None,
            _ => {}
        }
    }
    Some(Timestamp(millis.saturating_mul(1_000)))
}

/// The time that counts for an id used at `used`: one from the future does not.
fn time_of(id: &str, used: Timestamp) -> Option<Timestamp> {
    carried_time(id).filter(|time| *time <= used.after(AHEAD_MAX))
}

impl SpentIds {
    /// Makes it fit for questions.
    pub fn build_index(&mut self) {
        let hashes = self.blocks.values().flat_map(|block| &block.hashes);
        self.index = Some(hashes.copied().collect());
    }
    /// How many hashes are kept.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }
    /// Whether nothing was forgotten of which a hash is kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether this id may be used now. `places`: hashes that this shard may keep.
    #[must_use]
    pub fn judge(&self, client: &str, id: &str, now: Timestamp, places: usize) -> IdVerdict {
        // Nearly always there is nothing to look for.
        let index = self.index.as_ref().filter(|known| !known.is_empty());
        if index.is_some_and(|known| known.contains(&hash(client, id))) {
            return IdVerdict::Spent;
        }
        match carried_time(id) {
            Some(time) if self.until.is_some_and(|until| time <= until) => IdVerdict::TooOld,
            _ if time_of(id, now).is_some() => IdVerdict::New,
            _ if self.count >= places && !self.oldest_may_go(now) => IdVerdict::NoRoom,
            _ => IdVerdict::New,
        }
    }

    fn oldest_may_go(&self, now: Timestamp) -> bool {
        let oldest = self.blocks.first_key_value();
        oldest.is_none_or(|(_, block)| now.since(block.last) >= SPENT_IDS_KEPT)
    }

    /// Forgets an id that was used at `used`. Answers the number of the block that changed, if one
    /// did; else [`Self::until`] may have.
    pub(crate) fn spend(&mut self, client: &str, id: &str, used: Timestamp) -> Option<u64> {
        match time_of(id, used) {
            Some(time) => {
                self.until = self.until.max(Some(time));
                None
            }
            None => Some(self.keep(hash(client, id), used)),
        }
    }

    /// Takes one hash in; answers the number of its block.
    pub fn keep(&mut self, hash: u64, used: Timestamp) -> u64 {
        if let Some(index) = &mut self.index {
            index.insert(hash);
        }
        self.count += 1;
        let (number, room) = match self.blocks.last_key_value() {
            Some((number, block)) => (*number, block.hashes.len() < BLOCK_HASHES),
            None => (0, true),
        };
        let number = if room { number } else { number + 1 };
        let block = self.blocks.entry(number).or_default();
        block.last = block.last.max(used);
        block.hashes.push(hash);
        number
    }

    /// Drops the oldest block where there are too many hashes and it is old enough; answers its
    /// number.
    ///
    /// What is younger than a day stays, whatever it costs: [`Self::judge`] is what bounds it.
    pub(crate) fn trim(&mut self, now: Timestamp) -> Option<u64> {
        if self.count <= SPENT_IDS_MAX || !self.oldest_may_go(now) {
            return None;
        }
        let (number, block) = self.blocks.pop_first()?;
        self.count -= block.hashes.len();
        if let Some(index) = &mut self.index {
            for hash in &block.hashes {
                index.remove(hash);
            }
        }
        Some(number)
    }

    /// Takes a block as a checkpoint kept it.
    pub fn restore(&mut self, number: u64, block: SpentBlock) {
        self.count += block.hashes.len();
        self.blocks.insert(number, block);
    }
}

impl State {
    /// Remembers a client's message id. Where its ids take too much, its oldest are forgotten.
    pub(crate) fn remember_post(&mut self, client: &Arc<str>, id: &Arc<str>, seen: PostSeen) {
        self.touch(Part::Post(Arc::clone(client), Arc::clone(id)));
        let now = seen.at;
        if self.posts_order.len() > 2 * self.posts.len() + 32 {
            self.posts_order
                .retain(|name| self.posts.contains_key(name));
        }
        self.posts_order
            .push_back((Arc::clone(client), Arc::clone(id)));
        self.keep_id(client, id, seen);
        while let Some(oldest) = self.surplus_id(client) {
            self.forget_id(&(Arc::clone(client), oldest), now);
        }
        while self.posts.len() > POST_IDS_MAX {
            let Some(oldest) = self.posts_order.pop_front() else {
                break;
            };
            self.forget_id(&oldest, now);
        }
    }

    fn forget_id(&mut self, name: &(Arc<str>, Arc<str>), now: Timestamp) {
        if let Some(seen) = self.drop_id(&name.0, &name.1) {
            self.touch(Part::Post(Arc::clone(&name.0), Arc::clone(&name.1)));
            self.spend(name, seen.at, now);
        }
    }

    /// What is left of an id that is no longer known in full.
    fn spend(&mut self, (client, id): &(Arc<str>, Arc<str>), used: Timestamp, now: Timestamp) {
        match self.spent.spend(client, id, used) {
            Some(block) => self.touch(Part::SpentIds(block)),
            None => self.touch(Part::SpentUntil),
        }
        while let Some(block) = self.spent.trim(now) {
            self.touch(Part::SpentIds(block));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000_000);

    fn version_7(at: Timestamp, tail: u32) -> String {
        let millis = format!("{:012x}", at.0 / 1_000);
        format!("{}-{}-7abc-9def-{tail:012x}", &millis[..8], &millis[8..])
    }

    #[test]
    fn only_a_version_7_uuid_carries_a_time() {
        let id = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F";
        assert_eq!(carried_time(id), Some(Timestamp(1_645_557_742_000_000)));
        assert_eq!(carried_time(&version_7(NOW, 1)), Some(NOW));
        for other in [
            "one",
            "",
            "919108f7-52d1-4320-9bac-f847db4148a8",
            "017F22E2-79B0-7CC3-18C4-DC0C0C07398F",
            "017F22E2079B0-7CC3-98C4-DC0C0C07398F",
            "017F22E2-79B0-7CC3-98C4-DC0C0C07398G",
            "017F22E2-79B0-7CC3-98C4-DC0C0C0739é",
        ] {
            assert_eq!(carried_time(other), None, "{other}");
        }
    }

    #[test]
    fn a_spent_id_is_refused_and_another_clients_same_id_is_not() {
        let mut spent = SpentIds::default();
        spent.build_index();
        assert_eq!(spent.spend("c", "one", NOW), Some(0));
        assert_eq!(spent.judge("c", "one", NOW, 10), IdVerdict::Spent);
        assert_eq!(spent.judge("d", "one", NOW, 10), IdVerdict::New);
        assert_eq!(spent.judge("c", "two", NOW, 10), IdVerdict::New);
        assert_eq!(hashed_client(hash("c", "one")), client_hash("c"));
    }

    #[test]
    fn ids_that_carry_their_time_are_spent_up_to_the_newest_forgotten_one() {
        let mut spent = SpentIds::default();
        spent.build_index();
        let at = |secs| NOW.after(Micros::secs(secs));
        assert_eq!(spent.spend("c", &version_7(at(5), 1), at(5)), None);
        assert!(spent.is_empty(), "they cost nothing");
        spent.spend("c", "other", at(5));
        let judge = |id: &str| spent.judge("c", id, at(60), 1);
        assert_eq!(judge(&version_7(at(5), 1)), IdVerdict::TooOld);
        assert_eq!(judge(&version_7(at(4), 2)), IdVerdict::TooOld);
        assert_eq!(judge(&version_7(at(6), 3)), IdVerdict::New);
        // They need no room: also where no other id has any.
        assert_eq!(judge("one"), IdVerdict::NoRoom);
    }

    #[test]
    fn an_id_from_the_future_spends_nobody_elses() {
        let mut spent = SpentIds::default();
        spent.build_index();
        let ahead = version_7(NOW.after(Micros::secs(3600)), 1);
        assert_eq!(spent.spend("c", &ahead, NOW), Some(0));
        let later = NOW.after(Micros::secs(7200));
        assert_eq!(spent.judge("c", &ahead, later, 10), IdVerdict::Spent);
        assert_eq!(
            spent.judge("c", &version_7(NOW, 2), NOW, 10),
            IdVerdict::New
        );
    }

    #[test]
    fn where_there_is_no_room_new_ids_are_refused_until_the_oldest_are_a_day_old() {
        let mut spent = SpentIds::default();
        spent.build_index();
        for n in 0..BLOCK_HASHES + 1 {
            spent.spend("c", &format!("id-{n}"), NOW);
        }
        let places = BLOCK_HASHES;
        let judge = |spent: &SpentIds, after| {
            spent.judge("c", "new", NOW.after(Micros::secs(after)), places)
        };
        assert_eq!(judge(&spent, 24 * 3600 - 1), IdVerdict::NoRoom);
        assert_eq!(judge(&spent, 24 * 3600), IdVerdict::New);
        assert_eq!(spent.blocks.len(), 2);
        assert_eq!(spent.len(), BLOCK_HASHES + 1);
    }
}
