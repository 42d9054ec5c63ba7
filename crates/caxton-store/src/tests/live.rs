//! A check of a journal that is written at the same time.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use caxton_model::Record;

use super::{
    journal::{OPTIONS, open_with},
    sample::usual_turn,
};
use crate::{FaultyFiles, File, Files, JournalOptions, frame::segment_name, verify::verify_files};

/// A segment of which the first looks see nothing from `offset` on: what stands there is written
/// while somebody reads.
struct Growing {
    files: FaultyFiles,
    offset: u64,
    /// How many looks at that place see nothing, whenever it is opened.
    blind: usize,
    looks: AtomicUsize,
}

struct GrowingFile {
    file: Box<dyn File>,
    offset: u64,
    blind: AtomicUsize,
}

impl Files for Growing {
    fn names(&self) -> io::Result<Vec<String>> {
        self.files.names()
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let is_it = name == segment_name(1);
        self.looks.fetch_add(usize::from(is_it), Ordering::SeqCst);
        Ok(Box::new(GrowingFile {
            file: self.files.open(name)?,
            offset: if is_it { self.offset } else { u64::MAX },
            blind: AtomicUsize::new(self.blind),
        }))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.files.create(name)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        self.files.sync_names()
    }
}

impl File for GrowingFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(bytes, offset)?;
        let covers = offset <= self.offset && self.offset < offset + read as u64;
        let left = &self.blind;
        if covers
            && left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok()
        {
            let at = usize::try_from(self.offset - offset).unwrap();
            bytes[at..read].fill(0);
        }
        Ok(read)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }
    fn reserve(&self, size: u64) -> io::Result<()> {
        self.file.reserve(size)
    }
    fn cut(&self, size: u64) -> io::Result<()> {
        self.file.cut(size)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

/// A journal in one large segment, and where its last groups but two begin.
fn journal() -> (FaultyFiles, u64) {
    let files = FaultyFiles::default();
    let options = JournalOptions {
        segment_bytes: 4 << 20,
        ..OPTIONS
    };
    let (mut writer, _, _) = open_with(&files, &options).unwrap();
    let mut offset = 0;
    for number in 1..=5 {
        if number == 4 {
            let bytes = files.bytes(&segment_name(1));
            offset = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
        }
        // Its last byte is a zero: a look that begins with the next group does not cover the place.
        let mut turn = usual_turn(number);
        if let Record::Turn(turn) = &mut turn.record {
            turn.cpu_micros = 0;
        }
        writer.append_group(&[Arc::new(turn)]).unwrap().unwrap();
    }
    (files, offset)
}

#[test]
fn what_is_written_while_it_is_checked_is_no_damage() {
    let (files, offset) = journal();
    for blind in [1, 2] {
        let growing = Growing {
            files: files.clone(),
            offset,
            blind,
            looks: AtomicUsize::new(0),
        };
        let report = verify_files(&growing, &AtomicBool::new(false), true).unwrap();
        assert_eq!(report.damage, None, "{blind}");
        assert!(growing.looks.load(Ordering::SeqCst) > 0, "it was opened");
    }
}

#[test]
fn what_stays_unreadable_before_a_good_group_is_damage() {
    let (files, offset) = journal();
    let at = usize::try_from(offset).unwrap() + 8;
    files.edit(&segment_name(1), |bytes| bytes[at] ^= 1);
    let report = verify_files(&files, &AtomicBool::new(false), true).unwrap();
    assert!(report.damage.is_some());
}
