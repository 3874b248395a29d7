//! What the services were asked and what they answered: for assertions, and for counting
//! what a run would cost on AWS.
//!
//! Counts for each operation are always kept. Whole [`RequestRecord`]s are kept up to a limit,
//! the oldest leaving first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One request and its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestRecord {
    /// AWS's name of the operation (`PutObject`, `AssumeRole`); empty if the request was
    /// refused before it was known (a bad signature).
    pub operation: String,
    /// The bucket; empty for STS.
    pub bucket: String,
    /// The key; empty if the operation has none. For `AssumeRole`, the role's ARN.
    pub key: String,
    /// Whose signature it carries; empty if none or not a valid one.
    pub access_key_id: String,
    /// The ARN behind that key; empty if none.
    pub principal: String,
    /// The answer's HTTP status; `None` if the connection was closed without one.
    pub status: Option<u16>,
    /// The answer's error code; empty for a success, and for HEAD, which carries none.
    pub error_code: String,
    /// Bytes of the request's body, without the framing of `aws-chunked`.
    pub request_bytes: u64,
    /// Bytes of the answer's body; those announced, where the connection was torn.
    pub response_bytes: u64,
    /// The request's headers that matter, by their lower-case names; see [`LOGGED_HEADERS`].
    pub headers: BTreeMap<String, String>,
    /// The query's parameters, without those of a signature.
    pub query: BTreeMap<String, String>,
    /// For STS, the form's fields.
    pub form: BTreeMap<String, String>,
}

/// The headers that are kept in a [`RequestRecord`], beside all `x-amz-meta-…`. No secret is
/// among them.
pub const LOGGED_HEADERS: [&str; 22] = [
    "cache-control",
    "content-encoding",
    "content-length",
    "content-md5",
    "content-type",
    "if-match",
    "if-none-match",
    "range",
    "user-agent",
    "x-amz-acl",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-sha256",
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-trailer",
];

/// How often an operation was asked for, and with what weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperationCount {
    /// Requests, failed ones included: AWS bills those too.
    pub requests: u64,
    /// Those answered with 4xx or 5xx, or not at all.
    pub failures: u64,
    /// Bytes of the requests' bodies.
    pub request_bytes: u64,
    /// Bytes of the answers' bodies.
    pub response_bytes: u64,
}

/// The log of requests.
#[derive(Debug)]
pub struct RequestLog {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    counts: BTreeMap<String, OperationCount>,
    records: VecDeque<RequestRecord>,
    limit: usize,
}

impl RequestLog {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                counts: BTreeMap::new(),
                records: VecDeque::new(),
                limit,
            }),
        }
    }

    /// The counts by operation, since the start or the last [`clear`](Self::clear).
    pub fn counts(&self) -> BTreeMap<String, OperationCount> {
        self.state().counts.clone()
    }

    /// The count of one operation; all zero if it was never asked for.
    pub fn count(&self, operation: &str) -> OperationCount {
        self.state()
            .counts
            .get(operation)
            .copied()
            .unwrap_or_default()
    }

    /// The kept records, in the order in which they were answered.
    pub fn records(&self) -> Vec<RequestRecord> {
        self.state().records.iter().cloned().collect()
    }

    /// The kept records of one operation.
    pub fn records_of(&self, operation: &str) -> Vec<RequestRecord> {
        let state = self.state();
        let of = state.records.iter().filter(|r| r.operation == operation);
        of.cloned().collect()
    }

    /// Keeps so many records from now on; none for zero.
    pub fn keep(&self, limit: usize) {
        let mut state = self.state();
        state.limit = limit;
        state.trim();
    }

    /// Forgets records and counts.
    pub fn clear(&self) {
        let mut state = self.state();
        state.counts.clear();
        state.records.clear();
    }

    pub(crate) fn record(&self, record: RequestRecord) {
        let mut state = self.state();
        let count = state.counts.entry(record.operation.clone()).or_default();
        count.requests += 1;
        count.failures += u64::from(record.status.is_none_or(|status| status >= 400));
        count.request_bytes += record.request_bytes;
        count.response_bytes += record.response_bytes;
        if state.limit > 0 {
            state.records.push_back(record);
            state.trim();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn trim(&mut self) {
        while self.records.len() > self.limit {
            self.records.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(operation: &str, status: Option<u16>) -> RequestRecord {
        RequestRecord {
            operation: operation.into(),
            status,
            request_bytes: 3,
            response_bytes: 5,
            ..RequestRecord::default()
        }
    }

    #[test]
    fn counts_outlive_the_records() {
        let log = RequestLog::new(2);
        for status in [Some(200), Some(412), None] {
            log.record(record("PutObject", status));
        }
        log.record(record("GetObject", Some(200)));
        assert_eq!(log.records().len(), 2);
        let expected = OperationCount {
            requests: 3,
            failures: 2,
            request_bytes: 9,
            response_bytes: 15,
        };
        assert_eq!(log.count("PutObject"), expected);
        log.keep(0);
        log.record(record("GetObject", Some(200)));
        assert!(log.records().is_empty());
        assert_eq!(log.count("GetObject").requests, 2);
    }
}
