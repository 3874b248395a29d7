//! The client against servers that answer what a test tells them to, the embedded data plane, and
//! Braintrust's OpenAPI file.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail where they stand, as tests do"
)]

mod audit;
mod contract;
mod data_plane;
mod objects;
mod pages;
mod provisioning;
mod questions;
mod requests;
mod server;
