//! Bits that flip in the files of the checkpoint's database: found before the database reads them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use caxton_model::{AgentId, State};

use super::{
    checkpoint::{checkpoint_files, damaged},
    sample::{assert_same_state, deployed, turn, verified, write},
};
use crate::{Store, StoreOptions, database_files::check_files, verify};

/// Records of the directory, all in its checkpoint.
const RECORDS: u64 = 9;
const VALUE: &str = "so long that the database's log has it, and its size";

fn options() -> StoreOptions {
    StoreOptions {
        segment_bytes: 1 << 20,
        ..StoreOptions::default()
    }
}

/// A closed directory with a small checkpoint, and its state.
fn filled() -> (tempfile::TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), options()).unwrap();
    store.append(Arc::new(deployed(0, 1, 1)));
    for seq in 2..=RECORDS {
        let writes = vec![write(&format!("key-{seq}"), VALUE)];
        store.append(Arc::new(turn(0, seq, 1, writes)));
    }
    store.close();
    // Opened once more, the log takes no room in advance.
    let (store, recovered) = Store::open(dir.path(), options()).unwrap();
    assert_eq!((recovered.place, recovered.replayed), (RECORDS, 0));
    store.close();
    (dir, recovered.state)
}

fn is_list(file: &Path) -> bool {
    let name = file.file_name().unwrap().to_str().unwrap();
    name == "current" || (name.starts_with('v') && name != "version")
}

fn is_table(file: &Path) -> bool {
    file.parent().unwrap().ends_with("tables")
}

/// Where the contents of a table begin, behind its blocks.
fn contents_of(table: &[u8]) -> usize {
    let from = table.len() - 16;
    usize::try_from(u64::from_le_bytes(
        table[from..from + 8].try_into().unwrap(),
    ))
    .unwrap()
}

#[test]
fn every_flipped_bit_in_what_the_database_trusts_is_found_before_it_reads_it() {
    let (dir, _) = filled();
    let checkpoint = dir.path().join("checkpoint");
    check_files(&checkpoint).unwrap();
    let mut flipped = 0;
    for file in checkpoint_files(dir.path()) {
        let bytes = fs::read(dir.path().join(&file)).unwrap();
        let from = match (is_list(&file), is_table(&file)) {
            (true, _) => 0,
            (_, true) => contents_of(&bytes),
            _ => continue,
        };
        for at in from..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            fs::write(dir.path().join(&file), &other).unwrap();
            let what = format!("{} byte {at}", file.display());
            let found = check_files(&checkpoint);
            let error = found.expect_err(&what);
            assert!(error.is_damage(), "{what}: {error}");
            let text = error.to_string();
            assert!(text.starts_with("its file `keyspaces/"), "{what}: {text}");
            flipped += 1;
        }
        fs::write(dir.path().join(&file), &bytes).unwrap();
    }
    check_files(&checkpoint).unwrap();
    assert!(flipped > 500, "{flipped}");
}

/// Bytes of a file that are flipped, each with its bit.
fn flips(file: &Path, bytes: &[u8]) -> Vec<(usize, u8)> {
    let some = |step| (0..bytes.len()).step_by(step);
    let one = |at: usize| (at, 1 << (at % 8));
    if file.extension().is_some_and(|end| end == "jnl") {
        // The heads of the first batch and of its first item, with the highest bit of each number.
        let heads = [0, 4, 12, 13, 14, 15, 23, 25, 29, 33].map(|at| (at, 0x80));
        let heads = heads.into_iter();
        return heads.chain(some(bytes.len() / 6 + 1).map(one)).collect();
    }
    // Beside what a step meets: what made the database panic.
    let known = [8, 9, 10].into_iter().filter(|at| *at < bytes.len());
    some(bytes.len() / 3 + 1).chain(known).map(one).collect()
}

#[test]
fn whichever_bit_of_a_checkpoint_flips_a_start_has_everything_and_the_check_ends() {
    let (dir, state) = filled();
    let cases: Vec<(PathBuf, usize, u8)> = checkpoint_files(dir.path())
        .into_iter()
        .flat_map(|file| {
            let bytes = fs::read(dir.path().join(&file)).unwrap();
            let flips = flips(&file, &bytes).into_iter();
            flips.map(move |(at, bit)| (file.clone(), at, bit))
        })
        .collect();
    assert!(cases.len() > 50, "{cases:?}");
    let mut rebuilt = 0;
    for (file, at, bit) in cases {
        let what = format!("{} byte {at} bit {bit:#04x}", file.display());
        let after = damaged(dir.path(), |dir| {
            let mut bytes = fs::read(dir.join(&file)).unwrap();
            bytes[at] ^= bit;
            fs::write(dir.join(&file), bytes).unwrap();
        });
        let report = verified(after.path());
        let opened = Store::open(after.path(), options());
        let (store, recovered) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_same_state(&recovered.state, &state);
        for seq in 2..=RECORDS {
            let found = store.read(AgentId(1), format!("key-{seq}").as_bytes());
            let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(found.as_deref(), Some(VALUE.as_bytes()), "{what}");
        }
        let notices = recovered.notices.iter();
        let notices: String = notices
            .filter(|notice| notice.contains("checkpoint"))
            .cloned()
            .collect();
        assert_eq!(report.is_good(), notices.is_empty(), "{what}: {notices}");
        for code in ["Error", "{", "::", "Some("] {
            assert!(!notices.contains(code), "{what}: {notices}");
        }
        rebuilt += usize::from(!notices.is_empty());
        // What comes next is written as ever.
        let writes = vec![write("next", VALUE)];
        store.append(Arc::new(turn(0, RECORDS + 1, 1, writes)));
        store.close();
        let report = verified(after.path());
        assert!(report.is_good(), "{what}: {report:?}");
        assert_eq!(report.checkpoint_place, Some(RECORDS + 1), "{what}");
    }
    assert!(rebuilt > 20, "{rebuilt}");
}

#[test]
fn the_check_finds_a_module_that_an_agent_needs_and_that_is_lost_or_damaged() {
    for is_built_anew in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), options()).unwrap();
        let first = deployed(0, 1, 1);
        let module = store.blobs().put(&1_u64.to_le_bytes()).unwrap();
        store.append(Arc::new(first));
        store.close();
        if is_built_anew {
            fs::remove_dir_all(dir.path().join("checkpoint")).unwrap();
        }
        let report = verify(dir.path()).unwrap();
        assert!(report.is_good(), "{report:?}");
        let blobs = fs::read_dir(dir.path().join("blobs")).unwrap();
        let path = blobs.map(|entry| entry.unwrap().path()).next().unwrap();
        let found = |what: &str| {
            let report = verify(dir.path()).unwrap();
            assert!(!report.is_good(), "{report:?}");
            let [text] = &report.module_damage[..] else {
                panic!("{report:?}")
            };
            for part in [&module.to_string(), "`agent-1`", what] {
                assert!(text.contains(part), "{text}");
            }
        };
        fs::write(&path, b"another").unwrap();
        found(&path.display().to_string());
        fs::remove_file(&path).unwrap();
        found("it is not in `blobs`");
    }
}
