//! The data directory: rights, and one process at a time.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, mpsc::channel},
    time::Duration,
};

use caxton_model::ErrorCode;

use super::{
    journal::{open, open_with},
    sample::{deployed, turn, usual_turn, write},
};
use crate::{
    FaultyFiles, Health, JournalOptions, OpenError, RealFiles, Store, StoreFailed, StoreOptions,
    WriteError, is_in_use,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Every path below a directory, itself included, with its mode.
fn modes(path: &Path) -> Vec<(PathBuf, u32)> {
    let metadata = fs::symlink_metadata(path).unwrap();
    let mut found = vec![(path.to_owned(), metadata.permissions().mode() & 0o7777)];
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(modes(&entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn what_others_had_rights_on_is_narrowed_and_said() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("above/data");
    let (store, recovered) = Store::open(&data, StoreOptions::default()).unwrap();
    assert_eq!(recovered.notices, Vec::<String>::new());
    store.append(Arc::new(deployed(0, 1, 7)));
    store.blobs().put(b"module").unwrap();
    store.close();
    let mode_of = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode_of(&data), 0o700);
    assert_eq!(mode_of(&data.join("journal/0000000001.seg")), 0o600);
    let blob = fs::read_dir(data.join("blobs")).unwrap().next().unwrap();
    assert_eq!(mode_of(&blob.unwrap().path()), 0o600);
    let outside = home.path().join("outside");
    fs::write(&outside, b"").unwrap();
    chmod(&outside, 0o644);
    std::os::unix::fs::symlink(&outside, data.join("link")).unwrap();
    for (path, _) in modes(&data) {
        if !path.is_symlink() {
            chmod(&path, if path.is_dir() { 0o755 } else { 0o664 });
        }
    }
    let (store, recovered) = Store::open(&data, StoreOptions::default()).unwrap();
    assert!(recovered.notices[0].contains("0755"), "{recovered:?}");
    // What the database creates by itself follows the umask, behind the closed directory.
    for (path, mode) in modes(&data) {
        let is_own = !path.is_symlink() && !path.starts_with(data.join("checkpoint"));
        assert!(!is_own || mode & 0o077 == 0, "{} {mode:o}", path.display());
    }
    assert_eq!(
        mode_of(&outside),
        0o644,
        "a link leads out of the directory"
    );
    assert!(recovered.state.agents.len() == 1 && store.health() == Health::Good);
}

#[test]
fn a_folder_that_others_use_is_not_taken() {
    let home = tempfile::tempdir().unwrap();
    chmod(home.path(), 0o1777);
    fs::write(home.path().join("somebody's"), b"").unwrap();
    let error = Store::open(home.path(), StoreOptions::default()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("mode 1777"), "{error}");
    let mode = fs::metadata(home.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o1777);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn what_an_operator_or_a_volume_puts_there_first_is_no_stranger() {
    let home = tempfile::tempdir().unwrap();
    chmod(home.path(), 0o755);
    fs::write(home.path().join("node.toml"), b"").unwrap();
    fs::create_dir(home.path().join("lost+found")).unwrap();
    let (store, recovered) = Store::open(home.path(), StoreOptions::default()).unwrap();
    assert!(recovered.notices[0].contains("0755"), "{recovered:?}");
    store.close();
    let mode = fs::metadata(home.path().join("node.toml"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // As in `/var`: some names are a node's, the folder is not.
    let other = tempfile::tempdir().unwrap();
    chmod(other.path(), 0o755);
    for name in ["cache", "lock", "log"] {
        fs::create_dir(other.path().join(name)).unwrap();
    }
    let error = Store::open(other.path(), StoreOptions::default()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
}

#[test]
fn no_file_can_be_removed_to_let_a_second_node_in() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!is_in_use(dir.path()).unwrap());
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    assert!(is_in_use(dir.path()).unwrap());
    for name in ["lock", "checkpoint/lock"] {
        fs::remove_file(dir.path().join(name)).unwrap();
        let error = Store::open(dir.path(), StoreOptions::default()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DirectoryLocked, "{name}: {error}");
    }
    store.close();
    assert!(!is_in_use(dir.path()).unwrap());
    drop(Store::open(dir.path(), StoreOptions::default()).unwrap());
}

#[test]
fn a_second_writer_is_noticed_by_the_next_append() {
    let files = FaultyFiles::default();
    let mut first = open(&files).unwrap().0;
    for seq in 1..=3 {
        first.append_group(&[Arc::new(usual_turn(seq))]).unwrap();
    }
    let (mut second, found, _) = open(&files).unwrap();
    assert_eq!(found.place, 3);
    let before = files.bytes("0000000001.seg");
    let refused = first.append_group(&[Arc::new(usual_turn(4))]);
    let expected = WriteError::Failed(StoreFailed::NotAlone {
        log: "journal",
        file: "head".to_owned(),
    });
    assert_eq!(refused.unwrap_err().to_string(), expected.to_string());
    assert_eq!(files.bytes("0000000001.seg"), before, "nothing was written");
    second.append_group(&[Arc::new(usual_turn(4))]).unwrap();
    assert_eq!(open(&files).unwrap().1.place, 4);
}

#[test]
fn a_journal_that_was_moved_removed_or_replaced_is_not_written() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("moved", |dir| {
            fs::rename(dir.join("journal"), dir.join("elsewhere")).unwrap();
        }),
        ("replaced", |dir| {
            let head = dir.join("journal/head");
            let bytes = fs::read(&head).unwrap();
            fs::remove_file(&head).unwrap();
            fs::write(&head, bytes).unwrap();
        }),
        ("removed", |dir| {
            fs::remove_file(dir.join("journal/0000000001.seg")).unwrap();
        }),
        ("written over", |dir| {
            let copy = dir.join("copy");
            fs::copy(dir.join("journal/0000000001.seg"), &copy).unwrap();
            fs::rename(copy, dir.join("journal/0000000001.seg")).unwrap();
        }),
    ];
    for (what, change) in changes {
        let dir = tempfile::tempdir().unwrap();
        let (tell, fatal) = channel();
        let tell = std::sync::Mutex::new(tell);
        let options = StoreOptions {
            on_fatal: Arc::new(move |failed| {
                // The checkpoint's thread may find that its files are gone, too.
                let _ = tell.lock().unwrap().send(failed.clone());
            }),
            ..StoreOptions::default()
        };
        let (store, _) = Store::open(dir.path(), options).unwrap();
        let (tell, told) = channel();
        let notify = || {
            let tell = tell.clone();
            store.notify(move |result| tell.send(result.is_ok()).unwrap());
        };
        store.append(Arc::new(deployed(0, 1, 7)));
        notify();
        assert_eq!(told.recv_timeout(PATIENCE), Ok(true), "{what}");
        change(dir.path());
        store.append(Arc::new(turn(0, 2, 7, vec![write("k", "v")])));
        notify();
        assert_eq!(told.recv_timeout(PATIENCE), Ok(false), "{what}");
        let failed = fatal.recv_timeout(PATIENCE).unwrap();
        assert!(
            matches!(failed, StoreFailed::NotAlone { .. }),
            "{what}: {failed}"
        );
    }
}

#[test]
fn a_folder_is_made_for_its_owner_alone_with_all_above_it() {
    let home = tempfile::tempdir().unwrap();
    let journal = home.path().join("a/b/journal");
    crate::directory::make_folder(&journal).unwrap();
    let options = JournalOptions {
        segment_bytes: 4_096,
        new_id: [7; 32],
        known: None,
        check_known: true,
    };
    let files = Arc::new(RealFiles::new(&journal));
    crate::JournalWriter::open(files, &options, &mut |_, _| Ok(())).unwrap();
    for (path, mode) in modes(&home.path().join("a")) {
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
    assert!(open_with(&FaultyFiles::default(), &options).is_ok());
}
