//! Who may address, see, answer for or learn of whom: one pure function that every path asks.
//!
//! The border is the namespace. It is read from names alone, so the answer to a name on the other
//! side never depends on whether anybody bears it.

use std::sync::Arc;

use caxton_model::Grants;

/// The namespace of names that give none.
const DEFAULT_NAMESPACE: &str = "main";

/// The namespace of an agent's or a client's name in its one form.
#[must_use]
pub fn namespace_of(name: &str) -> &str {
    name.split_once('/')
        .map_or(DEFAULT_NAMESPACE, |(namespace, _)| namespace)
}

/// Who acts.
#[derive(Debug, Clone, Copy)]
pub enum Principal<'a> {
    /// The operator, whom no namespace holds.
    Operator,
    /// A caller of the API.
    Token(Token<'a>),
    /// An agent in its turn.
    Agent(Agent<'a>),
    /// An outside client whose message the host works on after its request has ended.
    Client(Client<'a>),
    /// The host itself and its own agents.
    BuiltIn,
}

/// A caller of the API, by what its token allows.
#[derive(Debug, Clone, Copy)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "the scopes of the API, each of which a token has or lacks"
)]
pub struct Token<'a> {
    /// The namespace the token ends at; `None`: all of them.
    pub namespace: Option<&'a str>,
    /// The clients that the token is bound to, by their full names.
    pub clients: &'a [Arc<str>],
    /// Whether it has the scope `read`.
    pub read: bool,
    /// Whether it has the scope `send`.
    pub send: bool,
    /// Whether it has the scope `operate`.
    pub operate: bool,
}

/// An agent, by what it was granted and whom it owes an answer.
#[derive(Debug, Clone, Copy)]
pub struct Agent<'a> {
    /// Its full name.
    pub name: &'a str,
    /// Its grants.
    pub grants: &'a Grants,
    /// Who wrote the message that it handles.
    pub asker: Option<&'a str>,
    /// Where that message wants its answer, if the asker could send there itself.
    pub reply_to: Option<&'a str>,
}

/// An outside client.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Its full name.
    pub name: &'a str,
    /// The namespace its token ended at; `None`: all of them.
    pub namespace: Option<&'a str>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Send a message there.
    Address,
    /// Read what it holds or was sent: mail, state, log lines, conversations, dead letters.
    See,
    /// Speak in its name, and take what was sent to it.
    AnswerFor,
    /// Be told that it exists: look-ups, searches, hints, events.
    LearnOf,
}

/// To whom it is done.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// An agent, or whoever may bear that name.
    Agent {
        /// Its full name.
        name: &'a str,
        /// How the principal came by it.
        by: By<'a>,
    },
    /// An outside client, by its full name.
    Client(&'a str),
    /// One of the host's own agents.
    BuiltIn(&'a str),
    /// What concerns all namespaces at once.
    Node,
}

/// How an agent was named.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// By its name, which says its namespace.
    Name,
    /// By its id, which says nothing of it.
    Id,
    /// By a capability that it offers.
    Capability(&'a str),
}

/// What [`decide`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may not, and may be told so: the refusal follows from the name alone.
    Deny,
    /// It may not, and must not learn whether there is such a target: answer as if there is none.
    Absent,
}

impl Verdict {
    /// Whether it may.
    #[must_use]
    pub fn allows(self) -> bool {
        self == Self::Allow
    }
}

/// Whether `who` may do that to `target`.
#[must_use]
pub fn decide(who: Principal<'_>, verb: Verb, target: Target<'_>) -> Verdict {
    match who {
        Principal::Operator => operator(verb, target),
        Principal::Token(token) => of_token(token, verb, target),
        Principal::Agent(agent) => of_agent(agent, verb, target),
        Principal::Client(client) => of_client(client, verb, target),
        Principal::BuiltIn => built_in(verb, target),
    }
}

fn allow_if(allowed: bool, else_: Verdict) -> Verdict {
    if allowed { Verdict::Allow } else { else_ }
}

impl Target<'_> {
    fn namespace(&self) -> Option<&str> {
        match self {
            Self::Agent { name, .. } | Self::Client(name) => Some(namespace_of(name)),
            Self::BuiltIn(_) | Self::Node => None,
        }
    }
    fn is_inside(&self, reach: Option<&str>) -> bool {
        reach.is_none_or(|reach| self.namespace() == Some(reach))
    }
    /// The refusal of a message to the other side: a name shows that it is there, an id and a
    /// capability do not.
    const fn across(&self) -> Verdict {
        match self {
            Self::Agent {
                by: By::Id | By::Capability(_),
                ..
            } => Verdict::Absent,
            _ => Verdict::Deny,
        }
    }
}

const fn operator(verb: Verb, target: Target<'_>) -> Verdict {
    match (verb, target) {
        (Verb::Address, Target::Node)
        | (Verb::AnswerFor, Target::Agent { .. } | Target::BuiltIn(_) | Target::Node) => {
            Verdict::Deny
        }
        _ => Verdict::Allow,
    }
}

const fn built_in(verb: Verb, target: Target<'_>) -> Verdict {
    match (verb, target) {
        (Verb::Address | Verb::AnswerFor, Target::Node) | (Verb::AnswerFor, Target::Client(_)) => {
            Verdict::Deny
        }
        _ => Verdict::Allow,
    }
}

fn of_token(token: Token<'_>, verb: Verb, target: Target<'_>) -> Verdict {
    let inside = target.is_inside(token.namespace);
    let is_bound = |name: &str| token.clients.iter().any(|client| **client == *name);
    let own = matches!(target, Target::Client(name) if is_bound(name)) && inside;
    match (verb, target) {
        (Verb::Address, Target::Node) => Verdict::Deny,
        (Verb::Address, _) if !token.send => Verdict::Deny,
        (Verb::Address, Target::BuiltIn(_)) => Verdict::Allow,
        (Verb::Address, _) => allow_if(inside, target.across()),
        (Verb::See, Target::Client(_)) if own && token.send => Verdict::Allow,
        (Verb::See, _) if !token.read => Verdict::Deny,
        (Verb::See | Verb::LearnOf, Target::Node) => allow_if(inside, Verdict::Deny),
        (Verb::LearnOf, Target::BuiltIn(_)) => Verdict::Allow,
        (Verb::See | Verb::LearnOf, _) => allow_if(inside, Verdict::Absent),
        (Verb::AnswerFor, Target::Client(_)) => {
            let bound = own || (inside && token.operate);
            allow_if(token.send && bound, Verdict::Deny)
        }
        (Verb::AnswerFor, _) => Verdict::Deny,
    }
}

fn of_agent(agent: Agent<'_>, verb: Verb, target: Target<'_>) -> Verdict {
    let same = target.is_inside(Some(namespace_of(agent.name)));
    let itself = matches!(target, Target::Agent { name, .. } if name == agent.name);
    match (verb, target) {
        (_, Target::Node) | (Verb::AnswerFor, Target::BuiltIn(_)) => Verdict::Deny,
        (Verb::LearnOf, Target::BuiltIn(_)) => Verdict::Allow,
        (Verb::Address, _) if itself => Verdict::Allow,
        (Verb::Address, Target::BuiltIn(name)) => allow_if(
            agent.owes(name) || agent.is_granted(name, true),
            Verdict::Deny,
        ),
        (Verb::Address, Target::Agent { name, .. } | Target::Client(name)) => {
            let by_service = matches!(target, Target::Agent { by: By::Capability(service), .. }
                if agent.is_granted_service(service));
            let allowed = by_service || agent.owes(name) || agent.is_granted(name, same);
            let refused = if same { Verdict::Deny } else { target.across() };
            allow_if(allowed, refused)
        }
        (Verb::See, _) => allow_if(itself, Verdict::Absent),
        (Verb::AnswerFor, _) if same => allow_if(itself, Verdict::Deny),
        (Verb::AnswerFor, _) => Verdict::Absent,
        (Verb::LearnOf, _) => allow_if(same, Verdict::Absent),
    }
}

impl Agent<'_> {
    fn owes(&self, name: &str) -> bool {
        [self.asker, self.reply_to].contains(&Some(name))
    }
    fn is_granted(&self, name: &str, same: bool) -> bool {
        self.grants.allows_message_to(name, same)
    }
    fn is_granted_service(&self, service: &str) -> bool {
        self.grants.message_send.is_some()
            && self.is_granted(&format!("capability:{service}"), false)
    }
}

fn of_client(client: Client<'_>, verb: Verb, target: Target<'_>) -> Verdict {
    let inside = target.is_inside(client.namespace);
    let itself = matches!(target, Target::Client(name) if name == client.name);
    match (verb, target) {
        (_, Target::Node) | (Verb::AnswerFor, Target::BuiltIn(_)) => Verdict::Deny,
        (Verb::Address | Verb::LearnOf, Target::BuiltIn(_)) => Verdict::Allow,
        (Verb::Address, _) => allow_if(inside, target.across()),
        (Verb::See, _) => allow_if(itself, Verdict::Absent),
        (Verb::AnswerFor, _) if inside => allow_if(itself, Verdict::Deny),
        (Verb::AnswerFor, _) => allow_if(itself, Verdict::Absent),
        (Verb::LearnOf, _) => allow_if(inside, Verdict::Absent),
    }
}
