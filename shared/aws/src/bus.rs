//! The platform's bus, on EventBridge.
//!
//! `PutEvents` answers 200 even if it has taken none of the entries: each has a result of its
//! own, and only that says whether it is on the bus.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use sealift_core::ports::{BusEntry, Clock, EventBus, StoreError};

use crate::error::{Request, partial_error, store_error};

/// The most entries in a request.
///
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
pub const REQUEST_ENTRIES: usize = 10;

/// What a request is filled up to, in bytes. Since January 2026 a request takes 1 MB, but not
/// everywhere: China's regions still say 256 KB, and full requests are not worth finding out.
///
/// Source: <https://docs.amazonaws.cn/en_us/eventbridge/latest/userguide/eb-putevent-size.html>
pub const REQUEST_BYTES: usize = 256 * 1024;

/// An entry must be smaller than this, in bytes. One that is larger than [`REQUEST_BYTES`] gets
/// a request of its own, and where it is too large the bus says so.
///
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>
pub const ENTRY_BYTES: usize = 1024 * 1024;

/// How often an entry is sent that the bus refuses for the moment.
const ATTEMPTS: u32 = 4;

/// How long to wait before the second attempt; before each further one twice as long as before
/// the last. Without chance in it: a stack has one producer of many entries, and it sends one
/// request after the other.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// An [`EventBus`] on EventBridge.
///
/// A request whose reply is lost is sent again by the SDK, so an entry may be on the bus twice.
#[derive(Debug)]
pub struct EventBridgeBus<C> {
    client: Client,
    name: String,
    clock: C,
}

/// An entry that is still to be sent, and its place in the answer.
type Pending<'a> = (usize, &'a BusEntry);

impl<C: Clock> EventBridgeBus<C> {
    /// The bus of the name, through a client of its own on the shared configuration. The pauses
    /// between attempts are taken by the clock.
    pub fn on(config: &SdkConfig, name: impl Into<String>, clock: C) -> Self {
        Self {
            client: Client::new(config),
            name: name.into(),
            clock,
        }
    }

    /// Sends one request. The answer has a result for each entry, or none for any.
    async fn request(
        &self,
        entries: &[Pending<'_>],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let asked = Request {
            operation: "PutEvents",
            target: &self.name,
        };
        let wire = entries.iter().map(|(_, entry)| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(&entry.source)
                .detail_type(&entry.detail_type)
                .detail(&entry.detail)
                .build()
        });
        let request = self.client.put_events().set_entries(Some(wire.collect()));
        let answer = request.send().await;
        let answer = answer.map_err(|error| store_error(asked, &error))?;
        let mut results = answer.entries.unwrap_or_default().into_iter();
        Ok(entries
            .iter()
            .map(|(_, entry)| self.outcome(entry, results.next()))
            .collect())
    }

    /// An entry is on the bus only if the answer has an id for it.
    fn outcome(
        &self,
        entry: &BusEntry,
        result: Option<PutEventsResultEntry>,
    ) -> Result<(), StoreError> {
        let target = self.target(entry);
        let asked = Request {
            operation: "PutEvents",
            target: &target,
        };
        let result = result.unwrap_or_else(|| PutEventsResultEntry::builder().build());
        match (result.error_code, result.event_id) {
            (None, Some(_)) => Ok(()),
            (None, None) => {
                let silent = asked.failure("", "the answer has no result for the entry");
                Err(StoreError::Transient(silent))
            }
            (Some(code), _) => {
                let message = result.error_message.unwrap_or_default();
                Err(partial_error(asked, &code, &message))
            }
        }
    }

    fn check(&self, entry: &BusEntry) -> Result<(), StoreError> {
        let size = size(entry);
        if size < ENTRY_BYTES {
            return Ok(());
        }
        let target = self.target(entry);
        let asked = Request {
            operation: "PutEvents",
            target: &target,
        };
        let why = format!("the entry has {size} bytes; it must have less than {ENTRY_BYTES}");
        Err(StoreError::Invalid(asked.failure("", why)))
    }

    fn target(&self, entry: &BusEntry) -> String {
        format!("{} on {}", entry.detail_type, self.name)
    }
}

impl<C: Clock> EventBus for EventBridgeBus<C> {
    async fn put(&self, entries: &[BusEntry]) -> Vec<Result<(), StoreError>> {
        let mut outcomes: Vec<_> = entries.iter().map(|entry| self.check(entry)).collect();
        let places = entries.iter().enumerate();
        let mut pending: Vec<Pending<'_>> = places
            .zip(&outcomes)
            .filter(|(_, checked)| checked.is_ok())
            .map(|(place, _)| place)
            .collect();
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=ATTEMPTS {
            let mut again = Vec::new();
            for request in requests(&pending) {
                // What failed as a whole, the SDK has tried again already.
                let (results, whole) = match self.request(request).await {
                    Ok(results) => (results, false),
                    Err(error) => (vec![Err(error); request.len()], true),
                };
                for (place, result) in request.iter().zip(results) {
                    let passes = result.as_ref().is_err_and(StoreError::may_pass);
                    if passes && !whole {
                        again.push(*place);
                    }
                    if let Some(outcome) = outcomes.get_mut(place.0) {
                        *outcome = result;
                    }
                }
            }
            if again.is_empty() || attempt == ATTEMPTS {
                break;
            }
            pending = again;
            self.clock.sleep(pause).await;
            pause *= 2;
        }
        outcomes
    }
}

/// Cuts what is to be sent into requests, in order.
fn requests<'p, 'e>(pending: &'p [Pending<'e>]) -> impl Iterator<Item = &'p [Pending<'e>]> {
    let mut left = pending;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fit = left.iter().take(REQUEST_ENTRIES).take_while(|(_, entry)| {
            bytes += size(entry);
            bytes < REQUEST_BYTES
        });
        let count = fit.count().max(1);
        let (request, rest) = left.split_at_checked(count)?;
        left = rest;
        Some(request)
    })
}

/// An entry's size as the bus counts it.
///
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size>
fn size(entry: &BusEntry) -> usize {
    entry.source.len() + entry.detail_type.len() + entry.detail.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize) -> BusEntry {
        BusEntry {
            source: "s".to_owned(),
            detail_type: "d".to_owned(),
            detail: "x".repeat(bytes - 2),
        }
    }

    fn cut(sizes: &[usize]) -> Vec<Vec<usize>> {
        let entries: Vec<BusEntry> = sizes.iter().map(|bytes| entry(*bytes)).collect();
        let pending: Vec<Pending<'_>> = entries.iter().enumerate().collect();
        requests(&pending)
            .map(|request| request.iter().map(|(_, entry)| size(entry)).collect())
            .collect()
    }

    #[test]
    fn a_request_holds_ten_entries_and_is_smaller_than_the_limit() {
        assert!(cut(&[]).is_empty());
        assert_eq!(
            cut(&[10; 25]).iter().map(Vec::len).collect::<Vec<_>>(),
            [10, 10, 5]
        );
        let half = REQUEST_BYTES / 2;
        assert_eq!(
            cut(&[half, half - 1, half, half]),
            [vec![half, half - 1], vec![half], vec![half]]
        );
    }

    #[test]
    fn a_large_entry_goes_alone() {
        let large = ENTRY_BYTES - 1;
        assert_eq!(
            cut(&[10, large, 10, large]),
            [vec![10], vec![large], vec![10], vec![large]]
        );
    }
}
