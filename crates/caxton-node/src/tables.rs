//! Shared tables: the rows that all turns see, and what one turn reads and writes of them.
//!
//! One lock for the node, held for a step in a tree for each row: values are shared, never copied,
//! and nothing of a guest's size is looked at under it.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use caxton_gate::{Allowed, DataRead, DataWrite};
use caxton_model::{HostCode, Namespace, RowQuery, RowWrite, row_bytes, row_page};

/// The rows that all turns of a node see.
pub(crate) struct Tables {
    inner: Mutex<Inner>,
    /// What one namespace may have. Unit: bytes.
    bytes_max: u64,
}

#[derive(Default)]
struct Inner {
    /// By the table's full name (`NAMESPACE/TABLE`), then by key.
    tables: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Row>>,
    /// What rows take, by namespace. Unit: bytes.
    used: HashMap<Box<str>, u64>,
}

#[derive(Default)]
struct Row {
    /// `None`: only turns that have not ended wrote it.
    value: Option<Arc<str>>,
    /// Turns that wrote it and have not ended.
    holds: u32,
    /// The largest row that one of them wrote. Unit: bytes.
    held: u64,
}

impl Row {
    /// What it is charged: as much as the largest of what it is and what it may become, so that no
    /// order in which turns end can bring a namespace above its limit. Unit: bytes.
    fn charge(&self, key: &str) -> u64 {
        let bytes = self.value.as_deref().map(|value| row_bytes(key, value));
        bytes.unwrap_or(0).max(self.held)
    }
}

fn namespace(table: &str) -> &str {
    table.split('/').next().unwrap_or_default()
}

impl Inner {
    fn row(&self, table: &str, key: &str) -> Option<&Row> {
        self.tables.get(table)?.get(key)
    }
    /// Changes a row, and what its namespace is charged; one that holds nothing any more goes.
    fn change(&mut self, table: &Arc<str>, key: &Arc<str>, change: impl FnOnce(&mut Row)) {
        let rows = self.tables.entry(Arc::clone(table)).or_default();
        let row = rows.entry(Arc::clone(key)).or_default();
        let before = row.charge(key);
        change(row);
        let after = row.charge(key);
        if row.value.is_none() && row.holds == 0 {
            rows.remove(key);
            if rows.is_empty() {
                self.tables.remove(table);
            }
        }
        let space = namespace(table);
        let used = self.used(space).saturating_sub(before) + after;
        match self.used.get_mut(space) {
            Some(known) if used > 0 => *known = used,
            Some(_) => drop(self.used.remove(space)),
            None => drop(self.used.insert(space.into(), used)),
        }
    }
    fn used(&self, namespace: &str) -> u64 {
        self.used.get(namespace).copied().unwrap_or_default()
    }
}

impl Tables {
    /// Tables with the rows that were recovered; a namespace may have so many bytes of rows.
    pub(crate) fn new(rows: caxton_model::Tables, bytes_max: u64) -> Self {
        let mut inner = Inner::default();
        for (table, rows) in rows {
            for (key, value) in rows {
                inner.change(&table, &key, |row| row.value = Some(value));
            }
        }
        Self {
            inner: Mutex::new(inner),
            bytes_max,
        }
    }
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// What one namespace may have. Unit: bytes.
    pub(crate) const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
    /// What rows take, by namespace. Unit: bytes.
    pub(crate) fn used(&self) -> HashMap<Box<str>, u64> {
        self.lock().used.clone()
    }
    /// Has all turns see rows from now on, all at once.
    ///
    /// `give` hands their record to the journal. It runs under the lock, so that the rows of two
    /// shards are written in the order of their records' places, and nobody reads a row whose record
    /// could still come behind the reader's own.
    pub(crate) fn publish(&self, rows: &[RowWrite], give: impl FnOnce()) {
        let mut inner = self.lock();
        give();
        for write in rows {
            let value = write.value.clone();
            inner.change(&write.table, &write.key, |row| row.value = value);
        }
    }
    fn get(&self, table: &str, key: &str) -> Option<Arc<str>> {
        self.lock().row(table, key)?.value.clone()
    }
    /// The first rows from a key on, and the last key that was looked at if there are more.
    fn list(&self, table: &str, query: &RowQuery) -> (Found, Option<Arc<str>>) {
        let (mut found, limit) = (Found::new(), query.limit());
        let inner = self.lock();
        let rows = inner.tables.get(table).into_iter();
        let rows = rows.flat_map(|rows| rows.range::<str, _>((query.begin(), Bound::Unbounded)));
        for (key, row) in rows.take_while(|(key, _)| key.starts_with(&query.prefix)) {
            if found.len() == limit {
                let last = found.last_key_value().map(|(key, _)| Arc::clone(key));
                return (found, last);
            }
            found.insert(Arc::clone(key), row.value.clone());
        }
        (found, None)
    }
    /// Takes room for a row that a turn writes; `again`: the turn wrote it before.
    ///
    /// Errors: `QuotaReached`.
    fn hold(
        &self,
        table: &Arc<str>,
        key: &Arc<str>,
        bytes: u64,
        again: bool,
    ) -> Result<(), HostCode> {
        let mut inner = self.lock();
        let before = inner.row(table, key).map_or(0, |row| row.charge(key));
        let grows = bytes.saturating_sub(before);
        if grows > 0 && inner.used(namespace(table)) + grows > self.bytes_max {
            return Err(HostCode::QuotaReached);
        }
        inner.change(table, key, |row| {
            row.held = row.held.max(bytes);
            row.holds += u32::from(!again);
        });
        Ok(())
    }
    /// A turn that wrote a row has ended.
    fn release(&self, table: &Arc<str>, key: &Arc<str>) {
        self.lock().change(table, key, |row| {
            row.holds = row.holds.saturating_sub(1);
            if row.holds == 0 {
                row.held = 0;
            }
        });
    }
}

type Found = BTreeMap<Arc<str>, Option<Arc<str>>>;

/// The tables as one turn sees them: its own writes first. Dropped, it gives back the room that it
/// took for them, so it must outlive their publishing.
pub(crate) struct TurnRows {
    tables: Arc<Tables>,
    namespace: Namespace,
    /// By the table's full name, then by key.
    writes: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Written>>,
}

#[derive(Default)]
struct Written {
    value: Option<Arc<str>>,
    /// Whether room is held for it.
    is_held: bool,
}

impl TurnRows {
    /// The tables of a namespace as a turn sees them that has written nothing yet.
    pub(crate) fn new(tables: &Arc<Tables>, namespace: &Namespace) -> Self {
        Self {
            tables: Arc::clone(tables),
            namespace: namespace.clone(),
            writes: BTreeMap::new(),
        }
    }
    fn full_name(&self, table: &str) -> Arc<str> {
        format!("{}/{table}", self.namespace.as_str()).into()
    }
    fn see(&self, table: &str, key: &str) -> Option<Arc<str>> {
        match self.writes.get(table).and_then(|rows| rows.get(key)) {
            Some(written) => written.value.clone(),
            None => self.tables.get(table, key),
        }
    }
    /// A row's value.
    pub(crate) fn get(&self, table: Allowed<DataRead>, key: &str) -> Option<Arc<str>> {
        self.see(&self.full_name(table.access().name()), key)
    }
    /// A page of rows as JSON, and how many rows were looked at.
    pub(crate) fn list(&self, table: Allowed<DataRead>, query: &RowQuery) -> (String, usize) {
        let table = self.full_name(table.access().name());
        let (mut found, last) = self.tables.list(&table, query);
        let end = last.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let own = self.writes.get(&table).into_iter();
        // Where the page ends before the cursor, nothing of the turn's own is in it.
        let is_empty =
            matches!((query.begin(), end), (Bound::Excluded(a), Bound::Included(b)) if a >= b);
        let own = own
            .filter(|_| !is_empty)
            .flat_map(|rows| rows.range::<str, _>((query.begin(), end)));
        for (key, written) in own.take_while(|(key, _)| key.starts_with(&query.prefix)) {
            found.insert(Arc::clone(key), written.value.clone());
        }
        let rows = found.iter();
        let rows = rows.filter_map(|(key, value)| Some((&**key, value.as_deref()?)));
        (row_page(rows, query.limit(), last.as_deref()), found.len())
    }
    /// Writes a row.
    ///
    /// Errors: `QuotaReached`.
    pub(crate) fn put(
        &mut self,
        table: Allowed<DataWrite>,
        key: &str,
        value: Arc<str>,
    ) -> Result<(), HostCode> {
        let (table, key) = (self.full_name(table.access().name()), Arc::<str>::from(key));
        let own = self.writes.get(&table).and_then(|rows| rows.get(&key));
        let again = own.is_some_and(|written| written.is_held);
        self.tables
            .hold(&table, &key, row_bytes(&key, &value), again)?;
        let written = Written {
            value: Some(value),
            is_held: true,
        };
        self.writes.entry(table).or_default().insert(key, written);
        Ok(())
    }
    /// Deletes a row.
    ///
    /// Errors: `NotFound`.
    pub(crate) fn delete(&mut self, table: Allowed<DataWrite>, key: &str) -> Result<(), HostCode> {
        let table = self.full_name(table.access().name());
        self.see(&table, key).ok_or(HostCode::NotFound)?;
        let rows = self.writes.entry(table).or_default();
        rows.entry(key.into()).or_default().value = None;
        Ok(())
    }
    /// What the turn wrote, for its record.
    pub(crate) fn writes(&self) -> Vec<RowWrite> {
        let tables = self.writes.iter();
        let rows = tables.flat_map(|(table, rows)| {
            rows.iter().map(|(key, written)| RowWrite {
                table: Arc::clone(table),
                key: Arc::clone(key),
                value: written.value.clone(),
            })
        });
        rows.collect()
    }
}

impl Drop for TurnRows {
    fn drop(&mut self) {
        for (table, rows) in &self.writes {
            for (key, _) in rows.iter().filter(|(_, written)| written.is_held) {
                self.tables.release(table, key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use caxton_gate::{AuditEntry, AuditSink, Gate, Grants, Rights};
    use caxton_model::{AgentName, Timestamp, list_rows};

    use super::*;

    struct NoAudit;
    impl AuditSink for NoAudit {
        fn append(&self, _: &AuditEntry<'_>) -> Result<(), String> {
            Ok(())
        }
    }

    fn gate() -> Gate {
        let rules = ["data:read=*", "data:write=*"].map(|rule| rule.parse().unwrap());
        let grants = Grants::from_rules(rules, "test", Timestamp(0));
        Gate::new("a", &Rights::granted(grants), Arc::new(NoAudit))
    }

    fn read() -> Allowed<DataRead> {
        gate()
            .check(DataRead::new("t", 1).unwrap(), Timestamp(0))
            .unwrap()
    }

    fn write() -> Allowed<DataWrite> {
        gate()
            .check(DataWrite::new("t", 1).unwrap(), Timestamp(0))
            .unwrap()
    }

    fn turn(tables: &Arc<Tables>) -> TurnRows {
        let name: AgentName = "acme/a".parse().unwrap();
        TurnRows::new(tables, name.namespace())
    }

    fn tables(keys: &[&str], bytes_max: u64) -> Arc<Tables> {
        let rows = keys.iter().map(|key| ((*key).into(), "1".into()));
        let rows = caxton_model::Tables::from([("acme/t".into(), rows.collect())]);
        Arc::new(Tables::new(rows, bytes_max))
    }

    fn end(tables: &Tables, turn: TurnRows) {
        tables.publish(&turn.writes(), || {});
        drop(turn);
    }

    #[test]
    fn pages_have_the_turns_own_rows_in_their_places_and_none_twice() {
        let keys: Vec<String> = (0..20).map(|i| format!("k{i:02}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let tables = tables(&keys, u64::MAX);
        let mut turn = turn(&tables);
        let mut expected = caxton_model::Tables::from([(
            "acme/t".into(),
            keys.iter().map(|key| ((*key).into(), "1".into())).collect(),
        )]);
        for (key, value) in [
            ("k00", None),
            ("k05", Some("2")),
            ("k055", Some("3")),
            ("k19", None),
            ("k2", Some("4")),
            ("z", Some("5")),
            ("a", Some("6")),
        ] {
            match value {
                Some(value) => turn.put(write(), key, value.into()).unwrap(),
                None => turn.delete(write(), key).unwrap(),
            }
            let write = RowWrite {
                table: "acme/t".into(),
                key: key.into(),
                value: value.map(Arc::from),
            };
            caxton_model::write_row(&mut expected, &write);
        }
        // Another turn's rows that are not published are not there.
        let mut other = self::turn(&tables);
        other.put(write(), "k07x", "7".into()).unwrap();
        for prefix in ["", "k", "k0", "k19", "y"] {
            let all = RowQuery {
                table: "t".to_owned(),
                prefix: prefix.to_owned(),
                after: None,
                limit: None,
            };
            let expected: serde_json::Value =
                serde_json::from_str(&list_rows(&expected, "acme/t", &all)).unwrap();
            for limit in 1..=25 {
                let (mut found, mut after) = (Vec::new(), None);
                loop {
                    let query = RowQuery {
                        after: after.clone(),
                        limit: Some(limit),
                        ..all.clone()
                    };
                    let (page, _) = turn.list(read(), &query);
                    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
                    let rows = page["rows"].as_array().unwrap();
                    assert!(rows.len() as u64 <= limit);
                    found.extend(rows.iter().cloned());
                    after = page["next"].as_str().map(str::to_owned);
                    if after.is_none() {
                        break;
                    }
                }
                assert_eq!(
                    serde_json::Value::from(found),
                    expected["rows"],
                    "{prefix} {limit}"
                );
            }
        }
    }

    #[test]
    fn no_order_in_which_turns_end_brings_a_namespace_above_its_bytes() {
        let row = row_bytes("1", "1234");
        let tables = tables(&[], 2 * row);
        let used = || tables.used().get("acme").copied().unwrap_or_default();
        let value = || Arc::<str>::from("1234");
        let (mut one, mut two) = (turn(&tables), turn(&tables));
        one.put(write(), "1", value()).unwrap();
        one.put(write(), "1", value()).unwrap();
        two.put(write(), "1", value()).unwrap();
        two.put(write(), "2", value()).unwrap();
        assert_eq!(used(), 2 * row);
        let refused = one.put(write(), "3", value());
        assert_eq!(refused, Err(HostCode::QuotaReached));
        end(&tables, one);
        // What is deleted meanwhile is held for whoever still writes it.
        let mut three = turn(&tables);
        three.delete(write(), "1").unwrap();
        assert_eq!(
            three.put(write(), "3", value()),
            Err(HostCode::QuotaReached)
        );
        end(&tables, three);
        assert_eq!(used(), 2 * row);
        end(&tables, two);
        assert_eq!(used(), 2 * row);
        let mut four = turn(&tables);
        four.delete(write(), "1").unwrap();
        four.delete(write(), "2").unwrap();
        assert_eq!(four.delete(write(), "2"), Err(HostCode::NotFound));
        end(&tables, four);
        assert_eq!(used(), 0);
        let mut gone = turn(&tables);
        gone.put(write(), "1", value()).unwrap();
        drop(gone);
        assert_eq!((used(), tables.lock().tables.len()), (0, 0));
    }
}
