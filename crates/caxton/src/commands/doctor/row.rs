//! One line of the report: what was tried, and what came of it.

use std::time::Duration;

use serde::Serialize;

use crate::output::table;

/// What an attack or a look found.
pub(super) struct Found {
    /// In words: the code, the guest's own report, what the node counted.
    pub(super) reached: String,
    /// Whether it is as promised; `None`: only said.
    pub(super) held: Option<bool>,
}

impl Found {
    /// Judged.
    pub(super) fn judged(held: bool, reached: impl Into<String>) -> Self {
        Self {
            reached: reached.into(),
            held: Some(held),
        }
    }
    /// Only said.
    pub(super) fn said(reached: impl Into<String>) -> Self {
        Self {
            reached: reached.into(),
            held: None,
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    /// The limit's name, or what else was looked at.
    pub(super) check: String,
    /// What the limit was set to, for people; absent where nothing was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) set_to: Option<String>,
    /// What happened.
    pub(super) reached: String,
    /// Whether it is as promised; null: only said.
    pub(super) held: Option<bool>,
    /// How long it took. Unit: microseconds.
    pub(super) micros: u64,
    /// The neighbour meanwhile; absent where it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) neighbour: Option<Times>,
}

/// Answer times. Unit: microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Times {
    /// How many answers.
    pub(super) answers: usize,
    /// The median.
    pub(super) p50_micros: u64,
    /// The 99th percentile; of less than a hundred, the longest.
    pub(super) p99_micros: u64,
}

impl Times {
    /// Of these; `None` of none.
    pub(super) fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1);
            times.get(rank - 1).map(|time| micros(*time))
        };
        Some(Self {
            answers: times.len(),
            p50_micros: at(50)?,
            p99_micros: at(99)?,
        })
    }
}

/// A time as a number that fits.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Row {
    /// Whether something that was promised does not hold.
    pub(super) fn is_red(&self) -> bool {
        self.held == Some(false)
    }
    fn cells(&self) -> [String; 6] {
        let held = match self.held {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        let neighbour = self.neighbour.map_or_else(
            || "-".to_owned(),
            |times| {
                format!(
                    "{} / {}",
                    millis(times.p50_micros),
                    millis(times.p99_micros)
                )
            },
        );
        [
            self.check.clone(),
            self.set_to.clone().unwrap_or_else(|| "-".to_owned()),
            held.to_owned(),
            millis(self.micros),
            neighbour,
            self.reached.clone(),
        ]
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
fn millis(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1_000.0)
}

/// All lines, for people.
pub(super) fn show(rows: &[Row]) -> String {
    let head = [
        "check",
        "set to",
        "held",
        "time",
        "neighbour p50 / p99",
        "reached",
    ];
    table(head, rows.iter().map(Row::cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times = |all: &[u64]| {
            let all = all.iter().map(|ms| Duration::from_millis(*ms)).collect();
            Times::of(all).map(|t| (t.answers, t.p50_micros / 1_000, t.p99_micros / 1_000))
        };
        assert_eq!(times(&[]), None);
        assert_eq!(times(&[7]), Some((1, 7, 7)));
        assert_eq!(times(&[3, 1, 2]), Some((3, 2, 3)));
        let hundred: Vec<u64> = (1..=200).collect();
        assert_eq!(times(&hundred), Some((200, 100, 198)));
    }
}
