//! What a command that follows a node does when its connection breaks: it asks again, ever more
//! seldom, and says so.

use std::{ops::ControlFlow, time::Duration};

use caxton_client::{CaxtonClient, ClientError, EventFilter, api::EventBody};

use crate::{connection::Connection, environment::Environment, failure::Failure, output::Output};

/// Before the first try after a break; each further pause is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: a node that is back is noticed soon enough.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A node that is followed through breaks.
pub(super) struct Followed<'a> {
    connection: &'a Connection,
    environment: &'a Environment,
    output: &'a Output,
    client: CaxtonClient,
    pause: Duration,
    was_reached: bool,
    is_lost: bool,
}

impl<'a> Followed<'a> {
    /// Finds the node.
    pub(super) async fn find(
        connection: &'a Connection,
        environment: &'a Environment,
        output: &'a Output,
    ) -> Result<Self, Failure> {
        Ok(Self {
            connection,
            environment,
            output,
            client: connection.client(environment).await?,
            pause: PAUSE_MIN,
            was_reached: false,
            is_lost: false,
        })
    }
    /// The client to ask with.
    pub(super) fn client(&self) -> &CaxtonClient {
        &self.client
    }
    /// The node answered.
    pub(super) fn reached(&mut self) {
        if std::mem::take(&mut self.is_lost) {
            self.output.note("the node answers again");
        }
        self.was_reached = true;
        self.pause = PAUSE_MIN;
    }
    /// Waits before the next try; `error` is why the last one failed, if it did.
    ///
    /// Errors: one that waiting does not mend, and any before the node was ever reached.
    pub(super) async fn pause(&mut self, error: Option<ClientError>) -> Result<(), Failure> {
        if let Some(error) = error {
            if !self.was_reached || !error.is_transient() {
                return Err(error.into());
            }
            if !std::mem::replace(&mut self.is_lost, true) {
                let what = Failure::from(error).what;
                self.output
                    .note(&format!("{what}; asking again until it answers"));
            }
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        // A node that was started again may listen elsewhere.
        self.client = self
            .connection
            .client_after_break(self.environment, &self.client)
            .await;
        Ok(())
    }
}

/// Follows events until `take` has seen enough; after a break behind the last one that was seen.
pub(super) async fn events(
    mut node: Followed<'_>,
    filter: &EventFilter,
    mut last: Option<String>,
    mut take: impl FnMut(&EventBody) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    loop {
        let mut error = None;
        match node.client().events(filter, last.as_deref()).await {
            Err(refused) => error = Some(refused),
            Ok(mut stream) => {
                node.reached();
                while let Some(event) = stream.next().await {
                    match event {
                        Ok(event) => {
                            if take(&event.body)?.is_break() {
                                return Ok(());
                            }
                        }
                        Err(broken) => {
                            error = Some(broken);
                            break;
                        }
                    }
                }
                last = stream.last_event_id().map(str::to_owned).or(last);
            }
        }
        node.pause(error).await?;
    }
}
