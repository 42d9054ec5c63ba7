//! Draws what is wrong with a text that a person wrote, at the place where it is wrong.

use caxton_package::DocumentError;
use miette::{LabeledSpan, MietteDiagnostic, NamedSource, Report, Severity};

use crate::failure::{Exit, Failure};

/// A failure that shows every problem of a document in its text.
pub(crate) fn document_failure(error: DocumentError, kind: &str) -> Failure {
    let count = error.problems.len();
    let what = format!(
        "{}: {count} {} in the {kind}\n{error}",
        error.name,
        if count == 1 { "problem" } else { "problems" },
    );
    let labels = error.problems.iter().map(|problem| {
        let start = problem.span.start.min(error.text.len());
        let length = problem.span.end.min(error.text.len()).saturating_sub(start);
        LabeledSpan::new(Some(problem.what.clone()), start, length)
    });
    let diagnostic = MietteDiagnostic::new(format!("the {kind} as it is"))
        .with_severity(Severity::Error)
        .with_labels(labels);
    let source = NamedSource::new(&error.name, error.text.clone());
    let mut failure = Failure::new(
        Exit::Usage,
        what,
        format!("correct the {kind} at the lines shown"),
    );
    failure.drawing = Some(Report::new(diagnostic).with_source_code(source));
    failure
}
