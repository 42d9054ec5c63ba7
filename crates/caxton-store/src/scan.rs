//! Reads a log from its first segment to its end, and tells a torn tail from damage.
//!
//! One group at most is on its way to the disk. So what can't be read is a torn tail only if it is
//! the last thing there is and lies behind the durable head; everything else is damage.

use std::io;

use crate::{
    Chain, Damage, File, Files, OpenError, TornTail,
    frame::{
        GROUP_HEADER_BYTES, GROUP_MAGIC, GroupHeader, HeaderFault, Identity, SEGMENT_HEADER_BYTES,
        SegmentHeader, segment_name, segment_number, split_record,
    },
    head::{HEAD_FILE, Head, HeadFound, read_head},
    log::Layout,
    window::Window,
};

/// Gets each record's place and body; what it answers as an error is damage.
pub(crate) type Visit<'a> = dyn FnMut(u64, &[u8]) -> Result<(), String> + 'a;

/// A place whose chain is known from elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) place: u64,
    pub(crate) chain: Chain,
    /// Whose mark it is, for the error.
    pub(crate) whose: &'static str,
}

/// A segment as its header has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) first_place: u64,
    pub(crate) chain: Chain,
}

/// What a folder holds, before any group was read.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) identity: Identity,
    pub(crate) head: Head,
    pub(crate) head_slot: u64,
    pub(crate) head_slot_bad: bool,
    pub(crate) segments: Vec<Segment>,
    /// A last segment whose making was not finished.
    pub(crate) unfinished: Option<String>,
}

/// Where the good part ends.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) place: u64,
    pub(crate) chain: Chain,
    pub(crate) groups: u64,
    pub(crate) torn: Option<TornTail>,
}

fn damaged(file: &str, offset: u64, place: u64, what: impl Into<String>) -> OpenError {
    OpenError::Damaged(Damage {
        file: file.to_owned(),
        offset,
        place,
        last_place: place,
        what: what.into(),
    })
}

fn io_error(layout: &Layout, what: &str, file: &str) -> impl FnOnce(io::Error) -> OpenError {
    OpenError::io(format!("can't {what} {}/{file}", layout.folder))
}

/// Reads the head and all segments' headers; `None`: there is no log.
pub(crate) fn list(
    files: &dyn Files,
    layout: &'static Layout,
) -> Result<Option<Listing>, OpenError> {
    let mut numbers: Vec<u64> = files
        .names()
        .map_err(io_error(layout, "list", ""))?
        .iter()
        .filter_map(|name| segment_number(name))
        .collect();
    numbers.sort_unstable();
    let (head, head_slot, head_slot_bad) =
        match read_head(files, layout).map_err(io_error(layout, "read", HEAD_FILE))? {
            HeadFound::Good {
                head,
                slot,
                other_bad,
            } => (head, slot, other_bad),
            HeadFound::Version(found) => return Err(version(layout, HEAD_FILE, found)),
            // Its making was not finished: no segment was ever made.
            HeadFound::Nothing | HeadFound::Unreadable if numbers.is_empty() => return Ok(None),
            HeadFound::Nothing => {
                return Err(damaged(
                    HEAD_FILE,
                    0,
                    0,
                    format!(
                        "it is missing or empty, so that it can't be told where the {} ends",
                        layout.folder
                    ),
                ));
            }
            HeadFound::Unreadable => {
                return Err(damaged(HEAD_FILE, 0, 0, "neither of its slots is good"));
            }
        };
    let mut listing = Listing {
        identity: Identity::new(layout, head.id),
        head,
        head_slot,
        head_slot_bad,
        segments: Vec::with_capacity(numbers.len()),
        unfinished: None,
    };
    let last = numbers.last().copied();
    for number in numbers {
        listing.read_header(files, number, Some(number) == last)?;
    }
    if listing.segments.is_empty() && head.place > 0 {
        let name = segment_name(head.segment);
        return Err(damaged(&name, 0, head.place, "the segment is missing"));
    }
    Ok(Some(listing))
}

fn version(layout: &Layout, file: &str, found: u32) -> OpenError {
    OpenError::Version {
        file: format!("{}/{file}", layout.folder),
        found,
        known: layout.format,
    }
}

impl Listing {
    fn read_header(
        &mut self,
        files: &dyn Files,
        number: u64,
        is_last: bool,
    ) -> Result<(), OpenError> {
        let name = segment_name(number);
        let layout = self.identity.layout;
        let before = self.segments.last().copied();
        let expected = before.map_or(1, |segment| segment.first_place);
        if before.is_some_and(|before| before.number + 1 != number) {
            let missing = segment_name(before.map_or(1, |before| before.number + 1));
            return Err(damaged(&missing, 0, expected, "the segment is missing"));
        }
        let file = files.open(&name).map_err(io_error(layout, "open", &name))?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let read = file
            .read_full_at(&mut bytes, 0)
            .map_err(io_error(layout, "read", &name))?;
        let header = match SegmentHeader::decode(bytes.get(..read).unwrap_or_default(), layout) {
            Ok(header) => header,
            Err(HeaderFault::Version(found)) => return Err(version(layout, &name, found)),
            // The head names a segment before any group is written into it.
            Err(HeaderFault::Check)
                if is_last
                    && (self.head.segment < number || self.head.place == 0 && number == 1)
                    && is_empty(file).map_err(io_error(layout, "read", &name))? =>
            {
                self.unfinished = Some(name);
                return Ok(());
            }
            Err(HeaderFault::Check) => {
                return Err(damaged(
                    &name,
                    0,
                    expected,
                    "the segment's header is not as it was written",
                ));
            }
        };
        if header.id != self.identity.id || header.number != number {
            return Err(damaged(
                &name,
                0,
                expected,
                format!(
                    "the segment belongs to another {} or bears another's name",
                    layout.folder
                ),
            ));
        }
        self.segments.push(Segment {
            number,
            first_place: header.first_place,
            chain: header.chain,
        });
        Ok(())
    }

    /// The first record that is still there.
    pub(crate) fn begins(&self) -> u64 {
        self.segments.first().map_or(1, |first| first.first_place)
    }

    /// The number of the segment in which this place stands or will stand.
    pub(crate) fn segment_of(&self, place: u64) -> u64 {
        self.segments
            .iter()
            .rev()
            .find(|segment| segment.first_place <= place)
            .or(self.segments.first())
            .map_or(1, |segment| segment.number)
    }

    /// Reads all groups from segment `from` on, and compares the chain with the marks, which stand in
    /// the order of their places.
    pub(crate) fn scan(
        &self,
        files: &dyn Files,
        from: u64,
        marks: &[Mark],
        visit: &mut Visit<'_>,
    ) -> Result<End, OpenError> {
        let mut end = End {
            segment: 1,
            offset: SEGMENT_HEADER_BYTES as u64,
            place: 0,
            chain: self.identity.genesis(),
            groups: 0,
            torn: None,
        };
        let layout = self.identity.layout;
        let mut first = true;
        for segment in self.segments.iter().filter(|s| s.number >= from) {
            if first && segment.first_place > 1 {
                end.place = segment.first_place - 1;
                end.chain = segment.chain;
            }
            first = false;
            self.check_start(segment, &end, marks)?;
            end.segment = segment.number;
            end.offset = SEGMENT_HEADER_BYTES as u64;
            let name = segment_name(segment.number);
            let file = files.open(&name).map_err(io_error(layout, "open", &name))?;
            let window = Window::new(file).map_err(io_error(layout, "read", &name))?;
            let mut scan = SegmentScan {
                listing: self,
                name,
                number: segment.number,
                window,
                marks,
            };
            scan.run(&mut end, visit)?;
        }
        let name = segment_name(end.segment);
        if let Some(mark) = marks.iter().find(|mark| mark.place > end.place) {
            return Err(damaged(
                &name,
                end.offset,
                end.place + 1,
                format!(
                    "the {} ends at place {}, but {} says that place {} was durable",
                    layout.folder, end.place, mark.whose, mark.place
                ),
            ));
        }
        Ok(end)
    }

    fn check_start(&self, segment: &Segment, end: &End, marks: &[Mark]) -> Result<(), OpenError> {
        let name = segment_name(segment.number);
        if segment.first_place != end.place + 1 || segment.chain != end.chain {
            // The segment was made after all before it was durable: they have lost their end.
            return Err(damaged(
                &segment_name(end.segment),
                end.offset,
                end.place + 1,
                format!(
                    "records are missing: {name} goes on at place {} with another chain",
                    segment.first_place
                ),
            ));
        }
        check_marks(&name, SEGMENT_HEADER_BYTES as u64, end, end.place, marks)
    }
}

/// Compares the chain at the end of a group with those that are known from elsewhere.
fn check_marks(
    name: &str,
    offset: u64,
    end: &End,
    before: u64,
    marks: &[Mark],
) -> Result<(), OpenError> {
    let first = marks.partition_point(|mark| mark.place < end.place.min(before + 1));
    for mark in marks.get(first..).unwrap_or_default() {
        if mark.place > end.place {
            break;
        }
        if mark.place < end.place || mark.chain != end.chain {
            // What the same one has before that did fit.
            let mut before = marks.iter().rev();
            let fitted = before.find(|m| m.whose == mark.whose && m.place < mark.place);
            return Err(OpenError::Damaged(Damage {
                file: name.to_owned(),
                offset,
                place: fitted.map_or(mark.place, |fitted| fitted.place + 1),
                last_place: mark.place,
                what: format!("the chain is not the one that {} has", mark.whose),
            }));
        }
    }
    Ok(())
}

struct SegmentScan<'a> {
    listing: &'a Listing,
    name: String,
    number: u64,
    window: Window,
    marks: &'a [Mark],
}

/// Why a group could not be taken.
enum Stop {
    Error(OpenError),
    /// It can't be read: how many of its records stand before that, and what is wrong, in words.
    Unreadable(u64, &'static str),
}

impl SegmentScan<'_> {
    fn run(&mut self, end: &mut End, visit: &mut Visit<'_>) -> Result<(), OpenError> {
        let mut looked_again = None;
        loop {
            match self.group(end, visit) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Unreadable(good, what)) => match self.judge(end, good, what) {
                    // A node may be at work on the file. It writes one group after the other: if
                    // one is there that follows, this one is whole by now, or is damaged.
                    Err(OpenError::Damaged(_)) if looked_again != Some(end.offset) => {
                        looked_again = Some(end.offset);
                        self.window.forget();
                    }
                    judged => return judged,
                },
            }
        }
    }

    /// Takes one group; `false`: there are only zeros from here on.
    fn group(&mut self, end: &mut End, visit: &mut Visit<'_>) -> Result<bool, Stop> {
        let offset = end.offset;
        let io = |error| {
            Stop::Error(io_error(self.listing.identity.layout, "read", &self.name)(
                error,
            ))
        };
        let bytes = self.window.bytes(offset, GROUP_HEADER_BYTES).map_err(io)?;
        let identity = &self.listing.identity;
        let Some(header) = GroupHeader::decode(bytes, identity, self.number, offset) else {
            return match self.window.last_non_zero(offset).map_err(io)? {
                Some(_) => Err(Stop::Unreadable(
                    0,
                    "the group's header is not as it was written",
                )),
                None => Ok(false),
            };
        };
        let length = header.body_bytes as usize;
        let start = offset + GROUP_HEADER_BYTES as u64;
        let body = self.window.bytes(start, length).map_err(io)?;
        if body.len() < length {
            return Err(Stop::Unreadable(0, "the file ends within a group"));
        }
        let chain = header.chain_after(&end.chain, body);
        check_records(body, header.records)?;
        if header.first_place != end.place + 1 || chain != header.chain {
            return Err(Stop::Error(OpenError::Damaged(Damage {
                file: self.name.clone(),
                offset,
                place: end.place + 1,
                last_place: end.place + u64::from(header.records.max(1)),
                what: "the group is not the one that follows the group before it".to_owned(),
            })));
        }
        let mut rest = body;
        for place in header.first_place..header.first_place + u64::from(header.records) {
            let Some((record, behind)) = split_record(rest) else {
                return Err(Stop::Unreadable(0, "a record's checksum is wrong"));
            };
            visit(place, record).map_err(|what| {
                let at = start + (body.len() - rest.len()) as u64;
                Stop::Error(damaged(&self.name, at, place, what))
            })?;
            rest = behind;
        }
        let before = end.place;
        end.place += u64::from(header.records);
        end.chain = chain;
        end.offset = start + u64::from(header.body_bytes);
        end.groups += 1;
        check_marks(&self.name, offset, end, before, self.marks).map_err(Stop::Error)?;
        Ok(true)
    }

    /// Decides whether what can't be read is a torn tail.
    fn judge(&mut self, end: &mut End, good: u64, what: &'static str) -> Result<(), OpenError> {
        let place = end.place + 1;
        let bad = place + good;
        let damage = |why: &str| damaged(&self.name, end.offset, bad, format!("{what}{why}"));
        if place <= self.listing.head.place {
            return Err(damage(", and it was durable"));
        }
        let is_last = self
            .listing
            .segments
            .last()
            .is_some_and(|last| last.number == self.number);
        if !is_last || self.listing.unfinished.is_some() {
            return Err(damage(", and another segment follows"));
        }
        let io = |error| io_error(self.listing.identity.layout, "read", &self.name)(error);
        let mut offset = end.offset + 1;
        while let Some(at) = self.window.find(offset, GROUP_MAGIC).map_err(io)? {
            let bytes = self.window.bytes(at, GROUP_HEADER_BYTES).map_err(io)?;
            if GroupHeader::decode(bytes, &self.listing.identity, self.number, at).is_some() {
                return Err(damage(&format!(", and a good group follows at byte {at}")));
            }
            offset = at + 1;
        }
        let last = self.window.last_non_zero(end.offset).map_err(io)?;
        end.torn = Some(TornTail {
            file: self.name.clone(),
            offset: end.offset,
            place: end.place,
            bytes: last.map_or(0, |last| last + 1 - end.offset),
        });
        Ok(())
    }
}

/// Whether there are only zeros behind a segment's header.
fn is_empty(file: Box<dyn File>) -> io::Result<bool> {
    let mut window = Window::new(file)?;
    Ok(window.last_non_zero(SEGMENT_HEADER_BYTES as u64)?.is_none())
}

fn check_records(body: &[u8], records: u32) -> Result<(), Stop> {
    let mut rest = body;
    for good in 0..records {
        let Some((_, behind)) = split_record(rest) else {
            return Err(Stop::Unreadable(
                u64::from(good),
                "a record's checksum is wrong",
            ));
        };
        rest = behind;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(Stop::Unreadable(0, "the group holds more than its records"))
    }
}
