//! `caxton config` and what `caxton up` makes of a configuration.

use crate::command::{caxton, program, run};

#[test]
fn everything_wrong_in_a_file_is_drawn_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let text = "shards = 0\n[http]\nlisten = \"localhost\"\nlissten = \"x\"\n[ceilings]\nmemory = \"lots\"\n";
    std::fs::write(&file, text).unwrap();
    let path = file.display().to_string();
    for args in [
        ["config", "check", "--config", &path],
        ["config", "show", "--config", &path],
    ] {
        let done = caxton(&args).fails(
            2,
            &[
                "4 problems in the configuration",
                ":1:10: `shards` can't be 0; use 1 to 1024",
                ":3:10: `http.listen`: expected an address",
                ":4:1: `http.lissten` is no key here; did you mean `listen`?",
                ":6:10: `ceilings.memory`: expected a size",
                "help: correct the configuration at the lines shown",
            ],
        );
        assert!(done.stdout.is_empty(), "{done:#?}");
    }
    caxton(&["up", "--config", &path]).fails(2, &["4 problems in the configuration"]);
}

#[test]
fn a_syntax_error_has_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, "[http\nlisten = 1\n").unwrap();
    caxton(&["config", "check", "--config", &file.display().to_string()]).fails(2, &[":1:"]);
}

#[test]
fn sources_are_shown_and_flags_and_variables_are_checked() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("node.toml");
    std::fs::write(&file, "[log]\nfilter = \"warn\"\n").unwrap();
    let data = home.path().display().to_string();
    let done = run(
        program(home.path())
            .env("CAXTON_HTTP_LISTEN", "127.0.0.1:0")
            .args([
                "config",
                "show",
                "--sources",
                "--output",
                "json",
                "--data",
                &data,
            ]),
        b"",
    )
    .ok();
    let json = done.json();
    assert_eq!(
        json["http.listen"]["source"],
        "environment CAXTON_HTTP_LISTEN"
    );
    assert_eq!(json["log.filter"]["value"], "warn");
    assert!(
        json["log.filter"]["source"]
            .as_str()
            .unwrap()
            .ends_with("node.toml:2")
    );
    assert_eq!(json["data"]["source"], "flag --data");
    assert_eq!(json["shutdown_grace"]["source"], "default");
    let bad = run(
        program(home.path())
            .env("CAXTON_HTTP_LISTEN", "here")
            .args(["up", "--log", "a=b=c"]),
        b"",
    );
    bad.fails(
        2,
        &[
            "environment CAXTON_HTTP_LISTEN: expected an address",
            "flag --log: ",
        ],
    );
    let typo = run(
        program(home.path())
            .env("CAXTON_HTTP_LISTN", "x")
            .args(["config", "check"]),
        b"",
    );
    typo.fails(0, &["did you mean CAXTON_HTTP_LISTEN?"]);
}

#[test]
fn a_public_address_needs_tls() {
    caxton(&["up", "--listen", "0.0.0.0:0"])
        .fails(2, &["without TLS", "tls.cert", "public_without_tls"]);
    caxton(&["up", "--tls-cert", "x.pem"]).fails(2, &["`tls.cert` is set without `tls.key`"]);
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("x.pem");
    std::fs::write(&pem, "no certificate").unwrap();
    let pem = pem.display().to_string();
    caxton(&[
        "up",
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        &pem,
        "--tls-key",
        &pem,
    ])
    .fails(1, &["x.pem"]);
}

#[test]
fn the_schema_is_printed() {
    let json = caxton(&["config", "schema"]).ok().json();
    assert_eq!(
        json["properties"]["http"]["properties"]["listen"]["type"],
        "string"
    );
    assert_eq!(json["additionalProperties"], false);
}
