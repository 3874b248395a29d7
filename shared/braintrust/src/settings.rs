//! How long, how often, how much.

use std::time::Duration;

/// What a client keeps to. The defaults are for a function that runs some minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long a connection may take. TLS falls under the time for an answer.
    pub connect_timeout: Duration,
    /// How long an answer may take to begin. The API gives a query 30 s.
    pub answer_timeout: Duration,
    /// How long nothing may come in the middle of an answer.
    pub stall_timeout: Duration,
    /// How often a request is made, the first time included.
    pub attempts: u32,
    /// How long is waited between the attempts, all together. Who is asked to wait longer gives
    /// up at once.
    pub total_wait: Duration,
    /// The longest wait before the second attempt; doubled before each one after it.
    pub first_wait: Duration,
    /// The longest wait before any attempt, unless the API asks for a longer one.
    pub longest_wait: Duration,
    /// The longest row, in bytes.
    pub longest_row: usize,
    /// The longest answer of those that are held in memory as a whole, in bytes.
    pub longest_answer: usize,
    /// How many projects or automations are listed by one request.
    pub listed_at_once: u32,
    /// How many projects one query surveys.
    pub surveyed_at_once: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            attempts: 4,
            total_wait: Duration::from_secs(20),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(8),
            longest_row: 64 << 20,
            longest_answer: 16 << 20,
            listed_at_once: 1000,
            surveyed_at_once: 500,
        }
    }
}
