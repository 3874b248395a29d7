//! How much of Braintrust's API one call may take, and when it stops.

use sealift_core::Timestamp;
use sealift_core::export::source::SourceError;
use sealift_core::ports::Failure;
use sealift_core::provision::ledger::Claim;

use crate::apply::RESERVE_SECONDS;

/// How long a call is at work on an automation before another may take it up.
const CLAIM_SECONDS: i64 = 10 * 60;

/// A registration is not begun so many seconds before the claim ends: its answer may take a
/// minute, and so may the attempts before it that were not let in.
const REGISTRATION_SECONDS: i64 = 120;

/// So many projects in a row that could not be served, and it is the key or the API.
const SETBACKS: u32 = 3;

/// Why a step is not done.
pub(crate) enum Trouble {
    /// It was not come to.
    Left,
    /// It failed, as the message says.
    Failed(String),
}

/// One call's way through the API.
pub(crate) struct Pass {
    /// The call's own name.
    pub(crate) by: String,
    /// The requests that were made when it may make no more.
    requests_end: u64,
    cap: u64,
    deadline: Timestamp,
    /// When its claims end.
    until_ms: i64,
    setbacks: u32,
    /// Requests that are kept for what was begun.
    kept: u64,
    /// Why it begins nothing more.
    full: Option<String>,
    /// Why it makes no more requests at all.
    stopped: Option<String>,
}

impl Pass {
    pub(crate) fn new(by: String, made: u64, cap: u64, deadline: Timestamp) -> Self {
        Self {
            by,
            requests_end: made.saturating_add(cap),
            cap,
            deadline,
            until_ms: 0,
            setbacks: 0,
            kept: 0,
            full: None,
            stopped: None,
        }
    }

    /// Why it makes no more requests.
    pub(crate) fn why(self) -> Option<String> {
        self.stopped.or(self.full)
    }

    /// A claim for what is begun now.
    pub(crate) fn claim(&mut self, now: Timestamp) -> Claim {
        self.until_ms = now.as_millisecond() + CLAIM_SECONDS * 1000;
        Claim {
            by: self.by.clone(),
            until_ms: self.until_ms,
        }
    }

    /// Whether so many requests may be made, to begin something.
    pub(crate) fn allow(&mut self, made: u64, more: u64, now: Timestamp) -> Result<(), Trouble> {
        let all = made.saturating_add(more).saturating_add(self.kept);
        if self.full.is_none() && all > self.requests_end {
            self.full = Some(format!(
                "the {} requests of a call are made (SEALIFT_PROVISION_REQUESTS)",
                self.cap
            ));
        }
        if self.full.is_none() && self.is_late(now) {
            self.full = Some("there is no time left".to_owned());
        }
        match (&self.full, &self.stopped) {
            (None, None) => Ok(()),
            _ => Err(Trouble::Left),
        }
    }

    /// Keeps a request for a registration.
    pub(crate) fn keep(&mut self) {
        self.kept += 1;
    }

    /// Whether the registration that a request was kept for may be made: nobody else may take
    /// the automation up meanwhile.
    pub(crate) fn allow_registration(&mut self, now: Timestamp) -> Result<(), Trouble> {
        self.kept = self.kept.saturating_sub(1);
        let latest = self.until_ms - REGISTRATION_SECONDS * 1000;
        if self.stopped.is_none() && now.as_millisecond() > latest {
            self.stopped = Some("the API answers too slowly".to_owned());
        } else if self.stopped.is_none() && self.is_late(now) {
            self.stopped = Some("there is no time left".to_owned());
        }
        match self.stopped {
            Some(_) => Err(Trouble::Left),
            None => Ok(()),
        }
    }

    fn is_late(&self, now: Timestamp) -> bool {
        now.as_second() + RESERVE_SECONDS > self.deadline.as_second()
    }

    /// The API did what it was asked.
    pub(crate) fn went_well(&mut self) {
        self.setbacks = 0;
    }

    /// The API did not do what it was asked.
    pub(crate) fn trouble(&mut self, error: &SourceError) -> Trouble {
        match error {
            SourceError::Throttled {
                failure,
                retry_after,
            } => {
                let wait = match retry_after {
                    Some(wait) => format!("asks to wait {} s", wait.as_secs()),
                    None => "asks to wait".to_owned(),
                };
                self.stopped = Some(format!("the API {wait}: {}", words(failure)));
                return Trouble::Left;
            }
            SourceError::Denied(_) | SourceError::Transient(_) => self.set_back(error.failure()),
            SourceError::Invalid(_) => {}
        }
        Trouble::Failed(words(error.failure()))
    }

    /// One project could not be served. It is told as failed all the same, so that the next
    /// sweep begins with others.
    pub(crate) fn set_back(&mut self, failure: &Failure) {
        self.setbacks += 1;
        if self.setbacks >= SETBACKS {
            let said = words(failure);
            self.stopped = Some(format!("{SETBACKS} requests in a row failed, last: {said}"));
        }
    }
}

/// A failure without what is different each time that it happens: it is told once.
pub(crate) fn words(failure: &Failure) -> String {
    const CHANGING: &str = "[timestamp=";
    let mut message = failure.message.clone();
    while let Some((before, (_, after))) = message
        .split_once(CHANGING)
        .and_then(|(before, rest)| Some((before, rest.split_once(']')?)))
    {
        message = format!("{}{after}", before.trim_end());
    }
    let steady = Failure {
        message,
        request_id: String::new(),
        ..failure.clone()
    };
    steady.to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn failure(message: &str, request: &str) -> Failure {
        Failure {
            operation: "create an automation".to_owned(),
            target: "p1".to_owned(),
            code: "HTTP 403".to_owned(),
            message: message.to_owned(),
            request_id: request.to_owned(),
        }
    }

    #[test]
    fn the_same_failure_has_the_same_words_at_any_time() {
        let said = |time: &str| format!("no access [user_email=a@b.c] [timestamp={time}] here");
        let one = words(&failure(&said("1"), "trace-1"));
        assert_eq!(one, words(&failure(&said("2.5"), "trace-2")));
        assert!(one.ends_with("no access [user_email=a@b.c] here"), "{one}");
        let open = words(&failure("x [timestamp=1", ""));
        assert!(open.ends_with("x [timestamp=1"), "{open}");
    }

    #[test]
    fn it_stops_at_the_cap_the_deadline_a_throttle_and_three_setbacks_in_a_row() {
        let now: Timestamp = "2025-11-21T12:00:00Z".parse().unwrap();
        let deadline = now.checked_add(Duration::from_mins(5)).unwrap();
        let pass = || Pass::new("me".to_owned(), 100, 10, deadline);
        let mut capped = pass();
        assert!(capped.allow(108, 2, now).is_ok());
        assert!(capped.allow(109, 2, now).is_err());
        assert!(capped.allow(100, 1, now).is_err(), "it stays stopped");
        let late = now.checked_add(Duration::from_secs(281)).unwrap();
        assert!(pass().allow(100, 1, late).is_err());
        let mut throttled = pass();
        let error = SourceError::Throttled {
            failure: failure("slow down", "x"),
            retry_after: Some(Duration::from_mins(1)),
        };
        assert!(matches!(throttled.trouble(&error), Trouble::Left));
        let why = throttled.stopped.unwrap();
        assert!(why.contains("asks to wait 60 s"), "{why}");
        let mut refused = pass();
        let denied = SourceError::Denied(failure("no", "x"));
        for _ in 0..4 {
            for _ in 0..2 {
                assert!(matches!(refused.trouble(&denied), Trouble::Failed(_)));
            }
            assert!(refused.allow(100, 1, now).is_ok());
            refused.went_well();
        }
        for _ in 0..3 {
            refused.trouble(&denied);
        }
        assert!(refused.allow(100, 1, now).is_err());
    }

    #[test]
    fn a_registration_is_not_begun_when_the_claim_may_end_before_its_answer() {
        let now: Timestamp = "2025-11-21T12:00:00Z".parse().unwrap();
        let mut pass = Pass::new("me".to_owned(), 0, 10, Timestamp::MAX);
        let claim = pass.claim(now);
        let at = |seconds| now.checked_add(Duration::from_secs(seconds)).unwrap();
        assert_eq!(claim.until_ms, at(600).as_millisecond());
        assert!(pass.allow_registration(at(480)).is_ok());
        assert!(pass.allow_registration(at(481)).is_err());
    }

    #[test]
    fn what_was_begun_has_its_request_kept() {
        let now: Timestamp = "2025-11-21T12:00:00Z".parse().unwrap();
        let mut pass = Pass::new("me".to_owned(), 0, 10, Timestamp::MAX);
        pass.claim(now);
        pass.keep();
        assert!(pass.allow(8, 1, now).is_ok());
        assert!(pass.allow(8, 2, now).is_err());
        assert!(pass.allow_registration(now).is_ok(), "full is not stopped");
        assert!(pass.why().unwrap().contains("10 requests"));
    }
}
