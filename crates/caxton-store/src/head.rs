//! The highest durable place, in a file of its own, so that a cut tail of a log is found.
//!
//! Two slots are written in turn: a half-written one leaves the one before.

use std::io;

use crate::{
    File, Files,
    frame::{
        Chain, HeaderFault, Identity, SEGMENT_HEADER_BYTES, array, check_sealed, put, seal, u64_at,
    },
    log::Layout,
};

/// The file's name.
pub(crate) const HEAD_FILE: &str = "head";
/// Each slot has a disk block for itself, so that no write touches both.
const SLOT_STRIDE: u64 = 4096;

/// Up to where a log is known to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: [u8; 32],
    /// The last durable record.
    pub(crate) place: u64,
    /// The chain behind it.
    pub(crate) chain: Chain,
    /// The segment it stands in.
    pub(crate) segment: u64,
    /// Where its group ends.
    pub(crate) offset: u64,
}

impl Head {
    pub(crate) fn encode(&self, layout: &Layout) -> Slot {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        put(&mut bytes, 0, &layout.head_magic);
        put(&mut bytes, 8, &layout.format.to_le_bytes());
        put(&mut bytes, 16, &self.id);
        put(&mut bytes, 48, &self.place.to_le_bytes());
        put(&mut bytes, 56, &self.chain);
        put(&mut bytes, 88, &self.segment.to_le_bytes());
        put(&mut bytes, 96, &self.offset.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8], layout: &Layout) -> Result<Self, HeaderFault> {
        check_sealed(bytes, layout.head_magic, layout.format)?;
        Ok(Self {
            id: array(bytes, 16),
            place: u64_at(bytes, 48),
            chain: array(bytes, 56),
            segment: u64_at(bytes, 88),
            offset: u64_at(bytes, 96),
        })
    }
}

/// What the head's file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadFound {
    /// There is no file, or it is empty.
    Nothing,
    /// There is a file without one good slot.
    Unreadable,
    /// A newer program wrote it.
    Version(u32),
    /// The newer of the good slots.
    Good {
        head: Head,
        slot: u64,
        /// Whether the other slot is not good.
        other_bad: bool,
    },
}

/// Reads both slots.
pub(crate) fn read_head(files: &dyn Files, layout: &Layout) -> io::Result<HeadFound> {
    let file = match files.open(HEAD_FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HeadFound::Nothing),
        Err(error) => return Err(error),
    };
    if file.size()? == 0 {
        return Ok(HeadFound::Nothing);
    }
    let (first, second) = (read_slot(&*file, 0, layout)?, read_slot(&*file, 1, layout)?);
    Ok(match (first, second) {
        (Err(HeaderFault::Version(version)), _) | (_, Err(HeaderFault::Version(version))) => {
            HeadFound::Version(version)
        }
        (Err(HeaderFault::Check), Err(HeaderFault::Check)) => HeadFound::Unreadable,
        (Ok(head), Err(HeaderFault::Check)) => HeadFound::Good {
            head,
            slot: 0,
            other_bad: true,
        },
        (Err(HeaderFault::Check), Ok(head)) => HeadFound::Good {
            head,
            slot: 1,
            other_bad: true,
        },
        (Ok(first), Ok(second)) => {
            let slot = u64::from(second.place > first.place);
            HeadFound::Good {
                head: if slot == 0 { first } else { second },
                slot,
                other_bad: false,
            }
        }
    })
}

fn read_slot(file: &dyn File, slot: u64, layout: &Layout) -> io::Result<Result<Head, HeaderFault>> {
    Ok(Head::decode(&slot_bytes(file, slot)?, layout))
}

fn slot_bytes(file: &dyn File, slot: u64) -> io::Result<Slot> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    file.read_full_at(&mut bytes, slot * SLOT_STRIDE)?;
    Ok(bytes)
}

/// One slot of the head's file.
type Slot = [u8; SEGMENT_HEADER_BYTES];

/// The head's file, open to be written.
pub(crate) struct HeadFile {
    layout: &'static Layout,
    file: Box<dyn File>,
    next_slot: u64,
    unsynced: bool,
    /// Both slots as this process read or wrote them last; `None`: a write of it failed.
    slots: [Option<Slot>; 2],
}

impl HeadFile {
    /// Makes the file of a new log; durable when it returns.
    pub(crate) fn create(files: &dyn Files, identity: &Identity) -> io::Result<(Self, Head)> {
        let head = Head {
            id: identity.id,
            place: 0,
            chain: identity.genesis(),
            segment: 1,
            offset: SEGMENT_HEADER_BYTES as u64,
        };
        let file = files.create(HEAD_FILE)?;
        let mut bytes = vec![0; 2 * SLOT_STRIDE as usize];
        let slot = head.encode(identity.layout);
        put(&mut bytes, 0, &slot);
        put(&mut bytes, SLOT_STRIDE as usize, &slot);
        file.write_all_at(&bytes, 0)?;
        file.sync()?;
        files.sync_names()?;
        let this = Self {
            layout: identity.layout,
            file,
            next_slot: 0,
            unsynced: false,
            slots: [Some(slot); 2],
        };
        Ok((this, head))
    }

    /// Opens the file of a log whose good slot is known.
    pub(crate) fn open(
        files: &dyn Files,
        layout: &'static Layout,
        good_slot: u64,
    ) -> io::Result<Self> {
        let file = files.open(HEAD_FILE)?;
        let slots = [Some(slot_bytes(&*file, 0)?), Some(slot_bytes(&*file, 1)?)];
        Ok(Self {
            layout,
            file,
            next_slot: 1 - good_slot,
            unsynced: false,
            slots,
        })
    }

    /// Whether the file is in its place and as this process left it: each process writes the head
    /// after each group, so that a second one is noticed here.
    pub(crate) fn is_ours(&self) -> io::Result<bool> {
        if !self.file.is_in_place()? {
            return Ok(false);
        }
        for (number, slot) in (0..).zip(&self.slots) {
            if let Some(slot) = slot
                && *slot != slot_bytes(&*self.file, number)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes the slot whose turn it is. Survives the process; the power only after [`Self::sync`].
    pub(crate) fn write(&mut self, head: &Head) -> io::Result<()> {
        let bytes = head.encode(self.layout);
        let [first, second] = &mut self.slots;
        let slot = if self.next_slot == 0 { first } else { second };
        *slot = None;
        self.file
            .write_all_at(&bytes, self.next_slot * SLOT_STRIDE)?;
        *slot = Some(bytes);
        self.next_slot = 1 - self.next_slot;
        self.unsynced = true;
        Ok(())
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync()?;
            self.unsynced = false;
        }
        Ok(())
    }

    pub(crate) fn is_unsynced(&self) -> bool {
        self.unsynced
    }
}
