//! How long parts of a turn take, as lines in the log.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use crate::{console_log, current_timestamp};

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(cfg!(debug_assertions)) };
    static STARTED: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Switches profiling; it is on in debug builds only.
pub fn set_profiling(is_on: bool) {
    IS_ON.set(is_on);
}

/// Begins to measure a part.
pub fn profile_start(name: &str) {
    if IS_ON.get() {
        let now = current_timestamp();
        STARTED.with_borrow_mut(|started| started.insert(name.to_owned(), now));
    }
}

/// Ends it: logs the time, and answers it. Unit: microseconds.
pub fn profile_end(name: &str) -> Option<u64> {
    let started = STARTED.with_borrow_mut(|started| started.remove(name))?;
    let took = current_timestamp().saturating_sub(started);
    console_log(&format!("Profile [{name}]: {took} microseconds"));
    Some(took)
}
