//! The memory of an agent that is idle for long: compressed, while its place in the slab is empty.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use lz4_flex::block;

use crate::raw::{self, PAGE, TABLE_SPAN};

/// Pages of a memory that is packed, at most: it keeps its shard for some 200 µs.
const PAGES_MAX: usize = 64;

/// The touched pages of a memory, compressed. All others were zero.
pub(crate) struct Packed {
    /// Their numbers, in the order in which they are packed.
    pages: Box<[u16]>,
    bytes: Box<[u8]>,
    /// The size of all that are packed. Unit: bytes.
    all: Arc<AtomicU64>,
}

impl Packed {
    /// Empties a memory, and adds to `all` what it is packed. `None`: it is left as it is, since it
    /// is large, does not become half as large, was swapped out, or the kernel does not say which
    /// of its pages were touched.
    ///
    /// Cost: some 10 µs, and 3 µs for each of at most [`PAGES_MAX`] pages.
    pub(crate) fn pack(memory: &mut [u8], all: &Arc<AtomicU64>) -> Option<Self> {
        if memory.len() > TABLE_SPAN {
            return None;
        }
        let pages = touched(memory)?;
        if pages.is_empty() || pages.len() > PAGES_MAX {
            return None;
        }
        let mut plain = Vec::with_capacity(pages.len() * PAGE);
        for page in &pages {
            plain.extend_from_slice(memory.chunks(PAGE).nth(usize::from(*page))?);
        }
        let bytes = block::compress(&plain);
        if bytes.len() > plain.len() / 2 {
            return None;
        }
        raw::empty(memory);
        all.fetch_add(bytes.len() as u64, Relaxed);
        Some(Self {
            pages: pages.into(),
            bytes: bytes.into(),
            all: Arc::clone(all),
        })
    }
    /// What it takes again when it is put back. Unit: bytes.
    pub(crate) fn plain_bytes(&self) -> u64 {
        (self.pages.len() * PAGE) as u64
    }
    /// Puts everything back into the memory it was taken from; answers whether it could.
    ///
    /// Cost: as much as packing, most of it for the pages.
    pub(crate) fn unpack(&self, memory: &mut [u8]) -> bool {
        let mut plain = vec![0; self.pages.len() * PAGE];
        if block::decompress_into(&self.bytes, &mut plain).ok() != Some(plain.len()) {
            return false;
        }
        for (page, bytes) in self.pages.iter().zip(plain.chunks(PAGE)) {
            let Some(at) = memory.chunks_mut(PAGE).nth(usize::from(*page)) else {
                return false;
            };
            at.copy_from_slice(bytes);
        }
        true
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes.len() as u64, Relaxed);
    }
}

/// Which pages were touched, as this process's page map has it. `None` where it has none, and where
/// a page was swapped out, which `mincore` could not tell from one that was never touched.
fn touched(memory: &[u8]) -> Option<Vec<u16>> {
    const PRESENT: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    let mut entries = vec![0; memory.len() / PAGE * 8];
    let first = memory.as_ptr() as usize / PAGE;
    let map = File::open("/proc/self/pagemap").ok()?;
    map.read_exact_at(&mut entries, (first * 8) as u64).ok()?;
    let mut touched = Vec::new();
    for (page, entry) in (0..).zip(entries.as_chunks().0) {
        let entry = u64::from_ne_bytes(*entry);
        if entry & SWAPPED != 0 {
            return None;
        }
        if entry & PRESENT != 0 {
            touched.push(page);
        }
    }
    Some(touched)
}

#[cfg(test)]
mod tests {
    use wasmtime::{LinearMemory, MemoryType};

    use super::*;
    use crate::raw::Slabs;

    const SIZE: usize = 17 << 16;

    /// A memory of that size, out of a slab.
    fn memory(slabs: &Arc<Slabs>, size: usize) -> Box<dyn LinearMemory> {
        let ty = MemoryType::new(1, None);
        let made = slabs.memories().new_memory(ty, size, None, Some(0), 0);
        made.unwrap()
    }
    fn bytes(memory: &mut Box<dyn LinearMemory>) -> &mut [u8] {
        raw::bytes_of(memory.as_mut())
    }
    fn resident(memory: &[u8]) -> usize {
        touched(memory).unwrap().len()
    }

    #[test]
    fn what_was_packed_is_there_again_and_nothing_else() {
        let slabs = Slabs::new(2);
        let mut memory = memory(&slabs, SIZE);
        let bytes = bytes(&mut memory);
        let all = Arc::default();
        // Not read before it is packed: a page that was read is there, too.
        let mut expected = vec![0; SIZE];
        for n in (0..SIZE).step_by(5 * PAGE + 5).chain([SIZE - 1]) {
            expected[n] = (n % 251) as u8 + 1;
            bytes[n] = expected[n];
        }
        for _ in 0..2 {
            let packed = Packed::pack(bytes, &all).unwrap();
            assert_eq!(all.load(Relaxed), packed.bytes.len() as u64);
            assert_eq!(resident(bytes), 0);
            assert!((50..=60).contains(&packed.pages.len()));
            assert!(packed.bytes.len() < 16 << 10, "{}", packed.bytes.len());
            assert!(packed.unpack(bytes));
            assert_eq!(resident(bytes), packed.pages.len());
        }
        assert_eq!(all.load(Relaxed), 0);
        assert!(*bytes == *expected, "the same bytes");
    }
    #[test]
    fn a_memory_that_packs_badly_or_is_large_is_left_as_it_is() {
        let slabs = Slabs::new(4);
        let mut word = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            word = word.wrapping_mul(6_364_136_223_846_793_005);
            word = word.wrapping_add(1);
            (word >> 56) as u8
        })
        .take(20 * PAGE)
        .collect();
        let full = vec![1; (PAGES_MAX + 1) * PAGE];
        for (size, content) in [(SIZE, noise), (SIZE, full), (3 << 20, vec![1]), (0, vec![])] {
            let mut memory = memory(&slabs, size);
            let bytes = bytes(&mut memory);
            bytes[..content.len()].copy_from_slice(&content);
            assert!(Packed::pack(bytes, &Arc::default()).is_none());
            assert!(bytes.starts_with(&content));
            assert!(bytes[content.len()..].iter().all(|byte| *byte == 0));
        }
    }
    #[test]
    fn what_does_not_unpack_is_told() {
        let slabs = Slabs::new(1);
        let mut memory = memory(&slabs, SIZE);
        let bytes = bytes(&mut memory);
        bytes[..PAGE].fill(3);
        let mut packed = Packed::pack(bytes, &Arc::default()).unwrap();
        packed.bytes = packed.bytes[..packed.bytes.len() / 2].into();
        assert!(!packed.unpack(bytes));
    }
}
