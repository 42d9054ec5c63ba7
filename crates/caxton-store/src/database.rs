//! The checkpoint's database: two tables in `fjall`, each with a mark of the same place and a tally
//! of what it holds.
//!
//! The database detects a damaged block when it reads it, but takes a lost table, or a lost file of
//! its own log, for an older state. The marks and tallies tell the two apart.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use caxton_model::{AgentId, State};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable as _, Snapshot};

use crate::{
    KeySize,
    checkpoint::{Changes, CheckpointError, Loading, Table, unreadable},
    database_files::check_files,
    meta::{Mark, Meta, Tally, decode_mark, encode_mark},
    part_key::{META_KEY, value_key},
    texts::Texts,
};

/// Bytes that one table holds in memory.
///
/// What is in memory is read back from the database's own log at the next start: 8 MiB are quick.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// Bytes of blocks that were read and are kept in memory. Few: the system keeps the files' pages as
/// well, and gives them up when memory is short.
const CACHE_BYTES: u64 = 8 << 20;
/// Bytes of the database's own log; the least it allows.
const LOG_BYTES_MAX: u64 = 64 << 20;
/// Files that the database keeps open; others are opened again when they are read. Few, because
/// connections and the journal need descriptors, too.
const OPEN_FILES_MAX: usize = 32;

/// The open database.
pub(crate) struct Checkpoint {
    database: Database,
    parts: Keyspace,
    values: Keyspace,
    marks: Mutex<Marks>,
}

/// What the marks say that were written last.
#[derive(Debug, Clone, Default)]
struct Marks {
    meta: Meta,
    parts: Tally,
    values: Tally,
}

impl Marks {
    fn tally(&mut self, table: Table) -> &mut Tally {
        match table {
            Table::Parts => &mut self.parts,
            Table::Values => &mut self.values,
        }
    }
}

impl Checkpoint {
    /// Opens it, and creates it if it is not there. Checks its files, and that both tables end at the
    /// same place.
    pub(crate) fn open(folder: &Path) -> Result<Self, CheckpointError> {
        check_files(folder)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let database = Database::builder(folder)
            .worker_threads(1)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(LOG_BYTES_MAX)
            .max_cached_files(Some(OPEN_FILES_MAX))
            .manual_journal_persist(true)
            .open()?;
        let had_values = database.keyspace_exists(Table::Values.name());
        let this = Self {
            parts: database.keyspace(Table::Parts.name(), options)?,
            values: database.keyspace(Table::Values.name(), options)?,
            database,
            marks: Mutex::default(),
        };
        let marks = this.read_marks(had_values)?;
        *this.marks() = marks;
        Ok(this)
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keyspace(&self, table: Table) -> &Keyspace {
        match table {
            Table::Parts => &self.parts,
            Table::Values => &self.values,
        }
    }

    fn mark(&self, table: Table) -> Result<Option<Mark>, CheckpointError> {
        let found = self.keyspace(table).get(META_KEY)?;
        let decode = |bytes: &[u8]| decode_mark(bytes).map_err(|why| unreadable(META_KEY, &why));
        found.map(|bytes| decode(&bytes)).transpose()
    }

    fn read_marks(&self, had_values: bool) -> Result<Marks, CheckpointError> {
        let differs = |reason: String| CheckpointError::Table {
            table: Table::Values.name(),
            reason,
        };
        let (parts, values) = (self.mark(Table::Parts)?, self.mark(Table::Values)?);
        match (parts, values) {
            (Some(parts), Some(values)) => match (parts.tally, values.tally) {
                (Some(in_parts), Some(in_values)) if parts.meta == values.meta => Ok(Marks {
                    meta: parts.meta,
                    parts: in_parts,
                    values: in_values,
                }),
                _ => Err(differs(format!(
                    "ends at place {} instead of {}",
                    values.meta.place, parts.meta.place
                ))),
            },
            // Format 1 had no mark here: the tallies begin with what is there.
            (Some(parts), None) if parts.tally.is_none() && had_values => Ok(Marks {
                meta: parts.meta,
                parts: self.count(Table::Parts)?,
                values: self.count(Table::Values)?,
            }),
            (Some(parts), None) => Err(differs(format!(
                "is lost or empty, and should end at place {}",
                parts.meta.place
            ))),
            (None, Some(values)) => Err(CheckpointError::Table {
                table: Table::Parts.name(),
                reason: format!(
                    "is lost or empty, and should end at place {}",
                    values.meta.place
                ),
            }),
            (None, None) => Ok(Marks {
                meta: Meta::default(),
                parts: self.count(Table::Parts)?,
                values: self.count(Table::Values)?,
            }),
        }
    }

    fn count(&self, table: Table) -> Result<Tally, CheckpointError> {
        let mut tally = Tally::default();
        for pair in self.keyspace(table).iter() {
            let (key, value) = pair.into_inner()?;
            if *key != *META_KEY {
                tally.add(&key, &value);
            }
        }
        Ok(tally)
    }

    /// Up to where it goes; `None`: it covers no record.
    pub(crate) fn meta(&self) -> Option<Meta> {
        Some(self.marks().meta.clone()).filter(|meta| meta.place > 0)
    }

    /// The whole state as of [`Self::meta`]. Checks the table of the parts.
    pub(crate) fn load(&self) -> Result<(State, Texts), CheckpointError> {
        let (mut loading, mut tally) = (Loading::default(), Tally::default());
        for pair in self.parts.iter() {
            let (key, value) = pair.into_inner()?;
            if *key != *META_KEY {
                tally.add(&key, &value);
                loading.take(&key, &value)?;
            }
        }
        compare(Table::Parts, &self.marks().parts, &tally)?;
        loading.finish(self.meta())
    }

    /// A look at every entry of the tables, from this one on, as they are now.
    pub(crate) fn pass(&self, from: Table) -> Result<Pass, CheckpointError> {
        Ok(Pass {
            snapshot: self.database.snapshot(),
            table: from,
            after: None,
            tally: Tally::default(),
        })
    }

    /// Writes all changes as one batch; durable when it returns.
    pub(crate) fn write(&self, changes: &Changes<'_>) -> Result<(), CheckpointError> {
        let mut marks = self.marks();
        let mut next = marks.clone();
        let items = changes.parts.len() + changes.values.len() + 2;
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), items)
            .durability(Some(PersistMode::SyncAll));
        for agent in changes.removed {
            for pair in self.values.prefix(agent.0.to_be_bytes()) {
                let (key, value) = pair.into_inner()?;
                next.values.subtract(&key, &value);
                batch.remove(&self.values, key);
            }
        }
        let mut failed = None;
        changes.each(&mut |table, key, value| {
            let keyspace = self.keyspace(table);
            match keyspace.get(&key) {
                Ok(Some(before)) => next.tally(table).subtract(&key, &before),
                Ok(None) => {}
                Err(error) => failed = failed.take().or(Some(error)),
            }
            match value {
                Some(value) => {
                    next.tally(table).add(&key, value);
                    batch.insert(keyspace, key, value);
                }
                None => batch.remove(keyspace, key),
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if let Some(meta) = changes.meta {
            next.meta.clone_from(meta);
        }
        for table in [Table::Parts, Table::Values] {
            let tally = *next.tally(table);
            let mark = encode_mark(&next.meta, &tally)
                .map_err(|error| unreadable(META_KEY, &error.to_string()))?;
            batch.insert(self.keyspace(table), META_KEY, mark);
        }
        batch.commit()?;
        *marks = next;
        Ok(())
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }

    /// One stored value.
    pub(crate) fn read(
        &self,
        agent: AgentId,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, CheckpointError> {
        let value = self.values.get(value_key(agent, key))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Keys of one agent behind `after`, with sizes.
    pub(crate) fn keys(
        &self,
        agent: AgentId,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeySize>, CheckpointError> {
        let prefix = agent.0.to_be_bytes();
        let first = value_key(agent, after.unwrap_or_default());
        let mut keys = Vec::new();
        for pair in self.values.range(first.clone()..) {
            if keys.len() >= limit {
                break;
            }
            let (key, value) = pair.into_inner()?;
            let Some(rest) = key.strip_prefix(&prefix) else {
                break;
            };
            if after.is_some() && *key == *first {
                continue;
            }
            keys.push(KeySize {
                key: rest.to_vec(),
                bytes: value.len() as u64,
            });
        }
        Ok(keys)
    }
}

/// A look at every entry of a checkpoint, a piece at a time, while it is being written.
pub(crate) struct Pass {
    snapshot: Snapshot,
    table: Table,
    after: Option<Vec<u8>>,
    tally: Tally,
}

impl Pass {
    /// Reads on, for about so many bytes; answers whether everything was read.
    ///
    /// Errors: an entry can't be read, or a table does not hold what was written.
    pub(crate) fn step(
        &mut self,
        checkpoint: &Checkpoint,
        bytes_max: usize,
    ) -> Result<bool, CheckpointError> {
        let keyspace = checkpoint.keyspace(self.table);
        let from = self.after.clone().unwrap_or_default();
        let mut bytes = 0;
        for pair in self.snapshot.range(keyspace, from.clone()..) {
            let (key, value) = pair.into_inner()?;
            if *key == *META_KEY || self.after.as_deref() == Some(&*key) {
                continue;
            }
            // Finds it as a reader does, too: by the table's index and filter.
            if self.snapshot.get(keyspace, &key)?.as_ref() != Some(&value) {
                return Err(unreadable(&key, "it is listed and not found"));
            }
            self.tally.add(&key, &value);
            bytes += key.len() + value.len();
            if bytes >= bytes_max {
                self.after = Some(key.to_vec());
                return Ok(false);
            }
        }
        let mark = self.snapshot.get(keyspace, META_KEY)?;
        // A database that was opened and not written yet has no mark, or one without a tally.
        if let Some(Mark {
            tally: Some(expected),
            ..
        }) = mark
            .map(|bytes| decode_mark(&bytes).map_err(|why| unreadable(META_KEY, &why)))
            .transpose()?
        {
            compare(self.table, &expected, &self.tally)?;
        }
        self.after = None;
        self.tally = Tally::default();
        match self.table {
            Table::Parts => {
                self.table = Table::Values;
                Ok(false)
            }
            Table::Values => Ok(true),
        }
    }
}

fn compare(table: Table, expected: &Tally, found: &Tally) -> Result<(), CheckpointError> {
    if expected == found {
        return Ok(());
    }
    let reason = if expected.entries == found.entries {
        "holds other entries than were written".to_owned()
    } else {
        format!(
            "holds {} entries instead of {}",
            found.entries, expected.entries
        )
    };
    Err(CheckpointError::Table {
        table: table.name(),
        reason,
    })
}
