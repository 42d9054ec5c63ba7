//! The agent: what a type does when the host calls it.

use caxton_model::{Capabilities, FipaMessage};

use crate::handlers;

/// An agent's turns. All have a default, so an agent says only what it does.
///
/// The instance is a cache: the host may drop it after any turn. Keep what must last with
/// [`crate::store`] or [`crate::State`].
pub trait Agent {
    /// Runs first in every new instance: register handlers, subscribe.
    ///
    /// Errors: refuses the deploy, or counts as a failed start.
    fn init(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// One message; 0 is success. The default is [`crate::dispatch`]: by registered handlers.
    fn handle(&mut self, message: &FipaMessage) -> i32 {
        handlers::dispatch(message)
    }

    /// A timer that no [`crate::HostTimer`] knows; 0 is success.
    fn on_timer(&mut self, timer_id: i32) -> i32 {
        let _ = timer_id;
        0
    }

    /// The last turn: the agent is being stopped.
    fn shutdown(&mut self) {}

    /// What the agent offers; asked once after `init`.
    fn capabilities(&self) -> Option<Capabilities> {
        None
    }

    /// Takes over the state that another version left. Called only under `#[agent(migrate)]`.
    ///
    /// Errors: the update is refused and the old version goes on.
    fn migrate(&mut self, from_version: &str) -> Result<(), String> {
        let _ = from_version;
        Ok(())
    }
}
