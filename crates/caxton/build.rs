//! Lists the sources of the SDK for Rust, which the program carries and `caxton new` writes out.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The crates that a guest in Rust is built from.
const CRATES: [&str; 3] = ["caxton-model", "caxton-sdk", "caxton-sdk-macros"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?;
    let crates = fs::canonicalize(Path::new(&manifest).join(".."))?;
    let mut list = String::from("&[\n");
    for name in CRATES {
        for part in ["Cargo.toml", "src"] {
            let path = Path::new(name).join(part);
            println!("cargo::rerun-if-changed={}", crates.join(&path).display());
            add(&mut list, &crates, path)?;
        }
    }
    list.push(']');
    fs::write(Path::new(&out).join("rust_sdk.rs"), list)?;
    Ok(())
}

/// Adds a file, or a folder's files by name: the path in the project, and the text.
fn add(list: &mut String, crates: &Path, path: PathBuf) -> Result<(), Box<dyn Error>> {
    let full = crates.join(&path);
    if full.is_file() {
        writeln!(
            list,
            "(\"sdk/{}\", include_str!({full:?})),",
            path.display()
        )?;
        return Ok(());
    }
    let mut names = fs::read_dir(full)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<Vec<_>, std::io::Error>>()?;
    names.sort();
    for name in names {
        add(list, crates, path.join(name))?;
    }
    Ok(())
}
