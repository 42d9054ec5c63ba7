//! A request that has passed the edge: known route, known caller, body read.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use caxton_api::Route;
use http::{HeaderMap, HeaderName};

use crate::{app::App, auth::Caller, query::Query, refuse::Failure, trace::TraceContext};

/// A request, checked as far as its route's entry in the table says.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) route: &'static Route,
    /// Who calls; on open routes nobody with any right.
    pub(crate) caller: Caller,
    pub(crate) path: BTreeMap<&'static str, Vec<u8>>,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trace: TraceContext,
}

impl Call {
    /// A parameter of the path, as text.
    ///
    /// Errors: `malformed-request` where it is not UTF-8.
    pub(crate) fn parameter(&self, name: &str) -> Result<&str, Failure> {
        let bytes = self.path.get(name).map(Vec::as_slice).unwrap_or_default();
        std::str::from_utf8(bytes)
            .map_err(|_| Failure::malformed(format!("`{name}` in the path is not UTF-8")))
    }
    /// A header, if it is there and text.
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
