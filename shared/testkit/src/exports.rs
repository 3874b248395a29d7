//! What interval exports go through, in memory: the bus ([`MemoryBus`]), customers' buckets
//! ([`MemoryExports`]) and the projects whose rows they read ([`MemorySource`]), each as well or
//! as ill as the test wants it.

pub mod bus;
pub mod sinks;
pub mod source;

pub use bus::MemoryBus;
pub use sinks::{MemoryExport, MemoryExports, MemoryUpload};
pub use source::{MemoryPage, MemorySource, Row};

use sealift_core::ports::Failure;

/// A failure as the test wants it.
fn failure(operation: &str, target: impl Into<String>, code: &str) -> Failure {
    Failure {
        operation: operation.to_owned(),
        target: target.into(),
        code: code.to_owned(),
        message: "as the test wants it".to_owned(),
        request_id: String::new(),
    }
}
