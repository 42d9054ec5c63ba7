//! Which of the known forms a core module has, by its exports and their types.

use caxton_model::{ErrorCode, Kind};

use crate::{Form, ModuleReport};

/// Optional exports and the types they may have.
const OPTIONAL: &[(Kind, &str, &[&str])] = &[
    (Kind::Agent, "agent_init", &[">i"]),
    (Kind::Agent, "handle_timer", &["i>i"]),
    (Kind::Agent, "agent_shutdown", &["", ">i"]),
    (Kind::Agent, "get_capabilities", &["ii>i"]),
    (Kind::Agent, "migrate", &["ii>i"]),
    (Kind::Processor, "get_module_info", &[">i"]),
    (Kind::Processor, "get_supported_formats", &[">i"]),
];

/// Notes the form, or why there is none.
pub(crate) fn recognise(report: &mut ModuleReport) {
    let (form, wrong) = form_of(report);
    for (name, wanted) in wrong {
        wrong_type(report, name, wanted);
    }
    report.form = form;
    report.kind = form.map(Form::kind);
    let Some(form) = form else { return };
    let has_memory = report
        .exports
        .iter()
        .any(|e| e.name == "memory" && e.kind == "memory");
    if !has_memory {
        report.refuse(
            ErrorCode::UnsupportedModule,
            "does not export its memory",
            "export it under the name `memory`",
        );
    }
    for (kind, name, wanted) in OPTIONAL {
        if *kind == form.kind()
            && report
                .function(name)
                .is_some_and(|found| !wanted.iter().any(|ty| found.is(ty)))
        {
            wrong_type(report, name, wanted.first().copied().unwrap_or_default());
        }
    }
    if report
        .function("_initialize")
        .is_some_and(|found| !found.is(""))
    {
        wrong_type(report, "_initialize", "");
    }
    if form == Form::AgentCore
        && report.imports_host("set_timer")
        && report.function("handle_timer").is_none()
    {
        report.refuse(
            ErrorCode::UnsupportedModule,
            "imports `set_timer` but does not export `handle_timer`",
            "export `handle_timer(timer_id: i32) -> i32`, or set no timers",
        );
    }
    if form == Form::ExtensionCore && !report.imports_host("respond") {
        report
            .warnings
            .push("does not import `respond`: its actions can't answer".to_owned());
    }
    if form == Form::AgentCore && report.function("_start").is_some() {
        report
            .warnings
            .push("`_start` is never called: it runs as an agent".to_owned());
    }
}

type Wrong = Vec<(&'static str, &'static str)>;

fn form_of(report: &mut ModuleReport) -> (Option<Form>, Wrong) {
    if report.function("handle_message").is_some() {
        let right = report.exports_function("handle_message", "ii>i");
        let wrong = if right {
            vec![]
        } else {
            vec![("handle_message", "ii>i")]
        };
        return (Some(Form::AgentCore), wrong);
    }
    if report.function("extension_call").is_some()
        && report.function("extension_describe").is_some()
    {
        let wrong = ["extension_describe", "extension_call"]
            .into_iter()
            .filter(|name| !report.exports_function(name, "ii>i"))
            .map(|name| (name, "ii>i"))
            .collect();
        return (Some(Form::ExtensionCore), wrong);
    }
    if let Some(process) = report.function("process") {
        let form = match (process.is("i>i"), process.is("iii>i")) {
            (true, _) => Form::ProcessorCString,
            (_, true) => Form::ProcessorLength,
            _ => {
                let text = format!("exports `process{process}`");
                report.refuse(
                    ErrorCode::UnsupportedModule,
                    text,
                    "export `process(i32) -> i32` (C string) or `process(i32, i32, i32) -> i32` (length-prefixed)",
                );
                return (None, vec![]);
            }
        };
        if !report.exports_function("allocate", "i>i") {
            return (Some(form), vec![("allocate", "i>i")]);
        }
        let frees = ["ii", "ii>i"]
            .iter()
            .any(|ty| report.exports_function("deallocate", ty));
        return (
            Some(form),
            if frees {
                vec![]
            } else {
                vec![("deallocate", "ii")]
            },
        );
    }
    if report.function("_start").is_some() {
        let right = report.exports_function("_start", "");
        return (
            Some(Form::WasiCommand),
            if right { vec![] } else { vec![("_start", "")] },
        );
    }
    report.refuse(
        ErrorCode::UnsupportedModule,
        "exports no interface that the host knows",
        "export `handle_message(ptr: i32, len: i32) -> i32` (agent), `process` with `allocate` and `deallocate` (processor), `extension_describe` and `extension_call` (extension), or `_start` (WASI command)",
    );
    (None, vec![])
}

fn wrong_type(report: &mut ModuleReport, name: &str, wanted: &str) {
    let wanted = crate::Signature::short(wanted);
    let text = match report.function(name) {
        Some(found) => format!("exports `{name}{found}`, the interface wants `{name}{wanted}`"),
        None => format!("does not export `{name}{wanted}`"),
    };
    report.refuse(
        ErrorCode::UnsupportedModule,
        text,
        "export it with the type that docs/guest-abi.md gives",
    );
}
