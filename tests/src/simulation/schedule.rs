//! A schedule: who does what when, drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use audit_delivery::{Delivery, Settings};
use audit_writer::Writer;
use futures_util::FutureExt;
use sealift_core::Timestamp;
use sealift_core::delivery::encode::Encoding;
use sealift_core::delivery::{Gap, ShardCursor};
use sealift_core::destination::{
    Credentials, Destination, DestinationSet, Location, Region, Status, Storage, shard_of,
};
use sealift_core::document::{Document, Place, Saved};
use sealift_core::event::Shapes;
use sealift_core::gzip::Level;
use sealift_core::id::{BucketName, DestinationId, KeyPrefix, ObjectKey, OrgId, Sequence};
use sealift_core::log::{Head, sequence_of};
use sealift_core::partition::Tag;
use sealift_core::segment::Segment;
use sealift_core::selection::Selection;
use sealift_core::sqs::{Batch, Record};
use sealift_testkit::exports::MemoryBus;
use sealift_testkit::sinks::Health;
use sealift_testkit::{MemorySinks, MemoryStore, SeededEntropy, VirtualClock};

use super::faults::{Dice, RoughSinks, RoughStore, Weather};
use super::model::{Expected, Logged, history};

/// What a schedule did, for whoever wants to see that schedules do something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Events that were sent, not counting repetitions.
    pub events: usize,
    /// Segments that were created.
    pub segments: usize,
    /// Objects in customers' buckets.
    pub objects: usize,
    /// Workers that were dropped in the middle.
    pub crashes: usize,
    /// Times that a destination was left behind.
    pub left: usize,
    /// Messages that came again.
    pub redelivered: usize,
    /// Epochs that the log began after its first.
    pub epochs: usize,
    /// Objects that were overwritten with another encoding of the same lines.
    pub reencoded: usize,
    /// Destinations that noted a gap.
    pub gaps: usize,
}

impl Summary {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            segments: self.segments + other.segments,
            objects: self.objects + other.objects,
            crashes: self.crashes + other.crashes,
            left: self.left + other.left,
            redelivered: self.redelivered + other.redelivered,
            epochs: self.epochs + other.epochs,
            reencoded: self.reencoded + other.reencoded,
            gaps: self.gaps + other.gaps,
        }
    }
}

type LocalDelivery =
    Delivery<RoughStore, RoughStore, RoughSinks, MemoryBus, VirtualClock, SeededEntropy>;

/// A worker under way.
struct Task {
    work: Pin<Box<dyn Future<Output = ()>>>,
    /// The messages that a writer holds, by their place in the queue.
    holds: Vec<usize>,
    /// Those of them that must come again, once the writer has told.
    again: Arc<Mutex<Option<Vec<String>>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Visible,
    Held,
    Deleted,
}

/// A destination with all that it has been configured to.
struct Configured {
    now: Destination,
    selections: Vec<Selection>,
    prefixes: Vec<KeyPrefix>,
}

struct World {
    dice: Dice,
    clock: VirtualClock,
    log: RoughStore,
    state: RoughStore,
    sinks: RoughSinks,
    shards: u16,
    destinations: BTreeMap<DestinationId, Configured>,
    queue: Vec<(Record, Message)>,
    sent: BTreeSet<(OrgId, String)>,
    unusable: BTreeSet<String>,
    next_event: usize,
    /// Segments that expired, and when, in milliseconds since 1970.
    expired: Vec<(Sequence, i64)>,
    /// Events that the log lost unread together with all that lay behind them: of those nobody
    /// can know, so no gap is noted.
    lost: BTreeSet<String>,
    tasks: Vec<Task>,
    warm: Vec<Arc<LocalDelivery>>,
    summary: Summary,
}

/// Runs the schedule of a seed. Panics, naming what was broken, if anything was.
pub fn run(seed: u64) -> Summary {
    let mut world = World::new(seed);
    let rounds = 1 + world.dice.below(3);
    for round in 0..rounds {
        world.rough(200 + world.dice.below(600));
        let paused = world.dice.chance(30).then(|| world.pick_destination());
        world.settle(paused.as_ref());
        if round + 1 < rounds {
            world.idle(paused.as_ref());
        }
    }
    world.settle(None);
    world.check();
    world.summary
}

impl World {
    fn new(seed: u64) -> Self {
        let dice = Dice::new(seed);
        let clock = VirtualClock::new(Timestamp::from_second(1_689_000_000).unwrap());
        let weather = Arc::new(Weather {
            dice: Dice::new(dice.fork().next_u64()),
            rough: AtomicBool::new(true),
            segments: Mutex::default(),
            recorded: Mutex::default(),
        });
        let store = || RoughStore {
            calm: MemoryStore::new(clock.clone()).with_etags_of_content(),
            weather: weather.clone(),
        };
        let mut world = Self {
            log: store(),
            state: store(),
            sinks: RoughSinks {
                calm: MemorySinks::new(clock.clone()),
                weather: weather.clone(),
            },
            shards: if dice.chance(50) { 1 } else { 2 },
            clock,
            dice,
            destinations: BTreeMap::new(),
            queue: Vec::new(),
            sent: BTreeSet::new(),
            unusable: BTreeSet::new(),
            next_event: 0,
            expired: Vec::new(),
            lost: BTreeSet::new(),
            tasks: Vec::new(),
            warm: Vec::new(),
            summary: Summary::default(),
        };
        // Two destinations of one organization share a prefix; organization 3 has none.
        world.configure("d0", 0, "bucket-0", "a/", &[]);
        world.configure("d1", 0, "bucket-0", "a/", &["kind.*"]);
        world.configure("d2", 1, "bucket-1", "", &[]);
        world
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    // ---- Configuration ------------------------------------------------------------------

    fn configure(&mut self, id: &str, org: usize, bucket: &str, prefix: &str, include: &[&str]) {
        let past = i64::try_from(self.dice.below(2_000_000)).unwrap();
        let destination = Destination {
            id: DestinationId::parse(id).unwrap(),
            organization: organization(org),
            status: Status::Streaming,
            held: None,
            created_ms: None,
            start_ms: Some(if self.next_event == 0 {
                0
            } else {
                self.now_ms() - past
            }),
            location: Location {
                endpoint: None,
                region: Region::parse("us-east-1").unwrap(),
                bucket: BucketName::parse(bucket).unwrap(),
                prefix: KeyPrefix::parse(prefix).unwrap(),
                path_style: false,
            },
            credentials: Credentials::AccessKeys,
            include: Selection::parse(include.iter().copied()).unwrap(),
            storage: Storage::default(),
            replays: Vec::new(),
        };
        let configured = Configured {
            selections: vec![destination.include.clone()],
            prefixes: vec![destination.location.prefix.clone()],
            now: destination,
        };
        self.save(configured);
    }

    fn save(&mut self, configured: Configured) {
        let shard = shard_of(&configured.now.organization, self.shards);
        let place = DestinationSet::place(shard);
        let calm = &self.state.calm;
        let read = place.load(calm).now_or_never().unwrap().unwrap();
        let mut set = read
            .as_ref()
            .map(|read| read.body.clone())
            .unwrap_or_default();
        set.0
            .insert(configured.now.id.clone(), configured.now.clone());
        let entropy = self.dice.fork();
        let saved = match &read {
            None => place.create(calm, set, &entropy).now_or_never().unwrap(),
            Some(read) => place
                .replace(calm, read, set, &entropy)
                .now_or_never()
                .unwrap(),
        };
        assert!(matches!(saved, Ok(Saved::Done(_))));
        self.destinations
            .insert(configured.now.id.clone(), configured);
    }

    fn pick_destination(&self) -> DestinationId {
        let ids: Vec<&DestinationId> = self.destinations.keys().collect();
        (*self.dice.pick(&ids)).clone()
    }

    fn change(&mut self, id: &DestinationId, change: impl FnOnce(&mut Configured)) {
        if let Some(mut configured) = self.destinations.remove(id) {
            change(&mut configured);
            self.save(configured);
        }
    }

    fn change_something(&mut self) {
        match self.dice.below(6) {
            0 | 1 => {
                let id = self.pick_destination();
                let paused = self.dice.chance(50);
                self.change(&id, |c| {
                    c.now.status = if paused {
                        Status::Paused
                    } else {
                        Status::Streaming
                    }
                });
            }
            2 => {
                let include: &[&str] = if self.dice.chance(50) {
                    &["kind.*"]
                } else {
                    &["kind.a"]
                };
                let include = Selection::parse(include.iter().copied()).unwrap();
                self.change(&DestinationId::parse("d1").unwrap(), |c| {
                    c.selections.push(include.clone());
                    c.now.include = include;
                });
            }
            3 => {
                let prefix = KeyPrefix::parse(format!("moved-{}/", self.dice.below(3))).unwrap();
                self.change(&DestinationId::parse("d2").unwrap(), |c| {
                    c.prefixes.push(prefix.clone());
                    c.now.location.prefix = prefix;
                });
            }
            _ => {
                if self.destinations.len() < 4 {
                    self.configure("d3", 2, "bucket-2", "late/", &[]);
                }
            }
        }
    }

    fn change_health(&mut self) {
        let id = self.pick_destination();
        let slow = Health::Slow(Duration::from_secs(8));
        let ill = [
            Health::Closed,
            Health::Denied,
            Health::Transient,
            Health::LostReply,
            slow,
        ];
        let health = if self.dice.chance(50) {
            Health::Well
        } else {
            *self.dice.pick(&ill)
        };
        self.sinks.calm.set_destination(&id, health);
    }

    // ---- Producers and the queue --------------------------------------------------------

    fn send(&mut self) {
        if self.dice.chance(4) {
            let body = format!(
                r#"{{"source":"s","detail-type":"kind.a","detail":{{"id":"bad-{}"}}}}"#,
                self.next_event
            );
            self.next_event += 1;
            self.unusable.insert(body.clone());
            return self.push(body);
        }
        let mut events = Vec::new();
        for _ in 0..=self.dice.below(6) {
            let (org, line) = self.event();
            self.sent.insert((org, line.clone()));
            events.push(line);
            // A producer that did not hear an answer sends again.
            if self.dice.chance(5) {
                events.push(events[self.dice.below(events.len())].clone());
            }
        }
        if self.dice.chance(50) {
            let events = events.join(",\n");
            self.push(format!(r#"{{"source":"s","detail-type":"sealift.bundle","detail":{{"events":[{events}]}}}}"#));
        } else {
            for event in events {
                self.push(format!(
                    r#"{{"source":"s","detail-type":"x","detail":{event}}}"#
                ));
            }
        }
    }

    fn event(&mut self) -> (OrgId, String) {
        let number = self.next_event;
        self.next_event += 1;
        let org = organization(self.dice.below(4));
        let late = i64::try_from(self.dice.below(2 * 3600)).unwrap();
        let created = Timestamp::from_second(self.clock.now().as_second() - late).unwrap();
        let kind = self.dice.pick(&["kind.a", "kind.b", "other.c"]);
        let pad = "x".repeat(self.dice.below(300));
        // Sometimes the id of an earlier event, with other content.
        let id = if self.dice.chance(3) {
            number / 2
        } else {
            number
        };
        let line = format!(
            r#"{{"id":"{id}","org_id":"{org}","created":"{created}","event_type":"{kind}","n":{number},"pad":"{pad}"}}"#
        );
        (org, line)
    }

    fn push(&mut self, body: String) {
        let message_id = format!("m{}", self.queue.len());
        self.queue
            .push((Record { message_id, body }, Message::Visible));
    }

    // ---- Workers ------------------------------------------------------------------------

    fn start_writer(&mut self) {
        let mut visible: Vec<usize> = (0..self.queue.len())
            .filter(|i| self.queue[*i].1 == Message::Visible)
            .collect();
        let mut holds = Vec::new();
        for _ in 0..=self.dice.below(12) {
            if visible.is_empty() {
                break;
            }
            holds.push(visible.swap_remove(self.dice.below(visible.len())));
        }
        if holds.is_empty() {
            return;
        }
        let records = holds.iter().map(|i| {
            self.queue[*i].1 = Message::Held;
            let (Record { message_id, body }, _) = &self.queue[*i];
            Record {
                message_id: message_id.clone(),
                body: body.clone(),
            }
        });
        let batch = Batch {
            records: records.collect(),
        };
        let writer = Writer::new(
            self.log.clone(),
            self.clock.clone(),
            self.dice.fork(),
            Shapes::default(),
            Level::new(1).unwrap(),
        );
        let again = Arc::new(Mutex::new(None));
        let told = again.clone();
        let work = async move {
            let failures = writer.handle(&batch).await.response.failures;
            *told.lock().unwrap() = Some(failures.into_iter().map(|f| f.message_id).collect());
        };
        self.tasks.push(Task {
            work: Box::pin(work),
            holds,
            again,
        });
    }

    fn start_delivery(&mut self) {
        let cold = self.warm.is_empty() || self.dice.chance(30);
        let delivery = if cold {
            self.new_delivery()
        } else {
            self.dice.pick(&self.warm).clone()
        };
        let deadline = self
            .clock
            .now()
            .checked_add(Duration::from_secs(60))
            .unwrap();
        let work = async move {
            // What a run could not do the next one does; that all gets done is checked.
            let _ = delivery.run(deadline).await;
        };
        self.tasks.push(Task {
            work: Box::pin(work),
            holds: Vec::new(),
            again: Arc::default(),
        });
    }

    /// A process that has just started, perhaps of another version.
    fn new_delivery(&mut self) -> Arc<LocalDelivery> {
        let settings = Settings {
            shards: self.shards,
            plan_bytes: 2000 + 2000 * self.dice.below(10) as u64,
            plan_segments: 1 + self.dice.below(8),
            plan_objects: 1 + self.dice.below(12),
            concurrency: 1 + self.dice.below(4),
            encoding: Encoding {
                level: Level::new(1).unwrap(),
                small_bytes: *self.dice.pick(&[0, 400, 400, 400, 1000]),
            },
            ..Settings::default()
        };
        let delivery = Arc::new(Delivery::new(
            self.log.clone(),
            self.state.clone(),
            self.sinks.clone(),
            MemoryBus::default(),
            self.clock.clone(),
            self.dice.fork(),
            settings,
        ));
        self.warm.push(delivery.clone());
        if self.warm.len() > 2 {
            self.warm.remove(0);
        }
        delivery
    }

    /// Lets a worker go on to where it next waits. Tells whether it has ended.
    fn poll(&mut self, task: usize) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        if self.tasks[task].work.as_mut().poll(&mut context) == Poll::Pending {
            return false;
        }
        let ended = self.tasks.swap_remove(task);
        let again = ended.again.lock().unwrap().take().unwrap_or_default();
        for place in ended.holds {
            // The queue delivers at least once: now and then it forgets that one was deleted.
            let forgets = self.log.weather.rough.load(Ordering::Relaxed) && self.dice.chance(4);
            let comes_again = forgets || again.contains(&self.queue[place].0.message_id);
            self.summary.redelivered += usize::from(comes_again);
            self.queue[place].1 = if comes_again {
                Message::Visible
            } else {
                Message::Deleted
            };
        }
        true
    }

    fn crash(&mut self, task: usize) {
        let dead = self.tasks.swap_remove(task);
        self.summary.crashes += 1;
        for place in dead.holds {
            self.summary.redelivered += 1;
            self.queue[place].1 = Message::Visible;
        }
        if self.dice.chance(50) {
            self.warm.clear();
        }
    }

    // ---- Phases -------------------------------------------------------------------------

    /// Everything at once, and everything may go wrong.
    fn rough(&mut self, steps: usize) {
        self.log.weather.rough.store(true, Ordering::Relaxed);
        for _ in 0..steps {
            match self.dice.below(100) {
                0..4 => self.send(),
                4..8 if self.tasks.len() < 5 => self.start_writer(),
                8..12 if self.tasks.len() < 5 => self.start_delivery(),
                12..15 => self
                    .clock
                    .advance(Duration::from_millis(self.dice.below(4000) as u64)),
                15 => self
                    .clock
                    .advance(Duration::from_secs(20 + self.dice.below(20) as u64)),
                16 => self.change_health(),
                17 => self.change_something(),
                18 if !self.tasks.is_empty() => self.crash(self.dice.below(self.tasks.len())),
                19 => self.expire(10),
                _ if !self.tasks.is_empty() => {
                    self.poll(self.dice.below(self.tasks.len()));
                }
                _ => {}
            }
        }
    }

    /// All goes well from now on. Ends when nothing is left to do; panics if that does not
    /// come to be.
    fn settle(&mut self, paused: Option<&DestinationId>) {
        self.log.weather.rough.store(false, Ordering::Relaxed);
        let ids: Vec<DestinationId> = self.destinations.keys().cloned().collect();
        for id in &ids {
            self.sinks.calm.set_destination(id, Health::Well);
            let pause = paused == Some(id);
            self.change(id, |c| {
                c.now.status = if pause {
                    Status::Paused
                } else {
                    Status::Streaming
                }
            });
        }
        for _ in 0..300 {
            self.run_to_end();
            if self.is_done(paused) {
                return;
            }
            self.clock.advance(Duration::from_secs(30));
            self.start_writer();
            self.run_to_end();
            self.start_delivery();
        }
        panic!("delivery does not come to an end: {:#?}", self.cursors());
    }

    fn run_to_end(&mut self) {
        // A worker that only waits for others' turns goes on at once; one that sleeps does not.
        let mut in_vain = 0;
        for _ in 0..200_000 {
            let Some(last) = self.tasks.len().checked_sub(1) else {
                return;
            };
            in_vain = if self.poll(last) { 0 } else { in_vain + 1 };
            if in_vain > 100 {
                self.clock.advance(Duration::from_secs(1));
                in_vain = 0;
            }
        }
        panic!("a worker does not come to an end");
    }

    fn is_done(&self, paused: Option<&DestinationId>) -> bool {
        let drained = self
            .queue
            .iter()
            .all(|(_, message)| *message == Message::Deleted);
        let end = self.log_end().map_or(Sequence::FIRST, Sequence::next);
        let cursors = self.cursors();
        let idle = |cursor: &ShardCursor| {
            cursor.plan.is_none()
                && cursor.position.next >= end
                && cursor.left.keys().all(|id| Some(id) == paused)
                && paused.is_none_or(|id| !cursor.members.contains_key(id))
        };
        let known: usize = cursors.iter().map(|c| c.members.len() + c.left.len()).sum();
        let started = self
            .destinations
            .keys()
            .filter(|id| Some(*id) != paused)
            .count();
        let begun = Self::read::<Head>("head.json", &self.log.calm).is_some();
        drained && (!begun || (cursors.iter().all(idle) && known >= started))
    }

    /// The last segment that is there.
    fn log_end(&self) -> Option<Sequence> {
        let keys = self.log.calm.keys();
        keys.iter().filter_map(sequence_of).max()
    }

    fn cursors(&self) -> Vec<ShardCursor> {
        let load = |shard| {
            let place = ShardCursor::place(shard);
            place
                .load(&self.state.calm)
                .now_or_never()
                .unwrap()
                .unwrap()
        };
        (0..self.shards)
            .filter_map(load)
            .map(|stored| stored.body)
            .collect()
    }

    fn read<T: Document>(key: &str, store: &MemoryStore) -> Option<T> {
        let place = Place::<T>::new(ObjectKey::parse(key).unwrap());
        place
            .load(store)
            .now_or_never()
            .unwrap()
            .unwrap()
            .map(|stored| stored.body)
    }

    /// Nobody does anything until the log has forgotten all that it held, or nearly all.
    fn idle(&mut self, paused: Option<&DestinationId>) {
        if self.dice.chance(30) {
            self.append_unread();
        }
        self.clock
            .advance(Duration::from_hours(24 * (38 + self.dice.below(10) as u64)));
        self.expire(*self.dice.pick(&[100, 100, 80, 40]));
        self.warm.clear();
        if let Some(id) = paused
            && self.dice.chance(50)
        {
            self.change(id, |c| c.now.status = Status::Streaming);
        }
    }

    /// Delivery is out of order for a while, and the log is not.
    fn append_unread(&mut self) {
        for _ in 0..=self.dice.below(4) {
            self.send();
            self.start_writer();
            self.run_to_end();
        }
        while self.queue.iter().any(|(_, m)| *m == Message::Visible) {
            self.start_writer();
            self.run_to_end();
        }
    }

    /// Takes so many in a hundred of the segments whose time is over: a lifecycle comes to them
    /// when it does, in no order, but to the last one last.
    fn expire(&mut self, percent: usize) {
        let limit = self
            .clock
            .now()
            .checked_sub(Duration::from_hours(24 * 37))
            .unwrap();
        let (last, mut expired) = (self.log_end(), Vec::new());
        for key in self.log.calm.keys() {
            let object = self.log.calm.get_now(&key).unwrap();
            let old = object.meta.last_modified < limit;
            let last = percent < 100 && sequence_of(&key) == last;
            if old && !last && key.as_str().starts_with("log/") && self.dice.chance(percent) {
                self.log.calm.remove_now(&key);
                expired.push(Segment::read(&object.bytes).unwrap());
            }
        }
        let now_ms = self.now_ms();
        let numbers = expired.iter().map(|segment| (segment.sequence(), now_ms));
        self.expired.extend(numbers);
        let positions = self.cursors().into_iter().map(|c| c.position.next);
        let read = positions.min().unwrap_or(Sequence::FIRST);
        if self.log_end().is_none_or(|last| last < read) {
            let unread = expired.iter().filter(|segment| segment.sequence() >= read);
            self.lost.extend(unread.flat_map(super::model::lines));
        }
    }

    // ---- What must hold -----------------------------------------------------------------

    fn check(&mut self) {
        let segments = self.log.weather.segments.lock().unwrap().clone();
        let log = history(&segments);
        let logged: BTreeSet<(OrgId, String)> = log
            .iter()
            .map(|e| (e.organization.clone(), e.line.clone()))
            .collect();
        assert_eq!(logged, self.sent, "the log does not hold what was sent");
        let epochs = super::model::epochs(&segments);
        let expired = self.expired.iter().map(|(sequence, _)| *sequence).collect();
        let mut claimed: BTreeMap<BucketName, usize> = BTreeMap::new();
        let mut objects = BTreeMap::new();
        for (id, configured) in &self.destinations {
            let bucket = &configured.now.location.bucket;
            let in_bucket = objects
                .entry(bucket.clone())
                .or_insert_with(|| self.sinks.calm.objects(bucket));
            let gaps = self.gaps(id);
            let expected = Expected {
                destination: &configured.now,
                tags: epochs
                    .iter()
                    .map(|epoch| Tag::of(&configured.now.organization, id, epoch))
                    .collect(),
                selections: &configured.selections,
                expired: &expired,
            };
            let mut found = BTreeSet::new();
            let prefixes: BTreeSet<&KeyPrefix> = configured.prefixes.iter().collect();
            for prefix in prefixes {
                let (lines, count) = expected.check(&log, prefix, in_bucket);
                found.extend(lines);
                *claimed.entry(bucket.clone()).or_default() += count;
            }
            let told = expected.told(in_bucket);
            *claimed.entry(bucket.clone()).or_default() += told.len();
            for gap in &gaps {
                let range = (gap.first, gap.last);
                assert!(told.contains(&range), "{id}: {range:?} was not told");
            }
            for event in expected.must_have(&log) {
                let excused = self.in_gap(&gaps, event) || self.lost.contains(&event.line);
                assert!(
                    excused || found.contains(&event.line),
                    "{id}: {} never arrived",
                    event.line
                );
            }
            self.summary.gaps += usize::from(!gaps.is_empty());
        }
        for (bucket, objects) in &objects {
            assert_eq!(
                claimed.get(bucket),
                Some(&objects.len()),
                "{bucket} holds an object that is nobody's"
            );
            self.summary.objects += objects.len();
        }
        self.check_parked();
        super::model::check_overwrites(&self.sinks.calm.puts());
        self.summary.events = self.sent.len();
        self.summary.segments = segments.len();
        self.summary.epochs = epochs.len().saturating_sub(1);
        self.summary.left = self
            .cursors()
            .iter()
            .map(|c| usize::try_from(c.generation).unwrap())
            .sum();
        self.summary.reencoded = self
            .sinks
            .calm
            .count(sealift_testkit::sinks::Replaced::Different);
    }

    fn gaps(&self, id: &DestinationId) -> Vec<Gap> {
        let cursors = self.cursors();
        let member = cursors.iter().find_map(|cursor| cursor.members.get(id));
        member
            .map(|member| member.progress.gaps.clone())
            .unwrap_or_default()
    }

    /// Whether the event lies in a part of the log that was gone, and known to be gone, before it
    /// could be delivered.
    fn in_gap(&self, gaps: &[Gap], event: &Logged) -> bool {
        gaps.iter().any(|gap| {
            let inside = |sequence: Sequence| {
                gap.first <= sequence && gap.last.is_some_and(|last| sequence <= last)
            };
            let mut expired = self.expired.iter();
            inside(event.sequence)
                && expired.any(|(sequence, at)| inside(*sequence) && *at <= gap.noticed_ms)
        })
    }

    fn check_parked(&self) {
        let mut parked = BTreeSet::new();
        for key in self
            .log
            .calm
            .keys()
            .iter()
            .filter(|key| key.as_str().starts_with("parked/"))
        {
            let object = self.log.calm.get_now(key).unwrap();
            for line in String::from_utf8(object.bytes.to_vec()).unwrap().lines() {
                let line: sealift_core::parked::Parked = serde_json::from_str(line).unwrap();
                parked.insert(line.body);
            }
        }
        assert_eq!(
            parked, self.unusable,
            "what was parked is not what was unusable"
        );
        let still: usize = self.cursors().iter().map(|cursor| cursor.left.len()).sum();
        assert_eq!(still, 0, "destinations are still left behind");
    }
}

fn organization(number: usize) -> OrgId {
    OrgId::parse(format!("org-{number}")).unwrap()
}
