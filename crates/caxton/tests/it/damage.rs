//! Bits that flip on the disk: no command ends by a signal, and each says what is wrong.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    command::{Done, guest, program, run},
    node::NodeProcess,
};

/// The list of tables that a keyspace of the checkpoint's database has now.
fn list_of(data: &Path, keyspace: u8) -> PathBuf {
    let folder = data.join(format!("checkpoint/keyspaces/{keyspace}"));
    let names = fs::read_dir(&folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let version = |name: String| name.strip_prefix('v')?.parse::<u64>().ok();
    let newest = names.filter_map(version).max().unwrap();
    folder.join(format!("v{newest}"))
}

#[test]
fn a_flipped_bit_in_the_checkpoint_is_named_and_mended_and_no_copy_is_left() {
    let home = tempfile::tempdir().unwrap();
    let (data, temporary) = (home.path().join("node"), home.path().join("temporary"));
    for folder in [&data, &temporary] {
        fs::create_dir(folder).unwrap();
    }
    let verify = || -> Done {
        let mut command = program(&data);
        command.env("TMPDIR", &temporary);
        let done = run(
            command.args(["journal", "verify", "--data"]).arg(&data),
            b"",
        );
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "{done:?}");
        done
    };
    let node = NodeProcess::start_in(&data, &[]);
    node.caxton(&["agent", "deploy", &guest("echo-c"), "--name", "echo"])
        .ok();
    assert_eq!(node.terminate(), 0);
    verify().ok();
    for (keyspace, at) in [(0, 10), (1, 8), (1, 9)] {
        let list = list_of(&data, keyspace);
        let mut bytes = fs::read(&list).unwrap();
        bytes[at] ^= 1;
        fs::write(&list, bytes).unwrap();
        let named = format!("keyspaces/{keyspace}/v");
        verify().fails(1, &["the checkpoint is damaged", &named, "help: "]);
        let said = home.path().join("said");
        let node = NodeProcess::start_said(&data, &said);
        node.caxton(&["send", "echo", "{}", "--wait", "20s"]).ok();
        assert_eq!(node.terminate(), 0);
        let said = fs::read_to_string(said).unwrap();
        for words in ["rebuilt from the journal", &named] {
            assert!(said.contains(words), "{said}");
        }
        verify().ok();
    }
    for blob in fs::read_dir(data.join("blobs")).unwrap() {
        fs::remove_file(blob.unwrap().path()).unwrap();
    }
    let lost = ["a stored module is damaged", "`echo`", "help: "];
    verify().fails(1, &lost);
}
