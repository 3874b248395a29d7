//! The service of destinations, on stores, a vault, checks and a bus in memory.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail where they stand, as tests do"
)]

mod concurrency;
mod crashes;
mod creating;
mod endpoints;
mod isolation;
mod replaying;
mod scene;
mod secrets;
mod starting;
mod status;
mod sweeping;
mod telling;
mod updating;
