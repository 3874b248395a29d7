//! The audit path under random schedules: writers and deliverers side by side, and everything
//! that may go wrong going wrong.
//!
//! One seed is one schedule, and gives the same run every time. There is no runtime, no thread
//! and no real time in it: `schedule` polls the very code that the functions run, and
//! decides at each step who goes on, who crashes and what time it is. `faults` stands
//! between that code and a bucket in memory. `model` knows what must come out, from
//! nothing but what was sent and what the log has ever held.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs,
    reason = "a simulation is a test: it fails where it stands, naming what is broken"
)]

mod faults;
mod model;
mod schedule;

pub use schedule::{Summary, run};
