//! The vault against whoever changes, moves or cuts its files, and against crashes.

use caxton_model::{ErrorCode, HostCode};

use super::*;

const VALUE: &[u8] = b"correct horse battery staple";

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }
    fn key(&self) -> PathBuf {
        self.root.path().join("key")
    }
    fn file(&self, long: &str) -> PathBuf {
        self.root.path().join("data/vault").join(long)
    }
    fn open_with(&self, key: Option<PathBuf>) -> (Vault, Vec<String>) {
        let mut notices = Vec::new();
        let options = VaultOptions {
            folder: Some(self.file("")),
            key,
        };
        (Vault::open(options, &mut notices).unwrap(), notices)
    }
    fn open(&self) -> Vault {
        self.open_with(Some(self.key())).0
    }
}

fn set(vault: &Vault, text: &str, value: &[u8]) {
    vault.set(&name(text), value, Timestamp(7)).unwrap();
}

fn read(vault: &Vault, text: &str) -> Result<Vec<u8>, String> {
    let value = vault.read(&name(text)).map(|value| value.to_vec());
    value.map_err(|error| error.to_string())
}

#[test]
fn secrets_outlive_the_process_in_files_for_their_owner_without_a_byte_of_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let vault = place.open();
    set(&vault, "token", VALUE);
    set(&vault, "acme/token", b"another one");
    set(&vault, "main/token", VALUE);
    drop(vault);
    let vault = place.open();
    assert_eq!(read(&vault, "token").unwrap(), VALUE);
    assert_eq!(read(&vault, "acme/token").unwrap(), b"another one");
    let entries = vault.list();
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["acme/token", "token"]);
    assert!(
        entries
            .iter()
            .all(|e| e.set_at == Some(Timestamp(7)) && e.problem.is_none())
    );
    for path in [place.file("main/token"), place.key()] {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
        let bytes = fs::read(&path).unwrap();
        assert!(
            !bytes
                .windows(8)
                .any(|part| VALUE.windows(8).any(|v| v == part))
        );
    }
    vault.remove(&name("token")).unwrap();
    assert!(matches!(
        vault.remove(&name("token")),
        Err(VaultError::NotFound { .. })
    ));
    assert!(
        read(&place.open(), "token")
            .unwrap_err()
            .contains("no secret `token`")
    );
}

#[test]
fn without_its_key_a_vault_is_closed_and_says_how_it_opens() {
    let place = Place::new();
    let (vault, _) = place.open_with(None);
    assert!(
        read(&vault, "token")
            .unwrap_err()
            .contains("--vault-key FILE")
    );
    set(&place.open(), "token", VALUE);

    let other = place.root.path().join("other");
    fs::write(&other, format!("{}\n", &*vault_key::new_key().unwrap())).unwrap();
    let nothing = place.root.path().join("nothing");
    let short = place.root.path().join("short");
    fs::write(&short, "abc\n").unwrap();
    for (key, says) in [
        (&other, "no secret in it was sealed with the key in"),
        (&nothing, "restore the file from a copy"),
        (&short, "line 1 of it is no key"),
    ] {
        let (vault, _) = place.open_with(Some(key.clone()));
        let reason = read(&vault, "token").unwrap_err();
        assert!(reason.contains(says), "{reason}");
        let refused = vault.set(&name("more"), VALUE, Timestamp(0)).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::VaultClosed, "{refused}");
        assert_eq!(vault.list().len(), 1, "names are listed all the same");
    }
    assert!(
        !nothing.exists(),
        "no key is made beside secrets of another"
    );
    assert_eq!(read(&place.open(), "token").unwrap(), VALUE);
}

#[test]
fn a_record_that_was_changed_cut_or_moved_is_told_by_its_name_and_gives_nothing() {
    let place = Place::new();
    let vault = place.open();
    for text in ["one", "two", "acme/one"] {
        set(&vault, text, format!("the value of {text}").as_bytes());
    }
    let file = place.file("main/one");
    let whole = fs::read(&file).unwrap();
    let other = fs::read(place.file("main/two")).unwrap();
    let foreign = fs::read(place.file("acme/one")).unwrap();
    let mut attacks = vec![Vec::new(), other, foreign, [&*whole, b"x"].concat()];
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        attacks.push(changed);
        attacks.push(whole[..at].to_vec());
    }
    for bytes in attacks {
        fs::write(&file, &bytes).unwrap();
        let (vault, notices) = place.open_with(Some(place.key()));
        let told = read(&vault, "one").unwrap_err();
        assert!(told.contains("`one`"), "{told}");
        assert!(notices.iter().any(|n| n.contains("`one`")), "{notices:?}");
        assert_eq!(read(&vault, "two").unwrap(), b"the value of two");
        let refused = vault.rotate().unwrap_err();
        assert!(refused.to_string().contains("`one`"), "{refused}");
        let listed = vault.list();
        let bad: Vec<_> = listed.iter().filter(|e| e.problem.is_some()).collect();
        assert_eq!((bad.len(), bad[0].name.as_str()), (1, "one"));
    }
    set(&place.open(), "one", VALUE);
    assert_eq!(read(&place.open(), "one").unwrap(), VALUE);
}

#[test]
fn what_a_crash_in_the_middle_of_a_set_leaves_is_cleared_and_the_old_value_counts() {
    let place = Place::new();
    set(&place.open(), "token", VALUE);
    let half = place.file("main/.new-token");
    fs::write(&half, b"CAXTONV\x01half").unwrap();
    let vault = place.open();
    assert!(!half.exists());
    assert_eq!(read(&vault, "token").unwrap(), VALUE);
}

#[test]
fn after_a_rotation_only_the_new_key_opens_and_a_crash_in_between_loses_nothing() {
    let place = Place::new();
    let vault = place.open();
    set(&vault, "one", VALUE);
    set(&vault, "two", VALUE);
    let old_key = fs::read_to_string(place.key()).unwrap();
    let old_record = fs::read(place.file("main/one")).unwrap();
    assert_eq!(vault.rotate().unwrap(), 2);
    assert_eq!(read(&vault, "one").unwrap(), VALUE);
    let new_key = fs::read_to_string(place.key()).unwrap();
    assert_ne!(new_key, old_key);
    assert_eq!(new_key.lines().count(), 1);
    assert_eq!(read(&place.open(), "two").unwrap(), VALUE);

    // As a crash leaves it: both keys in the file, one record sealed again.
    fs::write(place.key(), format!("{new_key}{old_key}")).unwrap();
    fs::write(place.file("main/one"), &old_record).unwrap();
    let vault = place.open();
    assert_eq!(read(&vault, "one").unwrap(), VALUE);
    assert_eq!(fs::read_to_string(place.key()).unwrap(), new_key);
    assert_ne!(fs::read(place.file("main/one")).unwrap(), old_record);

    // The old key opens nothing any more.
    fs::write(place.key(), &old_key).unwrap();
    assert!(place.open().closed().is_some());
}

#[test]
fn sizes_and_counts_are_bounded() {
    let vault = Vault::open(VaultOptions::default(), &mut Vec::new()).unwrap();
    for (bytes, code) in [
        (0, Some(ErrorCode::MalformedRequest)),
        (SECRET_BYTES_MIN - 1, Some(ErrorCode::MalformedRequest)),
        (SECRET_BYTES_MIN, None),
        (SECRET_BYTES_MAX, None),
        (SECRET_BYTES_MAX + 1, Some(ErrorCode::MalformedRequest)),
    ] {
        let set = vault.set(&name("token"), &vec![b'x'; bytes], Timestamp(0));
        assert_eq!(set.err().map(|error| error.code()), code, "{bytes}");
    }
    for number in 1..SECRETS_MAX {
        set(&vault, &format!("s{number}"), VALUE);
    }
    let refused = vault.set(&name("more"), VALUE, Timestamp(0)).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NodeBudget);
    set(&vault, "s1", VALUE);
}

#[test]
fn a_tag_tells_values_and_names_apart_and_follows_from_the_key() {
    let place = Place::new();
    let vault = place.open();
    let tag = |vault: &Vault, text: &str, value: &[u8]| vault.tag(&name(text), value).unwrap();
    let one = tag(&vault, "token", VALUE);
    assert_eq!(one, tag(&place.open(), "main/token", VALUE));
    let others = [
        tag(&vault, "acme/token", VALUE),
        tag(&vault, "token", b"another one"),
        tag(&Place::new().open(), "token", VALUE),
        *blake3::hash(VALUE).as_bytes(),
    ];
    assert!(!others.contains(&one));
    vault.rotate().unwrap();
    assert_ne!(one, tag(&vault, "token", VALUE));
    for (bytes, code) in [
        (SECRET_BYTES_MIN - 1, HostCode::Malformed),
        (SECRET_BYTES_MAX + 1, HostCode::TooLarge),
    ] {
        let refused = vault.tag(&name("token"), &vec![b'x'; bytes]).unwrap_err();
        assert_eq!(refused.host_code(), code);
    }
    let (closed, _) = place.open_with(None);
    let refused = closed.tag(&name("token"), VALUE).unwrap_err();
    assert_eq!(refused.host_code(), HostCode::Unavailable);
}
