//! Directories of this machine that guests see under a name: opened once, apart from each other.

use std::path::PathBuf;

use caxton_engine::Directory;

use crate::failure::Failure;

/// Opens them. `place` is where they are mapped, as people write it: `--dir`, `[directories]`.
///
/// Blocking. Errors: one that can't be opened, a name that is none, one name within another.
pub(crate) fn open(place: &str, mapped: &[(String, PathBuf)]) -> Result<Vec<Directory>, Failure> {
    let mut opened: Vec<Directory> = Vec::new();
    for (name, path) in mapped {
        let directory = Directory::open(name, path).map_err(|problem| {
            Failure::usage(
                format!("{place} {name}={}: {problem}", path.display()),
                "map a directory that exists to a name such as /data/in",
            )
        })?;
        if let Some(other) = opened.iter().find(|other| other.overlaps(&directory)) {
            return Err(Failure::usage(
                format!(
                    "{place} {name} and {place} {}: one lies in the other",
                    other.name()
                ),
                "give each directory a name of its own, such as /data/in and /data/out",
            ));
        }
        opened.push(directory);
    }
    Ok(opened)
}
