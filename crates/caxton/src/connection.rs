//! Finds the node that a command is about, and the token it is asked with.

use std::{fs, path::PathBuf};

use caxton_client::CaxtonClient;

use crate::{environment::Environment, failure::Failure};

/// The file in a data directory that says where its node listens.
pub(crate) const ADDRESS_FILE: &str = "address";
/// The file in a data directory that holds the token of its operator.
pub(crate) const TOKEN_FILE: &str = "admin-token";
/// Where a node listens if nobody says otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Which node.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Node")]
pub(crate) struct Connection {
    /// The node's address; default: CAXTON_URL, else the node of --data, else
    /// http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The data directory of a node on this machine, which holds its address and its token
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A certificate authority to trust, PEM, beside the usual ones
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

impl Connection {
    /// The node's address and the token for it: CAXTON_TOKEN, else that of the data directory if
    /// the address is its own.
    pub(crate) fn find(&self, environment: &Environment) -> (String, Option<String>) {
        let data = self
            .data
            .clone()
            .or_else(|| environment.get("CAXTON_DATA").map(PathBuf::from))
            .unwrap_or_else(|| environment.data_directory());
        let read = |name: &str| {
            let text = fs::read_to_string(data.join(name)).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let given = self.url.clone().or_else(|| {
            // A directory named on the command line is nearer than a variable.
            let variable = if self.data.is_none() {
                environment.get("CAXTON_URL")
            } else {
                None
            };
            variable.map(str::to_owned)
        });
        let own = read(ADDRESS_FILE).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let url = given.unwrap_or_else(|| own.clone());
        let same = url.trim_end_matches('/') == own.trim_end_matches('/');
        let token = match environment.get("CAXTON_TOKEN") {
            Some(token) => Some(token.trim().to_owned()),
            // A token goes to no address but the one of the node that made it.
            None if same || self.data.is_some() => read(TOKEN_FILE),
            None => None,
        };
        (url, token)
    }
    /// A client of that node.
    pub(crate) async fn client(&self, environment: &Environment) -> Result<CaxtonClient, Failure> {
        let (url, token) = self.find(environment);
        let client = match token {
            Some(token) => CaxtonClient::with_token(&url, token)?,
            None => CaxtonClient::new(&url).await?,
        };
        match &self.ca {
            None => Ok(client),
            Some(path) => {
                let pem = fs::read(path).map_err(|error| Failure::file(path, &error))?;
                Ok(client.trusting(&pem)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_only_to_the_node_that_made_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(ADDRESS_FILE), "http://127.0.0.1:9\n").unwrap();
        fs::write(folder.path().join(TOKEN_FILE), "secret\n").unwrap();
        let data = folder.path().to_str().unwrap();
        let found = |url: Option<&str>, environment: &Environment| {
            Connection {
                url: url.map(str::to_owned),
                ..Connection::default()
            }
            .find(environment)
        };
        let environment = Environment::from([("CAXTON_DATA", data)]);
        let secret = Some("secret".to_owned());
        assert_eq!(
            found(None, &environment),
            ("http://127.0.0.1:9".to_owned(), secret.clone())
        );
        assert_eq!(found(Some("http://127.0.0.1:9/"), &environment).1, secret);
        assert_eq!(found(Some("http://10.0.0.1:9"), &environment).1, None);
        let elsewhere =
            Environment::from([("CAXTON_DATA", data), ("CAXTON_URL", "http://10.0.0.1:9")]);
        assert_eq!(
            found(None, &elsewhere),
            ("http://10.0.0.1:9".to_owned(), None)
        );
        let own = Environment::from([("CAXTON_DATA", data), ("CAXTON_TOKEN", "mine")]);
        assert_eq!(found(None, &own).1, Some("mine".to_owned()));
    }

    #[test]
    fn without_any_word_it_is_the_usual_address() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        let environment = Environment::from([("CAXTON_DATA", data)]);
        let found = Connection::default().find(&environment);
        assert_eq!(found, (DEFAULT_URL.to_owned(), None));
    }
}
