//! What an agent keeps: bytes or JSON under keys, written when the turn ends well.

use std::marker::PhantomData;

use caxton_model::HostCode;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Refusal, refusal::answer, sys};

/// Bytes that are tried first when a value is loaded; a longer one is asked for twice.
const FIRST_TRY_BYTES: usize = 1_024;

/// Stores a value as JSON.
///
/// Errors: [`HostCode::TooLarge`], [`HostCode::QuotaReached`]; or it can't be written as JSON.
pub fn store(key: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Refusal> {
    let json = serde_json::to_vec(value).map_err(|error| Refusal::json(&error))?;
    store_bytes(key, &json)
}

/// Stores bytes.
///
/// Errors: [`HostCode::TooLarge`], [`HostCode::QuotaReached`].
pub fn store_bytes(key: &str, value: &[u8]) -> Result<(), Refusal> {
    answer("store_data", sys::store(key.as_bytes(), value)).map(drop)
}

/// Loads a value that [`store`] wrote; `None` if there is none.
///
/// Errors: what is there is no such value.
pub fn load<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Refusal> {
    load_bytes(key)?
        .map(|json| serde_json::from_slice(&json).map_err(|error| Refusal::json(&error)))
        .transpose()
}

/// Loads bytes; `None` if there are none.
///
/// Errors: the host's, but for "not found".
pub fn load_bytes(key: &str) -> Result<Option<Vec<u8>>, Refusal> {
    read("load_data", |into| sys::load(key.as_bytes(), into))
}

/// A value of the agent's own configuration.
///
/// Errors: the host's, but for "not found"; or it is not UTF-8.
pub fn config(key: &str) -> Result<Option<String>, Refusal> {
    read("config_get", |into| sys::config_get(key.as_bytes(), into))?
        .map(|bytes| String::from_utf8(bytes).map_err(|error| Refusal::Json(error.to_string())))
        .transpose()
}

/// Deletes a key; answers whether it was there.
///
/// Errors: the host's, but for "not found".
pub fn delete(key: &str) -> Result<bool, Refusal> {
    match answer("delete_data", sys::delete(key.as_bytes())) {
        Ok(_) => Ok(true),
        Err(refusal) if refusal.code() == Some(HostCode::NotFound) => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

/// Reads through a host function that answers the whole length and fills what fits.
pub(crate) fn read(
    function: &'static str,
    mut fill: impl FnMut(&mut [u8]) -> i32,
) -> Result<Option<Vec<u8>>, Refusal> {
    let mut bytes = vec![0; FIRST_TRY_BYTES];
    loop {
        let length = match answer(function, fill(&mut bytes)) {
            Ok(length) => usize::try_from(length).unwrap_or_default(),
            Err(refusal) if refusal.code() == Some(HostCode::NotFound) => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        let is_whole = length <= bytes.len();
        bytes.resize(length, 0);
        if is_whole {
            return Ok(Some(bytes));
        }
    }
}

/// One value of the state with its type and its key.
///
/// ```
/// use caxton_sdk::State;
///
/// const COUNT: State<u64> = State::new("count");
/// COUNT.update(|count| *count += 1)?;
/// assert_eq!(COUNT.get()?, 1);
/// # Ok::<(), caxton_sdk::Refusal>(())
/// ```
#[derive(Debug)]
pub struct State<T> {
    key: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned + Default> State<T> {
    /// The value under a key.
    #[must_use]
    pub const fn new(key: &'static str) -> Self {
        Self {
            key,
            of: PhantomData,
        }
    }

    /// What is stored, or the default. Errors: as [`load`].
    pub fn get(&self) -> Result<T, Refusal> {
        Ok(load(self.key)?.unwrap_or_default())
    }

    /// Replaces it. Errors: as [`store`].
    pub fn set(&self, value: &T) -> Result<(), Refusal> {
        store(self.key, value)
    }

    /// Changes it; answers what the change answers. Errors: as [`load`] and [`store`].
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, Refusal> {
        let mut value = self.get()?;
        let result = change(&mut value);
        self.set(&value)?;
        Ok(result)
    }
}
