//! Why a command did not work: what, and what to do about it.

use std::process::ExitCode;

use caxton_client::ClientError;
use caxton_model::{ErrorClass, ErrorCode};

/// The number a command ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: nothing went wrong; whoever read the output has seen enough.
    Done,
    /// 1: the guest reported an error, or the node could not do it.
    Failed,
    /// 2: arguments, manifest or configuration are wrong.
    Usage,
    /// 3: a guest faulted or reached a limit.
    Fault,
    /// 4: a module, a package or a right was refused.
    Refused,
    /// 130: Ctrl-C, by the shell's convention of 128 and the signal's number.
    Interrupted,
    /// A WASI command's own number, where that was asked for.
    Guest(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Fault => 3,
            Exit::Refused => 4,
            Exit::Interrupted => 130,
            Exit::Guest(code) => code,
        })
    }
}

impl Exit {
    /// The number for an error of the registry.
    pub(crate) const fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::InvalidModule
            | ErrorCode::UnsupportedModule
            | ErrorCode::UnmetImport
            | ErrorCode::ProfileRequired
            | ErrorCode::CompileRefused
            | ErrorCode::ModuleTooLarge
            | ErrorCode::PermissionRequired => Self::Refused,
            ErrorCode::InvalidManifest
            | ErrorCode::InvalidConfig
            | ErrorCode::InvalidLimit
            | ErrorCode::InvalidName
            | ErrorCode::UnknownField
            | ErrorCode::MalformedMessage
            | ErrorCode::MalformedRequest => Self::Usage,
            // The guest's own word for "no", not a fault.
            ErrorCode::GuestError => Self::Failed,
            code => match code.class() {
                ErrorClass::Guest => Self::Fault,
                ErrorClass::Denied => Self::Refused,
                ErrorClass::Transient | ErrorClass::Caller | ErrorClass::Host => Self::Failed,
            },
        }
    }
}

/// Why a command did not work.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The number it ends with.
    pub(crate) exit: Exit,
    /// What happened, and why. Empty where nothing is to be said.
    pub(crate) what: String,
    /// What to do. Empty only where `what` says it.
    pub(crate) help: String,
    /// A drawing of the text that is wrong, where it is about a text.
    pub(crate) drawing: Option<miette::Report>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            help: help.into(),
            drawing: None,
        }
    }
    /// Nobody reads the output any more: the command ends without a word.
    pub(crate) fn reader_gone() -> Self {
        Self::new(Exit::Done, "", "")
    }
    /// The same where more is to be done than to print: it is done, read or not.
    pub(crate) fn unless_reader_gone(self) -> Result<(), Self> {
        match self.exit {
            Exit::Done => Ok(()),
            _ => Err(self),
        }
    }
    /// Ctrl-C; `what` says what the command had done by then.
    pub(crate) fn interrupted(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Exit::Interrupted, what, help)
    }
    /// Wrong use.
    pub(crate) fn usage(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what, help)
    }
    /// An error of the registry, with its own remedy.
    pub(crate) fn of(code: ErrorCode, what: impl Into<String>) -> Self {
        let what = what.into();
        // Texts made from the registry end with the remedy, which has a line of its own here.
        let what = what.replace(&format!("; {}", code.remedy()), "");
        let what = if what.contains(code.as_str()) {
            what
        } else {
            format!("{what} ({code})")
        };
        Self::new(Exit::of(code), what, code.remedy())
    }
    /// A file that can't be read or written.
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::usage(format!("{}: {error}", path.display()), io_remedy(error))
    }
}

/// What to do about what the system said.
pub(crate) fn io_remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => "check the path",
        Kind::PermissionDenied => {
            "check who owns it and who may read and write it: `ls -ld` shows both; run the command as that user"
        }
        Kind::ReadOnlyFilesystem => "name a path on a file system that can be written",
        Kind::StorageFull | Kind::QuotaExceeded => "make room on the disk",
        Kind::IsADirectory => "name a file, not a folder",
        Kind::NotADirectory | Kind::AlreadyExists => {
            "a file stands where a folder is needed: name another path, or move the file"
        }
        Kind::OutOfMemory => "free memory on this machine",
        _ => match error
            .raw_os_error()
            .map(rustix::io::Errno::from_raw_os_error)
        {
            Some(rustix::io::Errno::MFILE) => {
                "the process has too many open files: raise its limit with `ulimit -n`"
            }
            Some(rustix::io::Errno::NFILE) => {
                "the machine has too many open files: close programs, or raise fs.file-max"
            }
            _ => "check the path and the disk",
        },
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let (exit, help) = match &error {
            ClientError::Refused(problem) => {
                let exit = problem.error_code().map_or(Exit::Failed, Exit::of);
                let mut what = format!("{} ({})", problem.detail, problem.code);
                if let Some(nearest) = &problem.nearest
                    && !what.contains("did you mean")
                {
                    what = format!("{what}; did you mean `{nearest}`?");
                }
                return Self::new(exit, what, problem.remedy.clone());
            }
            ClientError::Unreachable { .. } => (
                Exit::Failed,
                "start a node with `caxton up`, or name its address with --url or CAXTON_URL",
            ),
            ClientError::NoReply { .. } => (
                Exit::Failed,
                "wait longer with --wait, or read it later with `caxton messages`",
            ),
            ClientError::Unreadable { .. } => (
                Exit::Failed,
                "check that the address is a Caxton node's, and both versions",
            ),
            ClientError::Address { .. }
            | ClientError::TokenFile { .. }
            | ClientError::NotText { .. } => (Exit::Usage, ""),
            ClientError::NotRunning { .. } => (
                Exit::Failed,
                "start a node with `caxton up`, or name the directory of one with --data, or its address with --url",
            ),
            ClientError::Directory { source, .. } => (Exit::Failed, io_remedy(source)),
            _ => (
                Exit::Failed,
                "run it again; if it stays, report it with this text",
            ),
        };
        Self::new(exit, error.to_string(), help)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(
            Exit::Failed,
            error.to_string(),
            "check the terminal, the disk and the network",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_registry_ends_a_command_with_its_number() {
        for (code, exit) in [
            (ErrorCode::MemoryLimit, Exit::Fault),
            (ErrorCode::Trap, Exit::Fault),
            (ErrorCode::GuestError, Exit::Failed),
            (ErrorCode::UnmetImport, Exit::Refused),
            (ErrorCode::Forbidden, Exit::Refused),
            (ErrorCode::InvalidLimit, Exit::Usage),
            (ErrorCode::NotFound, Exit::Failed),
        ] {
            assert_eq!(Exit::of(code), exit, "{code}");
        }
    }

    #[test]
    fn every_failure_says_what_to_do() {
        for code in ErrorCode::ALL {
            let failure = Failure::of(*code, "something");
            assert!(!failure.help.is_empty(), "{code}");
        }
    }
}
