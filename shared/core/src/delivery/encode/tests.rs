use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use proptest::prelude::*;

use super::*;
use crate::delivery::replay::Hours;
use crate::destination::{Location, Region};
use crate::event::Event;
use crate::id::{BucketName, KeyPrefix, Sequence};
use crate::lookback::Lookback;
use crate::segment::{Builder, EventDigest, Stamp};
use crate::selection::Selection;

/// An event: organization, id, type, hour since 1970, and bytes of padding.
type Given<'a> = (&'a str, &'a str, &'a str, i64, usize);

fn line(given: &Given<'_>) -> String {
    let (organization, id, event_type, hour, pad) = given;
    // Padding that hardly compresses.
    let pad: Vec<String> = (0..pad / 16)
        .map(|n| format!("{:016x}", EventDigest::line_of(&format!("{id} {n}"))))
        .collect();
    let pad = pad.concat();
    format!(r#"{{"o":"{organization}","id":"{id}","t":"{event_type}","h":{hour},"pad":"{pad}"}}"#)
}

/// Segments, each appended a second after the one before, with what the look-back finds.
fn marked(segments: &[&[Given<'_>]]) -> Vec<Marked> {
    let mut lookback = Lookback::new(3_600_000, None);
    let segments = segments.iter().enumerate().map(|(number, events)| {
        let mut builder = Builder::default();
        for given in *events {
            let (organization, id, event_type, hour, _) = *given;
            let time = jiff::Timestamp::from_second(hour * 3600 + 59).unwrap();
            builder.add(&Event {
                id: Cow::Borrowed(id),
                organization: org(organization),
                time,
                hour: Hour::of(time).unwrap(),
                event_type: Cow::Borrowed(event_type),
                line: Cow::Owned(line(given)),
            });
        }
        let stamp = Stamp {
            epoch: "e".to_owned(),
            sequence: Sequence(number as u64),
            nonce: "n".to_owned(),
            appended_ms: 1000 * i64::try_from(number).unwrap(),
        };
        let draft = builder.finish(Level::new(9).unwrap()).unwrap();
        let segment = Segment::read(&draft.stamped(&stamp).unwrap()).unwrap();
        lookback.feed(&segment.index);
        let marks = lookback.marks(segment.sequence()).unwrap();
        Marked { segment, marks }
    });
    segments.collect()
}

fn org(name: &str) -> OrgId {
    OrgId::parse(name).unwrap()
}

fn plan(organization: &str, include: &[&str], since_ms: i64) -> DestinationPlan {
    DestinationPlan {
        organization: org(organization),
        location: Location {
            endpoint: None,
            region: Region::parse("eu-central-1").unwrap(),
            bucket: BucketName::parse("bucket").unwrap(),
            prefix: KeyPrefix::parse("audit/").unwrap(),
            path_style: false,
        },
        include: Selection::parse(include.iter().copied()).unwrap(),
        since_ms,
        created_ms: None,
        hours: None,
        objects: Vec::new(),
        counts: Counts::default(),
    }
}

fn encoded(
    segments: &[Marked],
    plan: &DestinationPlan,
    small_bytes: u64,
) -> (Vec<Encoded>, DestinationPlan) {
    let range = Range {
        epoch: "e".to_owned(),
        first: Sequence(0),
        last: Sequence(segments.len() as u64 - 1),
        lookback_ms: 3_600_000,
    };
    let id = DestinationId::parse("destination").unwrap();
    let encoding = Encoding {
        level: Level::DEFAULT,
        small_bytes,
    };
    encode(&Catalog::of(segments), &range, &id, plan, &encoding).unwrap()
}

/// The gzip members of the organization and hour, joined as they lie.
fn joined(segments: &[Marked], organization: &str, hour: i64) -> Vec<u8> {
    let members = segments.iter().flat_map(|marked| marked.segment.members());
    let own = members.filter(|member| {
        let at = jiff::Timestamp::from_second(hour * 3600).unwrap();
        member.entry.organization == org(organization) && member.entry.hour == Hour::of(at).unwrap()
    });
    own.flat_map(|member| member.bytes.to_vec()).collect()
}

fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(bytes)
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn lines_of(events: &[Given<'_>]) -> String {
    events.iter().map(|event| line(event) + "\n").collect()
}

/// How many gzip members an object consists of.
fn members(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut members = 0;
    while !rest.is_empty() {
        let mut decoder = flate2::bufread::GzDecoder::new(rest);
        decoder.read_to_end(&mut Vec::new()).unwrap();
        rest = decoder.into_inner();
        members += 1;
    }
    members
}

const LARGE: usize = 3000;
const LIMIT: u64 = 2000;

#[test]
fn a_plan_of_some_hours_takes_these_alone_and_counts_nothing_of_the_others() {
    let events = [
        ("a", "1", "x.y", 0, 0),
        ("a", "2", "x.y", 1, 0),
        ("a", "3", "x.y", 2, 0),
        ("a", "4", "x.y", 3, 0),
    ];
    let segments = marked(&[&events, &[events[1]]]);
    let hour = |number: i64| Hour::of(jiff::Timestamp::from_second(number * 3600).unwrap());
    let plan = DestinationPlan {
        hours: Some(Hours {
            first: hour(1).unwrap(),
            last: hour(2).unwrap(),
        }),
        ..plan("a", &["x.y"], 0)
    };
    let (objects, plan) = encoded(&segments, &plan, LIMIT);
    let texts: Vec<String> = objects.iter().map(|object| text(&object.bytes)).collect();
    assert_eq!(texts, [lines_of(&events[1..2]), lines_of(&events[2..3])]);
    assert_eq!((plan.counts.seen(), plan.counts.duplicates), (3, 1));
}

#[test]
fn an_object_knows_when_its_lines_were_appended() {
    let (first, second) = (("a", "1", "x.y", 0, 0), ("a", "2", "x.y", 0, 0));
    let segments = marked(&[&[first], &[first, second]]);
    let (objects, _) = encoded(&segments, &plan("a", &[], 0), LIMIT);
    let appended: Vec<(i64, u64)> = objects[0].appended.clone();
    assert_eq!(appended, [(0, 1), (1000, 1)]);
}

#[test]
fn large_members_are_joined_byte_for_byte() {
    let (first, second) = (("a", "1", "x.y", 0, LARGE), ("a", "2", "x.y", 0, LARGE));
    let segments = marked(&[&[first], &[second, ("b", "3", "x.y", 0, LARGE)]]);
    let (objects, plan) = encoded(&segments, &plan("a", &[], 0), LIMIT);
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0].bytes, joined(&segments, "a", 0));
    assert_eq!(text(&objects[0].bytes), lines_of(&[first, second]));
    let raw_bytes = lines_of(&[first, second]).len() as u64;
    let counts = Counts {
        delivered: 2,
        raw_bytes,
        objects: 1,
        object_bytes: objects[0].bytes.len() as u64,
        ..Counts::default()
    };
    assert_eq!(plan.counts, counts);
}

#[test]
fn what_is_planned_describes_the_bytes() {
    let segments = marked(&[&[("a", "1", "x.y", 7, 10), ("a", "2", "x.y", 5, 10)]]);
    let (objects, plan) = encoded(&segments, &plan("a", &[], 0), LIMIT);
    let hours: Vec<String> = plan.objects.iter().map(|o| o.hour.to_string()).collect();
    assert_eq!(hours, ["1970-01-01T05", "1970-01-01T07"]);
    for (object, planned) in objects.iter().zip(&plan.objects) {
        assert_eq!(object.planned, *planned);
        let digest: [u8; 32] = Sha256::digest(&object.bytes).into();
        assert_eq!(
            (digest, hex(&digest)),
            (object.sha256, planned.sha256.clone())
        );
        assert_eq!(
            (planned.size, planned.lines),
            (object.bytes.len() as u64, 1)
        );
        let name = DeliveredName::parse(&planned.key, &plan.location.prefix).unwrap();
        assert_eq!(
            (name.hour, name.first, name.last),
            (planned.hour, Sequence(0), Sequence(0))
        );
    }
}

#[test]
fn small_neighbours_become_one_member_and_a_small_one_alone_stays_as_it_is() {
    let events: Vec<Given<'_>> = ["1", "2", "3"].map(|id| ("a", id, "x.y", 0, 40)).into();
    let segments = marked(&[&events[..1], &events[1..2], &events[2..]]);
    let (objects, _) = encoded(&segments, &plan("a", &[], 0), LIMIT);
    assert_eq!(members(&objects[0].bytes), 1);
    assert!(objects[0].bytes.len() < joined(&segments, "a", 0).len());
    assert_eq!(text(&objects[0].bytes), lines_of(&events));
    let (objects, _) = encoded(&segments[..1], &plan("a", &[], 0), LIMIT);
    assert_eq!(objects[0].bytes, joined(&segments[..1], "a", 0));
}

#[test]
fn small_ones_between_large_ones_leave_those_as_they_lie() {
    let sizes = [LARGE, 40, 40, LARGE, 40, LARGE];
    let ids = ["1", "2", "3", "4", "5", "6"];
    let events: Vec<Given<'_>> = ids
        .into_iter()
        .zip(sizes)
        .map(|(id, n)| ("a", id, "x.y", 0, n))
        .collect();
    let segments: Vec<&[Given<'_>]> = events.chunks(1).collect();
    let segments = marked(&segments);
    let (objects, _) = encoded(&segments, &plan("a", &[], 0), LIMIT);
    let bytes = &objects[0].bytes;
    assert_eq!(text(bytes), lines_of(&events));
    // The two small neighbours are one; the small one that stands alone is as it was.
    assert_eq!(members(bytes), 5);
    assert!(bytes.starts_with(&joined(&segments[..1], "a", 0)));
    assert!(bytes.ends_with(&joined(&segments[3..], "a", 0)));
}

#[test]
fn a_selection_recompresses_the_members_concerned_and_no_others() {
    let whole = [("a", "1", "x.y", 0, LARGE)];
    let mixed = [
        ("a", "2", "TOOL_CALL", 0, LARGE),
        ("a", "3", "x.z", 0, LARGE),
    ];
    let unwanted = [("a", "4", "TOOL_CALL", 0, LARGE)];
    let segments = marked(&[&whole, &mixed, &unwanted]);
    let (objects, filled) = encoded(&segments, &plan("a", &["x.*"], 0), LIMIT);
    let bytes = &objects[0].bytes;
    assert_eq!(text(bytes), lines_of(&[whole[0], mixed[1]]));
    assert!(bytes.starts_with(&joined(&segments[..1], "a", 0)));
    assert_eq!(members(bytes), 2);
    assert_eq!((filled.counts.delivered, filled.counts.left_out), (2, 2));
    let (objects, filled) = encoded(&segments, &plan("a", &["ai-agent-and-data"], 0), LIMIT);
    assert_eq!(text(&objects[0].bytes), lines_of(&[mixed[0], unwanted[0]]));
    assert_eq!(filled.counts.left_out, 2);
    let (objects, filled) = encoded(&segments, &plan("a", &["identity"], 0), LIMIT);
    assert!(objects.is_empty() && filled.objects.is_empty());
    assert_eq!(
        filled.counts,
        Counts {
            left_out: 4,
            ..Counts::default()
        }
    );
}

#[test]
fn duplicates_are_left_out_and_altered_events_counted() {
    let (one, two) = (("a", "1", "x.y", 0, 0), ("a", "2", "x.y", 0, 0));
    let altered = ("a", "1", "x.z", 0, 0);
    let segments = marked(&[&[one, two, one], &[two], &[two, altered, one]]);
    let (objects, filled) = encoded(&segments, &plan("a", &[], 0), LIMIT);
    assert_eq!(text(&objects[0].bytes), lines_of(&[one, two, altered]));
    let Counts {
        delivered,
        duplicates,
        altered,
        ..
    } = filled.counts;
    assert_eq!((delivered, duplicates, altered), (3, 4, 1));
}

#[test]
fn a_duplicate_that_was_not_selected_is_counted_once_only() {
    let one = ("a", "1", "x.y", 0, 0);
    let segments = marked(&[&[one, one]]);
    let (_, filled) = encoded(&segments, &plan("a", &["TOOL_CALL"], 0), LIMIT);
    assert_eq!(
        filled.counts,
        Counts {
            left_out: 2,
            ..Counts::default()
        }
    );
}

#[test]
fn segments_from_before_the_start_are_not_this_destinations() {
    let events: Vec<Given<'_>> = ["1", "2", "3"].map(|id| ("a", id, "x.y", 0, 0)).into();
    let segments = marked(&[&events[..1], &events[1..2], &events[2..]]);
    for (since_ms, from) in [(0, 0), (1, 1), (1000, 1), (1001, 2), (2000, 2)] {
        let (objects, filled) = encoded(&segments, &plan("a", &[], since_ms), LIMIT);
        assert_eq!(
            text(&objects[0].bytes),
            lines_of(&events[from..]),
            "{since_ms}"
        );
        assert_eq!(filled.counts.delivered, 3 - from as u64);
    }
    let (objects, filled) = encoded(&segments, &plan("a", &[], 2001), LIMIT);
    assert_eq!((objects.len(), filled.counts), (0, Counts::default()));
}

#[test]
fn organizations_whose_names_are_alike_are_kept_apart() {
    let names = ["a", "a-b", "a.b", "aa", "A", "b"];
    let events: Vec<Given<'_>> = names
        .iter()
        .map(|name| (*name, "1", "x.y", 0, 20))
        .collect();
    let segments = marked(&[&events, &events[..3], &events[3..]]);
    for (given, name) in events.iter().zip(names) {
        let (objects, _) = encoded(&segments, &plan(name, &[], 0), 0);
        assert_eq!(text(&objects[0].bytes), lines_of(&[*given]), "{name}");
    }
    let (objects, filled) = encoded(&segments, &plan("c", &[], 0), 0);
    assert_eq!((objects.len(), filled.counts), (0, Counts::default()));
}

proptest! {
    #[test]
    fn whatever_the_encoding_the_lines_are_the_same_and_all_are_accounted_for(
        events in proptest::collection::vec(
            proptest::collection::vec((0usize..3, 0usize..12, 0usize..3, 0i64..3, 0usize..600), 1..8),
            1..6,
        ),
        small_bytes in 0u64..1500,
        include in 0usize..3,
    ) {
        const ORGANIZATIONS: [&str; 3] = ["a", "ab", "b"];
        const IDS: [&str; 12] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
        const TYPES: [&str; 3] = ["x.y", "x.z", "TOOL_CALL"];
        const INCLUDE: [&[&str]; 3] = [&[], &["x.*"], &["ai-agent-and-data"]];
        let given: Vec<Vec<Given<'_>>> = events
            .iter()
            .map(|segment| {
                let event = |&(o, id, t, hour, pad): &(usize, usize, usize, i64, usize)| {
                    (ORGANIZATIONS[o], IDS[id], TYPES[t], hour, pad)
                };
                segment.iter().map(event).collect()
            })
            .collect();
        let segments: Vec<&[Given<'_>]> = given.iter().map(Vec::as_slice).collect();
        let segments = marked(&segments);
        for organization in ORGANIZATIONS {
            let blank = plan(organization, INCLUDE[include], 0);
            let (objects, filled) = encoded(&segments, &blank, small_bytes);
            let own: Vec<_> = given.iter().flatten().filter(|g| g.0 == organization).collect();
            // Each wanted line where it stands first, in the order of the log, by hour.
            let mut expected: BTreeMap<i64, String> = BTreeMap::new();
            let mut seen = std::collections::BTreeSet::new();
            let (mut left_out, mut duplicates, mut delivered) = (0, 0, 0);
            for event in &own {
                let first = seen.insert(line(event));
                match (blank.include.wants(event.2), first) {
                    (false, _) => left_out += 1,
                    (true, false) => duplicates += 1,
                    (true, true) => {
                        delivered += 1;
                        *expected.entry(event.3).or_default() += &(line(event) + "\n");
                    }
                }
            }
            let found: Vec<String> = objects.iter().map(|object| text(&object.bytes)).collect();
            prop_assert_eq!(found, expected.into_values().collect::<Vec<_>>());
            let counts = filled.counts;
            prop_assert_eq!(
                (counts.left_out, counts.duplicates, counts.delivered),
                (left_out, duplicates, delivered)
            );
            let raw: usize = objects.iter().map(|object| text(&object.bytes).len()).sum();
            prop_assert_eq!(counts.raw_bytes, raw as u64);
            let (again, refilled) = encoded(&segments, &filled, small_bytes);
            prop_assert_eq!(&refilled, &filled);
            let bytes = |objects: &[Encoded]| objects.iter().map(|o| o.bytes.clone()).collect::<Vec<_>>();
            prop_assert_eq!(bytes(&again), bytes(&objects));
        }
    }
}
