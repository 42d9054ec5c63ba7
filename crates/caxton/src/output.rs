//! How results and failures reach the terminal: as a table, as JSON, as YAML.

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
};

use comfy_table::{ContentArrangement, Table, presets};
use owo_colors::{OwoColorize as _, Style};
use serde::Serialize;

use crate::{cli::Global, environment::Environment, failure::Failure};

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
        let wanted = !global.no_color
            && environment.get("NO_COLOR").is_none()
            && environment.get("TERM") != Some("dumb");
        Self {
            format: global.output,
            color: wanted && std::io::stdout().is_terminal(),
            color_of_errors: wanted && std::io::stderr().is_terminal(),
        }
    }

    /// Prints one value; `table` says it to people.
    pub(crate) fn value<T: Serialize>(
        &self,
        value: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table => table(value),
            Format::Json => serde_json::to_string_pretty(value).map_err(unprintable)?,
            Format::Yaml => serde_yaml_ng::to_string(value).map_err(unprintable)?,
        };
        self.line(text.trim_end())
    }
    /// Prints one entry of a list that grows.
    pub(crate) fn entry<T: Serialize>(
        &self,
        value: &T,
        line: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.line(&line(value)),
            Format::Json => self.line(&serde_json::to_string(value).map_err(unprintable)?),
            Format::Yaml => {
                let text = serde_yaml_ng::to_string(value).map_err(unprintable)?;
                self.line(&format!("---\n{}", text.trim_end()))
            }
        }
    }
    /// Prints a line. A reader that has gone away ends the program quietly.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
            result => Ok(result?),
        }
    }
    /// Prints what people should know, beside the result.
    pub(crate) fn note(&self, text: &str) {
        let text = self.styled_error("note", Style::new().cyan().bold(), text);
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    /// Prints why a command did not work.
    pub(crate) fn failure(&self, failure: &Failure) {
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
                let _ = write!(text, "\n{}", drawn.trim_end());
            }
        }
        if !failure.help.is_empty() {
            let help = self.styled_error("help", Style::new().green().bold(), &failure.help);
            let _ = write!(text, "\n{help}");
        }
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    fn styled_error(&self, word: &str, style: Style, text: &str) -> String {
        if self.color_of_errors {
            format!("{}: {text}", word.style(style))
        } else {
            format!("{word}: {text}")
        }
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
        self.format == Format::Table && std::io::stderr().is_terminal()
    }
}

fn unprintable(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        crate::failure::Exit::Failed,
        format!("the result can't be printed: {error}"),
        "use another --output",
    )
}

/// Rows under a head, as wide as they need.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head.map(str::to_uppercase));
    for row in rows {
        table.add_row(row.map(|cell| cell.replace(['\n', '\r'], " ")));
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

/// Names and values below each other; a value of several lines is indented.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let mut text = String::new();
    for (name, value) in pairs {
        let indent = format!("\n{:width$}", "");
        let _ = writeln!(
            text,
            "{name:width$}{}",
            value.trim_end().replace('\n', &indent)
        );
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
    fn pairs_line_up_and_keep_long_values_together() {
        let text = pairs(&[("a", "1".into()), ("name", "x\ny".into())]);
        assert_eq!(text, "a     1\nname  x\n      y\n");
    }
}
