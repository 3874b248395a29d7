//! What exports send over the wire, byte for byte: into a customer's account, to the bus and to
//! the Parameter Store.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

#[path = "wire/bus.rs"]
mod bus;
#[path = "wire/scene.rs"]
mod scene;
#[path = "wire/secret.rs"]
mod secret;
#[path = "wire/uploads.rs"]
mod uploads;
#[path = "wire/vault.rs"]
mod vault;
#[path = "wire/ways.rs"]
mod ways;
