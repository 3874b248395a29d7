//! Braintrust's API, as Sealift uses it: logs, projects, automations and their cursors.
//!
//! [`Client`] is where to begin. It is the [`LogSource`](sealift_core::export::source::LogSource)
//! of exports: [`query`] has the queries that are asked, [`page`] reads their answers row by row
//! while they arrive. [`audit_log`] reads what the members of an organization did.
//! [`projects`], [`automations`], [`cursors`] and [`organizations`] are the rest of the API;
//! [`provisioning`] gives projects their automations by it. How long something is waited for, and
//! how often asked again, is in [`Settings`]; what an answer means is decided in one place, the
//! private module `error`.
//!
//! Requests are a metered budget (some twenty a minute for an organization or project), so
//! every one is counted: [`Client::requests`].
//!
//! Sources: <https://github.com/braintrustdata/braintrust-openapi> for `/v1`, Braintrust's own
//! command-line tool (<https://github.com/braintrustdata/bt>) for the rest.

pub mod audit_log;
pub mod automations;
mod call;
pub mod client;
pub mod cursors;
mod error;
pub mod key;
pub mod organizations;
pub mod page;
pub mod projects;
pub mod provisioning;
pub mod query;
mod retry;
mod settings;
mod url;
mod wire;

pub use client::{Client, InvalidClient};
pub use error::ChangeError;
pub use key::{ApiKey, ApiKeys, FixedKey, InvalidKey};
pub use page::Page;
pub use settings::Settings;
pub use url::{ApiUrl, InvalidApiUrl};
pub use wire::Created;
