//! Where a token comes from when none is given. The only place that reads the environment.

use std::{
    ffi::OsString,
    net::IpAddr,
    path::{Path, PathBuf},
};

use caxton_api::{ADDRESS_FILE, TOKEN_FILE};
use reqwest::Url;

use crate::ClientError;

/// What was found for an address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The token that the environment names.
    Token(String),
    /// The address is that of the node with this data directory on this machine.
    Local(PathBuf),
    /// Neither; only `/health` answers then.
    Nothing,
}

/// `CAXTON_TOKEN`, else the default data directory, if its node has this address.
pub(crate) async fn find(url: &Url) -> Result<Found, ClientError> {
    if let Some(token) = variable("CAXTON_TOKEN") {
        let token = token.to_str().ok_or(ClientError::NotText {
            variable: "CAXTON_TOKEN",
        })?;
        return Ok(Found::Token(token.trim().to_owned()));
    }
    Ok(match default_data_directory() {
        Some(directory) if is_address_of(url, &directory).await => Found::Local(directory),
        _ => Found::Nothing,
    })
}

/// Whether the node with this data directory listens there. What a node that was killed has left
/// counts as well: nothing is sent to that address.
async fn is_address_of(url: &Url, directory: &Path) -> bool {
    let Ok(text) = tokio::fs::read_to_string(directory.join(ADDRESS_FILE)).await else {
        return false;
    };
    let Ok(own) = text.trim().parse::<Url>() else {
        return false;
    };
    let same_host = own.host_str() == url.host_str() || (is_loopback(&own) && is_loopback(url));
    same_host && own.port_or_known_default() == url.port_or_known_default()
}

/// The operator's token of a data directory; `None`: there is none.
///
/// Errors: [`ClientError::TokenFile`].
pub(crate) fn admin_token(directory: &Path) -> Result<Option<String>, ClientError> {
    let path = directory.join(TOKEN_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ClientError::TokenFile { path, source }),
    }
}

/// As in the program: relative paths are ignored, as the XDG base directory specification says.
fn default_data_directory() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = variable(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("caxton"))
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that reads it"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_gets_the_local_token() {
        for (url, local) in [
            ("http://localhost:8080", true),
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8080", true),
            ("http://[::ffff:127.0.0.1]:8080", true),
            ("http://[::ffff:10.0.0.1]:8080", false),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
            ("https://127.0.0.1.example.com", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), local, "{url}");
        }
    }

    #[test]
    fn a_token_file_is_read_and_may_be_absent() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(TOKEN_FILE);
        assert_eq!(admin_token(directory.path()).unwrap(), None);
        std::fs::write(&path, "secret\n").unwrap();
        let token = admin_token(directory.path()).unwrap();
        assert_eq!(token.as_deref(), Some("secret"));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = admin_token(directory.path()).unwrap_err();
        assert!(matches!(error, ClientError::TokenFile { .. }));
    }

    #[tokio::test]
    async fn only_the_address_of_the_node_itself_leads_to_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let is_own = async |url: &str| is_address_of(&url.parse().unwrap(), directory.path()).await;
        assert!(!is_own("http://127.0.0.1:8080").await);
        let address = directory.path().join(ADDRESS_FILE);
        std::fs::write(&address, "http://127.0.0.1:8080\n").unwrap();
        assert!(is_own("http://127.0.0.1:8080/").await);
        assert!(is_own("http://localhost:8080").await);
        assert!(!is_own("http://127.0.0.1:8081").await);
        assert!(!is_own("http://10.0.0.1:8080").await);
        std::fs::write(&address, "no address").unwrap();
        assert!(!is_own("http://127.0.0.1:8080").await);
    }
}
