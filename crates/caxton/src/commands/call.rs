//! `caxton call`: calls a processor, or an action of an extension, on a node.

use std::{fs, io::Read as _, path::PathBuf};

use caxton_client::{Call, CallOutput, api::CallMeasures};
use caxton_model::Digest;
use serde::Serialize;

use crate::{
    connection::Connection,
    environment::Environment,
    failure::{Exit, Failure},
    output::{Format, Output, write_guest_output},
};

/// Which processor, and on what.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The processor's name
    name: String,
    /// Of an extension: the action; without it, its description is printed
    function: Option<String>,
    /// The input: a file, or `-` for stdin; default: none
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The input's content type, where the processor names what it takes
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// The result with its measures, as printed.
#[derive(Serialize)]
struct Called {
    /// Absent where the output is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    output_bytes: usize,
    output_digest: String,
    measures: CallMeasures,
}

/// Does it.
pub(crate) async fn run(
    args: Args,
    output: &Output,
    environment: &Environment,
) -> Result<(), Failure> {
    let client = args.connection.client(environment).await?;
    let call = Call {
        function: args.function,
        input: read_input(args.input).await?,
        content_type: args.content_type,
    };
    let CallOutput {
        output: bytes,
        measures,
    } = client.call(&args.name, call).await?;
    if output.format == Format::Table {
        return write_guest_output(&bytes);
    }
    let called = Called {
        output_bytes: bytes.len(),
        output_digest: Digest::of(&bytes).to_string(),
        output: String::from_utf8(bytes).ok(),
        measures,
    };
    output.value(&called, |_| String::new())
}

async fn read_input(path: Option<PathBuf>) -> Result<Vec<u8>, Failure> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    if path.as_os_str() != "-" {
        return fs::read(&path).map_err(|error| Failure::file(&path, &error));
    }
    let reading = tokio::task::spawn_blocking(|| {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    });
    match reading.await {
        Ok(read) => Ok(read?),
        Err(error) => Err(Failure::new(
            Exit::Failed,
            format!("stdin could not be read: {error}"),
            "name a file with --input",
        )),
    }
}
