//! Sizes and durations that carry their unit, in code and in text.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a size or a duration could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// The text is no number with a known unit.
    #[error("expected {expected}, got `{text}`")]
    Malformed {
        /// What would have been right, with an example.
        expected: &'static str,
        /// What was there.
        text: String,
    },
    /// The duration is longer than [`Micros::LONGEST`].
    #[error("`{text}` is longer than 100 years, the longest duration there is; ask for less")]
    TooLong {
        /// What was there.
        text: String,
    },
    /// The value does not fit 64 bits.
    #[error("`{text}` is larger than 64 bits can hold")]
    TooLarge {
        /// What was there.
        text: String,
    },
}

/// A number of bytes.
///
/// Unit: bytes; as text `"64MiB"`, `"10 KiB"`, `"1_000_000"`, `"2GB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// So many KiB.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n * 1024)
    }
    /// So many MiB.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n * 1024 * 1024)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        for (size, unit) in UNITS {
            if self.0 >= size {
                return if self.0 % size == 0 {
                    write!(f, "{} {unit}", self.0 / size)
                } else {
                    #[allow(clippy::cast_precision_loss, reason = "one decimal for a reader")]
                    let value = self.0 as f64 / size as f64;
                    write!(f, "{value:.1} {unit}")
                };
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

fn split_unit(text: &str) -> (String, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '_' || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number.replace('_', ""), unit.trim())
}

fn scaled(text: &str, scale: Option<u64>, expected: &'static str) -> Result<u64, UnitError> {
    let malformed = || UnitError::Malformed {
        expected,
        text: text.to_owned(),
    };
    let scale = scale.ok_or_else(malformed)?;
    let (number, _) = split_unit(text);
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).ok_or(UnitError::TooLarge {
            text: text.to_owned(),
        });
    }
    let (whole, fraction) = number.split_once('.').ok_or_else(malformed)?;
    if fraction.is_empty() || fraction.len() > 6 {
        return Err(malformed());
    }
    let whole = whole.parse::<u64>().map_err(|_| malformed())?;
    let digits = fraction.parse::<u64>().map_err(|_| malformed())?;
    let denominator = 10_u64.pow(u32::try_from(fraction.len()).unwrap_or(6));
    whole
        .checked_mul(scale)
        .and_then(|v| v.checked_add(digits.checked_mul(scale)? / denominator))
        .ok_or(UnitError::TooLarge {
            text: text.to_owned(),
        })
}

impl FromStr for ByteSize {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let scale = match split_unit(text).1 {
            "" | "B" | "bytes" => Some(1),
            "KiB" | "Ki" | "K" | "k" => Some(1 << 10),
            "MiB" | "Mi" | "M" => Some(1 << 20),
            "GiB" | "Gi" | "G" => Some(1 << 30),
            "KB" | "kB" => Some(1_000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            _ => None,
        };
        scaled(
            text,
            scale,
            "a size such as \"64MiB\" (B, KiB, MiB, GiB, KB, MB, GB)",
        )
        .map(Self)
    }
}

/// A duration.
///
/// Unit: microseconds; as text `"250ms"`, `"30s"`, `"15m"`, `"100us"`, `"24h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub u64);

impl Micros {
    /// The longest duration that anybody may ask for: 100 years of 365.25 days.
    pub const LONGEST: Self = Self::secs(100 * 31_557_600);
    /// So many milliseconds.
    #[must_use]
    pub const fn millis(n: u64) -> Self {
        Self(n * 1_000)
    }
    /// So many seconds.
    #[must_use]
    pub const fn secs(n: u64) -> Self {
        Self(n * 1_000_000)
    }
    /// The same as the standard library's duration.
    #[must_use]
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [
            (3_600_000_000, "h"),
            (60_000_000, "m"),
            (1_000_000, "s"),
            (1_000, "ms"),
        ];
        for (size, unit) in UNITS {
            if self.0 >= size && self.0 % size == 0 {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}us", self.0)
    }
}

impl FromStr for Micros {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let scale = match split_unit(text).1 {
            "us" | "µs" => Some(1),
            "ms" => Some(1_000),
            "s" => Some(1_000_000),
            "m" | "min" => Some(60_000_000),
            "h" => Some(3_600_000_000),
            "d" => Some(86_400_000_000),
            _ => None,
        };
        scaled(
            text,
            scale,
            "a duration such as \"250ms\" (us, ms, s, m, h, d)",
        )
        .or_else(|error| match error {
            // What 64 bits cannot hold is much longer still.
            UnitError::TooLarge { .. } => Ok(u64::MAX),
            error => Err(error),
        })
        .and_then(Self::from_number)
        .map_err(|error| match error {
            UnitError::TooLong { .. } => UnitError::TooLong {
                text: text.to_owned(),
            },
            error => error,
        })
    }
}

/// A number without a fraction is a whole one however JSON writes it: `5.0` is `5`.
#[must_use]
pub fn whole(number: &serde_json::Number) -> Option<u64> {
    number
        .as_u64()
        .or_else(|| number.as_f64().and_then(whole_of))
}

/// The same for numbers below zero.
pub(crate) fn whole_signed(number: &serde_json::Number) -> Option<i64> {
    let of = |float: f64| {
        let size = i64::try_from(whole_of(float.abs())?).ok()?;
        Some(if float < 0.0 { -size } else { size })
    };
    number.as_i64().or_else(|| number.as_f64().and_then(of))
}

/// A float that is a whole number.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within the range of whole numbers"
)]
pub fn whole_of(float: f64) -> Option<u64> {
    const END: f64 = 18_446_744_073_709_551_616.0;
    (float.fract() == 0.0 && (0.0..END).contains(&float)).then_some(float as u64)
}

macro_rules! text_or_number {
    ($type:ty, $expecting:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u64(self.0)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_u64<E: de::Error>(self, v: u64) -> Result<$type, E> {
                        <$type>::from_number(v).map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, v: i64) -> Result<$type, E> {
                        let number = u64::try_from(v)
                            .map_err(|_| E::invalid_value(de::Unexpected::Signed(v), &self))?;
                        <$type>::from_number(number).map_err(E::custom)
                    }
                    fn visit_f64<E: de::Error>(self, v: f64) -> Result<$type, E> {
                        let number = whole_of(v)
                            .ok_or_else(|| E::invalid_value(de::Unexpected::Float(v), &self))?;
                        <$type>::from_number(number).map_err(E::custom)
                    }
                    fn visit_str<E: de::Error>(self, v: &str) -> Result<$type, E> {
                        v.parse().map_err(E::custom)
                    }
                }
                if deserializer.is_human_readable() {
                    deserializer.deserialize_any(Visitor)
                } else {
                    deserializer.deserialize_u64(Visitor)
                }
            }
        }
    };
}

impl ByteSize {
    #[allow(
        clippy::unnecessary_wraps,
        reason = "the macro reads durations as well"
    )]
    const fn from_number(n: u64) -> Result<Self, UnitError> {
        Ok(Self(n))
    }
}
impl Micros {
    fn from_number(n: u64) -> Result<Self, UnitError> {
        if n > Self::LONGEST.0 {
            return Err(UnitError::TooLong {
                text: Self(n).to_string(),
            });
        }
        Ok(Self(n))
    }
}
text_or_number!(ByteSize, "bytes as a number, or a size such as \"64MiB\"");
text_or_number!(
    Micros,
    "microseconds as a number, or a duration such as \"250ms\""
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_read_with_their_units() {
        assert_eq!("64MiB".parse(), Ok(ByteSize::mib(64)));
        assert_eq!("1.5 KiB".parse(), Ok(ByteSize(1536)));
        assert_eq!("1_000".parse(), Ok(ByteSize(1000)));
        assert_eq!("250ms".parse(), Ok(Micros::millis(250)));
        assert_eq!("0.5s".parse(), Ok(Micros::millis(500)));
        for bad in ["", "ms", "5", "1.s", "-1s", "5 parsecs", "1..2s"] {
            assert!(
                bad.parse::<Micros>().is_err(),
                "{bad} was read as a duration"
            );
        }
        for bad in ["", "MiB", "64 miles", "99999999999999999999", "-1"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad} was read as a size");
        }
        assert!(matches!(
            "99999999999GiB".parse::<ByteSize>(),
            Err(UnitError::TooLarge { .. })
        ));
    }

    #[test]
    fn no_duration_is_longer_than_100_years_or_negative() {
        for good in ["36525d", "0s"] {
            assert!(good.parse::<Micros>().is_ok(), "{good}");
        }
        assert_eq!("36525d".parse(), Ok(Micros::LONGEST));
        for long in [
            "36526d",
            "876601h",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            let error = long.parse::<Micros>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{long}`")), "{error}");
        }
        let longest = Micros::LONGEST.0;
        assert_eq!(
            serde_json::from_str::<Micros>(&longest.to_string()).ok(),
            Some(Micros::LONGEST)
        );
        for bad in [
            "3155760000000001",
            "1e19",
            "-1",
            "-1.0",
            "\"-1s\"",
            "\"101e2d\"",
        ] {
            let read = serde_json::from_str::<Micros>(bad);
            assert!(read.is_err(), "{bad} was read as {read:?}");
        }
    }

    #[test]
    fn display_is_what_a_person_reads() {
        assert_eq!(ByteSize::mib(50).to_string(), "50 MiB");
        assert_eq!(ByteSize(1_500_000).to_string(), "1.4 MiB");
        assert_eq!(Micros::millis(100).to_string(), "100ms");
        assert_eq!(Micros::secs(120).to_string(), "2m");
    }
}
