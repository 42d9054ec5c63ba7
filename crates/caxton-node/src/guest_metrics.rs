//! Metrics that guests record about themselves. They go with their agent.

use std::{collections::BTreeMap, fmt::Write as _};

use caxton_engine::MetricKind;
use caxton_model::HostCode;

/// Names of metrics one guest may have.
///
/// Each is a time series for whoever scrapes; 100 is what the contract promises.
const METRICS_MAX: usize = 100;

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 100;

/// What a metric takes beside its name and buckets, allocations included. Unit: bytes.
const METRIC_BYTES: usize = 100;

/// Upper ends of a histogram's buckets but the last: the powers of ten from a millionth to a million.
const BUCKETS: [f64; 13] = [
    1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6,
];

/// What one guest has recorded, by name.
#[derive(Debug, Clone, Default)]
pub struct GuestMetrics(BTreeMap<String, GuestMetric>);

/// One metric of a guest.
#[derive(Debug, Clone, PartialEq)]
pub enum GuestMetric {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(f64),
    /// A distribution.
    Histogram(Box<GuestHistogram>),
}

/// How often values fell below each bucket's upper end, and their sum.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GuestHistogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

impl GuestMetrics {
    /// Each with its name, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &GuestMetric)> {
        self.0.iter().map(|(name, metric)| (name.as_str(), metric))
    }
    /// What all of them take. Unit: bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0
            .iter()
            .map(|(name, metric)| metric.bytes_as(name))
            .sum()
    }
    /// Takes a value. Before a new name is kept, `charge` is told what all of them take with it.
    ///
    /// Errors: `Malformed` for a name or a value that is none, and for a name that has another kind;
    /// `QuotaReached` for a name too many; whatever `charge` refuses.
    pub(crate) fn record(
        &mut self,
        kind: MetricKind,
        name: &str,
        value: f64,
        charge: impl FnOnce(u64) -> Result<(), HostCode>,
    ) -> Result<(), HostCode> {
        let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name || !value.is_finite() {
            return Err(HostCode::Malformed);
        }
        if let Some(metric) = self.0.get_mut(name) {
            return metric.record(kind, value);
        }
        if self.0.len() >= METRICS_MAX {
            return Err(HostCode::QuotaReached);
        }
        let mut metric = GuestMetric::new(kind);
        metric.record(kind, value)?;
        charge(self.bytes() + metric.bytes_as(name))?;
        self.0.insert(name.to_owned(), metric);
        Ok(())
    }
}

impl GuestMetric {
    fn new(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Counter => Self::Counter(0),
            MetricKind::Gauge => Self::Gauge(0.0),
            MetricKind::Histogram => Self::Histogram(Box::default()),
        }
    }
    fn record(&mut self, kind: MetricKind, value: f64) -> Result<(), HostCode> {
        match (self, kind) {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a counter grows by whole steps; negative steps are none"
            )]
            (Self::Counter(all), MetricKind::Counter) => {
                *all = all.saturating_add(value.max(0.0) as u64);
            }
            (Self::Gauge(last), MetricKind::Gauge) => *last = value,
            (Self::Histogram(all), MetricKind::Histogram) => all.record(value),
            _ => return Err(HostCode::Malformed),
        }
        Ok(())
    }
    /// What it takes under that name. Unit: bytes.
    fn bytes_as(&self, name: &str) -> u64 {
        let buckets = match self {
            Self::Counter(_) | Self::Gauge(_) => 0,
            Self::Histogram(_) => size_of::<GuestHistogram>(),
        };
        (METRIC_BYTES + name.len() + buckets) as u64
    }
    /// The kind, as Prometheus calls it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
    /// What follows a family's name in the names of its samples.
    #[must_use]
    pub const fn suffixes(&self) -> &'static [&'static str] {
        match self {
            Self::Counter(_) | Self::Gauge(_) => &[""],
            Self::Histogram(_) => &["", "_bucket", "_sum", "_count"],
        }
    }
    /// Writes its samples in the text form of Prometheus.
    pub fn write(&self, family: &str, agent: &str, out: &mut String) {
        // Writing to a text can't fail.
        let _ = match self {
            Self::Counter(value) => writeln!(out, "{family}{{agent=\"{agent}\"}} {value}"),
            Self::Gauge(value) => writeln!(out, "{family}{{agent=\"{agent}\"}} {value}"),
            Self::Histogram(all) => all.write(family, agent, out),
        };
    }
}

impl GuestHistogram {
    fn record(&mut self, value: f64) {
        for (end, count) in BUCKETS.iter().zip(&mut self.buckets) {
            *count += u64::from(value <= *end);
        }
        self.count += 1;
        self.sum += value;
    }
    fn write(&self, family: &str, agent: &str, out: &mut String) -> std::fmt::Result {
        for (end, count) in BUCKETS.iter().zip(self.buckets) {
            writeln!(
                out,
                "{family}_bucket{{agent=\"{agent}\",le=\"{end}\"}} {count}"
            )?;
        }
        let (count, sum) = (self.count, self.sum);
        writeln!(
            out,
            "{family}_bucket{{agent=\"{agent}\",le=\"+Inf\"}} {count}"
        )?;
        writeln!(out, "{family}_sum{{agent=\"{agent}\"}} {sum}")?;
        writeln!(out, "{family}_count{{agent=\"{agent}\"}} {count}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(
        metrics: &mut GuestMetrics,
        kind: MetricKind,
        name: &str,
        value: f64,
    ) -> Result<(), HostCode> {
        metrics.record(kind, name, value, |_| Ok(()))
    }

    #[test]
    fn a_name_keeps_its_kind_and_names_are_bounded() {
        let mut metrics = GuestMetrics::default();
        record(&mut metrics, MetricKind::Counter, "x", 2.9).unwrap();
        record(&mut metrics, MetricKind::Counter, "x", -5.0).unwrap();
        for other in [MetricKind::Gauge, MetricKind::Histogram] {
            let refused = record(&mut metrics, other, "x", 1.0);
            assert_eq!(refused, Err(HostCode::Malformed));
        }
        assert_eq!(
            metrics.iter().next().unwrap(),
            ("x", &GuestMetric::Counter(2))
        );
        let long = "n".repeat(101);
        for (name, value) in [
            ("", 1.0),
            ("a-b", 1.0),
            ("é", 1.0),
            (&long, 1.0),
            ("y", f64::NAN),
        ] {
            let refused = record(&mut metrics, MetricKind::Gauge, name, value);
            assert_eq!(refused, Err(HostCode::Malformed), "{name}");
        }
        for i in 1..METRICS_MAX {
            record(&mut metrics, MetricKind::Gauge, &format!("n{i}"), 1.0).unwrap();
        }
        let more = record(&mut metrics, MetricKind::Gauge, "more", 1.0);
        assert_eq!(more, Err(HostCode::QuotaReached));
        record(&mut metrics, MetricKind::Gauge, "n1", 2.0).unwrap();
    }

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let mut metrics = GuestMetrics::default();
        for value in [0.5, 20.0, 1e9] {
            record(&mut metrics, MetricKind::Histogram, "h", value).unwrap();
        }
        let mut text = String::new();
        metrics.iter().next().unwrap().1.write("f", "a", &mut text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 16);
        for line in [
            "f_bucket{agent=\"a\",le=\"0.1\"} 0",
            "f_bucket{agent=\"a\",le=\"1\"} 1",
            "f_bucket{agent=\"a\",le=\"1000000\"} 2",
            "f_bucket{agent=\"a\",le=\"+Inf\"} 3",
            "f_sum{agent=\"a\"} 1000000020.5",
            "f_count{agent=\"a\"} 3",
        ] {
            assert!(lines.contains(&line), "{line}: {text}");
        }
    }
}
