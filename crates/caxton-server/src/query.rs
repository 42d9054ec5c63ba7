//! The query and the path's parameters, read by the table of routes.

use std::{collections::BTreeMap, str::FromStr};

use caxton_api::{Problem, Route};
use caxton_model::{ErrorCode, nearest};

use crate::refuse::Failure;

/// The query of a request; only names that its route has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(BTreeMap<&'static str, String>);

impl Query {
    /// Reads it.
    ///
    /// Errors: `unknown-field` with the nearest name, `malformed-request` for a name given twice.
    pub(crate) fn read(route: &'static Route, text: &str) -> Result<Self, Failure> {
        let mut query = Self::default();
        // Checked first: the reader of pairs replaces what is not UTF-8, and the replacement is a
        // character that a query may contain.
        if percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .is_err()
        {
            return Err(Failure::malformed(
                "the query is not UTF-8 after its percent-encoding is undone",
            ));
        }
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let known = route.query_names().find(|known| *known == name);
            let Some(known) = known else {
                return Err(unknown(&name, route.query_names(), "query parameter"));
            };
            if query.0.insert(known, value.into_owned()).is_some() {
                return Err(Failure::malformed(format!(
                    "the query contains the parameter `{known}` twice"
                )));
            }
        }
        Ok(query)
    }
    /// One parameter.
    pub(crate) fn get(&self, name: &'static str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
    /// One parameter that has a form.
    ///
    /// Errors: `malformed-request` that says what would be right.
    pub(crate) fn parsed<T: FromStr>(
        &self,
        name: &'static str,
        expected: &str,
    ) -> Result<Option<T>, Failure> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            let shown: String = text.chars().take(100).collect();
            Failure::malformed(format!(
                "query parameter `{name}`: expected {expected}, got `{shown}`"
            ))
        })
    }
    /// How many entries a page may have.
    pub(crate) fn limit(&self) -> Result<usize, Failure> {
        match self.parsed::<usize>("limit", "a whole number from 1 to 1000")? {
            None => Ok(100),
            Some(limit @ 1..=1_000) => Ok(limit),
            Some(other) => Err(Failure::malformed(format!(
                "query parameter `limit`: expected a whole number from 1 to 1000, got {other}"
            ))),
        }
    }
    /// Whether something is wanted.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Failure> {
        Ok(self.parsed(name, "true or false")?.unwrap_or(false))
    }
}

/// An unknown name, with the nearest one there is.
pub(crate) fn unknown<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    what: &str,
) -> Failure {
    let shown: String = name.chars().take(100).collect();
    let near = nearest(name, known.clone());
    let all: Vec<_> = known.collect();
    let detail = match (near, all.is_empty()) {
        (Some(near), _) => format!("`{shown}` is no {what} here; did you mean `{near}`?"),
        (None, true) => format!("`{shown}` is no {what} here; there are none"),
        (None, false) => format!("`{shown}` is no {what} here; there are {}", all.join(", ")),
    };
    Problem::new(ErrorCode::UnknownField, detail)
        .with_nearest(near)
        .into()
}

/// The parameters of a path as bytes, percent-decoded, by the route's pattern.
pub(crate) fn path_parameters(
    pattern: &'static str,
    path: &str,
) -> BTreeMap<&'static str, Vec<u8>> {
    pattern
        .split('/')
        .zip(path.split('/'))
        .filter_map(|(pattern, segment)| {
            let name = pattern.strip_prefix('{')?.strip_suffix('}')?;
            Some((
                name,
                percent_encoding::percent_decode_str(segment).collect(),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use caxton_api::{ROUTES, RouteId};

    fn route(id: RouteId) -> &'static Route {
        ROUTES.iter().find(|route| route.id == id).unwrap()
    }

    #[test]
    fn a_query_is_read_by_its_route() {
        let agents = route(RouteId::ListAgents);
        let query = Query::read(agents, "name=a%20b*&limit=5").unwrap();
        assert_eq!(query.get("name"), Some("a b*"));
        assert_eq!((query.limit().unwrap(), query.get("status")), (5, None));
        let error = Query::read(agents, "nmae=x").unwrap_err();
        assert_eq!(error.problem.nearest.as_deref(), Some("name"));
        assert_eq!(
            Query::read(agents, "name=x&name=y")
                .unwrap_err()
                .problem
                .status,
            400
        );
        for bad in ["limit=0", "limit=1001", "limit=-1", "limit=many", "limit="] {
            let query = Query::read(agents, bad).unwrap();
            assert_eq!(query.limit().unwrap_err().problem.status, 400, "{bad}");
        }
        let none = Query::read(route(RouteId::GetJournal), "x=1").unwrap_err();
        assert!(none.problem.detail.contains("there are none"));
    }

    #[test]
    fn only_bytes_that_are_no_utf_8_are_called_so() {
        let agents = route(RouteId::ListAgents);
        for (query, value) in [
            ("name=%EF%BF%BD", "\u{fffd}"),
            ("name=a\u{fffd}b", "a\u{fffd}b"),
            ("name=%F0%9F%A6%80+%2B%26", "🦀 +&"),
            ("&&name=a%3Db=c&", "a=b=c"),
            ("name", ""),
            ("na%6De=x", "x"),
            ("name=100%", "100%"),
        ] {
            let read = Query::read(agents, query).unwrap();
            assert_eq!(read.get("name"), Some(value), "{query}");
        }
        for bad in [
            "name=%FF",
            "name=%ED%A0%80",
            "name=%C0%AF",
            "name=%F0%9F%A6",
            "%FF=x",
        ] {
            let error = Query::read(agents, bad).unwrap_err();
            assert!(error.problem.detail.contains("not UTF-8"), "{bad}");
        }
    }

    #[test]
    fn parameters_of_a_path_are_decoded_to_bytes() {
        let found = path_parameters("/a/{id}/state/{key}", "/a/acme%2Fx/state/%FF%00k");
        assert_eq!(found["id"], b"acme/x");
        assert_eq!(found["key"], [0xff, 0, b'k']);
    }
}
