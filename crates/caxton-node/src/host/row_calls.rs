//! A turn's calls on shared tables: read, checked at the gate, counted.

use std::sync::Arc;

use bytes::Bytes;
use caxton_engine::{HostCalls as _, LogLevel};
use caxton_gate::{Allowed, DataRead, DataWrite};
use caxton_model::{ByteSize, HostCode, RowName, RowQuery, row_value};

use super::TurnHost;
use crate::tables::TurnRows;

impl TurnHost {
    /// Checks that rows of a table may be read.
    fn check_read(&mut self, table: &str, keys: usize) -> Result<Allowed<DataRead>, HostCode> {
        let gate = self.gate();
        self.check(&gate, DataRead::new(table, keys))
    }

    /// Checks that a row of a table may be written.
    fn check_write(&mut self, table: &str) -> Result<Allowed<DataWrite>, HostCode> {
        let gate = self.gate();
        self.check(&gate, DataWrite::new(table, 1))
    }

    /// The shared tables as the turn sees them.
    fn rows(&mut self) -> &mut TurnRows {
        let (tables, name) = (&self.shared.tables, &self.spec.name);
        let made = || TurnRows::new(tables, name.namespace());
        self.rows.get_or_insert_with(made)
    }

    /// The value of a row.
    pub(super) fn get_row(&mut self, row: &[u8]) -> Result<Option<Bytes>, HostCode> {
        let row = RowName::read(row)?;
        let allowed = self.check_read(&row.table, 1)?;
        let value = self.rows().get(allowed, &row.key);
        self.visit(row.key.len() + value.as_ref().map_or(0, |value| value.len()));
        Ok(value.map(|value| Bytes::from_owner(Arc::<[u8]>::from(value))))
    }

    /// Writes a row, where its namespace has room.
    pub(super) fn put_row(&mut self, row: &[u8], value: &[u8]) -> Result<(), HostCode> {
        let row = RowName::read(row)?;
        let allowed = self.check_write(&row.table)?;
        self.has_bytes()?;
        self.visit(row.key.len() + value.len());
        let value = row_value(value)?;
        let put = self.rows().put(allowed, &row.key, value);
        if put == Err(HostCode::QuotaReached) {
            let most = ByteSize(self.shared.tables.bytes_max());
            let text = format!(
                "the row was not written to table `{}`: its namespace would have more than {most} of rows (data_bytes); delete rows, or have the node's operator raise `budgets.data_bytes`",
                row.table
            );
            self.log(LogLevel::Warn, &text);
        }
        put
    }

    /// Deletes a row.
    pub(super) fn delete_row(&mut self, row: &[u8]) -> Result<(), HostCode> {
        let row = RowName::read(row)?;
        let allowed = self.check_write(&row.table)?;
        self.visit(row.key.len());
        self.rows().delete(allowed, &row.key)
    }

    /// A page of rows.
    pub(super) fn list_rows(&mut self, query: &[u8]) -> Result<Bytes, HostCode> {
        let query = RowQuery::read(query)?;
        let allowed = self.check_read(&query.table, query.limit())?;
        let (page, looked_at) = self.rows().list(allowed, &query);
        (0..looked_at).for_each(|_| self.visit(0));
        self.visit(page.len());
        Ok(Bytes::from(page))
    }
}
