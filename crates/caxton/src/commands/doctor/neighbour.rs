//! The well-behaved agent beside the attacks: asked all along, its answers timed.
//!
//! Its times are shown and decide nothing; that it answers at all is a check of its own.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use caxton_client::{CaxtonClient, ClientError, api::SendOptions};
use serde_json::{Value, json};

use super::{
    guests,
    row::{Found, Times},
    ward::{PATIENCE, Ward, drop_mail, memory, message},
};
use crate::failure::Failure;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(5);
/// Questions after which the replies that wait are dropped: a client's mailbox takes 1,000.
const DROP_EVERY: usize = 300;

/// The neighbour and what was measured of it.
pub(super) struct Neighbour {
    client: CaxtonClient,
    name: String,
    sender: String,
    /// When each answer came, and how long it took.
    answers: RefCell<Vec<(Instant, Duration)>>,
    failed: Cell<usize>,
    first_failure: RefCell<Option<String>>,
}

impl Neighbour {
    /// Deploys it.
    pub(super) async fn place(ward: &mut Ward) -> Result<Self, Failure> {
        let sender = ward.sender("listener");
        let reply = json!({
            "performative": "inform",
            "receiver": sender,
            "conversation_id": sender,
            "content": "here",
        });
        let mut config = memory();
        config
            .config
            .insert("message".to_owned(), reply.to_string());
        let module = guests::module(guests::ANSWERS)?;
        let placed = ward.place("neighbour", module, config).await?;
        Ok(Self {
            client: ward.client.clone(),
            name: placed.name,
            sender,
            answers: RefCell::default(),
            failed: Cell::default(),
            first_failure: RefCell::default(),
        })
    }
    /// Asks it without end.
    pub(super) async fn ask_for_ever(&self) {
        for number in 1_usize.. {
            let begun = Instant::now();
            match self.ask().await {
                Ok(()) => {
                    let now = Instant::now();
                    self.answers.borrow_mut().push((now, now - begun));
                }
                Err(reason) => {
                    self.failed.set(self.failed.get() + 1);
                    self.first_failure.borrow_mut().get_or_insert(reason);
                }
            }
            if number.is_multiple_of(DROP_EVERY) {
                // Where this fails, so will the next question, which is counted.
                let _ = drop_mail(&self.client, &self.sender).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    async fn ask(&self) -> Result<(), String> {
        let mut question = message(&self.sender, &self.name, "request", Value::Null);
        question.conversation_id = Some(self.sender.clone());
        let options = SendOptions {
            message_id: None,
            wait_ms: u64::try_from(PATIENCE.as_millis()).ok(),
        };
        let sent = self.client.send_with(&question, &options).await;
        let sent = sent.map_err(|error: ClientError| error.to_string())?;
        match sent.reply.map(|reply| reply.performative.as_str()) {
            Some("inform") => Ok(()),
            Some(other) => Err(format!("it answered `{other}`")),
            None => Err(format!("it did not answer within {PATIENCE:?}")),
        }
    }
    /// Its answers since then; the one that was on its way is waited for.
    pub(super) async fn since(&self, begun: Instant) -> Option<Times> {
        let known = self.answers.borrow().len() + self.failed.get();
        while self.answers.borrow().len() + self.failed.get() == known {
            tokio::time::sleep(PAUSE).await;
        }
        let answers = self.answers.borrow();
        let times = answers.iter().filter(|(at, _)| *at >= begun);
        Times::of(times.map(|(_, took)| *took).collect())
    }
    /// Whether it answered every question.
    pub(super) fn verdict(&self) -> Found {
        let (answered, failed) = (self.answers.borrow().len(), self.failed.get());
        let text = format!("answered {answered} of {} questions", answered + failed);
        match self.first_failure.borrow().as_ref() {
            None => Found::judged(answered > 0, text),
            Some(reason) => Found::judged(false, format!("{text}: {reason}")),
        }
    }
}
