//! Tables by agent: a turn looks into a dozen of them.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::AgentId;

/// A table by agent.
pub type ById<V> = HashMap<AgentId, V, BuildHasherDefault<IdHasher>>;

/// Hashes an id by one multiplication.
///
/// That is enough: ids are drawn at random by the host, and no guest chooses one.
#[derive(Debug, Default, Clone, Copy)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write_u64(&mut self, id: u64) {
        // Source: Knuth, TAOCP 3, 6.4: the golden ratio's bits spread neighbours.
        self.0 = (self.0 ^ id)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32);
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
}
