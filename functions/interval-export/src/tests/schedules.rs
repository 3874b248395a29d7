//! Schedules of all that can happen to an export, drawn by chance. Whatever it was, an export
//! that is let alone afterwards comes to its end, and then what it promises must hold.

mod author;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use sealift_core::export::cursor::{File, Outcome};
use sealift_core::export::message::Due;
use sealift_core::export::name::hour_of;
use sealift_core::export::registry::Registry;
use sealift_core::id::XactId;
use sealift_core::partition::hex;
use sealift_testkit::exports::sinks::{Health, Uploads};
use sealift_testkit::exports::source::{Fault, Kind, Settled};
use sealift_testkit::exports::{MemoryBus, MemoryExports, MemorySource, Row};
use sealift_testkit::{SeededEntropy, VirtualClock};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::author::{Author, Chance};
use self::record::Recorder;
use super::fate::{Fate, Mortal};
use super::{CLAIM, World, automation_id, bucket, config, lines, project, role, version};
use crate::{Export, Report};

/// How many schedules of each kind.
const SEEDS: u64 = 600;

#[test]
fn spans_arrive_each_once_in_a_generation_whatever_happens() {
    for seed in 0..SEEDS {
        under(seed, "log_spans", Schedule::check_spans);
    }
}

#[test]
fn traces_arrive_with_all_of_their_spans_whatever_happens() {
    for seed in 0..SEEDS {
        under(seed, "log_traces", Schedule::check_traces);
    }
}

fn under(seed: u64, definition: &str, check: fn(&Schedule)) {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut schedule = Schedule::new(seed, definition);
        for _ in 0..schedule.chance.between(6, 24) {
            schedule.step();
        }
        schedule.come_to_an_end();
        schedule.check_files();
        check(&schedule);
    }));
    assert!(
        played.is_ok(),
        "the schedule of seed {seed} of {definition}"
    );
}

fn due(requests: Option<u32>) -> Due {
    Due {
        automation_id: automation_id(),
        requests,
        grant: None,
    }
}

/// A world, and what happens in it.
struct Schedule {
    world: World,
    store: Recorder,
    chance: Chance,
    author: Arc<Mutex<Author>>,
    settled: Settled,
    traces: bool,
}

type ScheduledExport = Export<
    Mortal<Recorder>,
    Mortal<MemorySource>,
    Mortal<MemoryExports>,
    Mortal<MemoryBus>,
    VirtualClock,
    SeededEntropy,
>;

impl Schedule {
    fn new(seed: u64, definition: &str) -> Self {
        let chance = Chance(SeededEntropy::new(seed));
        let mut config = config();
        config["export_definition"] = json!({"type": definition});
        config["batch_size"] = json!(chance.between(1, 7));
        let mut world = World::with(config);
        let settings = &mut world.settings;
        settings.lag = Duration::from_secs(chance.of(&[0, 60]));
        settings.file_bytes = chance.of(&[1, 1_000_000]);
        settings.traces_at_once = chance.of(&[1, 2, 100]);
        settings.traces_in_file = chance.of(&[1, 3, 100]);
        world.source.end_with_empty_page(chance.one_in(3));
        let author = Author::new(chance.clone(), world.clock.clone());
        let schedule = Self {
            store: Recorder::over(world.state.clone()),
            world,
            chance,
            author: Arc::new(Mutex::new(author)),
            settled: Settled::Latest,
            traces: definition == "log_traces",
        };
        schedule.let_things_happen_between_pages();
        schedule
    }

    fn let_things_happen_between_pages(&self) {
        let (author, chance) = (self.author.clone(), self.chance.clone());
        let registry = Registry {
            store: self.store.clone(),
            entropy: self.world.entropy.clone(),
            shards: 1,
        };
        let (other, clock) = (self.export(&Fate::kind()), self.world.clock.clone());
        self.world.source.before_each_page(move |source, _| {
            let mut author = author.lock().unwrap();
            if chance.one_in(6) {
                author.add(source);
            }
            if chance.one_in(6) {
                author.update(source);
            }
            if chance.one_in(80) {
                let (id, place) = (automation_id(), registry.store.earlier(&chance));
                let reset = registry.reset(&id, place, None, 0).now_or_never();
                reset.unwrap().unwrap();
            }
            let cursor = registry.cursor(&automation_id()).now_or_never().unwrap();
            let claim = cursor.unwrap().body.claim;
            let now_ms = clock.now().as_millisecond();
            if claim.is_some_and(|claim| now_ms < claim.until_ms) && chance.one_in(20) {
                let due = due(None);
                let again = Box::pin(other.run(&due, clock.now())).now_or_never();
                assert!(matches!(again, Some(Ok(Report::Busy | Report::Paused))));
            }
        });
    }

    fn export(&self, fate: &Fate) -> ScheduledExport {
        let world = &self.world;
        Export::new(
            fate.over(self.store.clone()),
            fate.over(world.source.clone()),
            fate.over(world.sinks.clone()),
            fate.over(world.bus.clone()),
            world.clock.clone(),
            world.entropy.clone(),
            world.settings.clone(),
        )
    }

    fn step(&mut self) {
        let (chance, world) = (&self.chance, &self.world);
        match chance.between(0, 17) {
            0..=4 => self.author.lock().unwrap().add(&world.source),
            5..=6 => self.author.lock().unwrap().update(&world.source),
            7..=8 => {
                let seconds = chance.of(&[1, 45, 600, 2400, 7200]);
                world.clock.advance(Duration::from_secs(seconds));
            }
            9 => self.settle(),
            10 => {
                let limit = usize::try_from(chance.between(1, 5)).unwrap();
                world.source.set_page_limit(limit);
            }
            11 => self.ail(),
            12 => self.control(),
            13..=14 => self.kill(),
            _ => {
                self.run(self.requests());
            }
        }
    }

    /// What the source says of how far it has come, and what it shows of the rest.
    fn settle(&mut self) {
        let (chance, source) = (&self.chance, &self.world.source);
        let mut at: Vec<XactId> = source.rows(&project()).iter().map(Row::xact).collect();
        at.push(self.author.lock().unwrap().settled);
        let at = chance.of(&at);
        self.settled = chance.of(&[Settled::Latest, Settled::Unknown, Settled::At(at)]);
        source.settle(self.settled);
        let hidden = matches!(self.settled, Settled::At(_)) && chance.one_in(2);
        source.hold_back(hidden.then(|| XactId::new(at.get() + 1)));
        // A trace whose spans are all updated out of sight has no summary, and is rightly passed.
        self.author.lock().unwrap().updates = !(hidden && self.traces);
    }

    /// Something goes wrong with the next requests.
    fn ail(&self) {
        let (chance, world) = (&self.chance, &self.world);
        let minutes = Duration::from_mins(chance.between(1, 20));
        let rows = usize::try_from(chance.between(0, 3)).unwrap();
        if chance.one_in(2) {
            let kinds = [Kind::Freshness, Kind::Spans, Kind::Touched, Kind::Summaries];
            let faults = [
                Fault::Transient,
                Fault::Throttled(Some(minutes)),
                Fault::Denied,
                Fault::BreakAfter(rows),
                Fault::SameCursor,
                Fault::Stall(minutes),
                Fault::StallAfter(rows, minutes),
            ];
            let spared = chance.between(0, 4);
            world
                .source
                .fail(chance.of(&kinds), spared, chance.of(&faults));
        } else {
            let healths = [
                Health::Transient,
                Health::Denied,
                Health::LostReply,
                Health::Missing,
                Health::Slow(minutes),
            ];
            let requests = u32::try_from(chance.between(1, 3)).unwrap();
            world
                .sinks
                .set_bucket_for(&bucket(), chance.of(&healths), requests);
            if chance.one_in(4) {
                world.sinks.set_role(&role(), Health::Closed);
            }
        }
    }

    /// Somebody controls the export.
    fn control(&self) {
        let earlier = self.store.earlier(&self.chance);
        let id = automation_id();
        let registry = Registry {
            store: self.store.clone(),
            entropy: self.world.entropy.clone(),
            shards: 1,
        };
        match self.chance.between(0, 3) {
            0 => registry.set_active(&id, false, 0).now_or_never(),
            1 => registry.set_active(&id, true, 0).now_or_never(),
            _ => registry.reset(&id, earlier, None, 0).now_or_never(),
        }
        .unwrap()
        .unwrap();
    }

    /// From now on nothing may be written that a run could pass which begins now.
    fn note_what_is_settled(&self) {
        let lag = self.world.settings.lag;
        let limit = XactId::before(self.world.clock.now().checked_sub(lag).unwrap());
        let rows = self.world.source.rows(&project());
        let settled = match self.settled {
            Settled::Latest => rows.iter().map(Row::xact).max(),
            Settled::At(at) => Some(at),
            Settled::Unknown => None,
        };
        let through = settled.map_or(limit, |settled| settled.min(limit));
        let mut author = self.author.lock().unwrap();
        author.settled = author.settled.max(through);
    }

    fn requests(&self) -> Option<u32> {
        self.chance.of(&[None, Some(2), Some(4), Some(8)])
    }

    fn kill(&self) {
        let step = usize::try_from(self.chance.between(0, 120)).unwrap();
        let (export, due) = (self.export(&Fate::at(step)), due(self.requests()));
        self.note_what_is_settled();
        let run = Box::pin(export.run(&due, self.world.deadline()));
        if run.now_or_never().is_none() && self.chance.one_in(2) {
            self.world.clock.advance(CLAIM);
        }
    }

    fn run(&self, requests: Option<u32>) -> Report {
        let before = self.store.generations();
        let abandoned = self.world.sinks.uploads().abandoned;
        self.world.bus.take();
        let export = self.export(&Fate::kind());
        let (due, deadline) = (due(requests), self.world.deadline());
        self.note_what_is_settled();
        let mut run = pin!(export.run(&due, deadline));
        let mut context = Context::from_waker(Waker::noop());
        let report = loop {
            match run.as_mut().poll(&mut context) {
                Poll::Ready(report) => break report.unwrap(),
                Poll::Pending => assert!(self.world.clock.advance_to_next(), "it waits for ever"),
            }
        };
        let Uploads {
            open,
            abandoned: then,
            ..
        } = self.world.sinks.uploads();
        assert_eq!((open, then), (0, abandoned), "an upload was left behind");
        let after = self.store.generations();
        if let Report::Ran { outcome, .. } = &report {
            let told = self.world.told().remove(0);
            assert_eq!(told.position, after.last().unwrap().position);
            let moved = told.position > before.last().unwrap().position;
            assert!(
                moved || *outcome != Outcome::More,
                "it would go on for ever"
            );
        }
        if report == Report::Overtaken {
            assert!(after.len() > before.len(), "by whom?");
        }
        report
    }

    /// Everything is made well, and nothing happens any more but runs.
    fn come_to_an_end(&mut self) {
        let world = &self.world;
        self.settled = Settled::Latest;
        world.source.settle(Settled::Latest);
        world.source.hold_back(None);
        world.source.before_each_page(|_, _| ());
        world.sinks.set_role(&role(), Health::Well);
        world.sinks.set_bucket(&bucket(), Health::Well);
        let resumed = world
            .registry()
            .set_active(&automation_id(), true, 0)
            .now_or_never();
        resumed.unwrap().unwrap();
        let requests = self.requests();
        for _ in 0..200 {
            world.clock.advance(CLAIM);
            let done = Outcome::Done;
            if matches!(self.run(requests), Report::Ran { outcome, .. } if outcome == done) {
                return;
            }
        }
        panic!("it does not come to an end");
    }

    /// The committed files of each generation, and what they hold.
    fn committed(&self) -> Vec<Vec<(File, Vec<String>)>> {
        let objects = self.world.sinks.objects(&bucket());
        let read = |file: File| {
            let lines = lines(&objects[&file.key]);
            (file, lines)
        };
        let generations = self.store.generations().into_iter();
        generations
            .map(|g| g.files.into_iter().map(read).collect())
            .collect()
    }

    fn check_files(&self) {
        let objects = self.world.sinks.objects(&bucket());
        for key in objects.keys() {
            assert!(key.as_str().starts_with("braintrust/math/"), "{key}");
        }
        for generation in self.store.generations() {
            let mut position = generation.start;
            for file in &generation.files {
                assert_eq!(file.after, position, "{:?}", generation.files);
                assert!(file.through > file.after, "{file:?}");
                position = file.through;
            }
            assert_eq!(
                position, generation.position,
                "what was passed is in a file"
            );
        }
        let listed = self.world.manifests().into_iter();
        let listed: Vec<File> = listed
            .flat_map(|m| serde_json::from_value::<Vec<File>>(m["files"].clone()).unwrap())
            .collect();
        let committed = self.store.generations();
        let committed = committed.iter().flat_map(|g| &g.files);
        for file in listed.iter().chain(committed) {
            let bytes = &objects[&file.key];
            let hash = hex(Sha256::digest(bytes).as_slice());
            assert_eq!(
                (bytes.len() as u64, &hash),
                (file.size, &file.sha256),
                "{}",
                file.key
            );
        }
    }

    fn check_spans(&self) {
        let mut found = BTreeSet::new();
        for generation in self.committed() {
            let mut once = BTreeSet::new();
            for (file, lines) in generation {
                for line in &lines {
                    let (id, at) = version(line);
                    assert!(file.after < at && at <= file.through, "{line} in {file:?}");
                    assert_eq!(hour_of(at), Some(file.hour));
                    assert!(once.insert((id, at)), "{line} is there twice");
                }
            }
            found.extend(once);
        }
        for row in self.world.source.rows(&project()) {
            let there = found.contains(&(row.id().to_owned(), row.xact()));
            assert!(there, "{} of {} is missing", row.id(), row.xact());
        }
    }

    fn check_traces(&self) {
        let mut shown = BTreeMap::new();
        for (_, lines) in self.committed().into_iter().flatten() {
            for line in &lines {
                let summary: Value = serde_json::from_str(line).unwrap();
                let trace = summary["root_span_id"].as_str().unwrap().to_owned();
                shown.insert(trace, summary["spans"].as_u64().unwrap());
            }
        }
        let mut spans = BTreeMap::new();
        for row in self.world.source.rows(&project()) {
            *spans.entry(row.root_span_id().to_owned()).or_insert(0) += 1;
        }
        assert_eq!(shown, spans);
    }
}
