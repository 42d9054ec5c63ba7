//! One row of the table: ours beside the bare part.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    /// Less is better.
    #[serde(rename = "µs")]
    Micros,
    /// Less is better.
    #[serde(rename = "ms")]
    Millis,
    /// Less is better.
    #[serde(rename = "KiB")]
    KiB,
    /// More is better.
    #[serde(rename = "/s")]
    PerSecond,
}

impl Unit {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Micros => "µs",
            Self::Millis => "ms",
            Self::KiB => "KiB",
            Self::PerSecond => "/s",
        }
    }
    /// A time in this unit.
    fn of(self, time: Duration) -> f64 {
        match self {
            Self::Micros => time.as_secs_f64() * 1e6,
            // A size is no time; rows of sizes are made by `Row::size`.
            Self::Millis | Self::KiB => time.as_secs_f64() * 1e3,
            Self::PerSecond => 1.0 / time.as_secs_f64().max(1e-9),
        }
    }
}

/// What a row has to reach. Compared with the figure itself, never with what the table rounds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// The median.
    AtMost(f64),
    /// The median.
    Under(f64),
    /// The 99th percentile.
    WorstAtMost(f64),
    /// Ours by the bare part's.
    RatioAtMost(f64),
    /// Ours by the bare part's.
    RatioUnder(f64),
    /// Ours by the bare part's.
    RatioAtLeast(f64),
    /// The 99th percentile by the bare part's.
    WorstRatioAtMost(f64),
    /// The bare part takes so many times as long.
    TimesFaster(f64),
    /// The rate.
    AtLeast(f64),
    /// The worst second is at least half the rate.
    Steady,
}

/// One row.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// The bare part's 99th percentile.
    pub(crate) bare_worst: Option<f64>,
    /// Ours by the bare part's.
    pub(crate) ratio: Option<f64>,
    /// What has to be reached.
    pub(crate) target: Option<String>,
    /// Whether it is; nothing where the figure was not measured or there is no target.
    pub(crate) met: Option<bool>,
    /// What the bare part is.
    pub(crate) bare_part: Cow<'static, str>,
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
        let row = Self::new(what, unit, unit.of(ours.p50), bare_part, samples);
        let row = Self {
            ours_worst: Some(unit.of(ours.p99)),
            bare_worst: Some(unit.of(bare.p99)),
            ..row
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
        Self::rate_alone(what, ours, bare_part).beside(bare.whole())
    }
    /// A row of a rate that no bare part has.
    pub(crate) fn rate_alone(
        what: impl Into<String>,
        ours: &Rate,
        bare_part: &'static str,
    ) -> Self {
        Self {
            ours_worst: ours.worst_second(),
            ..Self::new(what, Unit::PerSecond, ours.whole(), bare_part, ours.count())
        }
    }
    /// A row of one size, the mean of so many. Unit: KiB.
    pub(crate) fn size(
        what: impl Into<String>,
        kib: f64,
        samples: usize,
        bare_part: &'static str,
        bare: Option<f64>,
    ) -> Self {
        let row = Self::new(what, Unit::KiB, kib, bare_part, samples);
        match bare {
            Some(bare) => row.beside(bare),
            None => row,
        }
    }
    fn new(
        what: impl Into<String>,
        unit: Unit,
        ours: f64,
        bare_part: &'static str,
        samples: usize,
    ) -> Self {
        Self {
            what: what.into(),
            unit,
            ours,
            ours_worst: None,
            bare: None,
            bare_worst: None,
            ratio: None,
            target: None,
            met: None,
            bare_part: bare_part.into(),
            samples,
        }
    }
    fn beside(mut self, bare: f64) -> Self {
        self.ratio = (bare > 0.0).then(|| self.ours / bare);
        self.bare = Some(bare);
        self
    }
    /// With a target; called twice, with both.
    pub(crate) fn must(mut self, target: Target) -> Self {
        let (text, met) = self.judge(target);
        (self.target, self.met) = match self.target.take() {
            None => (Some(text), met),
            Some(first) => {
                let both = match (self.met, met) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                };
                (Some(format!("{first}, {text}")), both)
            }
        };
        self
    }
    fn judge(&self, target: Target) -> (String, Option<bool>) {
        let worst_ratio = || Some(self.ours_worst? / self.bare_worst.filter(|bare| *bare > 0.0)?);
        match target {
            Target::AtMost(most) => (format!("≤ {}", limit(most)), Some(self.ours <= most)),
            Target::Under(end) => (format!("< {}", limit(end)), Some(self.ours < end)),
            Target::AtLeast(least) => (format!("≥ {}", limit(least)), Some(self.ours >= least)),
            Target::WorstAtMost(most) => (
                format!("p99 ≤ {}", limit(most)),
                self.ours_worst.map(|worst| worst <= most),
            ),
            Target::RatioAtMost(most) => {
                (format!("≤ {most} ×"), self.ratio.map(|ratio| ratio <= most))
            }
            Target::RatioUnder(end) => (format!("< {end} ×"), self.ratio.map(|ratio| ratio < end)),
            Target::RatioAtLeast(least) => (
                format!("≥ {least} ×"),
                self.ratio.map(|ratio| ratio >= least),
            ),
            Target::WorstRatioAtMost(most) => (
                format!("p99 ≤ {most} × bare's"),
                worst_ratio().map(|ratio| ratio <= most),
            ),
            Target::TimesFaster(times) => (
                format!("≥ {times} × faster"),
                self.bare.map(|bare| bare >= times * self.ours),
            ),
            Target::Steady => (
                "worst ≥ half".to_owned(),
                self.ours_worst.map(|worst| worst >= self.ours / 2.0),
            ),
        }
    }
    /// What ours takes more than the bare part, as a row of its own.
    pub(crate) fn overhead(&self, what: impl Into<String>) -> Self {
        let more = self.ours - self.bare.unwrap_or(0.0);
        let bare_part = "the row above, ours less bare";
        Self::new(what, self.unit, more, bare_part, self.samples)
    }
    /// The same figures under another name, for another target.
    pub(crate) fn again(&self, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            target: None,
            met: None,
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
    pub(crate) fn cells(&self) -> [String; 9] {
        let optional = |value: Option<f64>| value.map_or_else(String::new, figure);
        let verdict = match (&self.target, self.met) {
            (None, _) => "",
            (_, Some(true)) => "met",
            (_, Some(false)) => "missed",
            (_, None) => "not measured",
        };
        [
            self.what.clone(),
            figure(self.ours),
            optional(self.ours_worst),
            self.unit.as_str().to_owned(),
            optional(self.bare),
            self.ratio
                .map_or_else(String::new, |ratio| format!("{ratio:.2} ×")),
            self.target.clone().unwrap_or_default(),
            verdict.to_owned(),
            self.bare_part.to_string(),
        ]
    }
}

/// A limit as it was set: all its digits.
fn limit(value: f64) -> String {
    if value < 1_000.0 {
        value.to_string()
    } else {
        figure(value)
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

/// Times in whole ticks of a guest's clock, each spread over the tick it may have been in.
///
/// The difference of two readings that were cut off is right on average, and off by less than a
/// tick; a median of such whole numbers would be a whole number too.
#[allow(clippy::cast_precision_loss, reason = "counts of samples are small")]
pub(crate) fn from_micros(mut whole: Vec<u32>) -> Vec<Duration> {
    whole.sort_unstable();
    let mut times = Vec::with_capacity(whole.len());
    for equal in whole.chunk_by(|a, b| a == b) {
        for (i, micros) in equal.iter().enumerate() {
            let within = (2 * i + 1) as f64 / (2 * equal.len()) as f64;
            let time = (f64::from(*micros) - 0.5 + within).max(0.0);
            times.push(Duration::from_secs_f64(time / 1e6));
        }
    }
    times
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
    fn a_target_is_judged_by_the_figure_and_not_by_what_the_table_shows() {
        let row = |micros| {
            let took = Duration::from_nanos(micros);
            Row::times(
                "x",
                Unit::Micros,
                vec![took],
                "y",
                vec![Duration::from_nanos(1_000)],
            )
        };
        let cells = row(1_301).must(Target::RatioAtMost(1.3)).cells();
        assert_eq!(
            (&cells[5][..], &cells[6][..], &cells[7][..]),
            ("1.30 ×", "≤ 1.3 ×", "missed")
        );
        assert_eq!(row(1_300).must(Target::RatioAtMost(1.3)).met, Some(true));
        assert_eq!(row(100).must(Target::TimesFaster(10.0)).met, Some(true));
        assert_eq!(row(101).must(Target::TimesFaster(10.0)).met, Some(false));
        assert_eq!(
            row(2_000).must(Target::WorstRatioAtMost(2.0)).met,
            Some(true)
        );
        assert_eq!(row(2_001).must(Target::WorstAtMost(2.0)).met, Some(false));
        assert_eq!(row(7).cells()[7], "");
    }

    #[test]
    fn of_two_targets_both_must_be_met_and_what_was_not_measured_is_not_met() {
        let mut rate = Rate::default();
        rate.note(ms(500), 10);
        let short = Row::rates("x", &rate, "y", &rate).must(Target::AtLeast(20.0));
        assert_eq!(short.met, Some(true));
        let short = short.must(Target::Steady);
        assert_eq!((short.met, &short.cells()[7][..]), (None, "not measured"));
        let missed = short
            .again("z")
            .must(Target::AtLeast(21.0))
            .must(Target::Steady);
        assert_eq!(missed.met, Some(false));
        assert_eq!(missed.target.as_deref(), Some("≥ 21, worst ≥ half"));
        for (at, count) in [(1_500, 9), (2_500, 9), (3_000, 0)] {
            rate.note(ms(at), count);
        }
        let steady = Row::rates("x", &rate, "y", &rate).must(Target::Steady);
        assert_eq!(steady.met, Some(true));
        rate.note(ms(2_900), 20);
        let uneven = Row::rates("x", &rate, "y", &rate).must(Target::Steady);
        assert_eq!(uneven.met, Some(true));
        rate.note(ms(2_950), 20);
        let uneven = Row::rates("x", &rate, "y", &rate).must(Target::Steady);
        assert_eq!(uneven.met, Some(false));
    }

    #[test]
    fn whole_microseconds_are_spread_over_their_tick() {
        let times = from_micros(vec![4, 3, 4, 4]);
        let nanos: Vec<_> = times.iter().map(Duration::as_nanos).collect();
        assert_eq!(nanos, [3_000, 3_667, 4_000, 4_333]);
        assert_eq!(from_micros(vec![0, 0])[0], Duration::ZERO);
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
