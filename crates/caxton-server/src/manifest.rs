//! A manifest beside a module: what it asks for, and what of that is granted.

use caxton_api::{AgentConfig, Scope};
use caxton_model::{ErrorCode, Grants, Kind, Namespace, glob};
use caxton_package::Manifest;

use crate::{auth::Caller, refuse::Failure};

/// Reads a manifest.
///
/// Errors: `invalid-manifest` with every problem and its line.
pub(crate) fn read(text: &str) -> Result<Manifest, Failure> {
    let manifest = Manifest::read("caxton.toml", text)
        .map_err(|error| Failure::new(ErrorCode::InvalidManifest, error.to_string()))?;
    if manifest.kind == Kind::Agent {
        return Ok(manifest);
    }
    let detail = format!(
        "`{}` is of kind {}; only agents are deployed",
        manifest.name.as_str(),
        manifest.kind
    );
    Err(Failure::new(ErrorCode::InvalidManifest, detail))
}

/// What an agent may do: granted with the request, and asked for by the manifest if there is one.
///
/// Errors: `forbidden` for a grant by a caller without scope admin, `permission-required` where
/// the manifest asks for what nobody granted.
pub(crate) fn grants(
    caller: &Caller,
    namespace: &Namespace,
    config: &AgentConfig,
    manifest: Option<&Manifest>,
) -> Result<Grants, Failure> {
    let granted = config
        .asked_grants()
        .map_err(|error| Failure::new(error.code(), error.to_string()))?;
    if granted.message_send.is_some() && !caller.may(Scope::Admin) {
        let detail = format!(
            "granting needs the scope `admin`, which token `{}` has not",
            caller.name
        );
        return Err(Failure::new(ErrorCode::Forbidden, detail));
    }
    let Some(asked) = manifest.and_then(Manifest::message_send) else {
        return Ok(granted);
    };
    match granted.message_send {
        Some(granted) => Ok(Grants {
            message_send: Some(
                asked
                    .into_iter()
                    .filter(|asked| granted.iter().any(|g| glob(g, asked)))
                    .collect(),
            ),
        }),
        None if caller.may(Scope::Admin) || asked.iter().all(|p| is_inside(namespace, p)) => {
            Ok(Grants {
                message_send: Some(asked),
            })
        }
        None => Err(Failure::new(
            ErrorCode::PermissionRequired,
            format!(
                "the manifest asks for `message:send` to {}, which reaches beyond the namespace `{namespace}`; \
                 deploy with a token of scope admin",
                asked.join(", ")
            ),
        )),
    }
}

/// Whether a pattern can only fit names of this namespace.
fn is_inside(namespace: &Namespace, pattern: &str) -> bool {
    match pattern.split_once('/') {
        Some((own, _)) => own == namespace.as_str(),
        None => *namespace == Namespace::default() && !pattern.contains(['*', ':']),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_inside_only_if_it_can_fit_nothing_else() {
        let (main, acme) = (Namespace::default(), "acme".parse().unwrap());
        for (namespace, pattern, inside) in [
            (&main, "df", true),
            (&main, "worker*", false),
            (&main, "*", false),
            (&main, "capability:x", false),
            (&acme, "acme/*", true),
            (&acme, "acm*/x", false),
            (&acme, "worker", false),
        ] {
            assert_eq!(
                is_inside(namespace, pattern),
                inside,
                "{namespace} {pattern}"
            );
        }
    }
}
