//! `caxton up`: a node, until it is told to stop.

use crate::{
    commands::config::FileArgs,
    config::{NodeConfig, layers::Flags},
    environment::Environment,
    failure::Failure,
    logging,
    output::Output,
    serving::{self, Serving},
};

/// How the node runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    /// Where the API listens; `127.0.0.1:0` takes a free port
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The certificate chain, PEM
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// What turns guest code into action: cranelift or pulley
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,
    /// What is logged: a level, or targets with levels
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How log lines are written to stderr: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Deploy the demo's agents too, if they are not there
    #[arg(long)]
    demo: bool,
}

impl Args {
    fn flags(&self) -> Flags {
        let flag = |path, name, value: &Option<String>| Some((path, name, value.clone()?));
        [
            flag("http.listen", "--listen", &self.listen),
            flag("tls.cert", "--tls-cert", &self.tls_cert),
            flag("tls.key", "--tls-key", &self.tls_key),
            flag("engine.kind", "--engine", &self.engine),
            flag("log.filter", "--log", &self.log),
            flag("log.format", "--log-format", &self.log_format),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Does it.
pub(crate) fn run(args: Args, output: &Output, environment: &Environment) -> Result<(), Failure> {
    let layers = args.files.read(environment, args.flags())?;
    for note in &layers.notes {
        output.note(note);
    }
    let config = NodeConfig::from_layers(&layers, environment.data_directory());
    let _logging = logging::start(&config.log, environment)?;
    serving::runtime()?.block_on(async {
        let stop = serving::stop_signal()?;
        let serving = Serving::start(&config).await?;
        if args.demo {
            super::demo::deploy(&serving.client()?).await?;
        }
        output.line(&format!("listening on {}", serving.url()))?;
        let reason = stop.await;
        tracing::info!(reason, "stopping");
        serving.stop(config.shutdown_grace.duration()).await;
        tracing::info!("stopped");
        Ok(())
    })
}
