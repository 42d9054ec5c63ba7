//! Points in time, as the host hands them in; nothing here reads a clock.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{Micros, units::whole_signed};

/// A point in time.
///
/// Unit: microseconds since the Unix epoch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This much later; stops at the end of time instead of wrapping.
    #[must_use]
    pub fn after(self, delay: Micros) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(delay.0).unwrap_or(i64::MAX)),
        )
    }
    /// Whether it lies in the years 0 to 9999, so that it can be written as a date.
    #[must_use]
    pub const fn has_date(self) -> bool {
        self.0 >= -62_167_219_200_000_000 && self.0 < 253_402_300_800_000_000
    }
    /// How long ago `earlier` was, zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Micros {
        Micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
    /// Reads `2026-01-31T12:00:00.5Z` (UTC or with an offset), or the FIPA form `20260131T120000000Z`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_date(text).filter(|_| is_well_formed(text))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_rfc3339(*self))
    }
}

/// Reads a date as it is written, and microseconds since 1970 as a date.
pub(crate) fn date_or_micros<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Date(String),
        Micros(serde_json::Number),
    }
    match Option::<Written>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Written::Date(text)) => Ok(Some(text)),
        Some(Written::Micros(number)) => whole_signed(&number)
            .map(|micros| Some(Timestamp(micros).to_string()))
            .ok_or_else(|| de::Error::custom(format!("{number} is no number of microseconds"))),
    }
}

/// The date as RFC 3339 in UTC with microseconds.
#[must_use]
pub fn format_rfc3339(at: Timestamp) -> String {
    let (secs, micros) = (at.0.div_euclid(1_000_000), at.0.rem_euclid(1_000_000));
    let (days, rest) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (
        yoe + era * 400 + i64::from(month <= 2),
        month,
        doy - (153 * mp + 2) / 5 + 1,
    )
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let yoe = year.rem_euclid(400);
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let digits: String = date.chars().filter(|c| *c != '-').collect();
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |s: &str| s.parse::<i64>().ok();
    let (year, month, day) = (
        number(digits.get(0..4)?)?,
        number(digits.get(4..6)?)?,
        number(digits.get(6..8)?)?,
    );
    let (clock, offset_minutes) = split_offset(time)?;
    let clock: String = clock.chars().filter(|c| *c != ':').collect();
    let (whole, fraction) = match clock.split_once('.') {
        Some((whole, fraction)) => (whole.to_owned(), fraction.to_owned()),
        None if clock.len() > 6 && clock.is_ascii() => {
            let (whole, fraction) = clock.split_at(6);
            (whole.to_owned(), fraction.to_owned())
        }
        None => (clock, String::new()),
    };
    if whole.len() != 6 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros = number(format!("{fraction:0<6}").get(..6)?)?;
    let (hour, minute, second) = (
        number(whole.get(0..2)?)?,
        number(whole.get(2..4)?)?,
        number(whole.get(4..6)?)?,
    );
    let days = days_from_civil(year, month, day);
    // A day that a month does not have would come out as one of the next month's.
    let in_range =
        civil_from_days(days) == (year, month, day) && hour < 24 && minute < 60 && second <= 60;
    if !in_range {
        return None;
    }
    let secs = days * 86_400 + hour * 3_600 + minute * 60 + second - offset_minutes * 60;
    // An offset may lead out of the years that can be written.
    Some(Timestamp(secs * 1_000_000 + micros)).filter(|at| at.has_date())
}

/// Whether the separators stand where the two forms have them, and the offset is one of the clock.
fn is_well_formed(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't', ' ']) else {
        return false;
    };
    let (clock, offset) = match time.rfind(['+', '-']).map(|at| time.split_at(at)) {
        Some((clock, offset)) => (clock, offset.get(1..).unwrap_or_default().replace(':', "")),
        None => (time, "0000".to_owned()),
    };
    let below = |text: Option<&str>, end: u32| {
        text.and_then(|text| text.parse::<u32>().ok())
            .is_some_and(|number| number < end)
    };
    let separated = |text: &str, by: char, at: [usize; 2]| {
        text.match_indices(by).map(|(found, _)| found).eq(at) || !text.contains(by)
    };
    separated(date, '-', [4, 7])
        && separated(clock, ':', [2, 5])
        && below(offset.get(0..2), 24)
        && below(offset.get(2..), 60)
}

fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else {
        return Some((time, 0));
    };
    let (clock, offset) = (time.get(..at)?, time.get(at + 1..)?);
    let digits: String = offset.chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 {
        return None;
    }
    let minutes =
        digits.get(0..2)?.parse::<i64>().ok()? * 60 + digits.get(2..4)?.parse::<i64>().ok()?;
    Some((
        clock,
        if time.as_bytes().get(at) == Some(&b'-') {
            -minutes
        } else {
            minutes
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for at in [
            0_i64,
            1_700_000_000_123_456,
            -1,
            951_782_400_000_000,
            4_102_444_799_999_999,
        ] {
            assert_eq!(
                Timestamp::parse(&format_rfc3339(Timestamp(at))),
                Some(Timestamp(at))
            );
        }
        assert_eq!(format_rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000000Z");
        let noon = Timestamp::parse("2026-01-31T12:00:00Z");
        assert_eq!(Timestamp::parse("20260131T120000000Z"), noon);
        assert_eq!(Timestamp::parse("2026-01-31T13:00:00+01:00"), noon);
        for bad in [
            "",
            "now",
            " 2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00Z ",
            "\u{a0}20260131T120000000Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-01T25:00:00Z",
            "2026-01-01",
            "20é60101T0",
            "0000-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_date_is_one_of_the_calendar() {
        for good in [
            "2026-01-31T12:00:00Z",
            "20260131T120000000Z",
            "20260131T120000",
            "2024-02-29T00:00:00Z",
            "2000-02-29t23:59:60z",
            "2026-12-31 23:59:59.999+14:00",
            "2026-01-31T12:00:00-0330",
        ] {
            assert!(Timestamp::parse(good).is_some(), "{good}");
        }
        for bad in [
            "2026-02-30T00:00:00Z",
            "20260230T000000Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-06-31T12:00:00+01:00",
            "2026-00-10T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "202-601-31T00:00:00Z",
            "2026-01-31T1:2:0000Z",
            "2026-01-31T00:00:00+24:00",
            "2026-01-31T00:00:00+01:60",
            "2026-01-31",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }
}
