//! Under which keys a checkpoint keeps the parts of the state. Written down in
//! `docs/specs/journal.md`.

use std::sync::Arc;

use caxton_model::{AgentId, MessageKey, Part};

use crate::{frame::array, texts::TextHash};

const TEXT: u8 = b'x';

/// The key of a text that parts refer to.
pub(crate) fn text_key(hash: &TextHash) -> Vec<u8> {
    tagged(TEXT, &[hash.as_bytes()])
}

/// The hash of a text, where a key is one's.
pub(crate) fn text_of(key: &[u8]) -> Option<TextHash> {
    let hash = key.strip_prefix(&[TEXT])?;
    hash.try_into().ok().map(TextHash::from_bytes)
}

/// The key under which place, chain and counters stand.
pub(crate) const META_KEY: &[u8] = b"m";

const AGENT: u8 = b'a';
const CLIENT: u8 = b'c';
const DEAD: u8 = b'd';
const POST: u8 = b'p';
const CONVERSATION: u8 = b'v';
const OPEN: u8 = b'o';
const DF_SUBSCRIPTIONS: u8 = b'f';
const DF_SUBSCRIPTION: u8 = b'u';
const HELD: u8 = b'h';
const MIGRATING: u8 = b'g';
const ACCESSES: u8 = b'i';
const GRANTED: u8 = b'r';
const SPENT_IDS: u8 = b's';
const SPENT_UNTIL: u8 = b't';
const PROCESSOR: u8 = b'w';
const ROW: u8 = b'l';

/// The key of a part.
pub(crate) fn part_key(part: &Part) -> Vec<u8> {
    match part {
        Part::Agent(id) => tagged(AGENT, &[&id.0.to_be_bytes()]),
        Part::Client(name) => tagged(CLIENT, &[name.as_bytes()]),
        Part::Dead(key) => tagged(
            DEAD,
            &[
                &key.shard.to_be_bytes(),
                &key.seq.to_be_bytes(),
                &key.index.to_be_bytes(),
            ],
        ),
        Part::Post(client, id) => two_texts(POST, client, id),
        Part::Conversation(id) => tagged(CONVERSATION, &[id.as_bytes()]),
        Part::Open(asker, reply_with) => two_texts(OPEN, asker, reply_with),
        Part::DfSubscriptions => tagged(DF_SUBSCRIPTIONS, &[]),
        Part::DfSubscription(subscriber, conversation) => {
            two_texts(DF_SUBSCRIPTION, subscriber, conversation)
        }
        Part::Held => tagged(HELD, &[]),
        Part::Migrating(id) => tagged(MIGRATING, &[&id.0.to_be_bytes()]),
        Part::Accesses(id) => tagged(ACCESSES, &[&id.0.to_be_bytes()]),
        Part::Granted(id) => tagged(GRANTED, &[&id.0.to_be_bytes()]),
        Part::SpentIds(block) => tagged(SPENT_IDS, &[&block.to_be_bytes()]),
        Part::SpentUntil => tagged(SPENT_UNTIL, &[]),
        Part::Processor(name) => tagged(PROCESSOR, &[name.as_bytes()]),
        Part::Row(table, key) => two_texts(ROW, table, key),
    }
}

/// The part of a key; `None`: it is no part's.
pub(crate) fn part_of(key: &[u8]) -> Option<Part> {
    let (tag, rest) = key.split_first()?;
    Some(match *tag {
        AGENT => Part::Agent(AgentId(u64::from_be_bytes(rest.try_into().ok()?))),
        CLIENT => Part::Client(text(rest)?),
        DEAD if rest.len() == 14 => Part::Dead(MessageKey {
            shard: u16::from_be_bytes(array(rest, 0)),
            seq: u64::from_be_bytes(array(rest, 2)),
            index: u32::from_be_bytes(array(rest, 10)),
        }),
        POST => {
            let (client, id) = split_texts(rest)?;
            Part::Post(client, id)
        }
        CONVERSATION => Part::Conversation(text(rest)?),
        OPEN => {
            let (asker, reply_with) = split_texts(rest)?;
            Part::Open(asker, reply_with)
        }
        DF_SUBSCRIPTION => {
            let (subscriber, conversation) = split_texts(rest)?;
            Part::DfSubscription(subscriber, conversation)
        }
        DF_SUBSCRIPTIONS if rest.is_empty() => Part::DfSubscriptions,
        HELD if rest.is_empty() => Part::Held,
        MIGRATING => Part::Migrating(AgentId(u64::from_be_bytes(rest.try_into().ok()?))),
        ACCESSES => Part::Accesses(AgentId(u64::from_be_bytes(rest.try_into().ok()?))),
        GRANTED => Part::Granted(AgentId(u64::from_be_bytes(rest.try_into().ok()?))),
        SPENT_IDS => Part::SpentIds(u64::from_be_bytes(rest.try_into().ok()?)),
        SPENT_UNTIL if rest.is_empty() => Part::SpentUntil,
        PROCESSOR => Part::Processor(text(rest)?),
        ROW => {
            let (table, key) = split_texts(rest)?;
            Part::Row(table, key)
        }
        _ => return None,
    })
}

/// The key of a stored value; those of one agent stand together, in the order of their keys.
pub(crate) fn value_key(agent: AgentId, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + key.len());
    bytes.extend_from_slice(&agent.0.to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![tag];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// Both are bounded far below 64 KiB by the rules of messages and names; a longer first text is
/// told from others by its own bytes.
fn two_texts(tag: u8, first: &str, second: &str) -> Vec<u8> {
    let length = u32::try_from(first.len()).unwrap_or(u32::MAX);
    tagged(
        tag,
        &[&length.to_be_bytes(), first.as_bytes(), second.as_bytes()],
    )
}

fn split_texts(bytes: &[u8]) -> Option<(Arc<str>, Arc<str>)> {
    let length = u32::from_be_bytes(array(bytes, 0)) as usize;
    let rest = bytes.get(4..)?;
    Some((text(rest.get(..length)?)?, text(rest.get(length..)?)?))
}

fn text(bytes: &[u8]) -> Option<Arc<str>> {
    std::str::from_utf8(bytes).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts() -> impl Strategy<Value = Part> {
        let text = || "[a-zé:/]{0,20}".prop_map(Arc::<str>::from);
        prop_oneof![
            any::<u64>().prop_map(|id| Part::Agent(AgentId(id))),
            text().prop_map(Part::Client),
            (any::<u16>(), any::<u64>(), any::<u32>())
                .prop_map(|(shard, seq, index)| Part::Dead(MessageKey { shard, seq, index })),
            (text(), text()).prop_map(|(client, id)| Part::Post(client, id)),
            text().prop_map(Part::Conversation),
            (text(), text()).prop_map(|(asker, with)| Part::Open(asker, with)),
            Just(Part::DfSubscriptions),
            (text(), text()).prop_map(|(who, what)| Part::DfSubscription(who, what)),
            Just(Part::Held),
            any::<u64>().prop_map(|id| Part::Migrating(AgentId(id))),
            any::<u64>().prop_map(|id| Part::Accesses(AgentId(id))),
            any::<u64>().prop_map(|id| Part::Granted(AgentId(id))),
            any::<u64>().prop_map(Part::SpentIds),
            Just(Part::SpentUntil),
            text().prop_map(Part::Processor),
            (text(), text()).prop_map(|(table, key)| Part::Row(table, key)),
        ]
    }

    proptest! {
        #[test]
        fn a_part_and_its_key_go_there_and_back(part in parts(), other in parts()) {
            let key = part_key(&part);
            prop_assert_eq!(part_of(&key), Some(part.clone()));
            prop_assert_eq!(key == part_key(&other), part == other);
        }

        #[test]
        fn any_bytes_are_a_part_or_none(key in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(part) = part_of(&key) {
                prop_assert_eq!(part_key(&part), key);
            }
        }
    }
}
