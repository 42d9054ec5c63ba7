//! The 22 communicative acts of FIPA.
//!
//! Source: FIPA00037, "FIPA Communicative Act Library Specification".

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::nearest;

macro_rules! performatives {
    ($($variant:ident = $text:literal: $doc:literal,)*) => {
        /// What a message does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Performative { $(#[doc = $doc] $variant,)* }
        impl Performative {
            /// All 22, in the order of the specification.
            pub const ALL: [Self; 22] = [$(Self::$variant,)*];
            /// Lower case with hyphens, as it is always written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

performatives! {
    AcceptProposal = "accept-proposal": "Accepts a proposal made earlier.",
    Agree = "agree": "Agrees to do what was requested, perhaps later.",
    Cancel = "cancel": "Takes back an earlier request or subscription.",
    Cfp = "cfp": "Calls for proposals to do something.",
    Confirm = "confirm": "Says that a proposition the receiver doubts is true.",
    Disconfirm = "disconfirm": "Says that a proposition the receiver believes is false.",
    Failure = "failure": "Says that something was attempted and failed, and why.",
    Inform = "inform": "Says that a proposition is true.",
    InformIf = "inform-if": "Asks to be told whether a proposition is true.",
    InformRef = "inform-ref": "Asks to be told the object that fits a description.",
    NotUnderstood = "not-understood": "Says that a message was not understood, and why.",
    Propagate = "propagate": "Asks to treat the inner message as sent to the receiver and pass it on.",
    Propose = "propose": "Proposes to do something under conditions.",
    Proxy = "proxy": "Asks to pass an inner message on to agents that fit a description.",
    QueryIf = "query-if": "Asks whether a proposition is true.",
    QueryRef = "query-ref": "Asks for the object that fits a description.",
    Refuse = "refuse": "Refuses to do what was requested, and why.",
    RejectProposal = "reject-proposal": "Rejects a proposal made earlier.",
    Request = "request": "Asks the receiver to do something.",
    RequestWhen = "request-when": "Asks the receiver to do something once a proposition is true.",
    RequestWhenever = "request-whenever": "Asks the receiver to do something each time a proposition turns true.",
    Subscribe = "subscribe": "Asks to be told a reference now and whenever it changes.",
}

/// A word that is no performative.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no FIPA performative{}", .nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
pub struct UnknownPerformative {
    /// The word (at most 100 characters of it).
    pub text: String,
    /// The nearest one there is.
    pub nearest: Option<&'static str>,
}

impl Performative {
    /// Whether the sender of such a message waits for an answer.
    #[must_use]
    pub const fn asks(self) -> bool {
        matches!(
            self,
            Self::Cfp
                | Self::InformIf
                | Self::InformRef
                | Self::Propagate
                | Self::Propose
                | Self::Proxy
                | Self::QueryIf
                | Self::QueryRef
                | Self::Request
                | Self::RequestWhen
                | Self::RequestWhenever
                | Self::Subscribe
                | Self::AcceptProposal
        )
    }
    /// Whether it ends what an earlier message asked for (`agree` and `propose` do not).
    #[must_use]
    pub const fn concludes(self) -> bool {
        matches!(
            self,
            Self::Inform
                | Self::Failure
                | Self::Refuse
                | Self::NotUnderstood
                | Self::Confirm
                | Self::Disconfirm
                | Self::RejectProposal
                | Self::Cancel
        )
    }
    /// Whether the host must never answer it by itself, lest two hosts answer each other for ever.
    #[must_use]
    pub const fn is_last_word(self) -> bool {
        matches!(self, Self::Failure | Self::NotUnderstood)
    }
}

impl fmt::Display for Performative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Performative {
    type Err = UnknownPerformative;
    /// Reads without regard to case, `_` and `-`.
    fn from_str(text: &str) -> Result<Self, UnknownPerformative> {
        if let Some(exact) = Self::ALL.into_iter().find(|p| p.as_str() == text) {
            return Ok(exact);
        }
        let letters = |t: &str| -> String {
            t.chars()
                .filter(|c| !matches!(c, '_' | '-'))
                .take(32)
                .map(|c| c.to_ascii_lowercase())
                .collect()
        };
        let wanted = letters(text);
        Self::ALL
            .into_iter()
            .find(|p| letters(p.as_str()) == wanted)
            .ok_or_else(|| UnknownPerformative {
                text: text.chars().take(100).collect(),
                nearest: nearest(text, Self::ALL.map(Self::as_str)),
            })
    }
}

impl Serialize for Performative {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Performative {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_22_are_read_in_any_spelling_and_written_in_one() {
        for performative in Performative::ALL {
            let text = performative.as_str();
            for spelling in [
                text.to_owned(),
                text.to_uppercase(),
                text.replace('-', "_"),
                text.replace('-', ""),
                text.to_uppercase().replace('-', "_"),
            ] {
                assert_eq!(spelling.parse(), Ok(performative), "{spelling}");
            }
        }
        let error = "requst".parse::<Performative>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`requst` is no FIPA performative; did you mean `request`?"
        );
    }
}
