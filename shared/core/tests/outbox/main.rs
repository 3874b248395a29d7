//! The outbox, and changes of automations that go through it, on a store and a bus in memory.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail where they stand, as tests do"
)]

mod changes;
mod scene;
mod sending;
