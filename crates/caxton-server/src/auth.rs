//! Who calls, and what they may.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use caxton_api::{NewToken, Scope, TokenCreated, TokenEntry};
use caxton_kernel::{
    Verb,
    border::{By, Principal, Target, Token, decide},
};
use caxton_model::{AgentName, Digest, ErrorCode, NameError, Namespace};
use http::{HeaderMap, header};
use subtle::ConstantTimeEq as _;

use crate::{
    ServeError, clock,
    refuse::Failure,
    token_file::{self, Kept},
    work::Work,
};

/// Clients that a token may be bound to: what the host keeps for each is at most 16 MiB, and for one
/// token's clients together at most 64 MiB.
const CLIENTS_MAX: usize = 4;

/// The id under which the admin token of the data directory is listed.
const ADMIN_ID: &str = "admin";

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The token's id; for what is kept per caller.
    pub(crate) id: Arc<str>,
    /// The token's name.
    pub(crate) name: Arc<str>,
    /// The clients it is bound to, by their full names.
    pub(crate) clients: Arc<[Arc<str>]>,
    scopes: Arc<[Scope]>,
    /// The namespace it ends at; `None`: all of them.
    pub(crate) namespace: Option<Namespace>,
    /// What is done on callers' behalf.
    pub(crate) work: Arc<Work>,
}

impl Caller {
    /// Somebody without a token.
    pub(crate) fn nobody() -> Self {
        Self {
            id: "".into(),
            name: "".into(),
            clients: Arc::new([]),
            scopes: Arc::new([]),
            namespace: None,
            work: Arc::default(),
        }
    }
    /// The sender of messages that name none.
    pub(crate) fn client(&self) -> Arc<str> {
        self.clients.first().cloned().unwrap_or_default()
    }
    /// Whether the token has this scope.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
    /// The caller, as the border sees it.
    pub(crate) fn principal(&self) -> Principal<'_> {
        if self.may(Scope::Admin) {
            return Principal::Operator;
        }
        Principal::Token(Token {
            namespace: self.namespace.as_ref().map(Namespace::as_str),
            clients: &self.clients,
            read: self.may(Scope::Read),
            send: self.may(Scope::Send),
            operate: self.may(Scope::Operate),
        })
    }
    /// Whether the caller may do that to a target.
    pub(crate) fn may_do(&self, verb: Verb, target: Target<'_>) -> bool {
        self.work.visit(1);
        decide(self.principal(), verb, target).allows()
    }
    /// Whether the caller may be told that an agent of that name exists.
    pub(crate) fn learns_of(&self, name: &AgentName) -> bool {
        let (name, by) = (name.as_str(), By::Name);
        self.may_do(Verb::LearnOf, Target::Agent { name, by })
    }
    /// The caller, if it has this scope.
    ///
    /// Errors: `forbidden`.
    pub(crate) fn with(self, scope: Scope) -> Result<Self, Failure> {
        if self.may(scope) {
            return Ok(self);
        }
        let detail = format!("token `{}` has not the scope `{scope}`", self.name);
        Err(Failure::new(ErrorCode::Forbidden, detail))
    }
}

struct Known {
    hash: [u8; 32],
    caller: Caller,
    kept: Kept,
}

impl Known {
    fn of(kept: Kept, work: &Arc<Work>) -> Option<Self> {
        let hash: Digest = kept.hash.parse().ok()?;
        let namespace: Option<Namespace> = match &kept.namespace {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        let clients = clients(&kept).ok()?;
        let caller = Caller {
            id: kept.id.as_str().into(),
            name: kept.name.as_str().into(),
            clients: clients.iter().map(AgentName::shared).collect(),
            scopes: kept.scopes.as_slice().into(),
            namespace,
            work: Arc::clone(work),
        };
        Some(Self {
            hash: *hash.as_bytes(),
            caller,
            kept,
        })
    }
}

/// The clients that a token is bound to.
fn clients(kept: &Kept) -> Result<Vec<AgentName>, NameError> {
    let namespace = match &kept.namespace {
        Some(text) => text.parse()?,
        None => Namespace::default(),
    };
    let own = std::slice::from_ref(&kept.name);
    let names = if kept.clients.is_empty() {
        own
    } else {
        &kept.clients
    };
    let names = names.iter();
    names.map(|name| AgentName::new(&namespace, name)).collect()
}

/// Refuses a token one of whose clients is bound to another token.
fn check_clients(new: &Kept, known: &[Known]) -> Result<(), Failure> {
    for client in clients(new).unwrap_or_default() {
        let is_bound = |other: &&Known| {
            other
                .caller
                .clients
                .iter()
                .any(|one| **one == *client.as_str())
        };
        let Some(other) = known.iter().find(is_bound) else {
            continue;
        };
        let detail = format!(
            "the client `{client}` is bound to the token `{}`, and a client is bound to one token",
            other.kept.id
        );
        let mut failure = Failure::new(ErrorCode::NameTaken, detail);
        "bind the new token to other clients, or take the other token away"
            .clone_into(&mut failure.problem.remedy);
        return Err(failure);
    }
    Ok(())
}

/// All tokens of a node.
pub(crate) struct Tokens {
    known: RwLock<Vec<Known>>,
    /// One change at a time, so that the file holds what is known.
    changes: tokio::sync::Mutex<()>,
    path: Option<PathBuf>,
    max: usize,
    admin: String,
    /// What is done on callers' behalf.
    pub(crate) work: Arc<Work>,
}

impl Tokens {
    /// Opens the tokens of a data directory, or makes an admin token that ends with the process.
    /// Blocking.
    ///
    /// Errors: [`ServeError::Tokens`].
    pub(crate) fn open(directory: Option<PathBuf>, max: usize) -> Result<Self, ServeError> {
        let (admin, path, kept) = match directory {
            Some(directory) => {
                let path = directory.join("tokens.json");
                let kept = token_file::kept_tokens(&directory)?;
                (token_file::admin_token(&directory)?, Some(path), kept)
            }
            None => (token_file::new_secret(), None, Vec::new()),
        };
        let work = Arc::<Work>::default();
        let mut known = Vec::new();
        let own = Kept {
            id: ADMIN_ID.to_owned(),
            name: ADMIN_ID.to_owned(),
            scopes: vec![Scope::Admin],
            namespace: None,
            clients: Vec::new(),
            created_at: clock::now().to_string(),
            hash: Digest::of(admin.as_bytes()).to_string(),
        };
        known.extend(Known::of(own, &work));
        for kept in kept {
            let id = kept.id.clone();
            match (Known::of(kept, &work), &path) {
                (Some(token), _) => known.push(token),
                (None, path) => {
                    return Err(ServeError::Tokens {
                        path: path.clone().unwrap_or_default(),
                        reason: format!(
                            "token `{id}` in it is damaged; restore the file from a copy"
                        ),
                    });
                }
            }
        }
        Ok(Self {
            known: RwLock::new(known),
            changes: tokio::sync::Mutex::new(()),
            path,
            max,
            admin,
            work,
        })
    }

    /// The admin token's secret.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    /// Who sent a request.
    ///
    /// Errors: `unauthorized`. Cost: a hash, and a comparison with every token, so that the time
    /// says nothing about which one was near.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        let refused = |detail: &str| {
            Failure::new(ErrorCode::Unauthorized, detail)
                .with_header(header::WWW_AUTHENTICATE, "Bearer")
        };
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Err(refused("this needs a token"));
        };
        let secret = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret.trim());
        let (Some(secret), None) = (secret, values.next()) else {
            return Err(refused("the header `Authorization` is not `Bearer TOKEN`"));
        };
        let hash = Digest::of(secret.as_bytes());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        self.work.visit(known.len());
        for token in known.iter() {
            if bool::from(token.hash.ct_eq(hash.as_bytes())) {
                found = Some(token.caller.clone());
            }
        }
        found.ok_or_else(|| refused("the node does not know this token"))
    }

    /// All tokens, without secrets.
    pub(crate) fn list(&self) -> Vec<TokenEntry> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        self.work.visit(known.len());
        known.iter().map(|token| entry(&token.kept)).collect()
    }

    /// Makes a token. Durable when this returns.
    ///
    /// Errors: `invalid-name`, `malformed-request`, `name-taken`, `node-budget`, `disk-full`.
    pub(crate) async fn create(&self, new: NewToken) -> Result<TokenCreated, Failure> {
        let invalid = |error: NameError| Failure::new(ErrorCode::InvalidName, error.to_string());
        AgentName::new(&Namespace::default(), &new.name).map_err(invalid)?;
        if new.namespace.is_some() && new.scopes.contains(&Scope::Admin) {
            return Err(Failure::malformed(
                "a token of one namespace can't have the scope `admin`",
            ));
        }
        let named = new.clients.len();
        if named > CLIENTS_MAX {
            return Err(Failure::malformed(format!(
                "a token is bound to at most {CLIENTS_MAX} clients, and `clients` names {named}"
            )));
        }
        // A name given twice is bound once.
        let (mut bound, mut once) = (new.clients, BTreeSet::new());
        bound.retain(|name| once.insert(name.clone()));
        let mut scopes = new.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return Err(Failure::malformed(
                "a token needs at least one scope: read, send, operate or admin",
            ));
        }
        let secret = token_file::new_secret();
        let kept = Kept {
            id: format!("t-{:016x}", rand::random::<u64>()),
            name: new.name,
            scopes,
            namespace: new.namespace,
            clients: bound,
            created_at: clock::now().to_string(),
            hash: Digest::of(secret.as_bytes()).to_string(),
        };
        clients(&kept).map_err(invalid)?;
        let entry = entry(&kept);
        let max = self.max;
        self.change(move |all, known| {
            check_clients(&kept, known)?;
            if all.len() >= max {
                let detail = format!("the node has {max} tokens, as many as it takes");
                return Err(Failure::new(ErrorCode::NodeBudget, detail));
            }
            all.push(kept);
            Ok(())
        })
        .await?;
        Ok(TokenCreated {
            token: secret,
            entry,
        })
    }

    /// Takes a token away. Durable when this returns.
    ///
    /// Errors: `not-found`, `conflict` for the admin token, `disk-full`.
    pub(crate) async fn delete(&self, id: &str) -> Result<(), Failure> {
        if id == ADMIN_ID {
            return Err(Failure::new(
                ErrorCode::Conflict,
                "the admin token is a file; remove `admin-token` and start the node again to get a new one",
            ));
        }
        self.change(|all, _| {
            let before = all.len();
            all.retain(|kept| kept.id != id);
            if all.len() == before {
                let shown: String = id.chars().take(100).collect();
                return Err(Failure::not_found(format!("there is no token `{shown}`")));
            }
            Ok(())
        })
        .await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut Vec<Kept>, &[Known]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let _one_at_a_time = self.changes.lock().await;
        let kept = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let others = known.iter().filter(|token| token.kept.id != ADMIN_ID);
            self.work.visit(known.len());
            let mut kept: Vec<Kept> = others.map(|token| token.kept.clone()).collect();
            change(&mut kept, &known)?;
            kept
        };
        if let Some(path) = self.path.clone() {
            let tokens = kept.clone();
            let written =
                tokio::task::spawn_blocking(move || token_file::write(&path, &tokens)).await;
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "writing tokens.json");
                    return Err(Failure::new(
                        ErrorCode::DiskFull,
                        "the tokens can't be written; nothing was changed",
                    ));
                }
                Err(error) => {
                    tracing::error!(%error, "writing tokens.json");
                    return Err(Failure::new(
                        ErrorCode::Internal,
                        "the node failed; its log says more",
                    ));
                }
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|token| token.kept.id == ADMIN_ID);
        let work = &self.work;
        known.extend(kept.into_iter().filter_map(|kept| Known::of(kept, work)));
        Ok(())
    }
}

fn entry(kept: &Kept) -> TokenEntry {
    TokenEntry {
        id: kept.id.clone(),
        name: kept.name.clone(),
        scopes: kept.scopes.clone(),
        namespace: kept.namespace.clone(),
        clients: clients(kept)
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect(),
        created_at: kept.created_at.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, text.parse().unwrap());
        headers
    }

    #[tokio::test]
    async fn tokens_outlive_the_process_and_end_when_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Tokens::open(Some(directory.path().to_owned()), 2).unwrap();
        let tokens = open();
        let new = |name: &str| NewToken {
            name: name.to_owned(),
            scopes: vec![Scope::Read, Scope::Read],
            namespace: Some("acme".to_owned()),
            clients: Vec::new(),
        };
        let made = tokens.create(new("ci")).await.unwrap();
        let file = std::fs::read_to_string(directory.path().join("tokens.json")).unwrap();
        assert!(!file.contains(&made.token));
        let again = open();
        let caller = again
            .caller(&bearer(&format!("Bearer {}", made.token)))
            .unwrap();
        assert!(caller.may(Scope::Read) && !caller.may(Scope::Send));
        let learns = |caller: &Caller, name: &str| caller.learns_of(&name.parse().unwrap());
        assert!(learns(&caller, "acme/x") && !learns(&caller, "x"));
        assert_eq!(&*caller.client(), "acme/ci");
        let admin = again
            .caller(&bearer(&format!("bearer {}", again.admin())))
            .unwrap();
        assert!(admin.may(Scope::Operate) && learns(&admin, "x"));
        again.create(new("other")).await.unwrap();
        let full = again.create(new("third")).await.unwrap_err();
        assert_eq!(full.problem.code, "node-budget");
        again.delete(&made.entry.id).await.unwrap();
        assert!(
            again
                .caller(&bearer(&format!("Bearer {}", made.token)))
                .is_err()
        );
        assert_eq!(
            again
                .delete(&made.entry.id)
                .await
                .unwrap_err()
                .problem
                .status,
            404
        );
        assert_eq!(again.delete("admin").await.unwrap_err().problem.status, 409);
        assert_eq!(open().list().len(), 2);
    }

    #[tokio::test]
    async fn what_is_no_token_is_refused() {
        let tokens = Tokens::open(None, 10).unwrap();
        assert!(tokens.caller(&HeaderMap::new()).is_err());
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Basic eDp5",
            tokens.admin(),
            "Bearer cxt_no",
        ] {
            let error = tokens.caller(&bearer(bad)).unwrap_err();
            assert_eq!(error.problem.status, 401, "{bad}");
        }
        for (name, scopes, namespace, code) in [
            ("1", vec![Scope::Read], None, "invalid-name"),
            ("ams", vec![Scope::Read], None, "invalid-name"),
            ("a", vec![], None, "malformed-request"),
            ("a", vec![Scope::Read], Some("a b"), "invalid-name"),
            ("a", vec![Scope::Admin], Some("acme"), "malformed-request"),
        ] {
            let new = NewToken {
                name: name.to_owned(),
                scopes,
                namespace: namespace.map(str::to_owned),
                clients: Vec::new(),
            };
            assert_eq!(
                tokens.create(new).await.unwrap_err().problem.code,
                code,
                "{name}"
            );
        }
    }

    fn bound(name: &str, namespace: Option<&str>, clients: &[&str]) -> NewToken {
        NewToken {
            name: name.to_owned(),
            scopes: vec![Scope::Send],
            namespace: namespace.map(str::to_owned),
            clients: clients.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[tokio::test]
    async fn a_token_answers_for_the_clients_it_is_bound_to() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Tokens::open(Some(directory.path().to_owned()), 10).unwrap();
        let new = bound("ci", Some("acme"), &["web", "cron"]);
        let made = open().create(new).await.unwrap();
        assert_eq!(made.entry.clients, ["acme/web", "acme/cron"]);
        let caller = open().caller(&bearer(&format!("Bearer {}", made.token)));
        let caller = caller.unwrap();
        assert_eq!(&*caller.client(), "acme/web");
        for (name, is_bound) in [
            ("acme/web", true),
            ("acme/cron", true),
            ("acme/ci", false),
            ("web", false),
        ] {
            let may = caller.may_do(Verb::AnswerFor, Target::Client(name));
            assert_eq!(may, is_bound, "{name}");
        }
    }

    #[tokio::test]
    async fn a_client_is_bound_to_one_token() {
        let tokens = Tokens::open(None, 100).unwrap();
        let create =
            |name, namespace, clients: &[&str]| tokens.create(bound(name, namespace, clients));
        let first = create("ci", Some("acme"), &["web", "cron"]).await.unwrap();
        create("web", None, &[]).await.unwrap();
        create("ci", Some("acme"), &[]).await.unwrap();
        for (name, namespace, clients) in [
            ("web", Some("acme"), vec![]),
            ("x", Some("acme"), vec!["x", "cron"]),
            ("ci", Some("acme"), vec![]),
            ("web", Some("main"), vec![]),
            ("x", None, vec!["web"]),
            ("admin", None, vec![]),
        ] {
            let error = create(name, namespace, &clients).await.unwrap_err();
            assert_eq!(error.problem.code, "name-taken", "{name} {clients:?}");
        }
        for clients in [
            &["a", "b", "c", "d", "e"][..],
            &["a b"],
            &["df"],
            &["acme/x"],
        ] {
            let error = create("y", None, clients).await.unwrap_err();
            let code = error.problem.code.as_str();
            let expected = ["malformed-request", "invalid-name"];
            assert!(expected.contains(&code), "{clients:?}: {code}");
        }
        let created = create("y", None, &["a", "b", "c", "a"]).await.unwrap();
        assert_eq!(created.entry.clients, ["a", "b", "c"], "named twice");
        tokens.delete(&first.entry.id).await.unwrap();
        create("web", Some("acme"), &[]).await.unwrap();
    }
}
