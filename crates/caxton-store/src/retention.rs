//! Which segments of a log are kept.

use std::io;

use crate::{
    Files,
    frame::{SEGMENT_HEADER_BYTES, SegmentHeader, segment_name, segment_number},
    log::Layout,
};

/// Counts segments and their bytes, and removes the oldest that the checkpoint has passed while
/// there are more bytes than are to be kept.
pub(crate) fn keep_segments(
    files: &dyn Files,
    layout: &Layout,
    written: u64,
    bytes_max: u64,
) -> io::Result<(u64, u64)> {
    let mut segments = segments(files, layout)?;
    let mut bytes: u64 = segments.iter().map(|(_, _, bytes)| bytes).sum();
    while let [(oldest, _, size), (_, next_first, _), ..] = segments.as_slice() {
        let passed = *next_first <= written + 1;
        if bytes <= bytes_max || !passed {
            break;
        }
        if let Err(error) = files.remove(&segment_name(*oldest)) {
            tracing::warn!(%error, segment = oldest, "can't remove an old segment");
            break;
        }
        bytes -= size;
        segments.remove(0);
    }
    Ok((segments.len() as u64, bytes))
}

/// Number, first place and size of each segment, oldest first.
fn segments(files: &dyn Files, layout: &Layout) -> io::Result<Vec<(u64, u64, u64)>> {
    let mut segments = Vec::new();
    for name in files.names()? {
        let Some(number) = segment_number(&name) else {
            continue;
        };
        let file = files.open(&name)?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        file.read_full_at(&mut bytes, 0)?;
        // One that is just being made has no header yet; it is the newest and is kept.
        let first = SegmentHeader::decode(&bytes, layout).map_or(u64::MAX, |h| h.first_place);
        segments.push((number, first, file.size()?));
    }
    segments.sort_unstable();
    Ok(segments)
}
