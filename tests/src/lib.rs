//! What the tests in `tests/` share.

pub mod responder;
pub mod simulation;
