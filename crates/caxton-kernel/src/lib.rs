//! The kernel: every decision of a shard, as a pure function of its state and one event.
//!
//! No I/O, no clock, no randomness, no thread, no `.await`. [`Kernel::step`] takes an [`Event`] and
//! the time and answers with [`Effect`]s in the order in which they must be performed.
//! What a guest asks during a turn is answered by its [`TurnCtx`], which comes back with the turn.

mod access;
mod alarm;
mod awaited;
pub mod border;
mod bounds;
mod breaker;
mod broadcast;
mod bucket;
mod built_in;
mod client_mail;
mod client_work;
mod deploy;
mod directory;
mod effect;
mod event;
mod grants;
mod host_bytes;
mod host_message;
mod kernel;
mod lifecycle;
mod live;
mod mailbox;
mod offered;
mod post;
mod processors;
mod recovery;
mod retention;
mod route;
mod schedule;
mod shares;
mod supervision;
mod turn;
mod turn_effects;
mod turn_end;
mod turn_route;
mod update;
mod work;

#[cfg(test)]
mod tests;

pub use access::{AccessAsked, NextAccess};
pub use border::{Verb, Verdict, decide};
pub use bounds::{TooLong, check_descriptor};
pub use broadcast::{EVENT_PROTOCOL, topics_of_filter};
pub use directory::{Directory, Gauge, Listing, shard_of_client};
pub use effect::{Done, Effect, NodeEvent, Refusal, RunTurn, TurnInput};
pub use event::{Event, Post, Reach, Ticket, TurnEnd};
pub use kernel::{Kernel, KernelOptions};
pub use processors::SHARD_OF_PROCESSORS;
pub use recovery::{ShardPart, split};
pub use shares::{OwnerUse, Shares};
pub use turn::TurnCtx;
pub use turn_effects::TurnEffects;
