//! `caxton up`: a node, until it is told to stop.

use std::{ffi::OsString, path::PathBuf};

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
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The file with the vault's key; it is made if it is absent and the vault is empty
    #[arg(long, value_name = "FILE")]
    vault_key: Option<PathBuf>,
    /// The site's policy, which forbids and allows whatever agents are granted
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
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
        let flag = |path, name, value: &Option<String>| {
            let value = OsString::from(value.clone()?);
            Some((path, name, value))
        };
        let file = |path, name, value: &Option<PathBuf>| {
            let value = value.clone()?.into_os_string();
            Some((path, name, value))
        };
        [
            flag("http.listen", "--listen", &self.listen),
            file("tls.cert", "--tls-cert", &self.tls_cert),
            file("tls.key", "--tls-key", &self.tls_key),
            file("vault.key", "--vault-key", &self.vault_key),
            file("policy", "--policy", &self.policy),
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
    let data = match layers.path("data") {
        Some(data) => data,
        None => environment.data_directory(None)?,
    };
    let config = NodeConfig::from_layers(&layers, data);
    let _logging = logging::start(&config.log, environment)?;
    serving::runtime()?.block_on(async {
        let stop = serving::stop_signal(Some(&config.data))?;
        let serving = Serving::start(&config).await?;
        if args.demo
            && let Err(failure) = deploy_demo(&serving).await
        {
            serving.stop(config.shutdown_grace.duration()).await;
            return Err(failure);
        }
        let listening = format!("listening on {}", serving.url());
        if output.line(&listening).is_err() {
            // Nobody reads stdout; the address stands in the data directory, too.
            output.note(&format!("stdout can't be written; {listening}"));
        }
        let reason = stop.await;
        tracing::info!(reason, "stopping");
        serving.stop(config.shutdown_grace.duration()).await;
        tracing::info!("stopped");
        Ok(())
    })
}

async fn deploy_demo(serving: &Serving) -> Result<(), Failure> {
    super::demo::deploy(&serving.client()?).await
}
