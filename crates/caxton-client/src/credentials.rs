//! Where a token comes from when none is given. The only place that reads the environment.

use std::{net::IpAddr, path::PathBuf};

use reqwest::Url;

use crate::ClientError;

/// `CAXTON_TOKEN`, else for a node on this machine the admin token of the default data directory.
///
/// `None`: there is neither; only `/health` answers then.
pub(crate) async fn default_token(url: &Url) -> Result<Option<String>, ClientError> {
    if let Some(token) = variable("CAXTON_TOKEN") {
        return Ok(Some(token.trim().to_owned()));
    }
    match default_data_directory() {
        Some(directory) if is_loopback(url) => read_token_file(directory.join("admin-token")).await,
        _ => Ok(None),
    }
}

async fn read_token_file(path: PathBuf) -> Result<Option<String>, ClientError> {
    match tokio::fs::read_to_string(&path).await {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ClientError::TokenFile { path, source }),
    }
}

fn default_data_directory() -> Option<PathBuf> {
    variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/share")))
        .map(|base| base.join("caxton"))
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that reads it"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
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
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
            ("https://127.0.0.1.example.com", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), local, "{url}");
        }
    }

    #[tokio::test]
    async fn a_token_file_is_read_and_may_be_absent() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin-token");
        assert_eq!(read_token_file(path.clone()).await.unwrap(), None);
        std::fs::write(&path, "secret\n").unwrap();
        assert_eq!(
            read_token_file(path).await.unwrap().as_deref(),
            Some("secret")
        );
        let error = read_token_file(directory.path().into()).await.unwrap_err();
        assert!(matches!(error, ClientError::TokenFile { .. }));
    }
}
