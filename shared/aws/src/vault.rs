//! The vault of customers' access keys: the core's port, and its adapter.

pub use sealift_core::vault::{AccessKeys, Vault};

#[cfg(feature = "parameter-store")]
pub use self::parameter_store::ParameterVault;

#[cfg(feature = "parameter-store")]
mod parameter_store;
