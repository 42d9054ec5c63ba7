//! A log's bytes: segment header, group, record. Written down in `docs/specs/journal.md`.

use caxton_model::Entry;

use crate::log::{JournalLog, Layout, Log};

/// A BLAKE3 hash over all groups so far.
pub type Chain = [u8; 32];

/// Bytes before a segment's first group.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 128;
/// Bytes before a group's first record.
pub(crate) const GROUP_HEADER_BYTES: usize = 64;
/// Bytes before a record's body.
pub(crate) const RECORD_HEADER_BYTES: usize = 8;
/// How a group begins.
pub(crate) const GROUP_MAGIC: [u8; 4] = *b"CXG1";

/// Reads `N` bytes; zeros where there are fewer, which no check lets pass.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..at + N)
        .and_then(|bytes| bytes.try_into().ok())
        .unwrap_or([0; N])
}
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}
/// Overwrites bytes that are there.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}
/// The first 8 bytes of a BLAKE3 hash.
pub(crate) fn check_of(bytes: &[u8]) -> [u8; 8] {
    array(blake3::hash(bytes).as_bytes(), 0)
}

/// A segment's name.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:010}.seg")
}
/// A segment's number, if it is the name of one.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// A log's own name, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) layout: &'static Layout,
    pub(crate) id: [u8; 32],
    key: [u8; 32],
}

impl Identity {
    pub(crate) fn new(layout: &'static Layout, id: [u8; 32]) -> Self {
        Self {
            layout,
            id,
            key: blake3::derive_key(layout.check, &id),
        }
    }
    /// The chain before the first group.
    pub(crate) fn genesis(&self) -> Chain {
        blake3::derive_key(self.layout.genesis, &self.id)
    }
    /// Binds a group's header to this log and to where it stands, so that bytes which a guest
    /// stored can't be taken for a group.
    fn check(&self, segment: u64, offset: u64, header: &[u8]) -> [u8; 8] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&segment.to_le_bytes());
        hasher.update(&offset.to_le_bytes());
        hasher.update(header.get(..56).unwrap_or_default());
        array(hasher.finalize().as_bytes(), 0)
    }
}

/// How a segment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: [u8; 32],
    pub(crate) number: u64,
    pub(crate) first_place: u64,
    pub(crate) chain: Chain,
}

/// Why a header could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Check,
    Version(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self, layout: &Layout) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        put(&mut bytes, 0, &layout.segment_magic);
        put(&mut bytes, 8, &layout.format.to_le_bytes());
        put(&mut bytes, 12, &(SEGMENT_HEADER_BYTES as u32).to_le_bytes());
        put(&mut bytes, 16, &self.id);
        put(&mut bytes, 48, &self.number.to_le_bytes());
        put(&mut bytes, 56, &self.first_place.to_le_bytes());
        put(&mut bytes, 64, &self.chain);
        seal(&mut bytes);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8], layout: &Layout) -> Result<Self, HeaderFault> {
        check_sealed(bytes, layout.segment_magic, layout.format)?;
        Ok(Self {
            id: array(bytes, 16),
            number: u64_at(bytes, 48),
            first_place: u64_at(bytes, 56),
            chain: array(bytes, 64),
        })
    }
}

/// Writes the check of a 128-byte header into its last 8 bytes.
pub(crate) fn seal(bytes: &mut [u8; SEGMENT_HEADER_BYTES]) {
    let check = check_of(bytes.get(..120).unwrap_or_default());
    put(bytes, 120, &check);
}

/// Checks magic, check and format of a 128-byte header.
pub(crate) fn check_sealed(bytes: &[u8], magic: [u8; 8], format: u32) -> Result<(), HeaderFault> {
    let body = bytes.get(..120).ok_or(HeaderFault::Check)?;
    if array::<8>(bytes, 0) != magic || array::<8>(bytes, 120) != check_of(body) {
        return Err(HeaderFault::Check);
    }
    match u32_at(bytes, 8) {
        found if (1..=format).contains(&found) => Ok(()),
        found => Err(HeaderFault::Version(found)),
    }
}

/// How a group begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    pub(crate) records: u32,
    pub(crate) body_bytes: u32,
    pub(crate) first_place: u64,
    /// After this group.
    pub(crate) chain: Chain,
}

impl GroupHeader {
    /// The chain that a group with this body has after `before`.
    pub(crate) fn chain_after(&self, before: &Chain, body: &[u8]) -> Chain {
        let mut hasher = blake3::Hasher::new();
        hasher.update(before);
        hasher.update(&self.plain());
        hasher.update(body);
        *hasher.finalize().as_bytes()
    }

    fn plain(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        put(&mut bytes, 0, &GROUP_MAGIC);
        put(&mut bytes, 4, &self.records.to_le_bytes());
        put(&mut bytes, 8, &self.body_bytes.to_le_bytes());
        put(&mut bytes, 16, &self.first_place.to_le_bytes());
        bytes
    }

    pub(crate) fn encode(
        &self,
        identity: &Identity,
        segment: u64,
        offset: u64,
    ) -> [u8; GROUP_HEADER_BYTES] {
        let mut bytes = [0; GROUP_HEADER_BYTES];
        put(&mut bytes, 0, &self.plain());
        put(&mut bytes, 24, &self.chain);
        let check = identity.check(segment, offset, &bytes);
        put(&mut bytes, 56, &check);
        bytes
    }

    /// Reads a header that stands at this offset; `None`: it is none, or not as it was written.
    pub(crate) fn decode(
        bytes: &[u8],
        identity: &Identity,
        segment: u64,
        offset: u64,
    ) -> Option<Self> {
        if bytes.len() < GROUP_HEADER_BYTES
            || array::<4>(bytes, 0) != GROUP_MAGIC
            || array::<8>(bytes, 56) != identity.check(segment, offset, bytes)
        {
            return None;
        }
        Some(Self {
            records: u32_at(bytes, 4),
            body_bytes: u32_at(bytes, 8),
            first_place: u64_at(bytes, 16),
            chain: array(bytes, 24),
        })
    }
}

/// Appends a record's body to a buffer, as the journal holds it.
///
/// Errors: in words; no entry that a node makes has one.
pub fn encode_entry(entry: &Entry, buffer: &mut Vec<u8>) -> Result<(), String> {
    JournalLog::encode(entry, buffer)
}

/// Puts a record with its header behind the bytes that are there.
///
/// Errors: the buffer is as before; a record over 4 GiB has no form.
pub(crate) fn encode_record<L: Log>(
    record: &L::Record,
    buffer: &mut Vec<u8>,
) -> Result<(), String> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
    let length = L::encode(record, buffer).and_then(|()| {
        u32::try_from(buffer.len() - start - RECORD_HEADER_BYTES)
            .map_err(|_| "it is over 4 GiB".to_owned())
    });
    match length {
        Ok(length) => {
            let length = length.to_le_bytes();
            let body = buffer
                .get(start + RECORD_HEADER_BYTES..)
                .unwrap_or_default();
            let sum = record_sum(length, body);
            put(buffer, start, &length);
            put(buffer, start + 4, &sum.to_le_bytes());
            Ok(())
        }
        Err(reason) => {
            buffer.truncate(start);
            Err(reason)
        }
    }
}

fn record_sum(length: [u8; 4], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), body)
}

/// Takes the first record's body off a group's body; `None`: its length or checksum is wrong.
pub(crate) fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = array::<4>(bytes, 0);
    let rest = bytes.get(RECORD_HEADER_BYTES..)?;
    let body = rest.get(..usize::try_from(u32::from_le_bytes(length)).ok()?)?;
    let sum = u32_at(bytes, 4);
    (record_sum(length, body) == sum).then_some((body, rest.get(body.len()..)?))
}

/// Reads a record's body, of this version or any before it. Safe for any bytes.
///
/// Errors: in words; also if bytes are left over behind the record.
pub fn decode_entry(body: &[u8]) -> Result<Entry, String> {
    JournalLog::decode(body)
}
