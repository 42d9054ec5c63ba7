//! JSON that is carried as it was written, without being taken apart.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

/// One JSON value as text. Valid JSON by construction; cheap to clone.
///
/// It can be a part of a longer text that it shares with whoever holds the whole.
#[derive(Clone)]
pub struct RawJson {
    text: Arc<str>,
    part: Range<usize>,
}

impl RawJson {
    /// Takes text that must be one JSON value.
    ///
    /// Errors: where the text stops being JSON.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<&RawValue>(text).map(Self::from)
    }
    fn whole(text: Arc<str>) -> Self {
        Self {
            part: 0..text.len(),
            text,
        }
    }
    /// The value that stands in a longer text, without a copy of it. `None`: nothing equal to `value`
    /// stands there.
    pub(crate) fn within(text: &Arc<str>, part: Range<usize>, value: &Self) -> Option<Self> {
        (text.get(part.clone())? == value.as_str()).then(|| Self {
            text: Arc::clone(text),
            part,
        })
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get(self.part.clone()).unwrap_or_default()
    }
    /// The value, taken apart.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(self.as_str()).unwrap_or_default()
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
impl Eq for RawJson {}
impl Hash for RawJson {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}
impl From<&RawValue> for RawJson {
    fn from(raw: &RawValue) -> Self {
        Self::whole(raw.get().into())
    }
}
impl From<&serde_json::Value> for RawJson {
    fn from(value: &serde_json::Value) -> Self {
        Self::whole(value.to_string().into())
    }
}
impl Default for RawJson {
    fn default() -> Self {
        Self::whole("null".into())
    }
}
impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serde_json::from_str::<&RawValue>(self.as_str())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer)
        } else {
            serializer.serialize_str(self.as_str())
        }
    }
}
impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Box::<RawValue>::deserialize(deserializer).map(|raw| Self::from(&*raw))
        } else {
            let text = String::deserialize(deserializer)?;
            Self::parse(&text).map_err(de::Error::custom)
        }
    }
}
