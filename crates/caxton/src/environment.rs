//! The one place that reads the process's environment, once.

use std::{collections::BTreeMap, path::PathBuf};

/// The environment as it was when the process began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads it. Variables that are not UTF-8 are left out: none of ours can be one.
    pub(crate) fn read() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }
    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
    /// The fault that a test build is to plant.
    ///
    /// Errors: a sentence that says what would be right.
    #[cfg(feature = "planted")]
    pub(crate) fn planted(&self) -> Result<Option<caxton_model::planted::Planted>, String> {
        let Some(text) = self.get("CAXTON_PLANTED") else {
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
    /// The names of all variables.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
    /// Where a user's programs keep their data, by the system's habit; then `caxton`.
    pub(crate) fn data_directory(&self) -> PathBuf {
        if let Some(folder) = self.get("XDG_DATA_HOME") {
            return PathBuf::from(folder).join("caxton");
        }
        match self.get("HOME").or_else(|| self.get("USERPROFILE")) {
            Some(home) => PathBuf::from(home).join(".local/share/caxton"),
            None => PathBuf::from("caxton-data"),
        }
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        )
    }
}
