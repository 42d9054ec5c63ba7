//! `caxton man`: manual pages, one for each command.

use std::{fs, path::PathBuf};

use clap::CommandFactory as _;

use crate::{cli::Cli, failure::Failure, output::write_stdout};

/// Where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write a page for each command into this folder; default: print the first page
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let command = Cli::command();
    match &args.dir {
        None => write_stdout(&page(command)?),
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
            clap_mangen::generate_to(command, folder).map_err(|error| Failure::file(folder, &error))
        }
    }
}

fn page(command: clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}
