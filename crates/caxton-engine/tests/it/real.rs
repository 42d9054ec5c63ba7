//! The guests of this repository, in their languages, on both engines.

use std::{fs, path::Path};

use bytes::Bytes;
use caxton_engine::{Call, Linked, Returned};
use caxton_model::{EngineKind, EngineProfile, Grants, Kind, LimitName, Limits};
use caxton_package::{ModuleReport, Verified, verify};

use crate::harness::*;

fn guests() -> Vec<(String, Verified)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/prebuilt");
    let mut guests: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let verified = verify(fs::read(&path).unwrap(), 32 << 20);
            (
                name.clone(),
                verified.unwrap_or_else(|error| panic!("{name}: {error}")),
            )
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
    engine(kind).link(&compiled, &Grants::default()).unwrap()
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

#[test]
fn agents_say_the_same_on_both_engines() {
    let mut seen = 0;
    for (name, module) in guests() {
        if module.report().kind != Some(Kind::Agent) {
            continue;
        }
        let [native, interpreted] = KINDS.map(|kind| {
            agent_answers(
                &name,
                &link(kind, &module),
                &limits_for(kind, module.report()),
            )
        });
        assert_eq!(native, interpreted, "{name}");
        if name.starts_with("sample-agent") {
            let all = native.join("\n");
            assert!(all.contains("HELLO WORLD"), "{name}: {all}");
            seen += 1;
        }
    }
    assert_eq!(seen, 4, "the sample in Rust, AssemblyScript, C and Go");
}

#[test]
fn processors_and_extensions_say_the_same_on_both_engines() {
    for (name, module) in guests() {
        let limits = limits_for(EngineKind::Pulley, module.report());
        let host = || Box::new(TestHost::default());
        let [native, interpreted] = KINDS.map(|kind| match module.report().kind {
            Some(Kind::Processor) => {
                run(link(kind, &module).process("World".into(), None, &limits, host())).result
            }
            Some(Kind::Extension) => {
                run(link(kind, &module).describe_extension(&limits, host())).result
            }
            _ => Ok(Vec::new()),
        });
        let native = native.unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(Ok(&native), interpreted.as_ref(), "{name}");
        println!("{name}: {}", String::from_utf8_lossy(&native));
        if name.starts_with("hello") {
            assert!(String::from_utf8_lossy(&native).contains("World"), "{name}");
        }
    }
}
