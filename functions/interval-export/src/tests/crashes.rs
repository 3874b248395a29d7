//! Processes that are killed anywhere, while rows are updated between the attempts.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use sealift_core::export::cursor::Outcome;
use sealift_core::export::message::Due;
use sealift_core::id::XactId;
use sealift_testkit::exports::Row;

use super::fate::Fate;
use super::{World, automation_id, project, row, xact};
use crate::Report;

fn world() -> World {
    let mut world = World::new();
    // Two hours, several files of an hour, transactions of two rows, pages of three.
    world.settings.file_bytes = 1;
    let rows = (0..4).map(|n| row(&format!("a{n}"), "09:00:00", n / 2));
    world.source.upsert(&project(), rows);
    let rows = (0..4).map(|n| row(&format!("b{n}"), "10:30:00", n / 2));
    world.source.upsert(&project(), rows);
    world
}

/// Runs and is killed at a step; whether it was still at work then.
fn die(world: &World, step: usize) -> bool {
    let export = world.export(&Fate::at(step));
    let due = Due {
        automation_id: automation_id(),
        requests: None,
        grant: None,
    };
    let run = Box::pin(export.run(&due, world.deadline()));
    run.now_or_never().is_none()
}

/// Lets the claim of a killed run pass, and runs until there is nothing more.
fn recover(world: &World) {
    world.clock.advance(super::CLAIM);
    for _ in 0..3 {
        if let Report::Ran {
            outcome: Outcome::Done,
            ..
        } = world.run()
        {
            return;
        }
    }
    panic!("it does not come to an end");
}

/// What committed files say must be what lies there, each version once.
fn check(world: &World, step: usize, source: &BTreeMap<String, XactId>) {
    let versions = world.versions();
    let distinct: BTreeSet<_> = versions.iter().collect();
    assert_eq!(
        versions.len(),
        distinct.len(),
        "step {step}: a double in {versions:?}"
    );
    for (id, transaction) in source {
        assert!(
            distinct.contains(&(id.clone(), *transaction)),
            "step {step}: {id} of {transaction} is missing from {versions:?}"
        );
    }
    // The manifests list each committed file once, in order and without a gap.
    let mut files: Vec<(XactId, XactId, u64)> = Vec::new();
    for manifest in world.manifests() {
        for file in manifest["files"].as_array().unwrap() {
            let at = |field: &str| XactId::parse(file[field].as_str().unwrap()).unwrap();
            files.push((at("after"), at("through"), file["rows"].as_u64().unwrap()));
        }
    }
    files.sort();
    let mut position = XactId::ZERO;
    for (after, through, _) in &files {
        assert_eq!(*after, position, "step {step}: {files:?}");
        position = *through;
    }
    assert_eq!(position, world.cursor().position, "step {step}");
    let listed: u64 = files.iter().map(|(_, _, rows)| rows).sum();
    assert_eq!(listed, world.cursor().counts.rows, "step {step}");
}

fn versions_of(world: &World) -> BTreeMap<String, XactId> {
    let rows = world.source.rows(&project()).into_iter();
    rows.map(|row| (row.id().to_owned(), row.xact())).collect()
}

#[test]
fn whichever_step_a_run_is_killed_at_the_next_one_ends_at_the_same() {
    let undisturbed = world();
    undisturbed.run();
    let expected = undisturbed.files();
    assert_eq!(expected.len(), 4);
    let mut kills = 0;
    for step in 0.. {
        let world = world();
        if !die(&world, step) {
            break;
        }
        kills += 1;
        recover(&world);
        assert_eq!(world.files(), expected, "step {step}");
        check(&world, step, &versions_of(&world));
    }
    assert!(kills > 60, "only {kills} steps");
}

#[test]
fn rows_that_are_updated_between_the_attempts_are_there_in_their_last_version_and_none_twice() {
    // What changes, and to when, always later than all before: within the last hour, into
    // another, all of an hour, and so late that it is not this run's.
    let changes: [(&[&str], &str); 5] = [
        (&["b0", "b1"], "10:45:00"),
        (&["a0", "a1"], "10:45:00"),
        (&["a0", "b3"], "11:59:50"),
        (&["a0", "a1", "a2", "a3"], "11:00:00"),
        (&["b2", "b3"], "11:00:00"),
    ];
    let mut kills = 0;
    for (updated, time) in changes {
        for step in 0.. {
            let world = world();
            if !die(&world, step) {
                break;
            }
            kills += 1;
            let rows: Vec<Row> = world.source.rows(&project());
            let rows = rows.into_iter().filter(|row| updated.contains(&row.id()));
            let moved: Vec<Row> = rows.map(|row| row.moved(xact(time, 9))).collect();
            world.source.upsert(&project(), moved);
            recover(&world);
            check(&world, step, &versions_of(&world));
        }
    }
    assert!(kills > 300, "only {kills} steps");
}

#[test]
fn a_run_that_is_killed_twice_still_loses_and_doubles_nothing() {
    for first in (0..60).step_by(7) {
        for second in (0..60).step_by(11) {
            let world = world();
            die(&world, first);
            world.clock.advance(super::CLAIM);
            die(&world, second);
            recover(&world);
            check(&world, first * 100 + second, &versions_of(&world));
        }
    }
}

#[test]
fn of_two_messages_that_arrive_together_one_runs() {
    let world = world();
    let (one, other) = (world.export(&Fate::kind()), world.export(&Fate::kind()));
    let due = Due {
        automation_id: automation_id(),
        requests: None,
        grant: None,
    };
    // The second begins while the first is in its first page.
    let deadline = world.deadline();
    let other_result = std::sync::Arc::new(std::sync::Mutex::new(None));
    let result = other_result.clone();
    let due_again = due.clone();
    let mut other = Some(other);
    world.source.before_each_page(move |_, _| {
        if let Some(other) = other.take() {
            let run = Box::pin(other.run(&due_again, deadline));
            *result.lock().unwrap() = run.now_or_never();
        }
    });
    let first = Box::pin(one.run(&due, deadline)).now_or_never().unwrap();
    assert!(matches!(
        first.unwrap(),
        Report::Ran {
            outcome: Outcome::Done,
            ..
        }
    ));
    let second = other_result.lock().unwrap().take().unwrap().unwrap();
    assert_eq!(second, Report::Busy);
    check(&world, 0, &versions_of(&world));
}
