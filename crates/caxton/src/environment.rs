//! The one place that reads the process's environment, once.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// The environment as it was when the process began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Reads it.
    pub(crate) fn read() -> Self {
        Self(std::env::vars_os().collect())
    }
    /// A variable that is set and not empty, whatever its bytes.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }
    /// A variable that is set and must be text.
    ///
    /// Errors: it is not UTF-8.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        value.to_str().map(Some).ok_or_else(|| {
            Failure::usage(
                format!(
                    "the environment variable {name} is not UTF-8: `{}`",
                    value.display()
                ),
                "set it to text, or unset it",
            )
        })
    }
    /// Whether whoever set the environment wants colours.
    pub(crate) fn allows_colors(&self) -> bool {
        self.get("NO_COLOR").is_none() && self.get("TERM") != Some(OsStr::new("dumb"))
    }
    /// The fault that a test build is to plant.
    ///
    /// Errors: a sentence that says what would be right.
    #[cfg(feature = "planted")]
    pub(crate) fn planted(&self) -> Result<Option<caxton_model::planted::Planted>, String> {
        let Some(text) = self
            .text("CAXTON_PLANTED")
            .map_err(|failure| failure.what)?
        else {
            return Ok(None);
        };
        let name = text
            .strip_prefix("without:")
            .ok_or_else(|| format!("CAXTON_PLANTED is `without:LIMIT`, not `{text}`"))?;
        let name = name
            .parse()
            .map_err(|error: caxton_model::LimitsError| error.to_string())?;
        Ok(Some(caxton_model::planted::Planted::WithoutLimit(name)))
    }
    /// The names of all variables that are text.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().filter_map(|name| name.to_str())
    }
    /// The data directory: the given one, else `CAXTON_DATA`, else the user's.
    ///
    /// Errors: nothing names one.
    pub(crate) fn data_directory(&self, given: Option<&Path>) -> Result<PathBuf, Failure> {
        given
            .or_else(|| self.get("CAXTON_DATA").map(Path::new))
            .map(Path::to_owned)
            .or_else(|| self.user_data_directory())
            .ok_or_else(|| {
                Failure::usage(
                    "nothing names a data directory: HOME is not set to an absolute path",
                    "name one with --data or CAXTON_DATA",
                )
            })
    }
    /// The data directory of a node that has run, for commands that create none.
    ///
    /// Errors: nothing names one, or what is named holds no journal.
    pub(crate) fn used_data_directory(&self, given: Option<&Path>) -> Result<PathBuf, Failure> {
        let data = self.data_directory(given)?;
        let journal = data.join("journal");
        match std::fs::metadata(&journal) {
            Ok(found) if found.is_dir() => Ok(data),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::file(&journal, &error))
            }
            _ => Err(Failure::usage(
                format!("{} holds no journal", data.display()),
                "name the data directory of a node with --data",
            )),
        }
    }
    /// Where a user's programs keep their data, by the XDG base directory specification, which says
    /// that a relative path in `XDG_DATA_HOME` is ignored; then `caxton`.
    fn user_data_directory(&self) -> Option<PathBuf> {
        let absolute = |name: &str| {
            let path = self.get(name).map(Path::new);
            path.filter(|path| path.is_absolute())
        };
        let home = || {
            let home = absolute("HOME").or_else(|| absolute("USERPROFILE"))?;
            Some(home.join(".local/share"))
        };
        let base = absolute("XDG_DATA_HOME")
            .map(Path::to_owned)
            .or_else(home)?;
        Some(base.join("caxton"))
    }
    /// What a person should know if the user's data directory counts.
    pub(crate) fn note_on_data_directory(&self) -> Option<String> {
        let ignored = self.get("XDG_DATA_HOME").map(Path::new);
        let ignored = ignored.filter(|path| path.is_relative())?;
        Some(format!(
            "XDG_DATA_HOME is the relative path `{}`, which is ignored, as its specification says",
            ignored.display()
        ))
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn a_data_directory_is_any_path_and_never_a_relative_one_by_default() {
        let odd = OsString::from_vec(b"/home/nd\xff".to_vec());
        let found = |pairs: &[(&str, &OsStr)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.into(), value.into()));
            Environment(pairs.collect()).data_directory(None).ok()
        };
        let (home, relative) = (OsStr::new("/home/me"), OsStr::new("data"));
        let in_home = Some(PathBuf::from("/home/me/.local/share/caxton"));
        assert_eq!(found(&[("HOME", home)]), in_home);
        assert_eq!(
            found(&[("HOME", home), ("XDG_DATA_HOME", relative)]),
            in_home
        );
        assert_eq!(
            found(&[("HOME", home), ("XDG_DATA_HOME", &odd)]),
            Some(Path::new(&odd).join("caxton"))
        );
        assert_eq!(
            found(&[("HOME", &odd)]),
            Some(Path::new(&odd).join(".local/share/caxton"))
        );
        assert_eq!(
            found(&[("HOME", home), ("CAXTON_DATA", &odd)]),
            Some(odd.clone().into())
        );
        assert_eq!(found(&[("CAXTON_DATA", relative)]), Some("data".into()));
        assert_eq!(found(&[("HOME", relative)]), None);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn a_variable_that_must_be_text_is_never_left_out_in_silence() {
        let odd = OsString::from_vec(b"x\xff".to_vec());
        let environment = Environment([("CAXTON_URL".into(), odd)].into());
        let failure = environment.text("CAXTON_URL").unwrap_err();
        assert!(
            failure.what.contains("CAXTON_URL is not UTF-8"),
            "{failure:?}"
        );
        assert_eq!(environment.text("CAXTON_TOKEN").unwrap(), None);
    }
}
