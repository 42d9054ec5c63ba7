//! How a stored value becomes bytes and comes back: the trait that a form implements, the forms of
//! plain values and of lists, and the macro that writes down the form of a struct or an enum.
//!
//! A form is a type of this crate that stands for the stored layout of one type of the model. The
//! bytes are those of [postcard](https://postcard.jamesmunns.com/wire-format), and a value is
//! encoded where it stands, without a copy. `v1.rs` has all forms of version 1.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use postcard::{de_flavors::Slice, ser_flavors::Flavor};
use serde::{Deserialize, Serialize};

use crate::texts::Cuts;

/// Where encoded bytes go.
pub(crate) type Out<'a> = postcard::Serializer<Behind<'a>>;
/// Where encoded bytes come from.
pub(crate) type In<'a> = postcard::Deserializer<'a, Slice<'a>>;

/// Elements for which a list reserves memory before they are read: what damaged bytes can ask for.
const RESERVED_MAX: u64 = 1_024;

/// The stored layout of one type.
pub(crate) trait Form {
    /// What is stored in it.
    type Value;
    /// Appends a value's bytes.
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()>;
    /// Reads a value. Safe for any bytes.
    ///
    /// Errors: in words.
    fn take(from: &mut In<'_>) -> Result<Self::Value, String>;
}

/// Appends to bytes that are already there, without a call for each byte.
pub(crate) struct Behind<'a> {
    bytes: &'a mut Vec<u8>,
    /// Where references to long messages are noted; `None`: messages are written out.
    pub(crate) cuts: Option<&'a mut Cuts>,
}

impl Flavor for Behind<'_> {
    type Output = ();
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.bytes.push(byte);
        Ok(())
    }
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends a value in the form `F` to a buffer.
pub(crate) fn encode<F: Form>(value: &F::Value, buffer: &mut Vec<u8>) -> Result<(), String> {
    encode_with::<F>(value, buffer, None)
}

/// The same, with references in place of long messages.
pub(crate) fn encode_cut<F: Form>(
    value: &F::Value,
    buffer: &mut Vec<u8>,
    cuts: &mut Cuts,
) -> Result<(), String> {
    encode_with::<F>(value, buffer, Some(cuts))
}

fn encode_with<F: Form>(
    value: &F::Value,
    bytes: &mut Vec<u8>,
    cuts: Option<&mut Cuts>,
) -> Result<(), String> {
    let mut out = Out {
        output: Behind { bytes, cuts },
    };
    F::put(value, &mut out).map_err(|error| error.to_string())
}

/// Reads a value in the form `F` that fills all the bytes.
///
/// Errors: in words; also if bytes are left over.
pub(crate) fn decode<F: Form>(bytes: &[u8]) -> Result<F::Value, String> {
    let mut from = In::from_bytes(bytes);
    let value = F::take(&mut from)?;
    match from.finalize().map_err(|error| error.to_string())? {
        [] => Ok(value),
        [_] => Err("1 byte is left over behind the value".to_owned()),
        rest => Err(format!(
            "{} bytes are left over behind the value",
            rest.len()
        )),
    }
}

/// Reads a plain value, or a text that borrows from the bytes.
pub(crate) fn take_plain<'de, T: Deserialize<'de>>(from: &mut In<'de>) -> Result<T, String> {
    T::deserialize(from).map_err(|error| error.to_string())
}

macro_rules! plain_forms {
    ($($type:ty)*) => {$(
        impl Form for $type {
            type Value = Self;
            fn put(value: &Self, out: &mut Out<'_>) -> postcard::Result<()> {
                value.serialize(out)
            }
            fn take(from: &mut In<'_>) -> Result<Self, String> {
                take_plain(from)
            }
        }
    )*};
}
plain_forms!(bool u16 u32 u64 i32 i64 String);

/// A text.
impl Form for Arc<str> {
    type Value = Self;
    fn put(value: &Self, out: &mut Out<'_>) -> postcard::Result<()> {
        str::serialize(value, out)
    }
    fn take(from: &mut In<'_>) -> Result<Self, String> {
        take_plain::<&str>(from).map(Self::from)
    }
}

impl<F: Form> Form for Arc<F> {
    type Value = Arc<F::Value>;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        F::put(value, out)
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        F::take(from).map(Arc::new)
    }
}

impl<F: Form> Form for Box<F> {
    type Value = Box<F::Value>;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        F::put(value, out)
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        F::take(from).map(Box::new)
    }
}

/// One byte, 0 or 1; after a 1, the value.
impl<F: Form> Form for Option<F> {
    type Value = Option<F::Value>;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        value.is_some().serialize(&mut *out)?;
        value.as_ref().map_or(Ok(()), |value| F::put(value, out))
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        match take_plain::<bool>(from)? {
            true => F::take(from).map(Some),
            false => Ok(None),
        }
    }
}

/// The number of elements, then each.
impl<F: Form> Form for Vec<F> {
    type Value = Vec<F::Value>;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        value.len().serialize(&mut *out)?;
        value.iter().try_for_each(|value| F::put(value, out))
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        let count: u64 = take_plain(from)?;
        #[allow(clippy::cast_possible_truncation, reason = "at most 1,024")]
        let mut list = Self::Value::with_capacity(count.min(RESERVED_MAX) as usize);
        for _ in 0..count {
            list.push(F::take(from)?);
        }
        Ok(list)
    }
}

/// As a list.
impl<F: Form> Form for VecDeque<F> {
    type Value = VecDeque<F::Value>;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        value.len().serialize(&mut *out)?;
        value.iter().try_for_each(|value| F::put(value, out))
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        Vec::<F>::take(from).map(Into::into)
    }
}

/// As a list of pairs, in the order of the keys.
impl<K: Form<Value: Ord>, F: Form> Form for BTreeMap<K, F> {
    type Value = BTreeMap<K::Value, F::Value>;
    fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        value.len().serialize(&mut *out)?;
        value.iter().try_for_each(|(key, value)| {
            K::put(key, out)?;
            F::put(value, out)
        })
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        Ok(Vec::<(K, F)>::take(from)?.into_iter().collect())
    }
}

impl<A: Form, B: Form> Form for (A, B) {
    type Value = (A::Value, B::Value);
    fn put((a, b): &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        A::put(a, out)?;
        B::put(b, out)
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

impl<A: Form, B: Form, C: Form> Form for (A, B, C) {
    type Value = (A::Value, B::Value, C::Value);
    fn put((a, b, c): &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
        A::put(a, out)?;
        B::put(b, out)?;
        C::put(c, out)
    }
    fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
        Ok((A::take(from)?, B::take(from)?, C::take(from)?))
    }
}

/// Writes down the form of a type of the model that has the same name.
///
/// A `struct` is its fields in the order given here; an `enum` is the number given here, then the
/// variant's fields. Both directions name every field and every variant, each with the form that it
/// is stored in, so the crate does not compile after the model has changed, until somebody has
/// decided what that means for stored data: see "Changing a format" in `docs/specs/journal.md`.
///
/// Behind `without` stand the fields that the model has and this version lacks, with the values that
/// they get. Behind `formerly` stand the numbers that are read and no longer written.
macro_rules! form {
    ($(struct $name:ident { $($field:ident: $form:ty),* $(,)? }
        $(without { $($lacks:ident: $default:expr),* $(,)? })?)*) => {$(
        pub(crate) enum $name {}
        impl Form for $name {
            type Value = model::$name;
            fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
                let model::$name { $($field,)* $($($lacks: _,)*)? } = value;
                $(<$form as Form>::put($field, out)?;)*
                Ok(())
            }
            fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
                Ok(model::$name { $($field: <$form as Form>::take(from)?,)* $($($lacks: $default,)*)? })
            }
        }
    )*};
    (enum $name:ident { $(
        $number:literal $variant:ident
        $(($item:ident: $item_form:ty))?
        $({ $($field:ident: $form:ty),* $(,)? })?
    ),* $(,)? } $(formerly { $(
        $old_number:literal $old_variant:ident
        $(($old_item:ident: $old_item_form:ty))?
        $({ $($old_field:ident: $old_form:ty),* $(,)? })?
    ),* $(,)? })?) => {
        pub(crate) enum $name {}
        impl Form for $name {
            type Value = model::$name;
            fn put(value: &Self::Value, out: &mut Out<'_>) -> postcard::Result<()> {
                match value {
                    $(model::$name::$variant $(($item))? $({ $($field),* })? => {
                        u32::put(&$number, out)?;
                        $(<$item_form as Form>::put($item, out)?;)?
                        $($(<$form as Form>::put($field, out)?;)*)?
                    })*
                }
                Ok(())
            }
            fn take(from: &mut In<'_>) -> Result<Self::Value, String> {
                Ok(match u32::take(from)? {
                    $($number => model::$name::$variant
                        $((<$item_form as Form>::take(from)?))?
                        $({ $($field: <$form as Form>::take(from)?),* })?,)*
                    $($($old_number => model::$name::$old_variant
                        $((<$old_item_form as Form>::take(from)?))?
                        $({ $($old_field: <$old_form as Form>::take(from)?),* })?,)*)?
                    other => return Err(unknown(stringify!($name), other)),
                })
            }
        }
    };
}
pub(crate) use form;

/// The error for a number that no variant of an enum's form has.
pub(crate) fn unknown(name: &str, number: u32) -> String {
    format!("{number} is no number of a {name} that this program knows")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model that has changed twice: `Note` got an `owner`, `Change` a second variant.
    mod model {
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct Note {
            pub(crate) text: String,
            pub(crate) owner: Option<u64>,
        }
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Change {
            Noted(Note),
            Moved { to: u16 },
        }
    }
    mod v1 {
        use super::{super::*, model};
        form! { struct Note { text: String } without { owner: None } }
        form! { enum Change { 0 Noted(note: Note), 1 Moved { to: u16 } } }
    }
    mod v2 {
        use super::{super::*, model, v1};
        form! { struct Note { text: String, owner: Option<u64> } }
        form! {
            enum Change { 1 Moved { to: u16 }, 2 Noted(note: Note) }
            formerly { 0 Noted(note: v1::Note) }
        }
    }

    #[test]
    fn a_later_version_reads_what_an_earlier_one_wrote() {
        let note = |owner| {
            model::Change::Noted(model::Note {
                text: "a".to_owned(),
                owner,
            })
        };
        let mut old = Vec::new();
        encode::<v1::Change>(&note(None), &mut old).unwrap();
        assert_eq!(old, [0, 1, b'a']);
        assert_eq!(decode::<v2::Change>(&old), Ok(note(None)));
        let mut new = Vec::new();
        encode::<v2::Change>(&note(Some(300)), &mut new).unwrap();
        assert_eq!(new, [2, 1, b'a', 1, 0xac, 2]);
        assert_eq!(decode::<v2::Change>(&new), Ok(note(Some(300))));
        let mut same = Vec::new();
        encode::<v2::Change>(&model::Change::Moved { to: 5 }, &mut same).unwrap();
        assert_eq!(
            decode::<v1::Change>(&same),
            Ok(model::Change::Moved { to: 5 })
        );
    }

    #[test]
    fn bytes_that_are_no_value_are_refused_in_words() {
        for (bytes, said) in [
            (
                &[9][..],
                "9 is no number of a Change that this program knows",
            ),
            (&[1, 5, 0], "1 byte is left over behind the value"),
            (&[1, 5, 0, 0], "2 bytes are left over behind the value"),
        ] {
            assert_eq!(decode::<v2::Change>(bytes).unwrap_err(), said);
        }
        assert!(decode::<v2::Change>(&[1]).is_err());
        // A list says that it is long, and is not: no memory is taken for what it says.
        let long = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(decode::<Vec<u64>>(&long).is_err());
    }
}
