//! How results and failures reach the terminal: as a table, as JSON, as YAML.
//!
//! Every byte that the program writes leaves through this module, which escapes what a guest, a node
//! or a file could have put into it ([`escape`]). Only a guest's own output that goes into a file or
//! a pipe stays as it is.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
};

use comfy_table::{ContentArrangement, Table, presets};
use owo_colors::{OwoColorize as _, Style};
use serde::Serialize;

use crate::{
    cli::{Global, ParserAnswer},
    environment::Environment,
    failure::Failure,
};

mod escape;
mod yaml;

pub(crate) use escape::one_line;

/// JSON text for people, in one line and in safe characters.
pub(crate) fn json_line(json: &str) -> String {
    escape::json(json, false)
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs; lists that grow are one object a line
    Json,
    /// For people and programs
    Yaml,
}

/// Where and how results are printed.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) format: Format,
    color: bool,
    color_of_errors: bool,
}

impl Output {
    pub(crate) fn new(global: &Global, environment: &Environment) -> Self {
        let wanted = !global.no_color && environment.allows_colors();
        Self {
            format: global.output,
            color: wanted && io::stdout().is_terminal(),
            color_of_errors: wanted && io::stderr().is_terminal(),
        }
    }

    /// Prints one value; `table` says it to people. Texts in it that must stay in one line go
    /// through [`one_line`], [`table()`] or [`pairs`].
    pub(crate) fn value<T: Serialize>(
        &self,
        value: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table => escape::lines(&table(value), self.color),
            Format::Json => {
                let json = serde_json::to_string_pretty(value).map_err(unprintable)?;
                escape::json(&json, true)
            }
            Format::Yaml => yaml_of(value)?,
        };
        write_stdout(format!("{}\n", text.trim_end()).as_bytes())
    }
    /// Prints one entry of a list that grows; `line` says it to people, in one line.
    pub(crate) fn entry<T: Serialize>(
        &self,
        value: &T,
        line: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table => escape::line(&line(value), self.color),
            Format::Json => json_line(&serde_json::to_string(value).map_err(unprintable)?),
            Format::Yaml => format!("---\n{}", yaml_of(value)?.trim_end()),
        };
        write_stdout(format!("{text}\n").as_bytes())
    }
    /// Prints lines for people.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        write_stdout(format!("{}\n", escape::lines(text, self.color)).as_bytes())
    }
    /// Prints what people should know, beside the result.
    pub(crate) fn note(&self, text: &str) {
        let text = self.styled_error("note", Style::new().cyan().bold(), text);
        write_stderr(&text);
    }
    /// Prints why a command did not work.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.what.is_empty() {
            return;
        }
        let mut text = self.styled_error("error", Style::new().red().bold(), &failure.what);
        if let Some(drawing) = &failure.drawing {
            let theme = if self.color_of_errors {
                miette::GraphicalTheme::unicode()
            } else {
                miette::GraphicalTheme::unicode_nocolor()
            };
            let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(100);
            let mut drawn = String::new();
            if handler.render_report(&mut drawn, drawing.as_ref()).is_ok() {
                let drawn = escape::lines(drawn.trim_end(), self.color_of_errors);
                let _ = write!(text, "\n{drawn}");
            }
        }
        if !failure.help.is_empty() {
            let help = self.styled_error("help", Style::new().green().bold(), &failure.help);
            let _ = write!(text, "\n{help}");
        }
        write_stderr(&text);
    }
    /// A text behind its word. Further lines are indented, so that none can pass for a word of ours.
    fn styled_error(&self, word: &str, style: Style, text: &str) -> String {
        let text = escape::lines(text, false);
        let mut lines = text.lines();
        let mut out = if self.color_of_errors {
            format!("{}: ", word.style(style))
        } else {
            format!("{word}: ")
        };
        out.push_str(lines.next().unwrap_or_default());
        for line in lines {
            let indent = if line.starts_with("  ") { "" } else { "  " };
            let _ = write!(out, "\n{indent}{line}");
        }
        out
    }
    /// A word for people in a colour, where colours are shown.
    pub(crate) fn paint(&self, text: &str, style: Style) -> String {
        if self.color {
            text.style(style).to_string()
        } else {
            text.to_owned()
        }
    }
    /// Whether a progress bar would be seen.
    pub(crate) fn shows_progress(&self) -> bool {
        self.format == Format::Table && io::stderr().is_terminal()
    }
}

/// Prints what the parser of the command line says; the number that the program ends with.
pub(crate) fn answer_of_parser(answer: &ParserAnswer, environment: &Environment) -> ExitCode {
    let error = &answer.error;
    let colors = !answer.no_color
        && environment.allows_colors()
        && match error.use_stderr() {
            true => io::stderr().is_terminal(),
            false => io::stdout().is_terminal(),
        };
    let text = match colors {
        true => error.render().ansi().to_string(),
        false => error.render().to_string(),
    };
    let text = escape::lines(text.trim_end(), colors);
    if error.use_stderr() {
        write_stderr(&text);
    } else if let Err(failure) = write_stdout(format!("{text}\n").as_bytes()) {
        return failure.exit.into();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
}

/// Prints one entry as a line of JSON, whatever format was asked for.
pub(crate) fn write_json_line<T: Serialize>(value: &T) -> Result<(), Failure> {
    let line = json_line(&serde_json::to_string(value).map_err(unprintable)?);
    write_stdout(format!("{line}\n").as_bytes())
}

/// Writes bytes to stdout that are the program's own or were escaped.
///
/// Errors: [`Failure::reader_gone`], which ends a command without a word, if nobody reads any more.
pub(crate) fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::reader_gone()),
        result => Ok(result?),
    }
}

/// Writes what a guest put out: into a file or a pipe as it is, to a terminal in safe characters.
pub(crate) fn write_guest_output(bytes: &[u8]) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        write_stdout(escape::lines(&String::from_utf8_lossy(bytes), false).as_bytes())
    } else {
        write_stdout(bytes)
    }
}

/// Writes a line that was escaped to stderr. If nobody reads it, nobody is told.
pub(crate) fn write_stderr(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a guest's log line to stderr.
pub(crate) fn write_guest_log(level: &str, text: &str) {
    write_stderr(&format!("{level:5} {}", one_line(text)));
}

/// A writer of log lines, one a call, that escapes what is in them.
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = one_line(text.strip_suffix('\n').unwrap_or(&text));
        io::stderr().write_all(format!("{text}\n").as_bytes())?;
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// A number with its noun: "1 message", "2 messages".
pub(crate) fn count(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

fn yaml_of(value: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(value).map_err(unprintable)?;
    yaml::write(&json).map_err(unprintable)
}

fn unprintable(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        crate::failure::Exit::Failed,
        format!("the result can't be printed: {error}"),
        "use another --output",
    )
}

/// Rows under a head, as wide as they need; each cell is one line.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    painted_table(head, rows, |_, text| text)
}

/// The same; `paint` gets each cell's column and its text, and may colour it.
pub(crate) fn painted_table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    paint: impl Fn(usize, String) -> String,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head.map(str::to_uppercase));
    for row in rows {
        let cells = row.iter().enumerate();
        table.add_row(cells.map(|(column, text)| paint(column, one_line(text))));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Names and values below each other. Each value is one line; a name may be empty.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let mut text = String::new();
    for (name, value) in pairs {
        let line = format!("{name:width$}{}", one_line(value.trim_end()));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_and_end_without_blanks() {
        let text = table(
            ["name", "n"],
            [["a".into(), "1".into()], ["long".into(), "22".into()]],
        );
        assert_eq!(text, "NAME  N\na     1\nlong  22");
    }

    #[test]
    fn pairs_line_up_and_keep_each_value_in_its_line() {
        let text = pairs(&[("a", "1".into()), ("name", "x\ny".into()), ("", "z".into())]);
        assert_eq!(text, "a     1\nname  x\\ny\n      z\n");
    }

    #[test]
    fn a_cell_cannot_begin_a_line_or_move_the_cursor() {
        let text = table(["name"], [["x\n\x1b[2J\u{9b}H\r\ttail\u{202e}".into()]]);
        assert_eq!(text, "NAME\nx\\n\\u001b[2J\\u009bH\\r\\ttail\\u202e");
    }

    #[test]
    fn a_failure_of_several_lines_cannot_pass_for_another() {
        let output = Output {
            format: Format::Table,
            color: false,
            color_of_errors: false,
        };
        let shown = output.styled_error("error", Style::new(), "x\nhelp: run this\n  at f\x07");
        assert_eq!(shown, "error: x\n  help: run this\n  at f\\u0007");
    }
}
