//! What Sealift knows, with nothing that it runs on.
//!
//! No SDK, clock, environment or runtime is used here: time and storage are handed in as
//! [`ports`]. Start with [`event`] (what comes in), [`segment`] (how the log holds it),
//! [`log`] (how it is appended and read) and [`delivery`] (the cursors and the plans that
//! advance them). [`policy`] is what is said to AWS IAM, [`partition`] where things land.

pub mod id;
pub mod policy;
pub mod ports;
