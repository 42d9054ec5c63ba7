//! Writes a log: one group after the other, each durable before the next is begun.
//!
//! It has no thread and no queue of its own: the log's thread drives it, and so does a
//! simulator, over whatever file layer it is given.

use std::{io, marker::PhantomData, sync::Arc};

use caxton_model::{
    Timestamp,
    planted::{Planted, is_planted},
};

use crate::{
    Chain, File, Files, OpenError, StoreFailed,
    frame::{
        GROUP_HEADER_BYTES, GroupHeader, Identity, SEGMENT_HEADER_BYTES, encode_record, put,
        segment_name,
    },
    head::{HEAD_FILE, Head, HeadFile},
    log::{JournalLog, Log},
    log_options::{LogFound, LogOptions},
    scan::{End, Listing, Mark, list},
    segment::{new_segment, reopen_segment},
    write_error::{Lack, WriteError, at, sync_failed, write_failed},
};

/// A group that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Its first record.
    pub first_place: u64,
    /// Its last record.
    pub last_place: u64,
    /// The chain behind it.
    pub chain: Chain,
    /// Its size. Unit: bytes.
    pub bytes: u64,
    /// The segment it stands in.
    pub segment: u64,
}

/// Records whose times are looked at for the latest: shards append side by side, so that the last
/// record need not have it.
const NEWEST_OF: u64 = 1_024;

/// The end of the journal, open to be written.
pub type JournalWriter = LogWriter<JournalLog>;

/// The end of a log, open to be written.
pub struct LogWriter<L: Log> {
    files: Arc<dyn Files>,
    identity: Identity,
    segment: Box<dyn File>,
    number: u64,
    /// Bytes of the segment that are taken from the disk.
    reserved: u64,
    offset: u64,
    place: u64,
    chain: Chain,
    head: HeadFile,
    segment_bytes: u64,
    /// Room for the group's header, then its records.
    buffer: Vec<u8>,
    records: u32,
    /// A group that is durable while the head does not say so yet.
    unconfirmed: Option<Group>,
    kind: PhantomData<fn(&L)>,
}

impl<L: Log> std::fmt::Debug for LogWriter<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter")
            .field("segment", &self.number)
            .field("offset", &self.offset)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl<L: Log> LogWriter<L> {
    /// Opens the log in a folder, makes it if there is none, and visits every record that is
    /// not known yet.
    ///
    /// Errors: [`OpenError`]; then nothing in the folder was changed.
    pub fn open(
        files: Arc<dyn Files>,
        options: &LogOptions,
        visit: &mut dyn FnMut(u64, L::Record) -> Result<(), String>,
    ) -> Result<(Self, LogFound), OpenError> {
        Self::open_marked(files, options, "the checkpoint", visit)
    }

    /// The same; `whose` the known place and chain are.
    pub(crate) fn open_marked(
        files: Arc<dyn Files>,
        options: &LogOptions,
        whose: &'static str,
        visit: &mut dyn FnMut(u64, L::Record) -> Result<(), String>,
    ) -> Result<(Self, LogFound), OpenError> {
        let known = options.known.map_or(0, |(place, _)| place);
        let Some(listing) = list(&*files, L::LAYOUT)? else {
            if known > 0 {
                return Err(OpenError::Damaged(crate::Damage {
                    file: HEAD_FILE.to_owned(),
                    offset: 0,
                    place: known,
                    what: "there is no journal, but the checkpoint has one's records".to_owned(),
                    last_place: known,
                }));
            }
            return Self::create(files, options);
        };
        let mut marks = vec![Mark {
            place: listing.head.place,
            chain: listing.head.chain,
            whose: "the head file",
        }];
        marks.extend(options.known.map(|(place, chain)| Mark {
            place,
            chain,
            whose,
        }));
        marks.sort_by_key(|mark| mark.place);
        let from = if options.check_known {
            0
        } else {
            listing.segment_of(known.max(1))
        };
        let mut newest = Timestamp::default();
        let mut decode = |place: u64, body: &[u8]| {
            if place + NEWEST_OF <= known {
                return Ok(());
            }
            let record = L::decode(body).map_err(|error| {
                format!("the record has a form this program can't read: {error}")
            })?;
            newest = newest.max(L::at(&record));
            if place <= known {
                return Ok(());
            }
            visit(place, record)
        };
        let end = listing.scan(&*files, from, &marks, &mut decode)?;
        let (writer, mut found) = Self::take_up(files, options, &listing, end)?;
        found.newest = newest;
        Ok((writer, found))
    }

    fn create(files: Arc<dyn Files>, options: &LogOptions) -> Result<(Self, LogFound), OpenError> {
        let identity = Identity::new(L::LAYOUT, options.new_id);
        let (head_file, head) = HeadFile::create(&*files, &identity)
            .map_err(OpenError::io(format!("can't make {}", at::<L>(HEAD_FILE))))?;
        let segment = new_segment(&*files, &identity, 1, 1, &head.chain, options.segment_bytes)
            .map_err(|(what, error)| OpenError::io(format!("can't {what}"))(error))?;
        let end = End {
            segment: 1,
            offset: SEGMENT_HEADER_BYTES as u64,
            place: 0,
            chain: head.chain,
            groups: 0,
            torn: None,
        };
        let found = LogFound {
            begins: 1,
            place: 0,
            newest: Timestamp::default(),
            chain: head.chain,
            torn: None,
            notices: Vec::new(),
        };
        Ok((
            Self::at(files, identity, segment, &end, head_file, options),
            found,
        ))
    }

    fn at(
        files: Arc<dyn Files>,
        identity: Identity,
        (segment, reserved): (Box<dyn File>, u64),
        end: &End,
        head: HeadFile,
        options: &LogOptions,
    ) -> Self {
        Self {
            files,
            identity,
            segment,
            number: end.segment,
            reserved,
            offset: end.offset,
            place: end.place,
            chain: end.chain,
            head,
            segment_bytes: options.segment_bytes,
            buffer: vec![0; GROUP_HEADER_BYTES],
            records: 0,
            unconfirmed: None,
            kind: PhantomData,
        }
    }

    /// Mends the end of a log that was found whole, and makes what is there durable.
    fn take_up(
        files: Arc<dyn Files>,
        options: &LogOptions,
        listing: &Listing,
        end: End,
    ) -> Result<(Self, LogFound), OpenError> {
        let mut notices = Vec::new();
        if listing.head_slot_bad {
            notices.push(format!(
                "one slot of {} was not good; the other was used",
                at::<L>(HEAD_FILE)
            ));
        }
        if let Some(name) = &listing.unfinished {
            files
                .remove(name)
                .map_err(OpenError::io(format!("can't remove {}", at::<L>(name))))?;
            notices.push(format!(
                "{} was never finished and was removed",
                at::<L>(name)
            ));
        }
        // The process before may have ended between making a file and making its name, or what is
        // in it, durable: the head is written in any case, and before anything that needs it.
        files.sync_names().map_err(OpenError::io(format!(
            "can't sync the names in {}",
            at::<L>("")
        )))?;
        let failed = || OpenError::io(format!("can't write {}", at::<L>(HEAD_FILE)));
        let mut head = HeadFile::open(&*files, L::LAYOUT, listing.head_slot).map_err(failed())?;
        let mut confirm = || {
            let head_now = Head {
                id: listing.identity.id,
                place: end.place,
                chain: end.chain,
                segment: end.segment,
                offset: end.offset,
            };
            head.write(&head_now)
                .and_then(|()| head.sync())
                .map_err(failed())
        };
        let bytes = options.segment_bytes;
        let segment = if listing.segments.is_empty() {
            confirm()?;
            new_segment(&*files, &listing.identity, 1, 1, &end.chain, bytes)
                .map_err(|(what, error)| OpenError::io(format!("can't {what}"))(error))?
        } else {
            let segment = reopen_segment(&*files, listing, &end, bytes)?;
            confirm()?;
            segment
        };
        let found = LogFound {
            begins: listing.begins(),
            place: end.place,
            newest: Timestamp::default(),
            chain: end.chain,
            torn: end.torn.clone(),
            notices,
        };
        Ok((
            Self::at(files, listing.identity, segment, &end, head, options),
            found,
        ))
    }

    /// Puts a record into the group that is being made.
    pub fn encode(&mut self, record: &L::Record) -> Result<(), StoreFailed> {
        let body_max = u32::MAX as usize;
        encode_record::<L>(record, &mut self.buffer)
            .and_then(|()| match self.buffer.len() - GROUP_HEADER_BYTES {
                bytes if bytes > body_max => Err(format!("a group of {bytes} bytes")),
                _ => Ok(()),
            })
            .map_err(|reason| StoreFailed::Disk {
                what: format!("writing {}", L::describe(record)),
                reason,
            })?;
        self.records += 1;
        Ok(())
    }

    /// Bytes of the group that is being made.
    #[must_use]
    pub fn group_bytes(&self) -> usize {
        if self.records == 0 {
            0
        } else {
            self.buffer.len()
        }
    }

    /// The log's id.
    pub(crate) fn id(&self) -> [u8; 32] {
        self.identity.id
    }

    /// The segment that is being written.
    pub(crate) fn segment(&self) -> u64 {
        self.number
    }

    /// The last durable record.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.place
    }

    /// The chain behind it.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Makes the group durable; `None` if it is empty.
    ///
    /// Errors: after [`WriteError::Blocked`] the group is kept and the call may be repeated.
    pub fn commit(&mut self) -> Result<Option<Group>, WriteError> {
        if self.unconfirmed.is_some() {
            return self.confirm();
        }
        if self.records == 0 {
            return Ok(None);
        }
        self.check_alone()?;
        let bytes = self.buffer.len() as u64;
        if self.offset + bytes > self.reserved {
            self.rotate(bytes)?;
        }
        let body = self.buffer.get(GROUP_HEADER_BYTES..).unwrap_or_default();
        let mut header = GroupHeader {
            records: self.records,
            body_bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
            first_place: self.place + 1,
            chain: [0; 32],
        };
        header.chain = header.chain_after(&self.chain, body);
        let sealed = header.encode(&self.identity, self.number, self.offset);
        put(&mut self.buffer, 0, &sealed);
        let name = segment_name(self.number);
        self.segment
            .write_all_at(&self.buffer, self.offset)
            .map_err(write_failed::<L>(&name))?;
        if !is_planted(Planted::DropSync) {
            self.segment.sync().map_err(sync_failed::<L>(&name))?;
        }
        let group = Group {
            first_place: header.first_place,
            last_place: self.place + u64::from(self.records),
            chain: header.chain,
            bytes,
            segment: self.number,
        };
        self.offset += bytes;
        self.place = group.last_place;
        self.chain = group.chain;
        self.records = 0;
        self.buffer.truncate(GROUP_HEADER_BYTES);
        self.unconfirmed = Some(group);
        self.confirm()
    }

    /// Fails if another process writes the same log, or if the log is no longer where it was:
    /// what is appended then would be lost, or would damage what the other process appends.
    fn check_alone(&self) -> Result<(), StoreFailed> {
        let name = segment_name(self.number);
        let failed = |what: &str| {
            let what = format!("checking {}", at::<L>(what));
            move |error: io::Error| StoreFailed::Disk {
                what,
                reason: error.to_string(),
            }
        };
        if !self.head.is_ours().map_err(failed(HEAD_FILE))? {
            return Err(StoreFailed::NotAlone {
                log: L::LAYOUT.folder,
                file: HEAD_FILE.to_owned(),
            });
        }
        if !self.segment.is_in_place().map_err(failed(&name))? {
            return Err(StoreFailed::NotAlone {
                log: L::LAYOUT.folder,
                file: name,
            });
        }
        Ok(())
    }

    /// Says in the head what is durable. Comes before anybody hears of the group.
    fn confirm(&mut self) -> Result<Option<Group>, WriteError> {
        self.check_alone()?;
        let head = self.head_at(self.number, self.offset);
        self.head
            .write(&head)
            .map_err(write_failed::<L>(HEAD_FILE))?;
        Ok(self.unconfirmed.take())
    }

    /// Writes one group of these records and makes it durable.
    pub fn append_group(
        &mut self,
        records: &[Arc<L::Record>],
    ) -> Result<Option<Group>, WriteError> {
        for record in records {
            self.encode(record)?;
        }
        self.commit()
    }

    fn head_at(&self, segment: u64, offset: u64) -> Head {
        Head {
            id: self.identity.id,
            place: self.place,
            chain: self.chain,
            segment,
            offset,
        }
    }

    /// Whether the head's file was written and not synced.
    #[must_use]
    pub fn head_is_unsynced(&self) -> bool {
        self.head.is_unsynced()
    }

    /// Makes the head durable; worth its sync when there is nothing else to do.
    pub fn sync_head(&mut self) -> Result<(), StoreFailed> {
        self.head.sync().map_err(sync_failed::<L>(HEAD_FILE))
    }

    /// Goes on in a new segment, with room for at least this group.
    fn rotate(&mut self, group_bytes: u64) -> Result<(), WriteError> {
        let size = self
            .segment_bytes
            .max(SEGMENT_HEADER_BYTES as u64 + group_bytes);
        let (number, place) = (self.number + 1, self.place + 1);
        let made = new_segment(
            &*self.files,
            &self.identity,
            number,
            place,
            &self.chain,
            size,
        );
        let (segment, reserved) = made.map_err(|(what, source)| {
            if let Some(lack) = Lack::of(&source) {
                // The room that was got is given back; the name is taken again at the next try.
                let _ = self.files.remove(&segment_name(number));
                return WriteError::Blocked { lack, what, source };
            }
            WriteError::Failed(StoreFailed::Disk {
                what,
                reason: source.to_string(),
            })
        })?;
        let offset = SEGMENT_HEADER_BYTES as u64;
        let head = self.head_at(number, offset);
        if let Err(error) = self.head.write(&head) {
            let _ = self.files.remove(&segment_name(number));
            return Err(write_failed::<L>(HEAD_FILE)(error));
        }
        self.sync_head()?;
        // What the old one did not use is given back. Should this fail, zeros stay: harmless.
        let _ = self.segment.cut(self.offset);
        self.segment = segment;
        self.number = number;
        self.reserved = reserved;
        self.offset = offset;
        Ok(())
    }
}
