//! The core's ports on the AWS SDK.
//!
//! [`config`] loads what all clients share, once. [`S3Store`] is a bucket of the platform's
//! own; [`CustomerSinks`] is the way into customers' buckets for audit events, by assumed roles
//! or by access keys from a [`vault`], and [`CustomerExports`] the one for exports, by roles
//! alone; [`RoleAttempts`] tries whether a role lets
//! the right ExternalId in alone, and [`check`] whether all that a destination needs is there. With their features there are the platform's bus (`bus`) and a secret of the stack's
//! own (`secret`). Every failure of the SDK passes through [`error`], which turns it into a
//! decision. [`system`] is the one place that reads the clock and draws random bits.
//!
//! No redirect is followed anywhere: the SDK's HTTP client does not, and a bucket in another
//! region than it is said to be in shows as an `Invalid` error.

#[cfg(feature = "api-key")]
mod api_key;
#[cfg(feature = "event-bridge")]
pub mod bus;
pub mod check;
mod client;
pub mod config;
pub mod error;
pub mod exports;
pub mod metrics;
mod network;
pub mod role_check;
pub mod roles;
#[cfg(feature = "parameter-store")]
pub mod secret;
pub mod sinks;
pub mod store;
pub mod system;
pub mod vault;
mod ways;

#[cfg(feature = "event-bridge")]
pub use bus::EventBridgeBus;
pub use exports::CustomerExports;
pub use role_check::RoleAttempts;
#[cfg(feature = "parameter-store")]
pub use secret::ParameterSecret;
pub use sinks::CustomerSinks;
pub use store::S3Store;
pub use system::{OsEntropy, SystemClock};
#[cfg(feature = "parameter-store")]
pub use vault::ParameterVault;
