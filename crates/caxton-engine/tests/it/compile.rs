//! The cache and the compile worker: what is wrong is compiled again, what is too much is refused.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::PathBuf};

use caxton_engine::{CompileError, Compiled, Engine, EngineOptions, Returned};
use caxton_model::{EngineKind, EngineProfile, Kind, Micros, Permissions};

use crate::harness::*;

/// A program of this crate's, built with its tests.
fn example(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let program = here.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(
        program.exists(),
        "run `cargo build --release -p caxton-engine --examples` first"
    );
    program
}

fn worker() -> PathBuf {
    example("compile_worker")
}

fn compile(engine: &Engine, text: &str) -> Result<Compiled, CompileError> {
    engine.compile(&verified(text), EngineProfile::Hardened, Kind::Agent)
}

fn answers(engine: &Engine, compiled: &Compiled) -> Returned {
    let linked = engine.link(compiled, &Permissions::new()).unwrap();
    turn(&linked, &agent_limits(), TestHost::default())
        .result
        .unwrap()
}

#[test]
fn what_is_cached_is_loaded_and_what_is_wrong_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    let text = agent("", "(i32.const 5)");
    for kind in KINDS {
        let cache = dir.path().join(kind.to_string());
        let with_cache = EngineOptions {
            cache_dir: Some(cache.clone()),
            ..options(kind)
        };
        let engine = Engine::new(with_cache.clone()).unwrap();
        assert!(!compile(&engine, &text).unwrap().from_cache());
        let again = compile(&engine, &text).unwrap();
        assert!(again.from_cache());
        assert_eq!(answers(&engine, &again), Returned::Code(5));
        assert_eq!(
            fs::metadata(&cache).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(
            fs::metadata(cache.join("key"))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        let name = engine.cache().unwrap().list()[0].name.clone();
        let path = cache.join(format!("{name}.cwasm"));
        let good = fs::read(&path).unwrap();
        for (what, bytes) in damaged(&good) {
            // In the place of the old one, which may be mapped.
            fs::write(cache.join("aside"), bytes).unwrap();
            fs::rename(cache.join("aside"), &path).unwrap();
            // A node that starts anew finds the damage too.
            let engine = Engine::new(with_cache.clone()).unwrap();
            let compiled = compile(&engine, &text).unwrap();
            assert!(!compiled.from_cache(), "{kind}: {what} was loaded");
            assert_eq!(engine.cache().unwrap().stats().discarded, 1, "{what}");
            assert_eq!(answers(&engine, &compiled), Returned::Code(5));
            assert!(
                compile(&engine, &text).unwrap().from_cache(),
                "{what}: not mended"
            );
        }
        // Another node's key: its entries are not trusted.
        fs::write(cache.join("key"), [7; 32]).unwrap();
        let engine = Engine::new(with_cache).unwrap();
        assert!(!compile(&engine, &text).unwrap().from_cache());
        assert_eq!(engine.cache().unwrap().clear(), 1);
        assert_eq!(engine.cache().unwrap().stats().entries, 0);
    }
}

fn damaged(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let flip = |at: usize| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let mut longer = good.to_vec();
    longer.write_all(b"x").unwrap();
    vec![
        ("a flipped bit in the MAC", flip(3)),
        ("a flipped bit in the header", flip(40)),
        ("a flipped bit in the code", flip(good.len() / 2)),
        ("a flipped bit at the end", flip(good.len() - 1)),
        ("a torn entry", good[..good.len() / 2].to_vec()),
        ("an entry of a few bytes", good[..10].to_vec()),
        ("an empty entry", Vec::new()),
        ("a longer entry", longer),
    ]
}

#[test]
fn an_entry_for_another_profile_is_another_entry() {
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions {
        cache_dir: Some(dir.path().into()),
        ..options(KINDS[0])
    };
    let engine = Engine::new(options).unwrap();
    let module = verified(&agent("", "(i32.const 5)"));
    for profile in [
        EngineProfile::Hardened,
        EngineProfile::Metered,
        EngineProfile::Deterministic,
    ] {
        assert!(
            !engine
                .compile(&module, profile, Kind::Agent)
                .unwrap()
                .from_cache(),
            "{profile}"
        );
    }
    assert!(
        !engine
            .compile(&module, EngineProfile::Hardened, Kind::Processor)
            .unwrap()
            .from_cache()
    );
    let names: Vec<_> = engine
        .cache()
        .unwrap()
        .list()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    // One entry passed off as another is not loaded.
    fs::copy(
        dir.path().join(format!("{}.cwasm", names[0])),
        dir.path().join(format!("{}.cwasm", names[1])),
    )
    .unwrap();
    let cached = [
        EngineProfile::Hardened,
        EngineProfile::Metered,
        EngineProfile::Deterministic,
    ]
    .map(|profile| {
        engine
            .compile(&module, profile, Kind::Agent)
            .unwrap()
            .from_cache()
    });
    let pooled = engine
        .compile(&module, EngineProfile::Hardened, Kind::Processor)
        .unwrap();
    let hits = cached.iter().filter(|hit| **hit).count() + usize::from(pooled.from_cache());
    assert_eq!(hits, 3);
}

#[test]
fn the_least_recently_used_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let size = {
        let options = EngineOptions {
            cache_dir: Some(dir.path().into()),
            ..options(KINDS[0])
        };
        let engine = Engine::new(options).unwrap();
        compile(&engine, &agent("", "(i32.const 0)")).unwrap();
        engine.cache().unwrap().stats().bytes
    };
    let options = EngineOptions {
        cache_dir: Some(dir.path().into()),
        cache_bytes_max: size * 2 + size / 2,
        ..options(KINDS[0])
    };
    let engine = Engine::new(options).unwrap();
    for n in 0..5 {
        compile(&engine, &agent("", &format!("(i32.const {n})"))).unwrap();
    }
    let stats = engine.cache().unwrap().stats();
    assert!(
        stats.entries == 2 && stats.bytes <= stats.bytes_max,
        "{stats:?}"
    );
}

#[test]
fn the_worker_compiles_for_both_engines_and_memory_forms() {
    for kind in KINDS {
        let with_worker = EngineOptions {
            compile_worker: Some(worker()),
            ..options(kind)
        };
        let engine = Engine::new(with_worker).unwrap();
        let compiled = compile(&engine, &agent("", "(i32.const 5)")).unwrap();
        assert_eq!(answers(&engine, &compiled), Returned::Code(5));
        let module = verified(&agent("", "(i32.const 5)"));
        engine
            .compile(&module, EngineProfile::Deterministic, Kind::Processor)
            .unwrap();
    }
}

#[test]
fn a_module_that_needs_too_much_of_the_compiler_is_refused() {
    // One function of a million nested additions.
    let mut body = String::from("(i32.const 0)");
    for n in 0..400_000 {
        body.push_str(&format!("(i32.const {n}) i32.add (call $f) i32.add "));
    }
    let text = agent("(func $f (result i32) (i32.const 1))", &body);
    let little_memory = EngineOptions {
        compile_worker: Some(worker()),
        compile_memory_bytes_max: 200 << 20,
        ..options(EngineKind::Cranelift)
    };
    let error = compile(&Engine::new(little_memory).unwrap(), &text).unwrap_err();
    assert_eq!(error.code().as_str(), "compile-refused", "{error}");
    assert!(error.to_string().contains("memory"), "{error}");
    let little_time = EngineOptions {
        compile_worker: Some(worker()),
        compile_time_max: Micros::millis(900),
        ..options(EngineKind::Cranelift)
    };
    let error = compile(&Engine::new(little_time).unwrap(), &text).unwrap_err();
    assert_eq!(error.code().as_str(), "compile-refused", "{error}");
}

#[test]
fn a_worker_that_is_none_is_said() {
    for program in ["/bin/false", "/nowhere/at-all"] {
        let options = EngineOptions {
            compile_worker: Some(program.into()),
            ..options(KINDS[0])
        };
        let error =
            compile(&Engine::new(options).unwrap(), &agent("", "(i32.const 0)")).unwrap_err();
        assert!(matches!(error, CompileError::Worker { .. }), "{error}");
    }
}

#[test]
fn what_the_package_reader_accepts_compiles_and_links_and_what_it_refuses_has_its_cause() {
    let many = |field: &str, times: usize| field.repeat(times);
    for (fields, cause) in [
        (many("(table 1 funcref)", 4), None),
        (many("(table 1 funcref)", 5), Some("5 tables")),
        (many("(table 1 funcref)", 18), Some("18 tables")),
        // An instance holds its globals.
        (many("(global (mut i64) (i64.const 0))", 50_000), None),
        (
            many("(global (mut i64) (i64.const 0))", 400_000),
            Some("400000 globals"),
        ),
        (
            "(memory $second 1)".to_owned(),
            Some("`wide`, for several memories"),
        ),
        (
            "(table 1 externref)".to_owned(),
            Some("`wide`, for external references"),
        ),
        ("(func (param v128))".to_owned(), None),
    ] {
        let text = agent(&fields, "(i32.const 0)");
        for engine_kind in KINDS {
            for serves in [Kind::Agent, Kind::Processor] {
                match (try_verify(&text), cause) {
                    (Ok(module), None) => {
                        let engine = engine(engine_kind);
                        let compiled = engine.compile(&module, EngineProfile::Hardened, serves);
                        let linked = engine
                            .link(&compiled.unwrap(), &Permissions::new())
                            .unwrap();
                        if serves == Kind::Agent {
                            turn(&linked, &agent_limits(), TestHost::default())
                                .result
                                .unwrap();
                        }
                    }
                    (Err(error), Some(cause)) => {
                        assert!(error.to_string().contains(cause), "{error}");
                    }
                    (Ok(_), Some(cause)) => panic!("accepted in spite of {cause}"),
                    (Err(error), None) => panic!("{error}"),
                }
            }
        }
    }
    let module = verified(&agent("", "(i32.const 0)"));
    let wide = engine(KINDS[0]).compile(&module, EngineProfile::Wide, Kind::Agent);
    let error = wide.unwrap_err();
    assert!(
        error.to_string().contains("no engine for profile `wide`"),
        "{error}"
    );
}

#[test]
fn pulley_runs_where_executable_memory_is_forbidden() {
    let out = std::process::Command::new(example("no_executable_memory"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[0].starts_with("cranelift: the cranelift engine can't start"),
        "{text}"
    );
    assert!(lines[0].contains("--engine pulley"), "{text}");
    assert_eq!(lines[1], "pulley: Ok(Code(5))");
}

#[test]
fn what_moves_between_threads_may() {
    fn is_send<T: Send>(_: &T) {}
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Engine>();
    is_shared::<Compiled>();
    is_shared::<caxton_engine::Linked>();
    let instance = start(
        &linked(KINDS[0], &agent("", "(i32.const 0)")),
        &agent_limits(),
    )
    .unwrap();
    is_send(&instance);
    is_send(&instance.call(caxton_engine::Call::Init, Box::new(TestHost::default())));
}
