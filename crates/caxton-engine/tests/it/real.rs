//! The guests of this repository, in their languages, on both engines.

use std::{
    collections::BTreeMap,
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use caxton_engine::{Arguments, Call, Linked, Returned};
use caxton_model::{EngineKind, EngineProfile, Kind, LimitName, Limits, Permissions};
use caxton_package::{ModuleReport, Verified, verify};

use crate::harness::*;

/// The committed guests, or those of the folder that is named.
#[allow(
    clippy::disallowed_methods,
    reason = "`cargo xtask guests` says in the environment which guests it means"
)]
fn asked(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

fn guests() -> Vec<(String, Vec<u8>)> {
    let committed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/prebuilt");
    let dir = asked("CAXTON_TEST_GUESTS").unwrap_or_else(committed);
    let mut guests: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(&path).unwrap())
        })
        .collect();
    guests.sort_by(|a, b| a.0.cmp(&b.0));
    guests
}

/// The defaults; more time for the interpreter.
fn limits_for(engine: EngineKind, report: &ModuleReport) -> Limits {
    let kind = report.kind.unwrap();
    match engine {
        EngineKind::Cranelift => Limits::for_kind(kind),
        EngineKind::Pulley => limits_with(
            kind,
            &[(LimitName::Cpu, 30_000_000), (LimitName::Wall, 60_000_000)],
        ),
    }
}

fn link(kind: EngineKind, module: &Verified) -> Linked {
    let serves = module.report().kind.unwrap();
    let compiled = engine(kind)
        .compile(module, EngineProfile::Hardened, serves)
        .unwrap();
    engine(kind).link(&compiled, &Permissions::new()).unwrap()
}

/// Init, capabilities, a request, shutdown: all of it as the samples answer it.
fn agent_answers(name: &str, linked: &Linked, limits: &Limits) -> Vec<String> {
    let host = || TestHost {
        now: 1_700_000_000_000_000,
        ..TestHost::default()
    };
    let started = run(linked.instantiate(limits, Box::new(host())));
    let mut instance = started
        .result
        .unwrap_or_else(|fault| panic!("{name}: {fault}"));
    let request = br#"{"performative":"request","sender":"tester","receiver":"sample","conversation_id":"c1","reply_with":"r1","content":{"action":"process_data","data":"hello world","operation":"uppercase"}}"#;
    let mut said = Vec::new();
    for asked in [
        Call::Init,
        Call::Capabilities,
        Call::Message(Bytes::from_static(request)),
        Call::Message(Bytes::from_static(b"not json")),
        Call::Shutdown,
    ] {
        let done = call(instance, asked.clone(), host());
        match done.result {
            Ok(Returned::Code(code)) => said.push(format!("{code}")),
            Ok(Returned::Capabilities(json)) => {
                said.push(json.map_or_else(String::new, |json| String::from_utf8(json).unwrap()));
            }
            Ok(Returned::Ended) => return said,
            Err(fault) => {
                said.push(fault.code.to_string());
                return said;
            }
        }
        said.extend(done.host.sent);
        instance = done.instance.unwrap();
    }
    said
}

/// An agent says the same on both engines, and the sample what it should.
fn check_agent(name: &str, module: &Verified) {
    let [native, interpreted] = KINDS.map(|kind| {
        let limits = limits_for(kind, module.report());
        agent_answers(name, &link(kind, module), &limits)
    });
    assert_eq!(native, interpreted, "{name}");
    let all = native.join("\n");
    if name.starts_with("sample-agent") {
        assert!(all.contains("HELLO WORLD"), "{name}: {all}");
    }
    assert!(!all.contains("\ntrap"), "{name}: {all}");
}

/// A processor or an extension says the same on both engines, and what it is for.
fn check_other(name: &str, module: &Verified) {
    let limits = limits_for(EngineKind::Pulley, module.report());
    let host = || Box::new(TestHost::default());
    let [native, interpreted] = KINDS.map(|kind| {
        let linked = link(kind, module);
        if module.report().kind == Some(Kind::Extension) {
            return run(linked.describe_extension(&limits, host())).result;
        }
        let arguments = Arguments::new(&["one".to_owned(), "two words".to_owned()]).unwrap();
        run(linked.process_with("World".into(), arguments, None, &limits, host())).result
    });
    let native = native.unwrap_or_else(|fault| panic!("{name}: {fault}"));
    assert_eq!(Ok(&native), interpreted.as_ref(), "{name}");
    let said = String::from_utf8_lossy(&native);
    let behaviour = name
        .rsplit_once('-')
        .map_or(name, |(behaviour, _)| behaviour);
    let wanted = match behaviour {
        "hello" => "World",
        "reverse-bytes" => "dlroW",
        "upper-command" => "WORLD",
        "upper-extension" => "actions",
        "arguments" => "one\ntwo words\n",
        other => panic!("what `{other}` is to answer must stand here"),
    };
    assert!(said.contains(wanted), "{name}: {said}");
}

#[test]
fn every_guest_behaves_on_both_engines() {
    let mut found = BTreeMap::new();
    for (name, bytes) in guests() {
        let passed = catch_unwind(|| {
            let module = verify(bytes, &caxton_model::Limits::unlimited())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            match module.report().kind {
                Some(Kind::Agent) => check_agent(&name, &module),
                _ => check_other(&name, &module),
            }
        });
        found.insert(format!("{name}.wasm"), passed.is_ok());
    }
    if let Some(file) = asked("CAXTON_TEST_BEHAVIOUR") {
        let lines: Vec<_> = found
            .iter()
            .map(|(file, passed)| format!("  \"{file}\": {passed}"))
            .collect();
        fs::write(file, format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
    }
    let failed: Vec<_> = found.iter().filter(|(_, passed)| !**passed).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(!found.is_empty());
}

#[test]
fn the_sample_is_there_in_four_languages() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/prebuilt");
    for language in ["rust", "assemblyscript", "c", "go"] {
        assert!(
            committed
                .join(format!("sample-agent-{language}.wasm"))
                .exists()
        );
    }
}
