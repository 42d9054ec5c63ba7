//! One row of the table: ours beside the bare part.

use std::time::Duration;

use serde::Serialize;

use crate::failure::{Exit, Failure};

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Unit {
    /// Less is better.
    #[serde(rename = "µs")]
    Micros,
    /// Less is better.
    #[serde(rename = "ms")]
    Millis,
    /// More is better.
    #[serde(rename = "/s")]
    PerSecond,
}

impl Unit {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Micros => "µs",
            Self::Millis => "ms",
            Self::PerSecond => "/s",
        }
    }
    /// A time in this unit.
    fn of(self, time: Duration) -> f64 {
        match self {
            Self::Micros => time.as_secs_f64() * 1e6,
            Self::Millis => time.as_secs_f64() * 1e3,
            Self::PerSecond => 1.0 / time.as_secs_f64().max(1e-9),
        }
    }
}

/// One row.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// The unit of all figures.
    pub(crate) unit: Unit,
    /// The median; of rates, the rate over the whole time.
    pub(crate) ours: f64,
    /// The 99th percentile; of rates, the worst second, where it ran for three.
    pub(crate) ours_worst: Option<f64>,
    /// The bare part's median or rate.
    pub(crate) bare: Option<f64>,
    /// Ours by the bare part's.
    pub(crate) ratio: Option<f64>,
    /// What the bare part is.
    pub(crate) bare_part: &'static str,
    /// How many times ours was measured.
    pub(crate) samples: usize,
}

impl Row {
    /// A row of times.
    pub(crate) fn times(
        what: impl Into<String>,
        unit: Unit,
        ours: Vec<Duration>,
        bare_part: &'static str,
        bare: Vec<Duration>,
    ) -> Self {
        let samples = ours.len();
        let (ours, bare) = (Spread::of(ours), Spread::of(bare));
        let row = Self {
            what: what.into(),
            unit,
            ours: unit.of(ours.p50),
            ours_worst: Some(unit.of(ours.p99)),
            bare: None,
            ratio: None,
            bare_part,
            samples,
        };
        row.beside(unit.of(bare.p50))
    }
    /// A row of rates.
    pub(crate) fn rates(
        what: impl Into<String>,
        ours: &Rate,
        bare_part: &'static str,
        bare: &Rate,
    ) -> Self {
        let row = Self {
            what: what.into(),
            unit: Unit::PerSecond,
            ours: ours.whole(),
            ours_worst: ours.worst_second(),
            bare: None,
            ratio: None,
            bare_part,
            samples: ours.count(),
        };
        row.beside(bare.whole())
    }
    fn beside(mut self, bare: f64) -> Self {
        self.ratio = (bare > 0.0).then(|| self.ours / bare);
        self.bare = Some(bare);
        self
    }
    /// What ours takes more than the bare part, as a row of its own.
    pub(crate) fn overhead(&self, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ours: self.ours - self.bare.unwrap_or(0.0),
            ours_worst: None,
            bare: None,
            ratio: None,
            bare_part: "the row above, ours less bare",
            ..self.clone()
        }
    }
    /// What was measured and what came out, in short.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}: {} {}",
            self.what,
            figure(self.ours),
            self.unit.as_str()
        )
    }
    /// As the table shows it.
    pub(crate) fn cells(&self) -> [String; 7] {
        let optional = |value: Option<f64>| value.map_or_else(String::new, figure);
        [
            self.what.clone(),
            figure(self.ours),
            optional(self.ours_worst),
            self.unit.as_str().to_owned(),
            optional(self.bare),
            self.ratio
                .map_or_else(String::new, |ratio| format!("{ratio:.2} ×")),
            self.bare_part.to_owned(),
        ]
    }
}

/// Three digits, or whole numbers from there on.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => {
            let digits = format!("{value:.0}");
            let mut text = String::new();
            for (i, digit) in digits.chars().enumerate() {
                if i > 0 && (digits.len() - i) % 3 == 0 && !text.ends_with('-') {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
    }
}

/// Median and 99th percentile.
struct Spread {
    p50: Duration,
    p99: Duration,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
            times.get(index).copied().unwrap_or_default()
        };
        Self {
            p50: at(50),
            p99: at(99),
        }
    }
}

/// Things that got done, by the time from the start.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    done: Vec<(Duration, usize)>,
}

impl Rate {
    /// So many were done at that time after the start.
    pub(crate) fn note(&mut self, at: Duration, count: usize) {
        self.done.push((at, count));
    }
    /// Takes over what another one noted over the same time.
    pub(crate) fn merge(&mut self, other: Self) {
        self.done.extend(other.done);
    }
    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.done.iter().map(|(_, count)| count).sum()
    }
    #[allow(clippy::cast_precision_loss, reason = "rates need no 53 bits")]
    fn whole(&self) -> f64 {
        let end = self
            .done
            .iter()
            .map(|(at, _)| *at)
            .max()
            .unwrap_or_default();
        self.count() as f64 / end.as_secs_f64().max(1e-9)
    }
    /// Whole seconds only, and only where there are three.
    #[allow(clippy::cast_precision_loss, reason = "rates need no 53 bits")]
    fn worst_second(&self) -> Option<f64> {
        let end = self.done.iter().map(|(at, _)| *at).max()?;
        let seconds = end.as_secs();
        if seconds < 3 {
            return None;
        }
        let counts = (0..seconds).map(|second| {
            let within = self.done.iter().filter(|(at, _)| at.as_secs() == second);
            within.map(|(_, count)| count).sum::<usize>()
        });
        counts.min().map(|count| count as f64)
    }
}

/// The measurement can't go on.
pub(crate) fn failed(what: impl std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the measurement broke off: {what}"),
        "run it again with `--only` for the one that broke, on a quiet machine",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn times_give_median_percentile_and_ratio() {
        let row = Row::times(
            "x",
            Unit::Millis,
            (1..=100).map(ms).collect(),
            "y",
            vec![ms(17)],
        );
        assert_eq!(
            (row.ours, row.ours_worst, row.ratio),
            (51.0, Some(100.0), Some(3.0))
        );
        assert_eq!(row.cells()[5], "3.00 ×");
        assert_eq!(row.overhead("z").ours, 34.0);
    }

    #[test]
    fn the_worst_second_is_a_whole_one_and_needs_three() {
        let mut rate = Rate::default();
        for (at, count) in [(500, 10), (1_500, 4), (2_500, 10), (3_200, 1)] {
            rate.note(ms(at), count);
        }
        assert_eq!(rate.worst_second(), Some(4.0));
        assert_eq!(rate.whole(), 25.0 / 3.2);
        let mut short = Rate::default();
        short.note(ms(2_999), 7);
        assert_eq!(short.worst_second(), None);
    }

    #[test]
    fn figures_have_three_digits_or_whole_thousands() {
        let shown: Vec<_> = [1.234, 56.78, 123.4, 1_234_567.8, -123.4]
            .map(figure)
            .into();
        assert_eq!(shown, ["1.23", "56.8", "123", "1,234,568", "-123"]);
    }
}
