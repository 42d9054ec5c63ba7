//! The data directory: whose it is, who is reached by it, and what is said where it can't be used.

use crate::{
    command::{caxton, guest, program, run},
    node::NodeProcess,
};

/// Whether somebody who listens where a node was is told its token.
#[test]
fn a_killed_nodes_token_is_told_to_nobody_who_has_taken_its_address() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let node = NodeProcess::start_in(&data, &[]);
    let url = node.url.clone();
    node.caxton(&["agent", "list"]).ok();
    let address = std::fs::read_to_string(data.join("address")).unwrap();
    node.kill();
    assert_eq!(
        std::fs::read_to_string(data.join("address")).unwrap(),
        address
    );
    let listener = std::net::TcpListener::bind(url.strip_prefix("http://").unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    let shown = data.to_str().unwrap();
    for args in [
        &["agent", "list", "--data", shown][..],
        &["agent", "list", "--data", shown, "--url", &url],
        &["send", "--data", shown, "counter", "hello"],
        &["top", "--once", "--data", shown],
    ] {
        caxton(args).fails(1, &["no node runs with the data directory", "caxton up"]);
    }
    let mut own = program(home.path());
    own.args(["agent", "list"]).env("CAXTON_DATA", &data);
    run(&mut own, b"").fails(1, &["no node runs with the data directory"]);
    let nobody = listener.accept().unwrap_err();
    assert_eq!(
        nobody.kind(),
        std::io::ErrorKind::WouldBlock,
        "somebody called"
    );
}

#[test]
fn a_node_is_reached_by_its_socket_however_long_the_path_is() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("long".repeat(40));
    let node = NodeProcess::start_in(&data, &[]);
    node.caxton(&["agent", "list"]).ok();
    assert!(data.join("api.sock").exists());
    assert_eq!(node.terminate(), 0);
    assert!(!data.join("api.sock").exists());
}

/// No umask and no earlier mode opens the directory to others.
#[test]
fn nothing_in_the_data_directory_is_for_others() {
    use std::os::unix::fs::PermissionsExt as _;
    fn each(path: &std::path::Path, see: &mut dyn FnMut(&std::path::Path, u32)) {
        let metadata = std::fs::symlink_metadata(path).unwrap();
        see(path, metadata.permissions().mode());
        if metadata.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                each(&entry.unwrap().path(), see);
            }
        }
    }
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for round in 0..2 {
        let mut command = std::process::Command::new("sh");
        command
            .args([
                "-c",
                "umask 0; exec \"$0\" up --listen 127.0.0.1:0 --data \"$1\"",
            ])
            .arg(env!("CARGO_BIN_EXE_caxton"))
            .arg(&data);
        let node = NodeProcess::start_by(&mut command, &data);
        node.caxton(&["agent", "list"]).ok();
        node.kill();
        let mut count = 0;
        each(&data, &mut |path, mode| {
            count += 1;
            assert_eq!(
                mode & 0o077,
                0,
                "{} {mode:o}, round {round}",
                path.display()
            );
        });
        assert!(count > 10, "{count}");
        each(&data, &mut |path, mode| {
            let wide = std::fs::Permissions::from_mode(mode | 0o044);
            std::fs::set_permissions(path, wide).unwrap();
        });
    }
}

#[test]
fn a_directory_that_can_not_be_used_is_told_with_its_own_remedy() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let below = file.join("data");
    for (data, remedy) in [
        (file.as_path(), "a file stands where a folder is needed"),
        (&below, "a file stands where a folder is needed"),
        // Nobody may create anything there, root neither.
        (std::path::Path::new("/sys/caxton"), "who owns it"),
    ] {
        let shown = data.to_str().unwrap();
        let done = caxton(&["up", "--listen", "127.0.0.1:0", "--data", shown]);
        let said = &done.stderr;
        assert!(done.code != 0 && said.contains(remedy), "{done:#?}");
        assert!(!said.contains("pulley"), "{done:#?}");
    }
}

#[test]
fn commands_that_only_read_create_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (absent, foreign) = (home.path().join("typo-1"), home.path().join("typo-2"));
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("notes"), b"").unwrap();
    let module = guest("echo-c");
    for args in [
        &["cache", "list"][..],
        &["cache", "stats"],
        &["cache", "clear"],
        &["cache", "warm", &module],
        &["journal", "verify"],
        &["journal", "show"],
        &["audit", "tail"],
        &["audit", "search"],
        &["audit", "verify"],
        &["audit", "export"],
        &["audit", "head"],
        &["vault", "set", "a"],
        &["vault", "list"],
        &["vault", "remove", "a"],
        &["vault", "rotate-key"],
        &["token", "list"],
        &["agent", "list"],
        &["agent", "deploy", &module],
        &["doctor"],
        &["top"],
    ] {
        for data in [&absent, &foreign] {
            let done = caxton(&[args, &["--data", data.to_str().unwrap()]].concat());
            assert!(done.code != 0 && done.stderr.contains("typo-"), "{done:#?}");
            assert!(!absent.exists(), "{args:?}");
            let entries = std::fs::read_dir(&foreign).unwrap();
            assert_eq!(entries.count(), 1, "{args:?}");
        }
    }
    // A node's settings are there to be looked at before it has run.
    for command in ["check", "show"] {
        let done = caxton(&["config", command, "--data", absent.to_str().unwrap()]);
        assert!(done.code == 0 && !absent.exists(), "{done:#?}");
    }
}
