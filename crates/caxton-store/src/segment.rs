//! Makes a log's segments, and takes the last one up again.

use std::io;

use crate::{
    Chain, File, Files, OpenError,
    frame::{Identity, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name},
    scan::{End, Listing},
};

/// Bytes behind the last known durable place that opening writes again.
///
/// After a sync that failed, the system may show bytes that the disk does not have. One group, and
/// what a second without a synced head may hold, is less than this.
const REWRITE_BYTES_MAX: u64 = 256 << 20;

/// What was tried, and what the system said.
pub(crate) type Step = (String, io::Error);

/// Makes a segment with its room taken; durable when it returns.
pub(crate) fn new_segment(
    files: &dyn Files,
    identity: &Identity,
    number: u64,
    first_place: u64,
    chain: &Chain,
    size: u64,
) -> Result<(Box<dyn File>, u64), Step> {
    let name = segment_name(number);
    let step = |what: &str| {
        let what = format!("{what} {}/{name}", identity.layout.folder);
        move |error| (what, error)
    };
    let header = SegmentHeader {
        id: identity.id,
        number,
        first_place,
        chain: *chain,
    };
    let file = files.create(&name).map_err(step("make"))?;
    file.reserve(size).map_err(step("take room for"))?;
    file.write_all_at(&header.encode(identity.layout), 0)
        .map_err(step("write"))?;
    file.sync().map_err(step("sync"))?;
    files.sync_names().map_err(step("sync the name of"))?;
    Ok((file, size))
}

/// Opens the last segment, cuts a torn tail off, and makes what is behind the head durable.
pub(crate) fn reopen_segment(
    files: &dyn Files,
    listing: &Listing,
    end: &End,
    segment_bytes: u64,
) -> Result<(Box<dyn File>, u64), OpenError> {
    let name = segment_name(end.segment);
    let folder = listing.identity.layout.folder;
    let failed = |what: &str| OpenError::io(format!("can't {what} {folder}/{name}"));
    let file = files.open(&name).map_err(failed("open"))?;
    if end.torn.is_some() {
        file.cut(end.offset).map_err(failed("cut"))?;
    }
    let known = if listing.head.segment == end.segment {
        listing.head.offset
    } else {
        SEGMENT_HEADER_BYTES as u64
    };
    let behind = end.offset.saturating_sub(known);
    if behind > 0 && behind <= REWRITE_BYTES_MAX {
        let mut bytes = vec![0; usize::try_from(behind).unwrap_or(0)];
        file.read_full_at(&mut bytes, known)
            .and_then(|_| file.write_all_at(&bytes, known))
            .map_err(failed("write"))?;
    }
    let size = file.size().map_err(failed("read"))?;
    let wanted = segment_bytes.max(end.offset);
    // Without room the first group finds none, and waits: that is no reason not to start.
    let reserved = match size < wanted {
        true if file.reserve(wanted).is_ok() => wanted,
        _ => size.max(end.offset),
    };
    file.sync().map_err(failed("sync"))?;
    Ok((file, reserved))
}
