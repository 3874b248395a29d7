//! The contract of [`ObjectStore`], clause by clause.
//!
//! [`run`] is given a way to make empty stores and panics at the first clause that one of them
//! does not keep. It needs no runtime of its own.
//!
//! No key of the suite is a folder of another one's (`a` and `a/b`): S3 holds both, but a store
//! on plain files cannot, and Sealift never writes such keys.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a suite for tests: a broken clause panics where it shows"
)]

use bytes::Bytes;
use futures_util::future::join_all;
use sealift_core::id::ObjectKey;
use sealift_core::ports::{Conditional, ETag, Fresh, Metadata, Object, ObjectStore, StoreError};

/// How many writers race for one key.
const RACERS: usize = 16;

/// Runs the whole suite; each clause gets an empty store of its own.
pub async fn run<S: ObjectStore>(make_store: impl AsyncFn() -> S) {
    what_is_missing_is_none_and_no_error(&make_store().await).await;
    a_created_object_is_read_back_whole(&make_store().await).await;
    creating_what_exists_is_refused_and_changes_nothing(&make_store().await).await;
    what_is_known_already_is_not_read_again(&make_store().await).await;
    a_swap_needs_the_version_that_is_there(&make_store().await).await;
    a_swap_of_what_is_missing_is_refused_and_writes_nothing(&make_store().await).await;
    of_racing_creates_one_wins(&make_store().await).await;
    of_racing_swaps_one_wins(&make_store().await).await;
    the_first_bytes_come_with_the_size_of_the_whole(&make_store().await).await;
    metadata_stays_with_the_write_it_came_with(&make_store().await).await;
    a_delete_may_be_repeated_and_frees_the_key(&make_store().await).await;
    a_listing_is_ordered_by_utf8_bytes(&make_store().await).await;
    a_listing_keeps_to_prefix_start_and_limit(&make_store().await).await;
    an_empty_object_is_an_object(&make_store().await).await;
    five_megabytes_come_back_byte_for_byte(&make_store().await).await;
    keys_with_special_characters_stay_apart(&make_store().await).await;
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a key of the suite is valid")
}

async fn create<S: ObjectStore>(store: &S, at: &str, content: &str) -> Conditional {
    let bytes = Bytes::copy_from_slice(content.as_bytes());
    let created = store.create(&key(at), bytes, Metadata::new()).await;
    created.expect("create answers")
}

/// Creates where nothing is, and tells the version.
async fn created<S: ObjectStore>(store: &S, at: &str, content: &str) -> ETag {
    written(create(store, at, content).await, at)
}

fn written(outcome: Conditional, at: &str) -> ETag {
    match outcome {
        Conditional::Written(etag) => Some(etag),
        Conditional::Refused => None,
    }
    .unwrap_or_else(|| unreachable!("the write at {at:?} was refused though its condition held"))
}

async fn swap<S: ObjectStore>(store: &S, at: &str, content: &str, version: &ETag) -> Conditional {
    let bytes = Bytes::copy_from_slice(content.as_bytes());
    let swapped = store.swap(&key(at), bytes, Metadata::new(), version).await;
    swapped.expect("swap answers")
}

async fn read<S: ObjectStore>(store: &S, at: &str) -> Option<Object> {
    store.get(&key(at)).await.expect("get answers")
}

async fn content<S: ObjectStore>(store: &S, at: &str) -> Option<Bytes> {
    read(store, at).await.map(|object| object.bytes)
}

async fn names<S: ObjectStore>(
    store: &S,
    prefix: &str,
    start_after: Option<&str>,
    limit: usize,
) -> Vec<String> {
    let start_after = start_after.map(key);
    let listed = store.list(prefix, start_after.as_ref(), limit).await;
    let listed = listed.expect("list answers");
    listed
        .into_iter()
        .map(|line| line.key.to_string())
        .collect()
}

async fn what_is_missing_is_none_and_no_error<S: ObjectStore>(store: &S) {
    let missing = key("missing");
    assert_eq!(store.get(&missing).await, Ok(None));
    assert_eq!(store.get_first(&missing, 10).await, Ok(None));
    assert_eq!(store.get_first(&missing, 0).await, Ok(None));
    assert_eq!(store.head(&missing).await, Ok(None));
    assert_eq!(store.delete(&missing).await, Ok(()));
    assert_eq!(store.list("", None, 10).await, Ok(vec![]));
}

async fn a_created_object_is_read_back_whole<S: ObjectStore>(store: &S) {
    let etag = created(store, "a/b", "hello").await;
    let object = read(store, "a/b").await.expect("it was created");
    assert_eq!(object.bytes, "hello");
    assert_eq!(object.meta.size, 5);
    assert_eq!(
        object.meta.etag, etag,
        "get tells the version that create gave"
    );
    let head = store.head(&key("a/b")).await.expect("head answers");
    let head = head.expect("it was created");
    assert_eq!(head, object.meta, "head tells what get tells");
    let listed = store.list("a/", None, 10).await.expect("list answers");
    assert_eq!(listed.len(), 1);
    for line in listed {
        assert_eq!((line.key, line.size), (key("a/b"), 5));
        // HTTP dates have whole seconds, listings may have more.
        let apart = line.last_modified.duration_since(head.last_modified);
        assert!(
            apart.abs().as_secs() < 2,
            "head and list tell one time, not {apart:?} apart"
        );
    }
}

async fn what_is_known_already_is_not_read_again<S: ObjectStore>(store: &S) {
    let first = created(store, "a", "first").await;
    assert_eq!(store.get_unless(&key("a"), &first).await, Ok(Fresh::Same));
    let second = written(swap(store, "a", "second", &first).await, "a");
    let there = read(store, "a").await.expect("it was written");
    assert_eq!(there.meta.etag, second);
    let fresh = store.get_unless(&key("a"), &first).await;
    assert_eq!(fresh, Ok(Fresh::Other(there)), "the other version, whole");
    assert_eq!(store.delete(&key("a")).await, Ok(()));
    let fresh = store.get_unless(&key("a"), &second).await;
    assert_eq!(fresh, Ok(Fresh::Missing));
}

async fn creating_what_exists_is_refused_and_changes_nothing<S: ObjectStore>(store: &S) {
    created(store, "a", "first").await;
    let before = read(store, "a").await;
    assert_eq!(create(store, "a", "second").await, Conditional::Refused);
    assert_eq!(
        create(store, "a", "first").await,
        Conditional::Refused,
        "same bytes or not"
    );
    assert_eq!(read(store, "a").await, before);
}

async fn a_swap_needs_the_version_that_is_there<S: ObjectStore>(store: &S) {
    let first = created(store, "a", "1").await;
    let second = written(swap(store, "a", "2", &first).await, "a");
    assert_eq!(content(store, "a").await.as_deref(), Some(&b"2"[..]));
    assert_ne!(first, second, "another content is another version");
    assert_eq!(
        swap(store, "a", "3", &first).await,
        Conditional::Refused,
        "a stale version"
    );
    let made_up = ETag("\"00000000000000000000000000000000\"".to_owned());
    assert_eq!(swap(store, "a", "3", &made_up).await, Conditional::Refused);
    assert_eq!(content(store, "a").await.as_deref(), Some(&b"2"[..]));
    let read_version = read(store, "a").await.expect("it is there").meta.etag;
    assert_eq!(read_version, second);
    written(swap(store, "a", "3", &read_version).await, "a");
}

async fn a_swap_of_what_is_missing_is_refused_and_writes_nothing<S: ObjectStore>(store: &S) {
    let gone = created(store, "a", "1").await;
    store.delete(&key("a")).await.expect("delete answers");
    assert_eq!(swap(store, "a", "2", &gone).await, Conditional::Refused);
    assert_eq!(content(store, "a").await, None);
}

/// The one winner's number; the others must have lost, or been told to ask again.
fn winner(outcomes: Vec<Result<Conditional, StoreError>>) -> usize {
    let mut winners = Vec::new();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(Conditional::Written(_)) => winners.push(number),
            Ok(Conditional::Refused) | Err(StoreError::Conflict(_)) => {}
            Err(error) => assert_eq!(error.to_string(), "", "a racer neither wins nor loses"),
        }
    }
    assert_eq!(winners.len(), 1, "one of the racers wins, not {winners:?}");
    winners.into_iter().sum()
}

async fn of_racing_creates_one_wins<S: ObjectStore>(store: &S) {
    for round in 0..8 {
        let at = key(&format!("race/{round}"));
        let racers = (0..RACERS).map(|number| {
            store.create(&at, Bytes::from(format!("from {number}")), Metadata::new())
        });
        let winner = winner(join_all(racers).await);
        let there = content(store, at.as_str()).await;
        assert_eq!(there, Some(Bytes::from(format!("from {winner}"))));
    }
}

async fn of_racing_swaps_one_wins<S: ObjectStore>(store: &S) {
    let at = key("race");
    let mut version = created(store, "race", "start").await;
    for round in 0..8 {
        let say = |number: usize| Bytes::from(format!("round {round} from {number}"));
        let racers =
            (0..RACERS).map(|number| store.swap(&at, say(number), Metadata::new(), &version));
        let winner = winner(join_all(racers).await);
        let object = read(store, "race").await.expect("it is there");
        assert_eq!(object.bytes, say(winner));
        version = object.meta.etag;
    }
}

async fn the_first_bytes_come_with_the_size_of_the_whole<S: ObjectStore>(store: &S) {
    created(store, "a", "0123456789").await;
    let whole = read(store, "a").await.expect("it is there");
    for (length, expected) in [
        (0, ""),
        (1, "0"),
        (4, "0123"),
        (10, "0123456789"),
        (11, "0123456789"),
        (u64::MAX, "0123456789"),
    ] {
        let part = store.get_first(&key("a"), length).await;
        let part = part.expect("get_first answers").expect("it is there");
        assert_eq!(part.bytes, expected, "the first {length}");
        assert_eq!(
            part.meta, whole.meta,
            "what is told is told of the whole object"
        );
    }
}

async fn metadata_stays_with_the_write_it_came_with<S: ObjectStore>(store: &S) {
    let at = key("a");
    let facts = |value: &str| {
        let pairs = [("nonce", value), ("sealift-format", "1; a=b, c")];
        Metadata::from(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    };
    let first = store.create(&at, Bytes::from("1"), facts("x")).await;
    let first = written(first.expect("create answers"), "a");
    let refused = store.create(&at, Bytes::from("2"), facts("y")).await;
    assert_eq!(refused, Ok(Conditional::Refused));
    let head = store
        .head(&at)
        .await
        .expect("head answers")
        .expect("it is there");
    assert_eq!(head.metadata, facts("x"));
    let object = read(store, "a").await.expect("it is there");
    assert_eq!(object.meta.metadata, facts("x"));
    let second = store.swap(&at, Bytes::from("2"), facts("z"), &first).await;
    let second = written(second.expect("swap answers"), "a");
    let part = store.get_first(&at, 1).await.expect("get_first answers");
    assert_eq!(part.expect("it is there").meta.metadata, facts("z"));
    written(swap(store, "a", "3", &second).await, "a");
    let head = store
        .head(&at)
        .await
        .expect("head answers")
        .expect("it is there");
    assert_eq!(
        head.metadata,
        Metadata::new(),
        "a write without metadata leaves none behind"
    );
}

async fn a_delete_may_be_repeated_and_frees_the_key<S: ObjectStore>(store: &S) {
    created(store, "a", "1").await;
    created(store, "ab", "2").await;
    for _ in 0..2 {
        assert_eq!(store.delete(&key("a")).await, Ok(()));
        assert_eq!(store.head(&key("a")).await, Ok(None));
        assert_eq!(content(store, "a").await, None);
    }
    assert_eq!(names(store, "", None, 10).await, ["ab"]);
    created(store, "a", "3").await;
    assert_eq!(content(store, "a").await.as_deref(), Some(&b"3"[..]));
}

async fn a_listing_is_ordered_by_utf8_bytes<S: ObjectStore>(store: &S) {
    // The last two would change places if they were ordered by UTF-16 units.
    let ordered = [
        "A",
        "a-",
        "a/b",
        "a0",
        "b",
        "z",
        "ä",
        "\u{ff5e}",
        "\u{1f600}",
    ];
    for name in ordered.iter().rev() {
        created(store, name, "").await;
    }
    assert_eq!(names(store, "", None, 1000).await, ordered);
    for (number, name) in ordered.iter().enumerate() {
        let rest: Vec<&str> = ordered.iter().skip(number + 1).copied().collect();
        assert_eq!(
            names(store, "", Some(name), 1000).await,
            rest,
            "after {name:?}"
        );
    }
}

async fn a_listing_keeps_to_prefix_start_and_limit<S: ObjectStore>(store: &S) {
    for name in [
        "log-1", "log.1", "log/01", "log/02", "log/03", "log/10", "logs/1", "m",
    ] {
        created(store, name, "x").await;
    }
    let all = ["log/01", "log/02", "log/03", "log/10"];
    assert_eq!(names(store, "log/", None, 1000).await, all);
    assert_eq!(
        names(store, "log/0", None, 1000).await,
        ["log/01", "log/02", "log/03"]
    );
    assert_eq!(names(store, "log/", None, 2).await, ["log/01", "log/02"]);
    assert_eq!(
        names(store, "log/", Some("log/01"), 2).await,
        ["log/02", "log/03"]
    );
    assert_eq!(
        names(store, "log/", Some("log/04"), 2).await,
        ["log/10"],
        "no such key"
    );
    assert_eq!(
        names(store, "log/", Some("a"), 1).await,
        ["log/01"],
        "before the prefix"
    );
    assert!(names(store, "log/", Some("log/10"), 5).await.is_empty());
    assert!(
        names(store, "log/", Some("m"), 5).await.is_empty(),
        "behind the prefix"
    );
    assert!(names(store, "none/", None, 5).await.is_empty());
}

async fn an_empty_object_is_an_object<S: ObjectStore>(store: &S) {
    let etag = created(store, "empty", "").await;
    let object = read(store, "empty").await.expect("it is there");
    assert_eq!((object.bytes.len(), object.meta.size), (0, 0));
    for length in [0, 1, 100] {
        let part = store.get_first(&key("empty"), length).await;
        assert_eq!(
            part,
            Ok(Some(object.clone())),
            "the first {length} of nothing"
        );
    }
    assert_eq!(create(store, "empty", "x").await, Conditional::Refused);
    written(swap(store, "empty", "x", &etag).await, "empty");
}

async fn five_megabytes_come_back_byte_for_byte<S: ObjectStore>(store: &S) {
    // A pattern that does not repeat with any power of two, so that misplaced parts show.
    let bytes: Vec<u8> = (0..5_000_000_u32)
        .map(|n| (n % 251) as u8 ^ (n / 251 % 253) as u8)
        .collect();
    let bytes = Bytes::from(bytes);
    let outcome = store
        .create(&key("big"), bytes.clone(), Metadata::new())
        .await;
    written(outcome.expect("create answers"), "big");
    let object = read(store, "big").await.expect("it is there");
    assert_eq!(object.meta.size, 5_000_000);
    assert!(
        object.bytes == bytes,
        "the object's bytes are those that were written"
    );
    let part = store.get_first(&key("big"), 1_000_001).await;
    let part = part.expect("get_first answers").expect("it is there");
    assert_eq!(part.meta.size, 5_000_000);
    assert!(
        part.bytes == bytes.slice(..1_000_001),
        "its first bytes are those written first"
    );
}

async fn keys_with_special_characters_stay_apart<S: ObjectStore>(store: &S) {
    let tricky = [
        "date=2026-01-02/hour=03/a.gz",
        "a b/c d",
        "a+b/c+d",
        "a%20b/c%2fd",
        "a%b",
        "a&b=c?d#e",
        "a<b>\"c'd",
        "a:b@c,d;e!f*g(h)i~j",
        "ünï/çødé/日本/😀",
        "...dots/..a/b..",
    ];
    for name in tricky {
        created(store, name, name).await;
    }
    for name in tricky {
        assert_eq!(
            content(store, name).await.as_deref(),
            Some(name.as_bytes()),
            "{name:?}"
        );
        assert_eq!(names(store, name, None, 10).await, [name], "as a prefix");
    }
    let mut sorted = tricky;
    sorted.sort_unstable();
    assert_eq!(names(store, "", None, 1000).await, sorted);
    for name in tricky {
        assert_eq!(store.delete(&key(name)).await, Ok(()));
    }
    assert!(
        names(store, "", None, 10).await.is_empty(),
        "all of them were deleted"
    );
}
