use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

fn event<'a>(id: &'a str, org: &str, seconds: i64, line: &'a str) -> Event<'a> {
    let time = jiff::Timestamp::from_second(seconds).unwrap();
    Event {
        id: id.into(),
        organization: OrgId::parse(org).unwrap(),
        time,
        hour: Hour::of(time).unwrap(),
        event_type: Cow::Borrowed(if seconds % 2 == 0 { "a.even" } else { "a.odd" }),
        line: line.into(),
    }
}

fn stamp() -> Stamp {
    Stamp {
        epoch: "e".to_owned(),
        sequence: Sequence(7),
        nonce: "n".to_owned(),
        appended_ms: 1,
    }
}

fn segment_of(events: &[Event<'_>]) -> Bytes {
    let mut builder = Builder::default();
    for event in events {
        builder.add(event);
    }
    builder
        .finish(Level::DEFAULT)
        .unwrap()
        .stamped(&stamp())
        .unwrap()
}

#[test]
fn members_are_by_organization_and_hour_and_keep_the_order_of_lines() {
    let bytes = segment_of(&[
        event("1", "b", 3600, "{\"n\":1}"),
        event("2", "a", 0, "{\"n\":2}"),
        event("3", "b", 3600 + 59, "{\"n\":3}"),
        event("4", "b", 0, "{\"n\":4}"),
    ]);
    let segment = Segment::read(&bytes).unwrap();
    let members: Vec<_> = segment
        .members()
        .map(|m| {
            let lines = String::from_utf8(m.decompress().unwrap()).unwrap();
            (
                m.entry.organization.to_string(),
                m.entry.hour.to_string(),
                lines,
            )
        })
        .collect();
    let expected = [
        ("a", "1970-01-01T00", "{\"n\":2}\n"),
        ("b", "1970-01-01T00", "{\"n\":4}\n"),
        ("b", "1970-01-01T01", "{\"n\":1}\n{\"n\":3}\n"),
    ];
    assert_eq!(
        members,
        expected.map(|(o, h, l)| (o.to_owned(), h.to_owned(), l.to_owned()))
    );
    assert_eq!(
        (segment.index.events(), segment.sequence()),
        (4, Sequence(7))
    );
}

#[test]
fn a_digest_tells_id_line_and_type() {
    let bytes = segment_of(&[event("1", "a", 0, "x"), event("1", "a", 1, "y")]);
    let index = Index::read(&bytes).unwrap();
    let (entry, digests) = index.digests().next().unwrap();
    let digests: Vec<_> = digests.iter().collect();
    assert_eq!(entry.types, ["a.even", "a.odd"]);
    assert_eq!(digests.len(), 2);
    assert_eq!(digests[0].id, digests[1].id);
    assert_ne!(digests[0].line, digests[1].line);
    assert_eq!((digests[0].event_type, digests[1].event_type), (0, 1));
    let other = OrgId::parse("b").unwrap();
    assert_ne!(EventDigest::id_of(&other, "1"), digests[0].id);
}

#[test]
fn the_index_can_be_read_from_the_first_bytes() {
    let bytes = segment_of(&[event("1", "a", 0, "x")]);
    let mut have = 0;
    let mut asked = Vec::new();
    let index = loop {
        match Index::read(&bytes.slice(..have)) {
            Ok(index) => break index,
            Err(SegmentError::Short { need, .. }) => {
                asked.push(need);
                have = usize::try_from(need).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(asked.len(), 3);
    assert_eq!(index, Segment::read(&bytes).unwrap().index);
}

#[test]
fn an_index_that_points_into_another_tenants_member_is_refused() {
    let bytes = segment_of(&[
        event("1", "a", 0, "secret of a"),
        event("2", "b", 0, "line of b.."),
    ]);
    let index = Index::read(&bytes).unwrap();
    let head = &bytes[PRELUDE_BYTES..usize::try_from(index.members_at).unwrap()];
    let rewrite = |change: &dyn Fn(&mut Header)| {
        let mut header = index.header.clone();
        change(&mut header);
        let json = serde_json::to_vec(&header).unwrap();
        let digests = &head[head.len() - 2 * DIGEST_BYTES..];
        let mut forged = MAGIC.to_vec();
        forged.extend(u32::try_from(json.len()).unwrap().to_le_bytes());
        forged.extend(crc32fast::hash(&[&json, digests].concat()).to_le_bytes());
        forged.extend(json);
        forged.extend(digests);
        forged.extend(&bytes[usize::try_from(index.members_at).unwrap()..]);
        Segment::read(&Bytes::from(forged))
    };
    assert!(rewrite(&|_| ()).is_ok());
    // The tenants change places, with all that describes the bytes.
    assert!(
        rewrite(&|h| {
            let (a, b) = (
                h.members[0].organization.clone(),
                h.members[1].organization.clone(),
            );
            h.members[0].organization = b;
            h.members[1].organization = a;
        })
        .is_err()
    );
    assert!(rewrite(&|h| h.members[0].hour = Hour::parse("1970-01-01T01").unwrap()).is_err());
    assert!(rewrite(&|h| h.members[0].length += 1).is_err());
    assert!(rewrite(&|h| h.members[0].raw_bytes += 1).is_err());
    // One member reaches over the next.
    assert!(
        rewrite(&|h| {
            h.members[0].length += h.members[1].length;
            h.members[0].events += h.members[1].events;
            h.members.truncate(1);
        })
        .is_err()
    );
}

proptest! {
    #[test]
    fn damage_anywhere_is_an_error_and_never_a_panic(
        position: proptest::sample::Index,
        bit in 0u8..8,
        cut: bool,
    ) {
        let bytes = segment_of(&[event("1", "a", 0, "{\"a\":1}"), event("2", "b", 0, "{\"a\":2}")]);
        let position = position.index(bytes.len());
        let broken = if cut {
            bytes.slice(..position)
        } else {
            let mut broken = bytes.to_vec();
            broken[position] ^= 1 << bit;
            broken.into()
        };
        prop_assert!(Segment::read(&broken).is_err());
    }
}
