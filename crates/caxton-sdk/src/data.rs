//! Shared tables: rows of JSON that the agents of a namespace read and write together.
//!
//! Needs the permission `data:read`, or `data:write` to change rows. A turn sees its own writes first;
//! the others see all of them when it has ended, and none if it faults.
//!
//! ```
//! use caxton_sdk::data;
//!
//! data::put("tasks", "a-1", &"write the report")?;
//! data::put("tasks", "a-2", &"send it")?;
//! assert_eq!(data::get::<String>("tasks", "a-2")?.as_deref(), Some("send it"));
//! let page = data::list("tasks", "a-", None, 100)?;
//! assert_eq!((page.rows.len(), page.next), (2, None));
//! assert!(data::delete("tasks", "a-1")?);
//! # Ok::<(), caxton_sdk::Refusal>(())
//! ```

use caxton_model::HostCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{Refusal, refusal::answer, state::read, sys};

/// A row of a page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Value,
}

/// Some rows of a table, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// What [`list`] takes as `after` for the next page; `None`: there are no more.
    pub next: Option<String>,
}

fn row(table: &str, key: &str) -> Vec<u8> {
    json!({ "table": table, "key": key })
        .to_string()
        .into_bytes()
}

/// A row's value; `None` if there is no such row.
///
/// Errors: [`HostCode::Denied`] and the host's other ones; or the value is no `T`.
pub fn get<T: DeserializeOwned>(table: &str, key: &str) -> Result<Option<T>, Refusal> {
    let row = row(table, key);
    read("data_get", |into| sys::data_get(&row, into))?
        .map(|json| serde_json::from_slice(&json).map_err(|error| Refusal::json(&error)))
        .transpose()
}

/// Writes a row. Its value may have 64 KiB as JSON.
///
/// Errors: [`HostCode::Denied`], [`HostCode::TooLarge`], [`HostCode::QuotaReached`]; or it can't be
/// written as JSON.
pub fn put(table: &str, key: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Refusal> {
    let json = serde_json::to_vec(value).map_err(|error| Refusal::json(&error))?;
    answer("data_put", sys::data_put(&row(table, key), &json)).map(drop)
}

/// Deletes a row; answers whether it was there.
///
/// Errors: the host's, but for "not found".
pub fn delete(table: &str, key: &str) -> Result<bool, Refusal> {
    match answer("data_delete", sys::data_delete(&row(table, key))) {
        Ok(_) => Ok(true),
        Err(refusal) if refusal.code() == Some(HostCode::NotFound) => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

/// The first rows whose keys begin with `prefix`, behind the key `after` if one is given: at most
/// `limit`, 1,000 and 1 MiB.
///
/// Errors: the host's.
pub fn list(table: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Refusal> {
    let query = json!({ "table": table, "prefix": prefix, "after": after, "limit": limit });
    let query = query.to_string().into_bytes();
    let page = read("data_list", |into| sys::data_list(&query, into))?.unwrap_or_default();
    serde_json::from_slice(&page).map_err(|error| Refusal::json(&error))
}
