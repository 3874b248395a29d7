//! Entries that appear before what was read already.

use super::*;

#[test]
fn an_entry_twenty_minutes_late_is_relayed_once() {
    let world = World::new();
    world.pass(minutes(30));
    world.log.add("punctual", world.clock.now());
    world.run_after(minutes(1));
    world.log.add("late", world.ago(minutes(20)));
    let mut late = 0;
    for _ in 0..120 {
        late += world.run_after(minutes(1)).late;
    }
    assert_eq!(late, 1);
    assert_eq!((world.times("late"), world.times("punctual")), (1, 1));
}

#[test]
fn an_entry_a_few_minutes_late_is_relayed_by_the_next_run() {
    let world = World::new();
    for _ in 0..30 {
        world.run_after(minutes(1));
    }
    world.log.add("late", world.ago(minutes(14)));
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.late, report.delay_ms), (1, 1, 0));
}

#[test]
fn an_entry_a_day_late_is_relayed_by_the_next_sweep() {
    // The first of these is later than the start; the last one is later than is promised.
    for (late, found) in [(23 * 60, 1), (24 * 60 - 1, 1), (25 * 60 + 5, 0)] {
        // However long the last sweep is ago.
        for since_sweep in [1, 30, 59] {
            let world = World::new();
            for _ in 0..180 {
                world.run_after(minutes(10));
            }
            for _ in 0..60 {
                let before = world.cursor().full;
                world.run_after(minutes(1));
                if world.cursor().full > before {
                    break;
                }
            }
            for _ in 0..since_sweep {
                world.run_after(minutes(1));
            }
            world.log.add("late", world.ago(minutes(late)));
            for _ in 0..61 {
                world.run_after(minutes(1));
            }
            assert_eq!(world.times("late"), found, "{late} {since_sweep}");
        }
    }
}

#[test]
fn what_appears_late_while_nothing_runs_is_found_however_long_that_takes() {
    for hours in [2, 10, 48] {
        let world = World::new();
        for _ in 0..30 {
            world.run_after(SignedDuration::from_hours(1));
        }
        // Half an hour after the last run, of 23 hours before.
        let appears = world.clock.now().checked_add(minutes(30)).unwrap();
        let created = appears.checked_sub(SignedDuration::from_hours(23)).unwrap();
        world.log.add_for("late", created, appears);
        world.run_after(SignedDuration::from_hours(hours));
        assert_eq!(world.times("late"), 1, "{hours} hours");
    }
}

#[test]
fn a_sweep_that_there_was_no_time_for_goes_on_where_it_stood() {
    let world = World::new();
    for n in 0..100 {
        world.log.add(&format!("e{n}"), world.clock.now());
        world.run_after(minutes(15));
    }
    world.pass(minutes(45));
    world.log.add("late", world.ago(minutes(61)));
    world.log.takes(Duration::from_secs(4));
    let mut runs = 0;
    let before = world.cursor().full;
    while world.cursor().full == before {
        runs += 1;
        assert!(runs < 20);
        let added = world.log.add(&format!("new{runs}"), world.clock.now());
        assert!(!added.is_empty());
        world.run_after(minutes(1));
        assert_eq!(
            world.times(&format!("new{runs}")),
            1,
            "new ones do not wait"
        );
    }
    assert!(runs > 1, "it was cut");
    assert_eq!(world.times("late"), 1);
    assert!(world.relayed().values().all(|times| *times == 1));
}

#[test]
fn one_id_twice_on_a_page_is_one_entry() {
    let world = World::new();
    world.log.add("e1", world.clock.now());
    world.log.add("e1", world.clock.now());
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.seen_before), (1, 1));
}
