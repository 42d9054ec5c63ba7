//! Checks the files of the checkpoint's database before the database reads them.
//!
//! The database writes a checksum beside each list of its tables and does not compare it. A flipped bit
//! there makes it panic while it holds a lock, and dropping it then ends the process; one in a size makes
//! it ask for gigabytes of memory, which may end the process, too. So nothing of the kind reaches it. All
//! else has a checksum that it does compare: the blocks of its tables, and the batches of its log.
//!
//! The layout is that of `fjall` 3 with `lsm-tree` 3. A test flips every bit, and opens what was written.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufReader},
    path::Path,
};

use xxhash_rust::xxh3::xxh3_128;

use crate::{File, Files as _, RealFiles, checkpoint::CheckpointError};

/// File in a keyspace that names its list of tables: number (8 bytes), checksum (16), kind of checksum (1).
const CURRENT: &str = "current";
/// The kind of checksum that there is: XXH3 with 128 bits.
const XXH3: u8 = 0;

/// First bytes of the trailer of a table, or of a list of tables.
const TRAILER_MAGIC: [u8; 4] = *b"SFA!";
/// The trailer: magic, version (1), kind of checksum (1), then of the contents: checksum (16), offset (8),
/// size (8).
const TRAILER_BYTES: u64 = 38;
/// The version of the trailer.
const TRAILER_VERSION: u8 = 1;
/// First bytes of the contents: the list of a file's sections.
const CONTENTS_MAGIC: [u8; 4] = *b"TOC!";
/// Section of a list of tables that names them.
const TABLES_SECTION: &[u8] = b"tables";

/// Extension of the files of the database's log.
const LOG_EXTENSION: &str = "jnl";
/// What an entry of the log begins with.
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// Sequence numbers that no checkpoint reaches: one for each batch. From 2^63 on the database panics.
const SEQUENCE_MAX: u64 = 1 << 48;
/// The largest value: more than a part or a stored value ever takes.
const VALUE_BYTES_MAX: u64 = 256 << 20;

/// Checks every file that the database trusts, and cuts its log before an entry that it can't have
/// written: there the database ends reading, too.
///
/// Errors: a file is not as it was written, or can't be read.
/// Cost: reads the log's headers, the lists of tables and the contents of each table; no table's blocks.
pub(crate) fn check_files(folder: &Path) -> Result<(), CheckpointError> {
    let keyspaces = folder.join("keyspaces");
    for name in names(&keyspaces)? {
        let keyspace = keyspaces.join(&name);
        if !keyspace.is_dir() {
            continue;
        }
        // The database panics at a name of another form.
        if name.parse::<u64>().is_err() {
            return Err(damaged(
                &keyspace,
                "is no folder of the database".to_owned(),
            ));
        }
        check_keyspace(&keyspace)?;
    }
    for name in names(folder)? {
        let path = folder.join(name);
        if path.extension().is_some_and(|end| end == LOG_EXTENSION) {
            cut_log(&path).map_err(unread)?;
        }
    }
    Ok(())
}

fn unread(error: io::Error) -> CheckpointError {
    CheckpointError::Database(fjall::Error::Io(error))
}

/// What is wrong with a file, named as it is in the checkpoint's folder.
fn damaged(path: &Path, reason: String) -> CheckpointError {
    let mut names: Vec<_> = path
        .iter()
        .rev()
        .take_while(|name| *name != "keyspaces")
        .map(|name| name.to_string_lossy())
        .collect();
    names.reverse();
    CheckpointError::File {
        file: format!("keyspaces/{}", names.join("/")),
        reason,
    }
}

/// The names in a folder; none if it is not there.
fn names(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    match RealFiles::read_only(folder).names() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(unread),
    }
}

/// Checks the list of a keyspace's tables, and that each table's sections are where the database looks for
/// them.
fn check_keyspace(folder: &Path) -> Result<(), CheckpointError> {
    let path = folder.join(CURRENT);
    let current = match fs::read(&path) {
        Ok(bytes) => bytes,
        // One that was not finished: the database makes it anew, and the marks tell if it was lost.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unread(error)),
    };
    let Some((number, checksum)) = read_current(&current) else {
        return Err(damaged(
            &path,
            "has no form that the database writes".to_owned(),
        ));
    };
    let name = format!("v{number}");
    let list = match fs::read(folder.join(&name)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(
                &path,
                format!("names `{name}`, which is not there"),
            ));
        }
        Err(error) => return Err(unread(error)),
    };
    let path = folder.join(&name);
    if xxh3_128(&list) != checksum {
        return Err(damaged(
            &path,
            format!("has not the checksum that stands in `{CURRENT}`"),
        ));
    }
    let files = RealFiles::read_only(folder);
    let tables = files.open(&name).and_then(|file| tables(&*file, &list));
    let Some(tables) = tables.map_err(unread)? else {
        return Err(damaged(
            &path,
            "has no form that this program knows".to_owned(),
        ));
    };
    let files = RealFiles::read_only(&folder.join("tables"));
    for table in tables {
        let path = folder.join("tables").join(table.to_string());
        match files.open(&table.to_string()) {
            Ok(file) if sections(&*file).map_err(unread)?.is_some() => {}
            Ok(_) => {
                let reason = "has not the checksum that stands at its end".to_owned();
                return Err(damaged(&path, reason));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(&path, format!("is missing; `{name}` names it")));
            }
            Err(error) => return Err(unread(error)),
        }
    }
    Ok(())
}

/// The number and the checksum of the list that a keyspace has now.
fn read_current(bytes: &[u8]) -> Option<(u64, u128)> {
    let mut fields = Fields(bytes);
    let (number, checksum, kind) = (fields.u64()?, fields.u128()?, fields.u8()?);
    (kind == XXH3 && fields.0.is_empty()).then_some((number, checksum))
}

/// The numbers of the tables in a list; `None`: it has another form.
fn tables(file: &dyn File, list: &[u8]) -> io::Result<Option<Vec<u64>>> {
    let mut found = sections(file)?.into_iter().flatten();
    let section = found.find(|section| section.name == TABLES_SECTION);
    Ok(section.and_then(|section| {
        let from = usize::try_from(section.offset).ok()?;
        read_tables(Fields(list.get(from..)?))
    }))
}

/// Levels of runs of tables: number (8 bytes), kind of checksum (1), checksum (16), sequence number (8).
fn read_tables(mut fields: Fields<'_>) -> Option<Vec<u64>> {
    let mut tables = Vec::new();
    for _level in 0..fields.u8()? {
        for _run in 0..fields.u8()? {
            for _table in 0..fields.u32()? {
                tables.push(fields.u64()?);
                fields.take::<25>()?;
            }
        }
    }
    Some(tables)
}

/// A part of a file.
struct Section {
    name: Vec<u8>,
    /// Where it begins. Unit: bytes.
    offset: u64,
}

/// The sections of a file; `None`: what says where they are is not as it was written.
fn sections(file: &dyn File) -> io::Result<Option<Vec<Section>>> {
    let Some(end) = file.size()?.checked_sub(TRAILER_BYTES) else {
        return Ok(None);
    };
    let mut trailer = [0; TRAILER_BYTES as usize];
    file.read_full_at(&mut trailer, end)?;
    let Some((checksum, offset, size)) = read_trailer(&trailer, end) else {
        return Ok(None);
    };
    let mut contents = vec![0; size];
    file.read_full_at(&mut contents, offset)?;
    Ok(match xxh3_128(&contents) == checksum {
        true => read_contents(&contents),
        false => None,
    })
}

/// Checksum, offset and size of the contents, which end where the trailer begins.
fn read_trailer(bytes: &[u8], end: u64) -> Option<(u128, u64, usize)> {
    let mut fields = Fields(bytes);
    let is_known =
        fields.take()? == TRAILER_MAGIC && fields.u8()? == TRAILER_VERSION && fields.u8()? == XXH3;
    let (checksum, offset, size) = (fields.u128()?, fields.u64()?, fields.u64()?);
    let size = (is_known && offset.checked_add(size)? == end).then_some(size)?;
    Some((checksum, offset, usize::try_from(size).ok()?))
}

fn read_contents(bytes: &[u8]) -> Option<Vec<Section>> {
    let mut fields = Fields(bytes);
    if fields.take()? != CONTENTS_MAGIC {
        return None;
    }
    let mut sections = Vec::new();
    for _section in 0..fields.u32()? {
        let (offset, _size) = (fields.u64()?, fields.u64()?);
        let length = usize::from(u16::from_le_bytes(fields.take()?));
        let (name, rest) = fields.0.split_at_checked(length)?;
        fields.0 = rest;
        let name = name.to_vec();
        sections.push(Section { name, offset });
    }
    Some(sections)
}

/// Cuts a file of the database's log before the first entry that claims more than there is.
///
/// The end of a log may be half written after a crash, and the database takes everything from the first
/// entry on that it can't read for such an end. The marks tell how far the rest goes.
fn cut_log(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let size = file.metadata()?.len();
    let mut log = BufReader::new(&file);
    let mut at = 0;
    loop {
        match entry_bytes(&mut log) {
            Ok(Some((bytes, rest))) if size.saturating_sub(at) >= bytes => {
                log.seek_relative(rest)?;
                at += bytes;
            }
            Ok(Some(_)) => break,
            // What the database can't read either, without harm.
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    file.set_len(at)?;
    file.sync_all()
}

/// Reads the head of an entry: the entry's bytes, and how many of them follow; `None`: it is none.
fn entry_bytes(log: &mut impl io::Read) -> io::Result<Option<(u64, i64)>> {
    let mut tag = [0];
    log.read_exact(&mut tag)?;
    Ok(match tag[0] {
        START => {
            let mut head = [0; 12];
            log.read_exact(&mut head)?;
            let mut fields = Fields(&head);
            let sequence = fields.u32().and_then(|_items| fields.u64());
            let is_good = sequence.is_some_and(|sequence| sequence < SEQUENCE_MAX);
            Some((if is_good { 13 } else { u64::MAX }, 0))
        }
        ITEM => {
            let mut head = [0; 20];
            log.read_exact(&mut head)?;
            item_bytes(&head)
        }
        // Checksum and magic.
        END => Some((13, 12)),
        // Keyspace.
        CLEAR => Some((9, 8)),
        _ => None,
    })
}

/// Kind (1), compression (1), keyspace (8), then the sizes of key (2), value (4) and stored value (4).
fn item_bytes(head: &[u8]) -> Option<(u64, i64)> {
    let mut fields = Fields(head);
    fields.take::<10>()?;
    let key = u16::from_le_bytes(fields.take()?);
    let (value, stored) = (fields.u32()?, fields.u32()?);
    let rest = u64::from(key) + u64::from(stored);
    let bytes = match u64::from(value) <= VALUE_BYTES_MAX {
        true => 21 + rest,
        false => u64::MAX,
    };
    Some((bytes, i64::try_from(rest).ok()?))
}

/// What is left of some bytes with little-endian numbers in them.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }
    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
    fn u128(&mut self) -> Option<u128> {
        self.take().map(u128::from_le_bytes)
    }
}
