//! Finds the node that a command is about, and the token it is asked with.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use caxton_client::{
    CaxtonClient,
    api::{ADDRESS_FILE, SOCKET_FILE, TOKEN_FILE},
};

use crate::{environment::Environment, failure::Failure};

/// Where a node listens if nobody says otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// How a node is reached.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// Over the socket in its data directory, with this token or the operator's.
    Local(PathBuf, Option<String>),
    /// Over the network, with this token.
    Url(String, Option<String>),
}

/// Which node.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Node")]
pub(crate) struct Connection {
    /// The node's address; default: CAXTON_URL, else the node of --data, by the socket in it, else
    /// http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The data directory of a node on this machine, which holds its socket and its token
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A certificate authority to trust, PEM, beside the usual ones
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

impl Connection {
    /// The data directory; without any, an address and a token may still be given.
    fn data(&self, environment: &Environment) -> Option<PathBuf> {
        environment.data_directory(self.data.as_deref()).ok()
    }

    /// The node's address, if one is given.
    ///
    /// Errors: a variable that counts is not UTF-8.
    fn given(&self, environment: &Environment) -> Result<Option<String>, Failure> {
        Ok(match &self.url {
            Some(url) => Some(url.clone()),
            // A directory named on the command line is nearer than a variable.
            None if self.data.is_some() => None,
            None => environment.text("CAXTON_URL")?.map(str::to_owned),
        })
    }

    /// How the node is reached, and the token for it: CAXTON_TOKEN, else that of its directory.
    ///
    /// The token of a directory goes over the directory's socket, or to a server with a certificate
    /// that the user names beside the directory: after a crash another program may have the address.
    ///
    /// Errors: the directory is not this user's to read, or a variable is not UTF-8.
    fn find(&self, environment: &Environment) -> Result<Target, Failure> {
        let data = self.data(environment);
        let token = environment.text("CAXTON_TOKEN")?;
        let token = token.map(|token| token.trim().to_owned());
        let url = self.given(environment)?;
        let Some(data) = data else {
            let url = url.unwrap_or_else(|| DEFAULT_URL.to_owned());
            return Ok(Target::Url(url, token));
        };
        let Some(url) = url else {
            return Ok(if self.data.is_some() || has_socket(&data)? {
                Target::Local(data, token)
            } else {
                Target::Url(DEFAULT_URL.to_owned(), token)
            });
        };
        let is_own = read(&data, ADDRESS_FILE)
            .is_some_and(|own| own.trim_end_matches('/') == url.trim_end_matches('/'));
        Ok(match token {
            None if is_own => Target::Local(data, None),
            None if self.data.is_some() && url.starts_with("https://") => {
                Target::Url(url, read(&data, TOKEN_FILE))
            }
            token => Target::Url(url, token),
        })
    }

    /// The node's name for people: its address, else its directory.
    pub(crate) fn name(&self, environment: &Environment) -> Result<String, Failure> {
        let data = self.data(environment).unwrap_or_default();
        Ok(self
            .given(environment)?
            .or_else(|| read(&data, ADDRESS_FILE))
            .unwrap_or_else(|| data.display().to_string()))
    }

    /// A client of that node.
    pub(crate) async fn client(&self, environment: &Environment) -> Result<CaxtonClient, Failure> {
        let client = match self.find(environment)? {
            Target::Local(directory, token) => return Ok(CaxtonClient::local(&directory, token)?),
            Target::Url(url, Some(token)) => CaxtonClient::with_token(&url, token)?,
            Target::Url(url, None) => CaxtonClient::new(&url).await?,
        };
        match &self.ca {
            None => Ok(client),
            Some(path) => {
                let pem = fs::read(path).map_err(|error| Failure::file(path, &error))?;
                Ok(client.trusting(&pem)?)
            }
        }
    }

    /// The client to ask with after a break: where the node's directory says that it listens now,
    /// else as before.
    pub(crate) async fn client_after_break(
        &self,
        environment: &Environment,
        before: &CaxtonClient,
    ) -> CaxtonClient {
        let data = environment.data_directory(self.data.as_deref()).ok();
        let is_up = data.is_some_and(|data| data.join(ADDRESS_FILE).is_file());
        match self.client(environment).await {
            Ok(client) if is_up => client,
            _ => before.clone(),
        }
    }
}

fn read(data: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(data.join(name)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn has_socket(data: &Path) -> Result<bool, Failure> {
    let path = data.join(SOCKET_FILE);
    match fs::symlink_metadata(&path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Failure::file(&path, &error))
        }
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(connection: &Connection, environment: &Environment) -> Target {
        connection.find(environment).unwrap()
    }

    #[test]
    fn the_token_of_a_directory_leaves_it_only_over_its_socket_or_with_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(ADDRESS_FILE), "http://127.0.0.1:9\n").unwrap();
        fs::write(folder.path().join(TOKEN_FILE), "secret\n").unwrap();
        fs::write(folder.path().join(SOCKET_FILE), "").unwrap();
        let directory = folder.path().to_owned();
        let data = folder.path().to_str().unwrap();
        let local = || Target::Local(directory.clone(), None);
        let over =
            |url: &str, token: Option<&str>| Target::Url(url.to_owned(), token.map(str::to_owned));
        let at = |url: &str, named: bool| Connection {
            url: Some(url.to_owned()),
            data: named.then(|| directory.clone()),
            ca: None,
        };
        let environment = Environment::from([("CAXTON_DATA", data)]);
        let empty = Connection::default();
        assert_eq!(find(&empty, &environment), local());
        assert_eq!(
            find(&at("http://127.0.0.1:9/", false), &environment),
            local()
        );
        for url in ["http://10.0.0.1:9", "http://127.0.0.1:8"] {
            for named in [false, true] {
                assert_eq!(find(&at(url, named), &environment), over(url, None));
            }
        }
        let secured = "https://127.0.0.1:8";
        assert_eq!(find(&at(secured, false), &environment), over(secured, None));
        assert_eq!(
            find(&at(secured, true), &environment),
            over(secured, Some("secret"))
        );
        let elsewhere =
            Environment::from([("CAXTON_DATA", data), ("CAXTON_URL", "http://10.0.0.1:9")]);
        assert_eq!(find(&empty, &elsewhere), over("http://10.0.0.1:9", None));
        let own = Environment::from([("CAXTON_DATA", data), ("CAXTON_TOKEN", "mine")]);
        let mine = Some("mine".to_owned());
        assert_eq!(find(&empty, &own), Target::Local(directory.clone(), mine));
        assert_eq!(
            find(&at("http://127.0.0.1:9", false), &own),
            over("http://127.0.0.1:9", Some("mine"))
        );
    }

    #[test]
    fn without_any_word_it_is_the_usual_address() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        let environment = Environment::from([("CAXTON_DATA", data)]);
        let found = find(&Connection::default(), &environment);
        assert_eq!(found, Target::Url(DEFAULT_URL.to_owned(), None));
    }
}
