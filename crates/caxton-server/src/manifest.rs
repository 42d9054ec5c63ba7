//! A manifest beside a module: what it asks for, and what of that is granted.

use caxton_api::{AgentConfig, Scope};
use caxton_model::{ErrorCode, GrantedRule, Grants, Kind, Namespace, RequestedRule, glob};
use caxton_package::Manifest;

use crate::{auth::Caller, clock, refuse::Failure, routes::read_rule};

/// Reads a manifest of one of these kinds.
///
/// Errors: `invalid-manifest` with every problem and its line.
pub(crate) fn read(text: &str, kinds: &[Kind]) -> Result<Manifest, Failure> {
    let manifest = Manifest::read("caxton.toml", text)
        .map_err(|error| Failure::new(ErrorCode::InvalidManifest, error.to_string()))?;
    if kinds.contains(&manifest.kind) {
        return Ok(manifest);
    }
    let where_to = match manifest.kind {
        Kind::Agent => "agents are deployed with POST /api/v1/agents",
        Kind::Processor | Kind::Extension => {
            "processors and extensions are deployed with POST /api/v1/processors"
        }
        Kind::App => "this version of the node serves no apps",
    };
    let detail = format!(
        "`{}` is of kind {}; {where_to}",
        manifest.name.as_str(),
        manifest.kind
    );
    Err(Failure::new(ErrorCode::InvalidManifest, detail))
}

/// What a manifest asks for, rule by rule.
///
/// Errors: `invalid-manifest` with every pattern that is none.
pub(crate) fn requested(manifest: &Manifest) -> Result<Vec<RequestedRule>, Failure> {
    caxton_node::requested_rules(manifest)
        .map_err(|problems| Failure::new(ErrorCode::InvalidManifest, problems.join("\n")))
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
        return Err(needs_admin(caller));
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

/// The rules that are granted with a deployment, beside `message:send`.
///
/// Errors: `forbidden` for a caller without scope admin, `invalid-config` for what is no rule.
pub(crate) fn granted(
    caller: &Caller,
    asked: Vec<(String, Option<String>)>,
) -> Result<Vec<GrantedRule>, Failure> {
    if !asked.is_empty() && !caller.may(Scope::Admin) {
        return Err(needs_admin(caller));
    }
    let (now, by) = (clock::now(), &caller.name);
    let granted = asked.into_iter().map(|(text, reason)| {
        Ok(GrantedRule {
            rule: read_rule(&text)?,
            expires: None,
            reason,
            by: by.to_string(),
            at: now,
        })
    });
    granted.collect()
}

fn needs_admin(caller: &Caller) -> Failure {
    let detail = format!(
        "granting needs the scope `admin`, which token `{}` has not",
        caller.name
    );
    Failure::new(ErrorCode::Forbidden, detail)
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
