use caxton_model::LimitName;

use super::{layers::Source, *};
use crate::environment::Environment;

fn read(
    file: &str,
    environment: &Environment,
    flags: &layers::Flags,
) -> Result<Layers, layers::ConfigError> {
    Layers::read(Some(("node.toml", file)), environment, flags)
}

fn complaints(file: &str) -> String {
    read(file, &Environment::default(), &Vec::new())
        .unwrap_err()
        .to_string()
}

#[test]
fn no_file_is_needed() {
    let layers = Layers::read(None, &Environment::default(), &Vec::new()).unwrap();
    let config = NodeConfig::from_layers(&layers, "d".into());
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.data, PathBuf::from("d"));
    assert_eq!(config.shutdown_grace, Micros::secs(10));
    assert_eq!(config.budgets.agents, 100_000);
    assert_eq!(config.budgets.memory, None);
    assert_eq!(config.budgets.disk, ByteSize(10 << 30));
    assert_eq!(config.budgets.data_bytes, ByteSize(64 << 20));
    assert_eq!(config.engine.cache_bytes_max, ByteSize(2 << 30));
    assert_eq!(config.ceilings, Limits::unlimited());
}

#[test]
fn every_default_is_one_that_the_setting_itself_accepts() {
    for setting in setting::settings() {
        if !setting.default.is_empty() {
            assert_eq!(setting.check(&setting.default), Ok(()), "{}", setting.path);
        }
        assert!(
            !setting.what.is_empty() && setting.what.ends_with('.'),
            "{}",
            setting.path
        );
    }
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let file = "shutdown_grace = \"1s\"\n[http]\nlisten = \"127.0.0.1:1\"\n";
    let environment = Environment::from([("CAXTON_HTTP_LISTEN", "127.0.0.1:2")]);
    let flags = vec![("http.listen", "--listen", "127.0.0.1:3".into())];
    let listen = |layers: &Layers| {
        let found = layers
            .resolved
            .iter()
            .find(|r| r.setting.path == "http.listen")
            .unwrap();
        (
            found.value.to_str().unwrap().to_owned(),
            found.source.to_string(),
        )
    };
    let none = Environment::default();
    let said = |text: &str, source: &str| (text.to_owned(), source.to_owned());
    assert_eq!(
        listen(&read("", &none, &vec![]).unwrap()),
        said("127.0.0.1:8080", "default")
    );
    assert_eq!(
        listen(&read(file, &none, &vec![]).unwrap()),
        said("127.0.0.1:1", "node.toml:3")
    );
    assert_eq!(
        listen(&read(file, &environment, &vec![]).unwrap()),
        said("127.0.0.1:2", "environment CAXTON_HTTP_LISTEN")
    );
    let all = read(file, &environment, &flags).unwrap();
    assert_eq!(listen(&all), said("127.0.0.1:3", "flag --listen"));
    assert_eq!(
        NodeConfig::from_layers(&all, "d".into()).shutdown_grace,
        Micros::secs(1)
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once_whatever_layer_it_is_in() {
    let file = "shards = 0\nshutdown_grace = \"soon\"\n[htpp]\n[http]\nlisten = \"localhost\"\n\
                [engine]\nkind = \"craneleft\"\n[ceilings]\nmemory = \"lots\"\ncpus = \"1s\"\n";
    let environment = Environment::from([("CAXTON_BUDGETS_AGENTS", "many")]);
    let flags = vec![("log.format", "--log-format", "xml".into())];
    let said = read(file, &environment, &flags).unwrap_err().to_string();
    for part in [
        "node.toml:1:10: `shards` can't be 0; use 1 to 1024",
        "node.toml:2:18: `shutdown_grace`: expected a duration such as \"250ms\"",
        "node.toml:3:2: `htpp` is no key here; did you mean `http`?",
        "node.toml:5:10: `http.listen`: expected an address",
        "node.toml:7:8: `engine.kind`: `craneleft` can't be used; did you mean `cranelift`?",
        "node.toml:9:10: `ceilings.memory`: expected a size",
        "node.toml:10:1: `ceilings.cpus` is no key here; did you mean `cpu`?",
        "environment CAXTON_BUDGETS_AGENTS: expected a whole number",
        "flag --log-format: `xml` can't be used; use one of text, json",
    ] {
        assert!(said.contains(part), "`{part}` is not said:\n{said}");
    }
    assert_eq!(said.lines().count(), 9, "{said}");
}

#[test]
fn an_address_that_others_reach_needs_tls_or_a_word() {
    let said = complaints("[http]\nlisten = \"0.0.0.0:8080\"\n");
    assert!(
        said.contains("tls.cert") && said.contains("public_without_tls"),
        "{said}"
    );
    assert!(complaints("[http]\nlisten = \"[::]:0\"\n").contains("tls.cert"));
    let none = Environment::default();
    for file in [
        "[http]\nlisten = \"0.0.0.0:0\"\npublic_without_tls = true\n",
        "[http]\nlisten = \"0.0.0.0:0\"\n[tls]\ncert = \"c.pem\"\nkey = \"k.pem\"\n",
        "[http]\nlisten = \"[::1]:0\"\n",
        "[http]\nlisten = \"[::ffff:127.0.0.1]:0\"\n",
    ] {
        assert!(read(file, &none, &vec![]).is_ok(), "{file}");
    }
}

#[test]
fn a_certificate_needs_its_key() {
    assert!(
        complaints("[tls]\ncert = \"c.pem\"\n").contains("`tls.cert` is set without `tls.key`")
    );
    assert!(complaints("[tls]\nkey = \"k.pem\"\n").contains("`tls.key` is set without `tls.cert`"));
}

#[test]
fn ceilings_are_read_in_their_units() {
    let file = "[ceilings]\nmemory = \"64MiB\"\ncpu = \"2s\"\nhost_calls = 10\n";
    let layers = read(file, &Environment::default(), &vec![]).unwrap();
    let ceilings = NodeConfig::from_layers(&layers, "d".into()).ceilings;
    assert_eq!(ceilings.get(LimitName::Memory), 64 << 20);
    assert_eq!(ceilings.get(LimitName::Cpu), 2_000_000);
    assert_eq!(ceilings.get(LimitName::HostCalls), 10);
}

#[test]
fn a_variable_that_sets_nothing_is_noted_with_its_neighbour() {
    let environment = Environment::from([
        ("CAXTON_HTTP_LISTN", "127.0.0.1:0"),
        ("CAXTON_TOKEN", "secret"),
        ("PATH", "/bin"),
    ]);
    let layers = read("", &environment, &vec![]).unwrap();
    assert_eq!(
        layers.notes,
        ["environment CAXTON_HTTP_LISTN sets nothing; did you mean CAXTON_HTTP_LISTEN?"]
    );
    assert!(
        layers
            .resolved
            .iter()
            .all(|resolved| resolved.source == Source::Default)
    );
}

#[test]
fn variables_for_guests_are_named_in_the_file() {
    let file = "[directories]\n\"/d\" = \"d\"\n[environment]\nTZ = \"Europe/Vienna\"\nB = \"\"\n";
    let layers = read(file, &Environment::default(), &Vec::new()).unwrap();
    let config = NodeConfig::from_layers(&layers, "d".into());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        config.environment,
        [pair("B", ""), pair("TZ", "Europe/Vienna")]
    );
    assert_eq!(config.directories.len(), 1);
    let text = complaints("[environment]\n\"A*\" = \"x\"\nB = \"\\u0000\"\nC = 1\n");
    for part in ["`A*`", "zero byte", "a text"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn directories_are_named_as_guests_see_them() {
    let file = "[directories]\n\"/data/in\" = \"/srv/in\"\n\"/data/out\" = \"out\"\n";
    let layers = read(file, &Environment::default(), &Vec::new()).unwrap();
    let config = NodeConfig::from_layers(&layers, "d".into());
    let pair = |name: &str, path: &str| (name.to_owned(), PathBuf::from(path));
    let expected = [pair("/data/in", "/srv/in"), pair("/data/out", "out")];
    assert_eq!(config.directories, expected);
    let shown = layers.resolved.last().unwrap();
    assert_eq!(shown.source, Source::File("node.toml:3".to_owned()));
    let text = complaints("[directories]\n\"data/in\" = \"x\"\n\"/a/../b\" = \"y\"\n\"/c\" = 1\n");
    for part in ["`data/in`", "`/a/../b`", "/data/in"] {
        assert!(text.contains(part), "{text}");
    }
}
