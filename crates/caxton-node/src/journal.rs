//! The journal of a data directory, read without a node: for `caxton journal` and for operators'
//! own tools.

pub use caxton_store::{OpenError, Show, ShowFilter, VerifyReport, show, verify};
