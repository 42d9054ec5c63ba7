//! The table of routes against itself.

use std::collections::BTreeSet;

use crate::{ParamIn, ROUTES, RouteId};

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
