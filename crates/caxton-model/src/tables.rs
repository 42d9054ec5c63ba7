//! Shared tables of JSON rows: what names a row, what one takes, and how a record changes them.
//!
//! A table belongs to a namespace. What turns read of them is the node's, not a shard's: kernels pass
//! the rows of a record on, and only [`State::replay`] keeps them.

use std::{
    collections::{BTreeMap, btree_map::Entry as Slot},
    ops::Bound,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    HostCode, JSON_DEPTH_MAX, Part, Record, State, json_depth_exceeds,
    json_text::has_half_character,
};

/// Bytes of a table's name.
pub const TABLE_NAME_BYTES_MAX: usize = 64;

/// Bytes of a row's key.
pub const ROW_KEY_BYTES_MAX: usize = 1_024;

/// Bytes of a row's value, as JSON. Unit: 64 KiB.
pub const ROW_VALUE_BYTES_MAX: usize = 64 << 10;

/// Rows that one listing answers.
pub const ROWS_LISTED_MAX: usize = 1_000;

/// Bytes that one listing answers. Unit: 1 MiB.
pub const LISTED_BYTES_MAX: usize = 1 << 20;

/// Bytes of the JSON that names a row, or says what is listed: two keys, each byte of them escaped.
pub const ROW_REQUEST_BYTES_MAX: usize = 16 << 10;

/// What a row takes beside its key and its value, in all copies that a node holds. Unit: bytes.
pub const ROW_OVERHEAD_BYTES: u64 = 256;

/// Rows by their tables' full names (`NAMESPACE/TABLE`), then by key.
pub type Tables = BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<str>>>;

/// A write to a row of a shared table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowWrite {
    /// The table's full name: `NAMESPACE/TABLE`.
    pub table: Arc<str>,
    /// The row's key.
    pub key: Arc<str>,
    /// The value, as JSON; `None` deletes.
    pub value: Option<Arc<str>>,
}

/// The row that a guest means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowName {
    /// The table, without its namespace.
    pub table: String,
    /// The row's key.
    pub key: String,
}

/// Which rows a guest lists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowQuery {
    /// The table, without its namespace.
    pub table: String,
    /// How the keys begin.
    #[serde(default)]
    pub prefix: String,
    /// Only keys behind this one: the `next` of the page before.
    pub after: Option<String>,
    /// Rows that the page may have. Default and most: [`ROWS_LISTED_MAX`].
    pub limit: Option<u64>,
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, HostCode> {
    if json.len() > ROW_REQUEST_BYTES_MAX {
        return Err(HostCode::TooLarge);
    }
    serde_json::from_slice(json).map_err(|_| HostCode::Malformed)
}

/// Whether a table may have this name: 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`.
#[must_use]
pub fn is_table_name(name: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    (1..=TABLE_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
}

impl RowName {
    /// Reads `{"table": …, "key": …}`.
    ///
    /// Errors: `Malformed`, `TooLarge`.
    pub fn read(json: &[u8]) -> Result<Self, HostCode> {
        let row: Self = read(json)?;
        if !is_table_name(&row.table) || row.key.is_empty() {
            return Err(HostCode::Malformed);
        }
        match row.key.len() > ROW_KEY_BYTES_MAX {
            true => Err(HostCode::TooLarge),
            false => Ok(row),
        }
    }
}

impl RowQuery {
    /// Reads `{"table": …, "prefix": …, "after": …, "limit": …}`.
    ///
    /// Errors: `Malformed`, `TooLarge`.
    pub fn read(json: &[u8]) -> Result<Self, HostCode> {
        let query: Self = read(json)?;
        if !is_table_name(&query.table) || query.limit == Some(0) {
            return Err(HostCode::Malformed);
        }
        let after = query.after.as_deref().unwrap_or_default();
        match query.prefix.len().max(after.len()) > ROW_KEY_BYTES_MAX {
            true => Err(HostCode::TooLarge),
            false => Ok(query),
        }
    }
    /// Rows that the page may have.
    #[must_use]
    pub fn limit(&self) -> usize {
        let limit = self.limit.and_then(|limit| usize::try_from(limit).ok());
        limit.unwrap_or(ROWS_LISTED_MAX).min(ROWS_LISTED_MAX)
    }
    /// Where the keys begin among which the page's rows are.
    #[must_use]
    pub fn begin(&self) -> Bound<&str> {
        match self.after.as_deref() {
            Some(after) if after >= self.prefix.as_str() => Bound::Excluded(after),
            _ => Bound::Included(&self.prefix),
        }
    }
}

/// A row's value as it is kept: one JSON value, without the space around it.
///
/// Errors: `TooLarge` over [`ROW_VALUE_BYTES_MAX`]; `Malformed`.
pub fn row_value(json: &[u8]) -> Result<Arc<str>, HostCode> {
    if json.len() > ROW_VALUE_BYTES_MAX {
        return Err(HostCode::TooLarge);
    }
    if json_depth_exceeds(json, JSON_DEPTH_MAX) || has_half_character(json) {
        return Err(HostCode::Malformed);
    }
    let value: &RawValue = serde_json::from_slice(json).map_err(|_| HostCode::Malformed)?;
    Ok(value.get().into())
}

/// What a row takes. Unit: bytes.
#[must_use]
pub fn row_bytes(key: &str, value: &str) -> u64 {
    ROW_OVERHEAD_BYTES + key.len() as u64 + value.len() as u64
}

/// A page of rows: as many of `rows`, in order, as fit; `next` is where the following page begins, if
/// `rows` is not all there is.
///
/// Bounds: [`LISTED_BYTES_MAX`], but for the first row.
#[must_use]
pub fn row_page<'a>(
    rows: impl Iterator<Item = (&'a str, &'a str)>,
    limit: usize,
    next: Option<&str>,
) -> String {
    let mut page = String::from("{\"rows\":[");
    let (mut last, mut cut) = (None, false);
    for (count, (key, value)) in rows.enumerate() {
        let name = serde_json::Value::from(key).to_string();
        let bytes = page.len() + name.len() + value.len();
        if count >= limit || (last.is_some() && bytes + 2 * ROW_KEY_BYTES_MAX > LISTED_BYTES_MAX) {
            cut = true;
            break;
        }
        if last.is_some() {
            page.push(',');
        }
        for part in ["{\"key\":", &name, ",\"value\":", value, "}"] {
            page.push_str(part);
        }
        last = Some(name);
    }
    let next = match cut {
        true => last,
        false => next.map(|next| serde_json::Value::from(next).to_string()),
    };
    page.push_str("],\"next\":");
    page.push_str(next.as_deref().unwrap_or("null"));
    page.push('}');
    page
}

/// Writes a row; a table without rows is gone.
pub fn write_row(tables: &mut Tables, row: &RowWrite) {
    match (&row.value, tables.entry(Arc::clone(&row.table))) {
        (Some(value), table) => {
            let table = table.or_default();
            table.insert(Arc::clone(&row.key), Arc::clone(value));
        }
        (None, Slot::Occupied(mut table)) => {
            table.get_mut().remove(&row.key);
            if table.get().is_empty() {
                table.remove();
            }
        }
        (None, Slot::Vacant(_)) => {}
    }
}

/// A page of a table's rows, as JSON.
#[must_use]
pub fn list_rows(tables: &Tables, table: &str, query: &RowQuery) -> String {
    let rows = tables.get(table).into_iter();
    let rows = rows.flat_map(|rows| rows.range::<str, _>((query.begin(), Bound::Unbounded)));
    let rows = rows.take_while(|(key, _)| key.starts_with(&query.prefix));
    row_page(
        rows.map(|(key, value)| (&**key, &**value)),
        query.limit(),
        None,
    )
}

impl Record {
    /// The rows of shared tables that it writes.
    #[must_use]
    pub fn rows(&self) -> &[RowWrite] {
        match self {
            Self::Turn(turn) if turn.result.has_effects() => &turn.rows,
            Self::RowsWritten { rows } => rows,
            _ => &[],
        }
    }
}

impl State {
    /// Writes a record's rows: the last writer of a row wins.
    pub(crate) fn write_rows(&mut self, rows: &[RowWrite]) {
        for row in rows {
            self.touch(Part::Row(Arc::clone(&row.table), Arc::clone(&row.key)));
            write_row(&mut self.tables, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(table: &str, key: &str, value: Option<&str>) -> RowWrite {
        RowWrite {
            table: table.into(),
            key: key.into(),
            value: value.map(Arc::from),
        }
    }

    #[test]
    fn a_row_is_named_by_a_table_and_a_key() {
        let row = RowName::read(br#"{"table":"a-b_c.9","key":"k"}"#).unwrap();
        assert_eq!((&*row.table, &*row.key), ("a-b_c.9", "k"));
        let long = "k".repeat(ROW_KEY_BYTES_MAX + 1);
        for (json, code) in [
            (
                r#"{"table":"Tasks","key":"k"}"#.to_owned(),
                HostCode::Malformed,
            ),
            (r#"{"table":"","key":"k"}"#.to_owned(), HostCode::Malformed),
            (
                r#"{"table":"a/b","key":"k"}"#.to_owned(),
                HostCode::Malformed,
            ),
            (r#"{"table":"t","key":""}"#.to_owned(), HostCode::Malformed),
            (r#"{"table":"t"}"#.to_owned(), HostCode::Malformed),
            (
                r#"{"table":"t","key":"k","x":1}"#.to_owned(),
                HostCode::Malformed,
            ),
            (
                format!(r#"{{"table":"{}","key":"k"}}"#, "t".repeat(65)),
                HostCode::Malformed,
            ),
            (
                format!(r#"{{"table":"t","key":"{long}"}}"#),
                HostCode::TooLarge,
            ),
            (" ".repeat(ROW_REQUEST_BYTES_MAX + 1), HostCode::TooLarge),
        ] {
            assert_eq!(RowName::read(json.as_bytes()), Err(code), "{json:.80}");
        }
    }

    #[test]
    fn a_value_is_one_json_value_within_its_bounds() {
        assert_eq!(&*row_value(b" {\"a\": 1.50} ").unwrap(), "{\"a\": 1.50}");
        let deep = "[".repeat(65) + &"]".repeat(65);
        let half = r#""\ud800""#;
        for json in ["", "1 2", "{", "\u{1}", &deep, half] {
            assert_eq!(
                row_value(json.as_bytes()),
                Err(HostCode::Malformed),
                "{json:.80}"
            );
        }
        assert_eq!(row_value(&[0xff, 0xfe]), Err(HostCode::Malformed));
        let most = format!("\"{}\"", "x".repeat(ROW_VALUE_BYTES_MAX - 2));
        assert!(row_value(most.as_bytes()).is_ok());
        let more = most + " ";
        assert_eq!(row_value(more.as_bytes()), Err(HostCode::TooLarge));
    }

    #[test]
    fn a_page_ends_at_its_rows_or_its_bytes_and_says_where_the_next_begins() {
        let rows = [("a", "1"), ("b\"", "{\"x\":2}"), ("c", "3")];
        let page = |limit, next| row_page(rows.into_iter(), limit, next);
        assert_eq!(
            page(2, Some("z")),
            r#"{"rows":[{"key":"a","value":1},{"key":"b\"","value":{"x":2}}],"next":"b\""}"#
        );
        assert!(page(3, None).ends_with(r#""next":null}"#));
        assert!(page(9, Some("z")).ends_with(r#""next":"z"}"#));
        let value = format!("\"{}\"", "x".repeat(ROW_VALUE_BYTES_MAX - 2));
        let keys: Vec<String> = (0..40).map(|i| format!("k{i:02}")).collect();
        let many = keys.iter().map(|key| (key.as_str(), value.as_str()));
        let page = row_page(many, ROWS_LISTED_MAX, None);
        assert!(page.len() <= LISTED_BYTES_MAX && page.len() > LISTED_BYTES_MAX - (70 << 10));
        assert!(
            page.ends_with(r#""next":"k14"}"#),
            "{}",
            &page[page.len() - 40..]
        );
    }

    #[test]
    fn the_last_writer_of_a_row_wins_and_an_empty_table_is_gone() {
        let mut state = State::tracked();
        state.write_rows(&[
            write("main/t", "k", Some("1")),
            write("acme/t", "k", Some("2")),
        ]);
        state.write_rows(&[write("main/t", "k", Some("3")), write("main/u", "k", None)]);
        assert_eq!(&*state.tables["main/t"]["k"], "3");
        assert_eq!(state.tables.len(), 2);
        state.write_rows(&[write("main/t", "k", None)]);
        assert!(!state.tables.contains_key("main/t") && state.tables.contains_key("acme/t"));
        let touched = state.touched.unwrap();
        assert!(touched.contains(&Part::Row("main/t".into(), "k".into())));
    }
}
