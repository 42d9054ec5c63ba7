//! Bytes in one piece: left to itself, serde takes a slice of them for a list of numbers, written and
//! read one by one. In the journal's form both are the same bytes.

use std::sync::Arc;

use serde::{Deserialize as _, Deserializer, Serializer};
use serde_bytes::{ByteBuf, Bytes};

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<[u8]>, D::Error> {
    ByteBuf::deserialize(deserializer).map(|bytes| bytes.into_vec().into())
}

/// The same where there may be none.
pub(crate) mod option {
    use super::{Arc, ByteBuf, Bytes, Deserializer, Serializer};
    use serde::{Deserialize as _, Serialize as _};

    pub(crate) fn serialize<S: Serializer>(
        bytes: &Option<Arc<[u8]>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(Bytes::new).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<[u8]>>, D::Error> {
        let bytes = Option::<ByteBuf>::deserialize(deserializer)?;
        Ok(bytes.map(|bytes| bytes.into_vec().into()))
    }
}
