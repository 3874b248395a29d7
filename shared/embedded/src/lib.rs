//! AWS on one machine, in the process: what the demo and `sealift serve` run on, and tests.
//!
//! [`Embedded`] is an S3 and an STS on one address of 127.0.0.1, which the AWS SDKs talk to as
//! they talk to AWS, with real signatures. Objects are plain files; roles, their
//! trust policies and session policies are enforced; faults strike where a test asks for them
//! ([`faults`]), and everything that was asked can be looked up ([`request_log`]).
//! [`braintrust`] is the data plane of Braintrust beside it, likewise for the demo and tests.
//!
//! ```text
//! <data>/s3/<bucket>/<key>   an object, as a plain file
//! <data>/s3-*/               what S3 knows of buckets, objects and unfinished uploads
//! <data>/iam/                roles and users
//! <data>/vault/              customers' access keys, if a [`FileVault`] is kept there
//! <data>/lock                held for as long as the process runs on the folder
//! ```

mod context;
mod embedded;
mod notification;
mod private;
mod s3;
mod server;
mod shared;
mod sts;
mod time;

pub mod braintrust;
pub mod bus;
pub mod faults;
pub mod iam;
pub mod pattern;
pub mod request_log;
pub mod template;
pub mod vault;

pub use embedded::{CreateBucketError, Embedded, Options, StartError};
pub use notification::ObjectCreated;
pub use vault::FileVault;
