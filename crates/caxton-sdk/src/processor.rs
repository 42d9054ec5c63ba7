//! What a processor's function may return.

use std::fmt::Display;

/// What a text processor may return: a text, or a result with one.
pub trait TextResult {
    /// The text, or the reason there is none.
    fn into_text(self) -> Result<String, String>;
}

impl TextResult for String {
    fn into_text(self) -> Result<String, String> {
        Ok(self)
    }
}

impl<E: Display> TextResult for Result<String, E> {
    fn into_text(self) -> Result<String, String> {
        self.map_err(|error| error.to_string())
    }
}

/// What a processor of bytes may return: bytes, or a result with them.
pub trait BytesResult {
    /// The bytes, or the reason there are none.
    fn into_bytes(self) -> Result<Vec<u8>, String>;
}

impl BytesResult for Vec<u8> {
    fn into_bytes(self) -> Result<Vec<u8>, String> {
        Ok(self)
    }
}

impl<E: Display> BytesResult for Result<Vec<u8>, E> {
    fn into_bytes(self) -> Result<Vec<u8>, String> {
        self.map_err(|error| error.to_string())
    }
}
