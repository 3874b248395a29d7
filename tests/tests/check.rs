//! The check of a destination over HTTP: against real policies, answers as AWS words them, and
//! endpoints that do not answer.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

#[path = "check/answers.rs"]
mod answers;
#[path = "check/endpoints.rs"]
mod endpoints;
#[path = "check/hosts.rs"]
mod hosts;
#[path = "check/policies.rs"]
mod policies;
#[path = "check/scene.rs"]
mod scene;
