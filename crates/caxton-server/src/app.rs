//! What all requests share, and which path leads to which routes.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, extract::Request, routing::any};
use caxton_api::{ROUTES, Route};
use caxton_node::Node;
use tokio::sync::{Semaphore, watch};

use crate::{
    ServerLimits, audit::Refusals, auth::Tokens, body_room::BodyRoom, edge,
    idempotency::Idempotency, metrics::Metrics,
};

/// What all requests share.
pub(crate) struct App {
    pub(crate) node: Node,
    pub(crate) limits: ServerLimits,
    pub(crate) tokens: Tokens,
    pub(crate) refusals: Refusals,
    pub(crate) idempotency: Idempotency,
    pub(crate) bodies: BodyRoom,
    pub(crate) metrics: Metrics,
    /// A permit for each stream.
    pub(crate) streams: Arc<Semaphore>,
    /// Tells the event ids of this process from those of one before.
    pub(crate) boot: String,
    /// Turns true when the server is to end.
    pub(crate) closing: watch::Receiver<bool>,
}

/// The routes under one path.
pub(crate) type Group = Arc<[&'static Route]>;

fn groups() -> BTreeMap<&'static str, Group> {
    let mut groups: BTreeMap<&'static str, Vec<&'static Route>> = BTreeMap::new();
    for route in ROUTES {
        groups.entry(route.path).or_default().push(route);
    }
    groups
        .into_iter()
        .map(|(path, routes)| (path, routes.into()))
        .collect()
}

/// Every path of the table, and a fallback for what is not in it.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for (path, group) in groups() {
        let app = Arc::clone(app);
        router = router.route(
            path,
            any(move |request: Request| {
                edge::answer(Arc::clone(&app), Some(Arc::clone(&group)), request)
            }),
        );
    }
    let app = Arc::clone(app);
    router.fallback(move |request: Request| edge::answer(Arc::clone(&app), None, request))
}

/// Waits until the server is to end.
pub(crate) async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means the server itself is gone.
    let _ = closing.wait_for(|closing| *closing).await.map(drop);
}
