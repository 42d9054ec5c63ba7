//! `caxton top`: how a node is loaded and by which agents, again each second.
//!
//! The terminal is taken over whole and given back however the command ends; every picture is one
//! write, so that nothing flickers.

use std::{
    io::{IsTerminal as _, Read as _},
    time::Duration,
};

use caxton_client::{
    CaxtonClient,
    api::{TopSort, TopView},
};
use crossterm::terminal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

use super::top_text;
use crate::{
    connection::Connection,
    environment::Environment,
    failure::{Exit, Failure},
    output::{Format, Output, write_stdout},
};

/// Between two pictures: the node takes its own measures as often.
const REFRESH: Duration = Duration::from_secs(1);
/// Agents asked for where no screen bounds them.
const AGENTS_ONCE: usize = 20;
/// The most the API gives at once.
const AGENTS_MAX: usize = 1_000;
/// What a terminal that does not say its size is taken to be.
const SIZE: (u16, u16) = (80, 24);

/// The other screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// What is between these two is shown at once by terminals that know them; others ignore them.
const BEGIN: &str = "\x1b[?2026h\x1b[H";
const END: &str = "\x1b[J\x1b[?2026l";

/// Which node, and how.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Keys: q or Ctrl-C ends; c, t, b, m, f sort by CPU, turns, mailbox, memory, faults."
)]
pub(crate) struct Args {
    /// What the busiest agents are sorted by
    #[arg(long, default_value = "cpu", value_parser = sort_parser())]
    sort: TopSort,
    /// Agents shown; default: as many as fit, or 20
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: Option<u16>,
    /// Print one picture and end, as when this is no terminal or for `--output json`
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    connection: Connection,
}

fn sort_parser() -> impl clap::builder::TypedValueParser<Value = TopSort> {
    use clap::builder::TypedValueParser as _;
    clap::builder::PossibleValuesParser::new(TopSort::ALL.map(TopSort::as_str)).map(|text| {
        TopSort::ALL
            .into_iter()
            .find(|sort| sort.as_str() == text)
            .unwrap_or_default()
    })
}

/// Does it.
pub(crate) async fn run(
    args: Args,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let node = args.connection.name(environment)?;
    let client = args.connection.client(environment).await?;
    let limit = args.limit.map(usize::from);
    // Asked before the terminal is taken over: a wrong address or token is said as always.
    let first = client.top(args.sort, limit.unwrap_or(AGENTS_ONCE)).await?;
    let watched = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if args.once || !watched || output.format != Format::Table {
        return output.value(&first, |view| top_text::plain(&node, view, args.sort));
    }
    let mut watch = Watch {
        node,
        client,
        sort: args.sort,
        limit,
        view: first,
        problem: None,
    };
    let screen = Screen::open()?;
    let result = watch.run(output).await;
    drop(screen);
    result
}

/// What is on the screen.
struct Watch {
    node: String,
    client: CaxtonClient,
    sort: TopSort,
    limit: Option<usize>,
    view: TopView,
    /// Why the figures are old.
    problem: Option<String>,
}

impl Watch {
    async fn run(&mut self, output: &Output) -> Result<(), Failure> {
        let mut keys = keys()?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut clock = tokio::time::interval(REFRESH);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = clock.tick() => self.ask().await,
                key = keys.recv() => match key {
                    None | Some(b'q' | b'Q') => return Ok(()),
                    Some(CTRL_C) => return Err(Failure::interrupted("", "")),
                    Some(key) => {
                        let Some(sort) = sort_of(key) else { continue };
                        self.sort = sort;
                        self.ask().await;
                    }
                },
                _ = terminate.recv() => return Ok(()),
                _ = hang_up.recv() => return Ok(()),
            }
            self.draw(output)?;
        }
    }

    async fn ask(&mut self) {
        let (_, height) = size();
        let limit = self
            .limit
            .unwrap_or(usize::from(height))
            .clamp(1, AGENTS_MAX);
        match self.client.top(self.sort, limit).await {
            Ok(view) => (self.view, self.problem) = (view, None),
            Err(error) => self.problem = Some(Failure::from(error).what),
        }
    }

    fn draw(&self, output: &Output) -> Result<(), Failure> {
        let (width, height) = size();
        let lines = top_text::lines(&self.node, &self.view, self.sort, self.problem.as_deref());
        let mut text = String::from(BEGIN);
        for (i, line) in lines.iter().take(height.into()).enumerate() {
            if i > 0 {
                text.push_str("\r\n");
            }
            let cut: String = line.text.chars().take(width.into()).collect();
            text.push_str(&output.paint(&cut, line.style));
            text.push_str("\x1b[K");
        }
        text.push_str(END);
        write_stdout(text.as_bytes())
    }
}

fn size() -> (u16, u16) {
    terminal::size()
        .ok()
        .filter(|(width, height)| *width > 0 && *height > 0)
        .unwrap_or(SIZE)
}

/// What Ctrl-C is while the terminal hands on every key as it is.
const CTRL_C: u8 = 3;

fn sort_of(key: u8) -> Option<TopSort> {
    Some(match key.to_ascii_lowercase() {
        b'c' => TopSort::Cpu,
        b't' => TopSort::Turns,
        b'b' => TopSort::Mailbox,
        b'm' => TopSort::Memory,
        b'f' => TopSort::Faults,
        _ => return None,
    })
}

/// Keys as they are pressed; no more of them means that the terminal is gone.
fn keys() -> Result<mpsc::Receiver<u8>, Failure> {
    let (sender, keys) = mpsc::channel(16);
    // A thread of its own, because a read can't be called off; it ends with the program.
    std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || {
            let mut byte = [0];
            while let Ok(1) = std::io::stdin().read(&mut byte) {
                if sender.blocking_send(byte[0]).is_err() {
                    return;
                }
            }
        })?;
    Ok(keys)
}

/// The terminal while it is taken over; dropping it gives it back.
struct Screen;

impl Screen {
    fn open() -> Result<Self, Failure> {
        terminal::enable_raw_mode().map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the terminal can't be taken over: {error}"),
                "use --once",
            )
        })?;
        let screen = Self;
        write_stdout(ENTER.as_bytes())?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Both are tried whatever the other says: a terminal half given back is of no use.
        let left = write_stdout(LEAVE.as_bytes());
        let cooked = terminal::disable_raw_mode();
        if left.is_err() || cooked.is_err() {
            tracing::debug!("the terminal is gone");
        }
    }
}
