//! The timetable: when each automation is due.
//!
//! Automations are spread over their interval, each at a moment that follows from its id, so
//! that hourly ones do not all start on the hour. One that had nothing to export the last time
//! is *quiet*: before it is started again, a survey is asked, which is one request for many
//! projects, whether there is anything new at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::{Document, Place};
use crate::id::{AutomationId, ObjectKey, ProjectId, XactId};

/// The automations of a shard, and when they are due.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timetable {
    /// How many shards there are; a stack with another number refuses to work on the document.
    pub shards: u16,
    /// The automations.
    pub entries: BTreeMap<AutomationId, Entry>,
}

impl Document for Timetable {
    const FORMAT: &'static str = "sealift.timetable/1";
}

impl Timetable {
    /// Where the timetable of a shard lies in the state bucket:
    /// `exports/timetable/<4 digits>.json`.
    pub fn place(shard: u16) -> Place<Self> {
        Place::new(ObjectKey::of_known_form(format!(
            "exports/timetable/{shard:04}.json"
        )))
    }
}

/// The shard of an automation.
pub fn shard_of(automation: &AutomationId, shards: u16) -> u16 {
    u16::try_from(number_of(automation) % u64::from(shards.max(1))).unwrap_or(0)
}

/// A number that follows from the id alone: the first 8 bytes of its SHA-256, little-endian.
fn number_of(automation: &AutomationId) -> u64 {
    let hash = Sha256::digest(automation.as_str());
    hash.first_chunk::<8>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// One automation of the timetable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its project.
    pub project_id: ProjectId,
    /// Seconds between the starts of two runs.
    pub interval_seconds: u32,
    /// When it is due, in milliseconds since 1970.
    pub next_ms: i64,
    /// Whether it stands still.
    #[serde(default)]
    pub paused: bool,
    /// Whether it had nothing to export the last time.
    #[serde(default)]
    pub quiet: bool,
    /// Whether a survey can tell of it: a user's own query may read more than its project.
    pub surveyed: bool,
    /// Where its cursor stood when it was last heard of.
    pub position: XactId,
    /// The generation of its cursor; what is told of an earlier one no longer counts.
    #[serde(default)]
    pub generation: u32,
    /// Runs that failed in a row.
    #[serde(default)]
    pub attempts: u32,
    /// When it last had exported all that there was, or since when that is waited for, in
    /// milliseconds since 1970. Unknown for those that were written down without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_ms: Option<i64>,
}

/// A failed run is tried again after this time, and then twice as long each time.
const FIRST_RETRY_MS: i64 = 60 * 1000;

impl Entry {
    /// Whether it is due.
    pub fn is_due(&self, now_ms: i64) -> bool {
        !self.paused && self.next_ms <= now_ms
    }

    /// Whether it has had no success for two of its intervals.
    pub fn is_overdue(&self, now_ms: i64) -> bool {
        let patience_ms = i64::from(self.interval_seconds) * 2000;
        let late = |fresh_ms: i64| now_ms.saturating_sub(fresh_ms) > patience_ms;
        !self.paused && self.fresh_ms.is_some_and(late)
    }

    /// Moves it to its next moment after the time, which is its start.
    pub fn move_on(&mut self, automation: &AutomationId, now_ms: i64) {
        self.next_ms = next_moment(automation, self.interval_seconds, now_ms);
    }

    /// How long it may wait for a survey once it is due, in milliseconds: a part of its interval
    /// that nobody notices, so that many wait for one survey.
    pub fn patience_ms(&self, longest_ms: i64) -> i64 {
        (i64::from(self.interval_seconds) * 1000 / 6).min(longest_ms)
    }

    /// After a failure: it is due again after a while, not later than it would be anyway, and
    /// not before the API has asked for.
    pub fn retry(&mut self, now_ms: i64, asked_ms: Option<i64>) {
        let doubled = FIRST_RETRY_MS.saturating_mul(1 << self.attempts.min(20));
        self.attempts = self.attempts.saturating_add(1);
        let soon = self.next_ms.min(now_ms.saturating_add(doubled));
        let allowed = now_ms.saturating_add(asked_ms.unwrap_or(0));
        self.next_ms = soon.max(allowed);
    }

    /// Makes it due now, and unlike it was, so that whoever is about to move it on sees that
    /// something has happened.
    pub fn wake(&mut self, now_ms: i64) {
        self.next_ms = self.next_ms.min(now_ms).saturating_sub(1);
    }
}

/// The first moment after `now_ms` that lies at the automation's own place in the interval.
fn next_moment(automation: &AutomationId, interval_seconds: u32, now_ms: i64) -> i64 {
    let interval_ms = i64::from(interval_seconds.max(1)) * 1000;
    let interval = interval_ms.unsigned_abs();
    let phase = i64::try_from(number_of(automation) % interval).unwrap_or(0);
    let since = (now_ms - phase).rem_euclid(interval_ms);
    now_ms - since + interval_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> AutomationId {
        AutomationId::parse(format!("automation-{number}")).unwrap()
    }

    fn entry(next_ms: i64) -> Entry {
        Entry {
            project_id: ProjectId::parse("p").unwrap(),
            interval_seconds: 3600,
            next_ms,
            paused: false,
            quiet: false,
            surveyed: true,
            position: XactId::ZERO,
            generation: 0,
            attempts: 0,
            fresh_ms: None,
        }
    }

    #[test]
    fn hourly_automations_are_spread_over_the_hour() {
        let mut by_minute = [0_u32; 60];
        for number in 0..6000 {
            let mut entry = entry(0);
            entry.move_on(&id(number), 1_763_683_200_000);
            let minute = (entry.next_ms / 60_000).rem_euclid(60);
            by_minute[usize::try_from(minute).unwrap()] += 1;
        }
        assert!(
            by_minute.iter().all(|count| (50..200).contains(count)),
            "{by_minute:?}"
        );
    }

    #[test]
    fn starts_are_an_interval_apart_however_late_each_is() {
        let mut entry = entry(0);
        entry.move_on(&id(1), 1_763_683_200_000);
        let first = entry.next_ms;
        assert!((1..=3_600_000).contains(&(first - 1_763_683_200_000)));
        entry.move_on(&id(1), first);
        assert_eq!(entry.next_ms, first + 3_600_000);
        entry.move_on(&id(1), first + 3_600_000 + 1_800_000);
        assert_eq!(entry.next_ms, first + 2 * 3_600_000);
    }

    #[test]
    fn a_failure_is_tried_again_at_growing_intervals_within_the_timetable() {
        let mut waits = Vec::new();
        let mut entry = entry(0);
        for _ in 0..9 {
            entry.next_ms = 3_600_000;
            entry.retry(0, None);
            waits.push(entry.next_ms / 1000);
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        entry.attempts = 0;
        entry.next_ms = 3_600_000;
        entry.retry(0, Some(90_000));
        assert_eq!(entry.next_ms, 90_000, "not before the API said");
    }

    #[test]
    fn an_automation_is_overdue_after_two_intervals_without_success_unless_it_is_paused() {
        let mut entry = entry(0);
        assert!(!entry.is_overdue(i64::MAX), "nothing is known of it");
        entry.fresh_ms = Some(0);
        assert!(!entry.is_overdue(7_200_000) && entry.is_overdue(7_200_001));
        entry.paused = true;
        assert!(!entry.is_overdue(7_200_001));
    }

    #[test]
    fn a_paused_automation_is_never_due() {
        let mut entry = entry(5);
        assert!(entry.is_due(5) && !entry.is_due(4));
        entry.paused = true;
        assert!(!entry.is_due(5));
    }
}
