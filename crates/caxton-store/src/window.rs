//! Reads a file through a moving window, so that many small reads cost few calls.

use std::io;

use crate::File;

/// Bytes fetched at once.
///
/// Large enough that a disk streams, small enough to stay in the processor's cache.
const WINDOW_BYTES: usize = 1 << 20;

/// A file and the part of it that was fetched.
pub(crate) struct Window {
    file: Box<dyn File>,
    start: u64,
    data: Vec<u8>,
    size: u64,
}

impl Window {
    pub(crate) fn new(file: Box<dyn File>) -> io::Result<Self> {
        Ok(Self {
            size: file.size()?,
            file,
            start: 0,
            data: Vec::new(),
        })
    }

    /// The bytes from `offset` on, `length` of them or as many as there are.
    pub(crate) fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        let inside =
            offset >= self.start && offset + length as u64 <= self.start + self.data.len() as u64;
        if !inside {
            self.start = offset;
            self.data.resize(length.max(WINDOW_BYTES.min(left)), 0);
            let read = self.file.read_full_at(&mut self.data, offset)?;
            self.data.truncate(read);
        }
        let at = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let end = at.saturating_add(length).min(self.data.len());
        Ok(self.data.get(at..end).unwrap_or_default())
    }

    /// Fetches anew from here on.
    pub(crate) fn forget(&mut self) {
        self.data.clear();
    }

    /// Where the last byte that is not zero stands, if there is one from `offset` on.
    pub(crate) fn last_non_zero(&mut self, mut offset: u64) -> io::Result<Option<u64>> {
        let mut last = None;
        while let Some(data) = self.file.data_from(offset)? {
            offset = data;
            let bytes = self.bytes(offset, WINDOW_BYTES)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(at) = last_non_zero(bytes) {
                last = Some(offset + at as u64);
            }
            offset += bytes.len() as u64;
        }
        Ok(last)
    }

    /// Where these four bytes stand next, from `offset` on.
    pub(crate) fn find(&mut self, mut offset: u64, what: [u8; 4]) -> io::Result<Option<u64>> {
        loop {
            let bytes = self.bytes(offset, WINDOW_BYTES)?;
            if bytes.len() < what.len() {
                return Ok(None);
            }
            if let Some(at) = bytes.windows(what.len()).position(|four| four == what) {
                return Ok(Some(offset + at as u64));
            }
            offset += (bytes.len() - (what.len() - 1)) as u64;
        }
    }
}

/// The same in memory: most chunks are all zeros, and are told so without looking at each byte.
fn last_non_zero(bytes: &[u8]) -> Option<usize> {
    const CHUNK: usize = 512;
    let chunks = bytes.chunks(CHUNK).enumerate();
    let (number, chunk) = chunks
        .rev()
        .find(|(_, chunk)| chunk.iter().fold(0, |all, byte| all | byte) != 0)?;
    let at = chunk.iter().rposition(|byte| *byte != 0)?;
    Some(number * CHUNK + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_is_found_in_whichever_chunk_it_stands() {
        for length in [0, 1, 511, 512, 513, 2_000] {
            let mut bytes = vec![0; length];
            assert_eq!(last_non_zero(&bytes), None, "{length}");
            for at in 0..length {
                bytes[at] = 1;
                assert_eq!(last_non_zero(&bytes), Some(at), "{length}");
            }
        }
    }
}
