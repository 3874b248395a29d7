//! Replays: a past range once more, beside the live stream.

use std::collections::BTreeMap;
use std::time::Duration;

use sealift_core::Timestamp;
use sealift_core::delivery::Counts;
use sealift_core::delivery::replay::{self, Replay, ReplayState};
use sealift_core::document::Saved;
use sealift_core::id::ReplayId;
use sealift_core::selection::Selection;
use sealift_testkit::Script;
use sealift_testkit::scripted::{Turn, Verb};
use sealift_testkit::sinks::{Health, Replaced};

use super::{World, name};

mod troubles;

/// Three segments with events of three hours, of which the live stream has delivered all.
fn world() -> World {
    world_with(|_| ())
}

fn world_with(change: impl FnOnce(&mut crate::Settings)) -> World {
    let mut settings = crate::Settings::default();
    change(&mut settings);
    let world = World::with(settings);
    world.add("acme", "acme");
    world.append(["acme 1 a.x 0", "acme 2 b.x 1", "other 9 a.x 0"]);
    world.flush();
    world.append(["acme 3 a.x 1", "acme 1 a.x 0"]);
    world.flush();
    // Late: of an hour that is long over.
    world.append(["acme 4 a.x 0", "acme 5 a.x 2"]);
    world.flush();
    assert_eq!(world.events("acme").len(), 5);
    world
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Asks for a replay of all events from the first hour on and before the second.
fn ask(world: &World, id: &str, from: &str, to: &str) -> ReplayId {
    let replay = ReplayId::generate(&world.entropy);
    let mut found = None;
    world.change(id, |destination| found = Some(destination.clone()));
    let (from, to) = (
        time(&format!("2023-07-10T{from}:00Z")),
        time(&format!("2023-07-10T{to}:00Z")),
    );
    let asked = Replay::new(&found.unwrap(), from, to, world.clock.now()).unwrap();
    let place = Replay::place(0, &name(id), &replay);
    let create = place.create(&world.state, asked, &world.entropy);
    let saved = Script::default().run(&world.clock, create).unwrap();
    assert!(matches!(saved, Ok(Saved::Done(_))));
    let listed = replay.clone();
    world.change(id, |destination| destination.replays.push(listed));
    replay
}

fn read(world: &World, id: &str, replay: &ReplayId) -> Replay {
    world
        .read(&Replay::place(0, &name(id), replay))
        .unwrap()
        .body
}

fn cancel(world: &World, id: &str, replay: &ReplayId) -> Replay {
    let (now_ms, id) = (world.now_ms(), name(id));
    let cancel = replay::cancel(&world.state, &world.entropy, 0, &id, replay, now_ms);
    let cancelled = Script::default().run(&world.clock, cancel);
    cancelled.unwrap().unwrap().unwrap()
}

/// The lines of each object of a replay, by its key below the replay's folder.
fn replayed(world: &World, id: &str, replay: &ReplayId) -> BTreeMap<String, Vec<String>> {
    let folder = format!("audit/_replays/{replay}/");
    let objects = world.replays(id).into_iter();
    objects
        .filter_map(|(key, lines)| Some((key.strip_prefix(&folder)?.to_owned(), lines)))
        .collect()
}

/// The names of the events that a replay delivered.
fn events(world: &World, id: &str, replay: &ReplayId) -> Vec<String> {
    let lines = replayed(world, id, replay).into_values().flatten();
    let names = lines.map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["as"].as_str().unwrap().to_owned()
    });
    names.collect()
}

#[test]
fn a_range_is_delivered_once_more_into_a_folder_of_its_own() {
    let world = world();
    let live = world.objects("acme");
    let replay = ask(&world, "acme", "13:00", "15:00");
    let report = world.run();
    assert_eq!(report.counts, Counts::default());
    assert_eq!(
        (report.replayed.delivered, report.replayed.duplicates),
        (4, 1)
    );
    // Both hours that were asked for, late events too, and nothing of the third.
    let all = [
        "acme 1 a.x 0",
        "acme 4 a.x 0",
        "acme 2 b.x 1",
        "acme 3 a.x 1",
    ];
    assert_eq!(events(&world, "acme", &replay), all);
    assert!(
        replayed(&world, "acme", &replay)
            .keys()
            .all(|key| key.starts_with("date=2023-07-10/hour=1"))
    );
    assert_eq!(world.objects("acme"), live, "the live stream's keys");
    let done = read(&world, "acme", &replay);
    assert_eq!(
        (done.state, done.ended_ms),
        (ReplayState::Done, Some(world.now_ms()))
    );
    assert_eq!(done.segments(), Some((3, 3)));
    assert_eq!(done.counts, report.replayed);
    let progress = world.cursor().members[&name("acme")].progress.counts;
    assert_eq!(progress.delivered, 5, "the live stream's counts");
    // A process that saw its end does not look again.
    let reads = || world.script.count(Verb::Get, "delivery/0000/replays/");
    let before = reads();
    world.flush();
    world.flush();
    assert_eq!(reads(), before);
}

#[test]
fn it_delivers_what_the_destination_selects_and_since_its_start() {
    let world = world();
    world.change("acme", |d| d.include = Selection::parse(["a.*"]).unwrap());
    let start_ms = world.now_ms() - 1000 * 45;
    world.change("acme", |d| d.start_ms = Some(start_ms));
    let replay = ask(&world, "acme", "13:00", "16:00");
    world.run();
    assert_eq!(
        events(&world, "acme", &replay),
        ["acme 4 a.x 0", "acme 3 a.x 1", "acme 5 a.x 2"]
    );
}

#[test]
fn it_goes_on_by_bounded_plans_and_tells_how_far_it_is() {
    let world = world_with(|settings| settings.plan_segments = 1);
    let replay = ask(&world, "acme", "13:00", "16:00");
    // The second object is not taken for now.
    let mut puts = 0;
    world.script.set(move |call| {
        puts += usize::from(call.verb == Verb::Put);
        match call.verb == Verb::Put && puts >= 3 {
            true => Turn::Denied,
            false => Turn::Well,
        }
    });
    world.run();
    let half = read(&world, "acme", &replay);
    assert_eq!(half.segments(), Some((1, 3)));
    assert_eq!((half.state, half.attempts), (ReplayState::Running, 1));
    assert_eq!(half.failure.unwrap().operation, "Put");
    assert!(half.not_before_ms > world.now_ms());
    world.script.calm();
    world.clock.advance(Duration::from_secs(10));
    world.run();
    let done = read(&world, "acme", &replay);
    assert_eq!((done.state, done.attempts), (ReplayState::Done, 0));
    assert_eq!(done.failure, None);
    assert_eq!(events(&world, "acme", &replay).len(), 5);
    let ranges = replayed(&world, "acme", &replay).into_keys();
    let ranges: std::collections::BTreeSet<String> = ranges
        .map(|key| key.rsplit('/').next().unwrap().chars().take(41).collect())
        .collect();
    assert_eq!(ranges.len(), 3);
}

#[test]
fn a_bucket_that_refuses_it_makes_it_wait_and_the_live_stream_of_others_does_not() {
    let world = world();
    world.add("other", "other");
    let replay = ask(&world, "acme", "13:00", "16:00");
    world.sinks.set_destination(&name("acme"), Health::Denied);
    for round in 0..30 {
        world.append([format!("other {round} a.x").as_str()]);
        world.flush();
    }
    let waits = read(&world, "acme", &replay);
    assert_eq!(waits.state, ReplayState::Running);
    assert!((5..10).contains(&waits.attempts), "{}", waits.attempts);
    // One that starts in the past has the very first as well.
    assert_eq!(world.events("other").len(), 31);
    world.sinks.set_destination(&name("acme"), Health::Well);
    world.clock.advance(Duration::from_mins(5));
    world.run();
    assert_eq!(read(&world, "acme", &replay).state, ReplayState::Done);
}

#[test]
fn one_that_is_called_off_stops_where_it_is() {
    let world = world_with(|settings| settings.plan_segments = 1);
    let replay = ask(&world, "acme", "13:00", "16:00");
    let mut puts = 0;
    world.script.set(move |call| {
        puts += usize::from(call.verb == Verb::Put);
        match call.verb == Verb::Put && puts >= 3 {
            true => Turn::Denied,
            false => Turn::Well,
        }
    });
    world.run();
    let cancelled = cancel(&world, "acme", &replay);
    assert_eq!(cancelled.state, ReplayState::Cancelled);
    assert_eq!(cancelled.plan, None);
    let there = events(&world, "acme", &replay);
    world.script.calm();
    world.clock.advance(Duration::from_mins(5));
    world.run();
    world.flush();
    assert_eq!(events(&world, "acme", &replay), there);
    assert_eq!(read(&world, "acme", &replay), cancelled);
    assert_eq!(cancel(&world, "acme", &replay), cancelled);
}

#[test]
fn one_that_is_called_off_under_a_workers_hands_is_not_brought_back() {
    let world = world();
    let replay = ask(&world, "acme", "13:00", "16:00");
    let place = Replay::place(0, &name("acme"), &replay);
    let (state, entropy) = (world.state.clone(), world.entropy.clone());
    let mut cancelled = false;
    world.script.set(move |call| {
        if call.is(Verb::Put, "audit/_replays/") && !std::mem::replace(&mut cancelled, true) {
            let update = place.update(&state, &entropy, |read| read?.cancelled(1));
            futures_util::FutureExt::now_or_never(update)
                .unwrap()
                .unwrap();
        }
        Turn::Well
    });
    let report = world.run();
    assert!(report.overtaken);
    world.flush();
    let replay = read(&world, "acme", &replay);
    assert_eq!(
        (replay.state, replay.ended_ms),
        (ReplayState::Cancelled, Some(1))
    );
}

#[test]
fn a_paused_destinations_replay_waits_until_it_flows_again() {
    let world = world();
    let replay = ask(&world, "acme", "13:00", "16:00");
    world.pause("acme");
    world.flush();
    world.flush();
    assert_eq!(read(&world, "acme", &replay).begun, None);
    world.resume("acme");
    world.flush();
    assert_eq!(read(&world, "acme", &replay).state, ReplayState::Done);
    assert_eq!(events(&world, "acme", &replay).len(), 5);
}

#[test]
fn what_comes_after_it_began_is_the_live_streams_alone() {
    let world = world();
    let replay = ask(&world, "acme", "13:00", "16:00");
    world
        .sinks
        .set_destination(&name("acme"), Health::Transient);
    world.run();
    assert!(read(&world, "acme", &replay).begun.is_some());
    world.append(["acme 6 a.x 0"]);
    world.sinks.set_destination(&name("acme"), Health::Well);
    world.clock.advance(Duration::from_mins(1));
    world.run();
    assert_eq!(read(&world, "acme", &replay).state, ReplayState::Done);
    assert_eq!(events(&world, "acme", &replay).len(), 5);
    assert!(world.events("acme").contains(&"acme 6 a.x 0".to_owned()));
}

#[test]
fn two_of_one_range_share_no_key() {
    let world = world();
    let replays = [0, 1].map(|_| ask(&world, "acme", "13:00", "16:00"));
    world.run();
    for replay in &replays {
        assert_eq!(events(&world, "acme", replay).len(), 5);
    }
    assert_eq!(world.sinks.count(Replaced::Identical), 0);
}

#[test]
fn only_segments_with_something_for_it_are_read_whole() {
    let world = World::new();
    world.add("acme", "acme");
    for number in 0..10 {
        let organization = if number == 4 { "acme" } else { "other" };
        world.append([format!("{organization} {number}").as_str()]);
    }
    world.flush();
    let replay = ask(&world, "acme", "13:00", "16:00");
    let before = world.script.count(Verb::Get, "log/");
    world.run();
    assert_eq!(read(&world, "acme", &replay).state, ReplayState::Done);
    // Once for the plan, and once for carrying it out.
    assert_eq!(world.script.count(Verb::Get, "log/") - before, 2);
}
