//! A refusal with what was asked, the rule that refused it, and what would grant it.

use std::fmt;

use caxton_model::{ErrorCode, Permission};

use crate::{pattern::Pattern, rights::Refusal, subject::Guard};

/// An access that the gate refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Who asked.
    pub guest: String,
    /// The permission that it needs.
    pub permission: Permission,
    /// What was asked, as the audit keeps it.
    pub asked: String,
    /// Which rule refused it.
    pub refusal: Refusal,
    /// The pattern that takes this access and nothing else; empty where the permission has none.
    pub(crate) exact: String,
}

impl Denied {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self.refusal {
            Refusal::Unaudited(_) => ErrorCode::AuditUnavailable,
            _ => ErrorCode::Denied,
        }
    }
    /// The command that would allow it, quoted for a shell; `None` where no grant would.
    #[must_use]
    pub fn command(&self) -> Option<String> {
        let guest = quoted(&self.guest);
        match &self.refusal {
            Refusal::NotRequested
            | Refusal::NotGranted
            | Refusal::Guarded(_)
            | Refusal::Expired { .. } => Some(grant_command(&self.guest, &self.permission_rule())),
            Refusal::Forbidden {
                pattern,
                origin: None,
            } => {
                let rule = quoted(&format!("{}=!{pattern}", self.permission));
                Some(format!("caxton revoke {guest} {rule}"))
            }
            Refusal::Forbidden { .. } | Refusal::Malformed(_) | Refusal::Unaudited(_) => None,
        }
    }
    /// The permission with the pattern that takes this access and nothing else.
    #[must_use]
    pub fn permission_rule(&self) -> String {
        if self.exact.is_empty() {
            self.permission.to_string()
        } else {
            format!("{}={}", self.permission, self.exact)
        }
    }
    /// That pattern, where a grant of it would allow the access.
    pub(crate) fn grantable(&self) -> Option<Pattern> {
        match self.refusal {
            Refusal::NotRequested
            | Refusal::NotGranted
            | Refusal::Guarded(_)
            | Refusal::Expired { .. } => Pattern::parse(self.permission, &self.exact).ok(),
            _ => None,
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            guest,
            permission,
            asked,
            ..
        } = self;
        write!(f, "`{guest}` was refused `{asked}` ({permission}): ")?;
        match &self.refusal {
            Refusal::NotRequested => write!(
                f,
                "its manifest does not ask for it; add `{}` to [permissions], then grant it",
                self.permission_rule()
            )?,
            Refusal::NotGranted => f.write_str("nothing granted to it takes this")?,
            Refusal::Guarded(guard) => guard.fmt(f)?,
            Refusal::Expired { rule, at } => write!(f, "the grant `{rule}` ended at {at}")?,
            Refusal::Forbidden { pattern, origin } => {
                write!(f, "`!{pattern}` forbids it")?;
                match origin {
                    Some(line) => write!(f, " ({line}), and no grant goes above that")?,
                    None => f.write_str(" in what it was granted")?,
                }
            }
            Refusal::Malformed(problem) => write!(f, "it {problem}")?,
            Refusal::Unaudited(reason) => write!(
                f,
                "the audit log could not take the decision ({reason}), and nothing is done unaudited"
            )?,
        }
        match self.command() {
            Some(command) => write!(f, "; to allow it: {command}"),
            None => Ok(()),
        }
    }
}
impl std::error::Error for Denied {}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(class) => write!(
                f,
                "the address is {class}, which only a grant of that very host and port, or of its range, reaches"
            ),
            Self::OutsideData => f.write_str(
                "it is outside /data, where only a grant of that very directory allows writes",
            ),
        }
    }
}

/// The command that grants a guest a rule, quoted for a shell.
#[must_use]
pub fn grant_command(guest: &str, rule: &str) -> String {
    format!("caxton grant {} {}", quoted(guest), quoted(rule))
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@%+,".contains(&b);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
