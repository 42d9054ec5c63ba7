//! The table of routes against itself.

use std::collections::BTreeSet;

use caxton_model::{AuditAction, AuditOutcome, Permission};
use serde_json::json;

use crate::{
    ParamIn, ROUTES, RouteId,
    route_params::{AUDIT_ACTION, AUDIT_OUTCOME, PERMISSION},
};

#[test]
fn routes_are_told_apart_and_say_what_they_answer() {
    let ids: BTreeSet<_> = ROUTES.iter().map(|route| route.id).collect();
    let places: BTreeSet<_> = ROUTES.iter().map(|r| (r.path, r.method)).collect();
    assert_eq!(
        (ids.len(), places.len()),
        (RouteId::ALL.len(), ROUTES.len())
    );
    assert_eq!(ids.len(), ROUTES.len());
    for route in ROUTES {
        assert!(
            !route.summary.is_empty() && !route.answers.is_empty() && !route.tag.is_empty(),
            "{}",
            route.id.as_str()
        );
        for param in route.params {
            let in_path = route.path.contains(&format!("{{{}}}", param.name));
            assert_eq!(
                in_path,
                param.at == ParamIn::Path,
                "{} {}",
                route.id.as_str(),
                param.name
            );
        }
    }
}

#[test]
fn only_health_is_open() {
    for route in ROUTES {
        assert_eq!(
            route.scope.is_none(),
            route.path.starts_with("/health/"),
            "{}",
            route.id.as_str()
        );
    }
}

#[test]
fn the_words_of_the_audit_log_are_those_of_the_model() {
    let actions: Vec<_> = AuditAction::ALL.iter().map(|word| word.as_str()).collect();
    let outcomes: Vec<_> = AuditOutcome::ALL.iter().map(|word| word.as_str()).collect();
    let permissions: Vec<_> = Permission::ALL.iter().map(|word| word.as_str()).collect();
    for (schema, words) in [
        (AUDIT_ACTION, actions),
        (AUDIT_OUTCOME, outcomes),
        (PERMISSION, permissions),
    ] {
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
        assert_eq!(schema, json!({ "type": "string", "enum": words }));
    }
}
