//! Reads records of a journal for people: a range of places, one agent, one kind.

use std::path::Path;

use caxton_model::{AgentId, Destination, Entry, Record};

use crate::{
    Damage, Files, OpenError, RealFiles,
    frame::decode_entry,
    log::JOURNAL,
    scan::{Listing, Visit, list},
};

/// Records read at once.
///
/// Segments may be removed by a node that runs: what was read is given out from memory.
const CHUNK_RECORDS: usize = 1 << 15;

/// Which records to show. All that is given must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowFilter {
    /// First place.
    pub from: u64,
    /// Last place.
    pub to: u64,
    /// Records that this agent made, got or is the matter of.
    pub agent: Option<AgentId>,
    /// A kind, as [`Record::kind`] has it.
    pub kind: Option<String>,
    /// Most records shown.
    pub limit: usize,
}

impl Default for ShowFilter {
    fn default() -> Self {
        Self {
            from: 1,
            to: u64::MAX,
            agent: None,
            kind: None,
            limit: usize::MAX,
        }
    }
}

impl ShowFilter {
    fn takes(&self, entry: &Entry) -> bool {
        self.kind
            .as_ref()
            .is_none_or(|kind| kind == entry.record.kind())
            && self.agent.is_none_or(|agent| concerns(entry, agent))
    }
}

/// Whether an agent made the record, is its matter, or gets something by it.
fn concerns(entry: &Entry, agent: AgentId) -> bool {
    let about = match &entry.record {
        Record::Deployed { spec } | Record::Updated { spec, .. } => spec.id == agent,
        Record::Removed { agent: id, .. }
        | Record::StatusChanged { agent: id, .. }
        | Record::InstanceStarted { agent: id, .. }
        | Record::Refused { agent: id, .. }
        | Record::GrantsChanged { agent: id, .. } => *id == agent,
        Record::Turn(turn) => turn.agent == agent,
        Record::Intent(intent) => intent.agent == agent,
        Record::Outcome { agent: id, .. } => *id == agent,
        Record::Accepted { deliveries } => deliveries.iter().any(|(id, _, _)| *id == agent),
        Record::Directory { capabilities, .. } => capabilities.iter().any(|(id, _)| *id == agent),
        Record::ProcessorDeployed { spec } => spec.id == agent,
        Record::ProcessorRemoved { .. }
        | Record::NodeStarted { .. }
        | Record::Posted { .. }
        | Record::HostSent { .. }
        | Record::DeadLettersTaken { .. }
        | Record::RepliesDropped { .. }
        | Record::RowsWritten { .. } => false,
    };
    about
        || entry
            .record
            .sent()
            .iter()
            .any(|sent| sent.to.contains(&Destination::Agent(agent)))
}

/// The records of a data directory's journal, with their places, in order.
///
/// Changes nothing; the directory may be in use. After damage the iterator gives it once and ends.
/// Cost: reads the segments that hold the range.
pub fn show(dir: &Path, filter: ShowFilter) -> Result<Show, OpenError> {
    let files = RealFiles::read_only(&dir.join("journal"));
    let next = filter.from.max(1);
    Ok(Show {
        next: list(&files, &JOURNAL)?.map_or(next, |listing| next.max(listing.begins())),
        files,
        left: filter.limit,
        filter,
        ready: Vec::new().into_iter(),
        damage: None,
        done: false,
    })
}

/// See [`show`].
#[derive(Debug)]
pub struct Show {
    files: RealFiles,
    filter: ShowFilter,
    next: u64,
    left: usize,
    ready: std::vec::IntoIter<(u64, Entry)>,
    damage: Option<OpenError>,
    done: bool,
}

impl Iterator for Show {
    type Item = Result<(u64, Entry), OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.left == 0 {
                return None;
            }
            if let Some(found) = self.ready.next() {
                self.left -= 1;
                return Some(Ok(found));
            }
            if let Some(error) = self.damage.take() {
                self.done = true;
                return Some(Err(error));
            }
            if self.done {
                return None;
            }
            match self.read_chunk() {
                Ok(chunk) => self.ready = chunk.into_iter(),
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Show {
    /// Reads on from `next`; sets `done` at the end and `damage` where something can't be read.
    fn read_chunk(&mut self) -> Result<Vec<(u64, Entry)>, OpenError> {
        let Some(listing) = list(&self.files, &JOURNAL)? else {
            self.done = true;
            return Ok(Vec::new());
        };
        let (mut chunk, mut read) = (Vec::new(), 0_usize);
        let (from, to) = (self.next, self.filter.to);
        let (filter, left) = (&self.filter, self.left);
        let result = scan_from(&listing, &self.files, from, &mut |place, body| {
            if place < from {
                return Ok(());
            }
            if place > to || read >= CHUNK_RECORDS || chunk.len() >= left {
                return Err(String::new());
            }
            let entry = decode_entry(body)?;
            read += 1;
            if filter.takes(&entry) {
                chunk.push((place, entry));
            }
            Ok(())
        });
        self.next = from + read as u64;
        match result {
            // Our own stop.
            Err(OpenError::Damaged(Damage { what, .. })) if what.is_empty() => {
                self.done = self.next > to;
            }
            // Behind the head a node may just be writing.
            Err(OpenError::Damaged(damage)) if damage.place > listing.head.place => {
                self.done = true;
            }
            Err(error) => {
                self.damage = Some(error);
            }
            Ok(()) => self.done = true,
        }
        Ok(chunk)
    }
}

fn scan_from(
    listing: &Listing,
    files: &dyn Files,
    from: u64,
    visit: &mut Visit<'_>,
) -> Result<(), OpenError> {
    listing
        .scan(files, listing.segment_of(from), &[], visit)
        .map(|_| ())
}
