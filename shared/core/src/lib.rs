//! What Sealift knows, with nothing that it runs on.
//!
//! No SDK, clock, environment or runtime is used here: time and storage are handed in as
//! [`ports`]. Start with [`event`] (what comes in), [`segment`] (how the log holds it),
//! [`log`] (how it is appended and read) and [`delivery`] (the cursors and the plans that
//! advance them); for exports at intervals with [`export`]. [`policy`] is what is said to AWS
//! IAM, [`partition`] where things land.

pub use jiff::Timestamp;

pub mod audit;
pub mod check;
pub mod control;
pub mod delivery;
pub mod destination;
pub mod document;
pub mod event;
pub mod export;
pub mod external_id;
pub mod gzip;
pub mod id;
pub mod log;
pub mod lookback;
pub mod metrics;
pub mod parked;
pub mod partition;
pub mod policy;
pub mod ports;
pub mod provision;
pub mod reach;
pub mod relay;
pub mod role_check;
pub mod segment;
pub mod selection;
pub mod sqs;
pub mod variables;
pub mod vault;
