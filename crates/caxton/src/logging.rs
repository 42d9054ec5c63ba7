//! Logs to stderr, traces to an OpenTelemetry collector where the environment names one.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    config::LogConfig,
    environment::Environment,
    failure::{Exit, Failure},
    output::{LogWriter, one_line, write_stderr},
};

/// Keeps the exporter alive; dropping it sends what is left.
pub(crate) struct Logging {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take()
            && let Err(error) = traces.shutdown()
        {
            // Nothing is left to log to.
            write_stderr(&one_line(&format!(
                "the last traces could not be sent: {error}"
            )));
        }
    }
}

/// Starts logging. Traces are exported if `OTEL_EXPORTER_OTLP_ENDPOINT` or its like is set.
pub(crate) fn start(config: &LogConfig, environment: &Environment) -> Result<Logging, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Usage,
            format!("logging can't be started: {error}"),
            "check log.filter and the OTEL_ variables",
        )
    };
    let filter = EnvFilter::try_new(&config.filter).map_err(|error| wrong(&error))?;
    let text = (!config.json).then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(|| LogWriter)
            .with_ansi(false)
    });
    let json = config.json.then(|| {
        tracing_subscriber::fmt::layer()
            .json()
            .with_writer(|| LogWriter)
    });
    let exported = [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ]
    .iter()
    .any(|name| environment.get(name).is_some());
    let traces = if exported {
        Some(provider().map_err(|error| wrong(&error))?)
    } else {
        None
    };
    let layer = traces.as_ref().map(|traces| {
        tracing_opentelemetry::layer()
            .with_tracer(traces.tracer("caxton"))
            .with_filter(tracing_subscriber::filter::LevelFilter::INFO)
    });
    tracing_subscriber::registry()
        .with(text.with_filter(filter.clone()))
        .with(json.with_filter(filter))
        .with(layer)
        .try_init()
        .map_err(|error| wrong(&error))?;
    Ok(Logging { traces })
}

fn provider() -> Result<SdkTracerProvider, opentelemetry_otlp::ExporterBuildError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .build()?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(
            opentelemetry_sdk::Resource::builder()
                .with_service_name("caxton")
                .build(),
        )
        .build())
}
