//! Libraries that stand before the system's own, so that the program under test is the one that is
//! shipped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A library made of C, for `LD_PRELOAD`.
pub(crate) fn library(folder: &Path, source: &str) -> PathBuf {
    let (text, library) = (folder.join("preload.c"), folder.join("preload.so"));
    fs::write(&text, source).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &text])
        .args(["-ldl"])
        .status()
        .expect("the C compiler that Rust links with");
    assert!(built.success());
    library
}
