//! The logic, on an audit log, buckets and a bus in memory.

mod crashes;
mod late;
mod log;
mod pages;
mod parking;
mod schedules;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::SignedDuration;
use sealift_core::Timestamp;
use sealift_core::id::OrgId;
use sealift_core::parked::Parked;
use sealift_core::relay::cursor::RelayCursor;
use sealift_testkit::exports::MemoryBus;
use sealift_testkit::scripted::{Scripted, Verb};
use sealift_testkit::{MemoryStore, Script, SeededEntropy, VirtualClock};

use self::crashes::{Fate, Mortal};
use self::log::Log;
use crate::{Relay, RelayError, Report, Settings, Start};

const NOON: &str = "2026-05-12T12:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn organization() -> OrgId {
    OrgId::parse("org-1").unwrap()
}

/// An audit log and a stack, whose stores and bus fail as a test wants.
struct World {
    clock: VirtualClock,
    state: MemoryStore,
    parking: MemoryStore,
    script: Script,
    log: Log,
    bus: MemoryBus,
    entropy: SeededEntropy,
    settings: Settings,
}

type TestedRelay = Relay<
    Scripted<MemoryStore>,
    Scripted<MemoryStore>,
    Mortal<Log>,
    Mortal<MemoryBus>,
    VirtualClock,
    SeededEntropy,
>;

impl World {
    /// At noon; the relay has begun.
    fn new() -> Self {
        let world = Self::untouched();
        assert_eq!(world.run().relayed, 0);
        world
    }

    /// At noon; there is no cursor.
    fn untouched() -> Self {
        let clock = VirtualClock::new(time(NOON));
        Self {
            state: MemoryStore::new(clock.clone()),
            parking: MemoryStore::new(clock.clone()),
            script: Script::default(),
            log: Log::new(clock.clone()),
            bus: MemoryBus::default(),
            entropy: SeededEntropy::new(1),
            settings: Settings {
                limit: 5,
                most: 40,
                ..Settings::of(organization())
            },
            clock,
        }
    }

    fn relay_under(&self, fate: &Fate) -> TestedRelay {
        let state = self.script.on(self.state.clone());
        let parking = self.script.on(self.parking.clone());
        Relay::new(
            (state, parking),
            fate.over(self.log.clone()),
            fate.over(self.bus.clone()),
            self.clock.clone(),
            self.entropy.clone(),
            self.settings.clone(),
        )
    }

    fn try_run(&self) -> Result<Report, RelayError> {
        let relay = self.relay_under(&Fate::kind());
        let handled = relay.handle(self.deadline());
        handled.now_or_never().expect("nothing waits")
    }

    fn run(&self) -> Report {
        self.try_run().unwrap()
    }

    /// Lets the time pass, with a run at the end of it.
    fn run_after(&self, passed: SignedDuration) -> Report {
        self.pass(passed);
        self.run()
    }

    fn pass(&self, passed: SignedDuration) {
        self.clock.advance(passed.unsigned_abs());
    }

    fn ago(&self, by: SignedDuration) -> Timestamp {
        self.clock.now().checked_sub(by).unwrap()
    }

    fn deadline(&self) -> Timestamp {
        let left = Duration::from_secs(50);
        self.clock.now().checked_add(left).unwrap()
    }

    /// How often each entry came onto the bus, by its id.
    fn relayed(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for entry in self.bus.entries() {
            let detail: serde_json::Value = serde_json::from_str(&entry.detail).unwrap();
            let id = detail["id"].as_str().unwrap().to_owned();
            *times.entry(id).or_default() += 1;
        }
        times
    }

    fn times(&self, id: &str) -> usize {
        self.relayed().get(id).copied().unwrap_or_default()
    }

    fn cursor(&self) -> RelayCursor {
        let place = RelayCursor::place(&organization());
        let read = place.load(&self.state).now_or_never().unwrap();
        read.unwrap().unwrap().body
    }

    /// What is parked, and the key where it lies.
    fn parked(&self) -> Vec<(String, Parked)> {
        let mut parked = Vec::new();
        for key in self.parking.keys() {
            let object = self.parking.get_now(&key).unwrap();
            for line in std::str::from_utf8(&object.bytes).unwrap().lines() {
                parked.push((key.to_string(), serde_json::from_str(line).unwrap()));
            }
        }
        parked
    }

    fn writes(&self) -> usize {
        self.script.count(Verb::Create, "relay/") + self.script.count(Verb::Swap, "relay/")
    }
}

#[test]
fn what_happens_after_the_first_run_is_relayed_once_byte_for_byte() {
    let world = World::untouched();
    world.log.add("before", world.ago(minutes(1)));
    assert_eq!(world.run().relayed, 0, "it begins now");
    world.pass(minutes(1));
    let text = world
        .log
        .add("e1", world.ago(SignedDuration::from_secs(20)));
    let report = world.run();
    assert_eq!(
        (report.relayed, report.late, report.delay_ms),
        (1, 0, 20_000)
    );
    assert_eq!(report.lag_ms, 0);
    let entries = world.bus.entries();
    assert_eq!(entries[0].detail, text);
    assert_eq!(entries[0].source, "sealift.relay");
    assert_eq!(entries[0].detail_type, "project.created");
    for _ in 0..90 {
        assert_eq!(world.run_after(minutes(1)).relayed, 0);
    }
    assert_eq!(world.bus.entries().len(), 1);
    assert!(world.parked().is_empty());
}

#[test]
fn it_begins_where_it_is_told_and_never_before() {
    let mut world = World::untouched();
    world.settings.start = Start::At(time("2026-05-02T00:00:00Z"));
    world.log.add("early", time("2026-05-01T23:59:59.999Z"));
    for day in 2..12 {
        for hour in 0..24 {
            let at = time(&format!("2026-05-{day:02}T{hour:02}:00:00Z"));
            world.log.add(&format!("{day}-{hour}"), at);
        }
    }
    let report = world.run();
    assert_eq!((report.relayed, report.cut_short), (240, false));
    assert!(
        world.cursor().remembered() < 30,
        "only what is read again is remembered"
    );
    for _ in 0..30 {
        assert_eq!(world.run_after(minutes(10)).relayed, 0);
    }
    assert_eq!(world.relayed().len(), 240);
    assert_eq!(world.times("early"), 0);
    // What it was told counts at the beginning only.
    world.settings.start = Start::Now;
    world.log.add("later", world.clock.now());
    assert_eq!(world.run_after(minutes(1)).relayed, 1);
}

#[test]
fn a_start_more_than_thirty_days_ago_is_refused_before_anything_is_written() {
    let mut world = World::untouched();
    world.settings.start = Start::At(time("2026-04-01T00:00:00Z"));
    let error = world.try_run().unwrap_err().to_string();
    assert!(error.contains("SEALIFT_RELAY_START 2026-04-01"), "{error}");
    assert!(world.state.keys().is_empty());
}

#[test]
fn a_quiet_minute_writes_nothing_and_a_quiet_hour_little() {
    let world = World::new();
    world.log.add("e1", world.clock.now());
    world.run_after(minutes(1));
    let before = world.writes();
    assert_eq!(world.run_after(minutes(1)).relayed, 0);
    assert_eq!(world.writes(), before);
    for _ in 0..60 {
        world.run_after(minutes(1));
    }
    let writes = world.writes() - before;
    assert!(writes <= 13, "{writes} writes in an hour");
}

#[test]
fn there_is_no_end_to_what_is_remembered_but_the_hours_that_are_read_again() {
    let world = World::new();
    for run in 0..20 * 60 {
        world.log.add(&format!("e{run}"), world.clock.now());
        world.run_after(minutes(3));
    }
    assert_eq!(world.relayed().len(), 1200);
    let remembered = world.cursor().remembered();
    assert!((20 * 24..20 * 27).contains(&remembered), "{remembered}");
    let size = world
        .state
        .get_now(RelayCursor::place(&organization()).key());
    let size = size.unwrap().bytes.len();
    assert!(size < remembered * 11 + 2000, "{size} bytes");
}

#[test]
fn after_an_outage_everything_since_the_last_run_is_relayed() {
    for hours in [3, 30, 100] {
        let world = World::new();
        world.log.add("known", world.clock.now());
        world.run_after(minutes(1));
        for minute in 0..hours * 60 {
            world.log.add(&format!("e{minute}"), world.clock.now());
            // Appears within the outage, long after what was read before it.
            if minute == 30 {
                let before = world.ago(SignedDuration::from_hours(20));
                world.log.add("late", before.max(time(NOON)));
            }
            world.pass(minutes(1));
        }
        let expected = u64::try_from(hours * 60 + 1).unwrap();
        let report = world.run();
        assert_eq!((report.relayed, report.cut_short), (expected, false));
        assert!(world.relayed().values().all(|times| *times == 1));
        let remembered = world.cursor().remembered();
        assert!(remembered < 60 * 27, "{remembered} after {hours} hours");
    }
}

#[test]
fn what_the_bus_did_not_take_comes_again_and_nothing_else_does() {
    let world = World::new();
    for n in 0..12 {
        let at = world.clock.now();
        world.log.add(&format!("e{n}"), at);
        world.pass(SignedDuration::from_secs(1));
    }
    world
        .bus
        .refuse(7, sealift_core::ports::StoreError::Transient);
    let error = world.try_run().unwrap_err();
    assert!(matches!(error, RelayError::Bus { count: 1, .. }), "{error}");
    assert_eq!(world.times("e7"), 0);
    assert_eq!(
        world.times("e8"),
        1,
        "the others of its page are on the bus"
    );
    assert!(world.cursor().position <= time("2026-05-12T12:00:07Z"));
    world.run_after(minutes(1));
    assert_eq!(world.relayed().len(), 12);
    assert!(world.relayed().values().all(|times| *times == 1));
}

#[test]
fn a_bus_that_takes_nothing_is_told_and_nothing_is_parked() {
    let world = World::new();
    world.log.add("e1", world.clock.now());
    world.bus.fail(1, sealift_core::ports::StoreError::Invalid);
    world.pass(minutes(1));
    assert!(matches!(world.try_run(), Err(RelayError::Bus { .. })));
    assert!(world.parked().is_empty());
    assert_eq!(world.run().relayed, 1);
}

#[test]
fn what_is_not_begun_before_the_deadline_is_left_to_the_next_run() {
    let world = World::new();
    world.log.add("e1", world.clock.now());
    world.pass(minutes(1));
    let relay = world.relay_under(&Fate::kind());
    let soon = world
        .clock
        .now()
        .checked_add(Duration::from_secs(10))
        .unwrap();
    let report = relay.handle(soon).now_or_never().unwrap().unwrap();
    assert!(report.cut_short);
    assert_eq!((report.relayed, report.queries), (0, 0));
    assert_eq!(world.run().relayed, 1);
}

#[test]
fn a_long_way_is_gone_in_several_runs() {
    let mut world = World::untouched();
    world.settings.start = Start::At(time("2026-05-01T00:00:00Z"));
    for n in 0..200 {
        let at = time("2026-05-01T00:00:00Z").checked_add(minutes(30 * n));
        world.log.add(&format!("e{n}"), at.unwrap());
    }
    // Each query takes four seconds, and there are 50 less the reserve.
    world.log.takes(Duration::from_secs(4));
    let mut runs = 0;
    loop {
        runs += 1;
        let report = world.run();
        assert!(report.queries < 12);
        if !report.cut_short {
            break;
        }
    }
    assert!(runs > 3, "{runs}");
    assert_eq!(world.relayed().len(), 200);
    assert!(world.relayed().values().all(|times| *times == 1));
}

#[test]
fn rows_are_relayed_on_request_only() {
    let mut world = World::new();
    world.settings.limit = 10;
    for (n, kind) in crate::ROW_LEVEL.into_iter().enumerate() {
        world
            .log
            .add_of(&format!("e{n}"), world.clock.now(), kind, "");
    }
    world.log.add("e9", world.clock.now());
    let report = world.run_after(minutes(1));
    assert_eq!(
        (report.relayed, report.left_out),
        (1, 0),
        "not even asked for"
    );
    world.log.ignore_types();
    let report = world.run_after(minutes(1));
    assert_eq!(
        (report.relayed, report.left_out),
        (0, 4),
        "and left out again"
    );
    world.settings.row_level = true;
    assert_eq!(world.run_after(minutes(1)).relayed, 4);
    assert_eq!(world.relayed().len(), 5);
}

#[test]
fn what_sealift_reads_itself_is_not_relayed() {
    let mut world = World::new();
    world.settings.row_level = true;
    world.settings.own_actor = Some("user-7".to_owned());
    let at = world.clock.now();
    let by = |agent: &str| format!(r#","actor_details":{{"user_agent":"{agent}"}}"#);
    let log = &world.log;
    log.add_of("own-name", at, "query.read", &by("sealift/0.1.0"));
    log.add_of("own-key", at, "query.read", r#","actor_id":"user-7""#);
    log.add_of("other", at, "query.read", &by("Mozilla/5.0"));
    log.add_of(
        "own-change",
        at,
        "project.deleted",
        r#","actor_id":"user-7""#,
    );
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.left_out), (2, 2));
    assert_eq!((world.times("other"), world.times("own-change")), (1, 1));
}

#[test]
fn a_refusal_says_what_is_missing_and_passes_nothing() {
    let world = World::new();
    for (code, message, words) in [
        (
            "HTTP 403",
            "Audit logs require Enterprise",
            "Enterprise plan",
        ),
        ("HTTP 400", "unknown function audit_logs", "2.6.0"),
        ("HTTP 403", "missing permission: read", "Read audit logs"),
    ] {
        world.log.add(message, world.clock.now());
        world.pass(minutes(1));
        world.log.refuse(code, message);
        let error = world.try_run().unwrap_err();
        assert!(matches!(error, RelayError::Refused(_)));
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("project-fanout"), "{error}");
    }
    world.log.heal();
    assert_eq!(world.run_after(minutes(1)).relayed, 3);
}
