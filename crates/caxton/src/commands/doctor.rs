//! `caxton doctor`: attacks every limit of a node over its API, looks at every right, and says which hold.

use std::{
    cell::{Cell, RefCell},
    future::{Future, pending},
    time::{Duration, Instant},
};

use caxton_client::{CaxtonClient, api::VersionView};
use caxton_model::{EngineKind, LimitName};
use serde::Serialize;

use crate::{
    config::{NodeConfig, layers::Layers},
    connection::Connection,
    environment::Environment,
    failure::{Exit, Failure},
    output::Output,
    serving::{self, Serving},
};

mod attack;
mod guests;
mod local;
mod neighbour;
mod node;
mod outside;
mod rights;
mod row;
mod ward;

use neighbour::Neighbour;
use row::{Found, Row, micros, show};
use ward::Ward;

/// How long a node of this program's own may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Which node.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Start a node in a throw-away directory and examine that one
    #[arg(long, conflicts_with_all = ["url", "data", "ca"])]
    own: bool,
    /// With --own: what turns guest code into action, cranelift or pulley
    #[arg(long, value_name = "ENGINE", requires = "own")]
    engine: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Everything that was found.
#[derive(Serialize)]
struct Examination {
    url: String,
    version: VersionView,
    /// Whether everything that was judged is as promised.
    held: bool,
    rows: Vec<Row>,
}

/// Does it.
pub(crate) fn run(args: Args, output: &Output, environment: &Environment) -> Result<(), Failure> {
    if args.own {
        return own(args.engine, output);
    }
    serving::runtime()?.block_on(async {
        let stop = serving::stop_signal(None)?;
        let client = args.connection.client(environment).await?;
        examine(&client, output, stop).await
    })
}

/// A node that lives as long as its examination.
fn own(engine: Option<String>, output: &Output) -> Result<(), Failure> {
    let folder = tempfile::Builder::new()
        .prefix("caxton-doctor-")
        .tempdir()?;
    let data = folder.path().join("data");
    let mut flags = vec![
        ("http.listen", "--listen", "127.0.0.1:0".into()),
        ("data", "--data", data.clone().into()),
        ("log.filter", "--log", "error".into()),
    ];
    flags.extend(engine.map(|engine| ("engine.kind", "--engine", engine.into())));
    let layers = Layers::read(None, &Environment::default(), &flags)
        .map_err(|error| Failure::usage(error.to_string().trim_end(), "give another --engine"))?;
    let mut config = NodeConfig::from_layers(&layers, data);
    config.vault_key = Some(folder.path().join("vault.key"));
    // Beside the data directory, which is for the node alone.
    let written = folder.path().join("written-by-guests");
    std::fs::create_dir(&written)?;
    config
        .directories
        .push((outside::DIRECTORY.to_owned(), written));
    let _logging = crate::logging::start(&config.log, &Environment::default())?;
    let examined = serving::runtime()?.block_on(async {
        let stop = serving::stop_signal(Some(&config.data))?;
        let serving = Serving::start(&config).await?;
        let examined = examine(&serving.client()?, output, stop).await;
        serving.stop(GRACE).await;
        examined
    });
    folder.close()?;
    examined
}

/// Attacks, prints, cleans up, judges. After `stop` no further attack begins.
async fn examine(
    client: &CaxtonClient,
    output: &Output,
    stop: impl Future<Output = &'static str>,
) -> Result<(), Failure> {
    let version = client.version().await.map_err(|error| {
        let failure = Failure::from(error);
        let help = format!(
            "{}; `caxton doctor --own` examines one of its own",
            failure.help
        );
        Failure { help, ..failure }
    })?;
    let mut ward = Ward::new(client.clone());
    let stopped = Cell::new(false);
    let attacked = tokio::select! {
        attacked = attack_all(&mut ward, &version, &stopped, output) => attacked,
        () = async { stop.await; stopped.set(true); pending().await } => return Ok(()),
    };
    for left in ward.clear().await {
        output.note(&format!("not removed: {left}"));
    }
    let examination = Examination {
        url: client.url().to_owned(),
        version,
        held: true,
        rows: attacked?,
    };
    print(examination, stopped.get(), output)
}

fn print(mut examination: Examination, stopped: bool, output: &Output) -> Result<(), Failure> {
    let red: Vec<String> = examination
        .rows
        .iter()
        .filter(|row| row.is_red())
        .map(|row| row.check.clone())
        .collect();
    examination.held = red.is_empty() && !stopped;
    output.value(&examination, |examination| show(&examination.rows))?;
    if !red.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            format!("not as promised: {}", red.join(", ")),
            "run it again on a quiet machine; if it stays, let only modules in that you trust, and \
             report it with this table",
        ));
    }
    if stopped {
        return Err(Failure::interrupted(
            "interrupted before everything was examined; what was deployed is removed",
            "run it again",
        ));
    }
    Ok(())
}

/// All rows, with the neighbour asked all along.
async fn attack_all(
    ward: &mut Ward,
    version: &VersionView,
    stopped: &Cell<bool>,
    output: &Output,
) -> Result<Vec<Row>, Failure> {
    ward.open().await?;
    let neighbour = Neighbour::place(ward).await?;
    let rows = RefCell::new(Vec::new());
    let note = |row: Row| {
        if output.shows_progress() {
            output.note(&format!("{}: {}", row.check, row.reached));
        }
        rows.borrow_mut().push(row);
    };
    let attacks = async {
        for limit in LimitName::ALL {
            if stopped.get() {
                return;
            }
            let engine = version.engine.parse::<EngineKind>().ok();
            let begun = Instant::now();
            let found = attack::attack(ward, *limit, engine).await;
            let mut row = row(limit.as_str(), begun, found, &neighbour).await;
            row.set_to = Some(limit.show(attack::set_to(*limit)));
            note(row);
        }
        for right in rights::RIGHTS {
            if stopped.get() {
                return;
            }
            let begun = Instant::now();
            let found = rights::check(ward, right).await;
            note(row(right.permission.as_str(), begun, found, &neighbour).await);
        }
        let begun = Instant::now();
        let found = rights::not_performed(ward).await;
        note(row("other rights", begun, found, &neighbour).await);
        for check in node::CHECKS {
            let begun = Instant::now();
            let found = node::check(ward, check, version).await;
            note(row(check, begun, found, &neighbour).await);
        }
        let begun = Instant::now();
        note(row("neighbour", begun, Ok(neighbour.verdict()), &neighbour).await);
    };
    tokio::select! {
        () = attacks => {}
        () = neighbour.ask_for_ever() => {}
    }
    Ok(rows.into_inner())
}

/// An attack that could not be made is red too: nobody knows whether the limit holds.
async fn row(
    check: &str,
    begun: Instant,
    found: Result<Found, Failure>,
    neighbour: &Neighbour,
) -> Row {
    let took = begun.elapsed();
    let found = found.unwrap_or_else(|failure| {
        Found::judged(false, format!("could not be examined: {}", failure.what))
    });
    Row {
        check: check.to_owned(),
        set_to: None,
        reached: found.reached,
        held: found.held,
        micros: micros(took),
        neighbour: neighbour.since(begun).await,
    }
}
