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
    let found = segments(files, layout)?;
    let (gone, _) = surplus(&found, written, bytes_max);
    let left = remove_oldest(files, &found, gone);
    let bytes = left.iter().map(|(_, _, bytes)| bytes).sum();
    Ok((left.len() as u64, bytes))
}

/// How many of the oldest segments, all of whose records are at most `written`, are to go so that at
/// most `bytes_max` are left, and the first place that is kept then.
pub(crate) fn surplus(found: &[Segment], written: u64, bytes_max: u64) -> (usize, u64) {
    let mut bytes: u64 = found.iter().map(|(_, _, bytes)| bytes).sum();
    let mut gone = 0;
    let mut begins = found.first().map_or(1, |(_, first, _)| *first);
    for (oldest, next) in found.iter().zip(found.iter().skip(1)) {
        if bytes <= bytes_max || next.1 > written + 1 {
            break;
        }
        bytes -= oldest.2;
        begins = next.1;
        gone += 1;
    }
    (gone, begins)
}

/// Removes so many of the oldest segments; answers those that are left.
pub(crate) fn remove_oldest<'a>(
    files: &dyn Files,
    found: &'a [Segment],
    gone: usize,
) -> &'a [Segment] {
    for (at, (oldest, _, _)) in found.iter().take(gone).enumerate() {
        if let Err(error) = files.remove(&segment_name(*oldest)) {
            tracing::warn!(%error, segment = oldest, "can't remove an old segment");
            return found.get(at..).unwrap_or_default();
        }
    }
    found.get(gone..).unwrap_or_default()
}

/// Number, first place and size of a segment.
type Segment = (u64, u64, u64);

/// All segments, oldest first.
pub(crate) fn segments(files: &dyn Files, layout: &Layout) -> io::Result<Vec<Segment>> {
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
