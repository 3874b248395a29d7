//! The contract of [`Vault`], clause by clause.
//!
//! [`run`] is given a way to make empty vaults and panics at the first clause that one of them
//! does not keep. It needs no runtime of its own.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a suite for tests: a broken clause panics where it shows"
)]

use sealift_core::destination::Destination;
use sealift_core::ports::StoreError;
use sealift_core::vault::{AccessKeys, Vault};
use serde_json::json;

/// Runs the whole suite; each clause gets an empty vault of its own.
pub async fn run<V: Vault>(make_vault: impl AsyncFn() -> V) {
    missing_keys_are_denied(&make_vault().await).await;
    what_was_put_is_fetched_whole(&make_vault().await).await;
    a_second_pair_takes_the_place_of_the_first(&make_vault().await).await;
    a_write_may_be_repeated(&make_vault().await).await;
    deleted_keys_are_missing_and_deleting_again_is_no_error(&make_vault().await).await;
    destinations_have_keys_of_their_own(&make_vault().await).await;
    the_keys_stay_when_the_destination_changes(&make_vault().await).await;
    special_characters_come_back(&make_vault().await).await;
    a_failure_shows_no_keys(&make_vault().await).await;
}

/// A destination that is entered by access keys.
pub fn destination(organization: &str, id: &str) -> Destination {
    let document = json!({
        "id": id, "organization": organization, "status": "paused",
        "location": {"region": "eu-central-1", "bucket": "bucket", "prefix": "audit/"},
        "credentials": {"type": "access_keys"},
    });
    serde_json::from_value(document).expect("a destination of the suite is valid")
}

fn keys(id: &str, secret: &str) -> AccessKeys {
    AccessKeys::parse(id, secret).expect("keys of the suite are valid")
}

async fn put<V: Vault>(vault: &V, destination: &Destination, keys: &AccessKeys) {
    vault.put(destination, keys).await.expect("put answers");
}

async fn get<V: Vault>(vault: &V, destination: &Destination) -> Option<AccessKeys> {
    match vault.get(destination).await {
        Ok(keys) => Some(keys),
        Err(StoreError::Denied(_)) => None,
        Err(error) => unreachable!("get answers, or says that there are none: {error:?}"),
    }
}

async fn missing_keys_are_denied<V: Vault>(vault: &V) {
    let answer = vault.get(&destination("acme", "main")).await;
    assert!(
        matches!(answer, Err(StoreError::Denied(_))),
        "somebody has to store them: {answer:?}"
    );
}

async fn what_was_put_is_fetched_whole<V: Vault>(vault: &V) {
    let (main, pair) = (destination("acme", "main"), keys("AKID1", "secret-1"));
    put(vault, &main, &pair).await;
    assert_eq!(get(vault, &main).await, Some(pair));
}

async fn a_second_pair_takes_the_place_of_the_first<V: Vault>(vault: &V) {
    let main = destination("acme", "main");
    put(
        vault,
        &main,
        &keys("AKID1", "a-much-longer-secret-than-the-second"),
    )
    .await;
    let second = keys("AKID2", "short");
    put(vault, &main, &second).await;
    assert_eq!(get(vault, &main).await, Some(second));
}

async fn a_write_may_be_repeated<V: Vault>(vault: &V) {
    let (main, pair) = (destination("acme", "main"), keys("AKID1", "secret-1"));
    put(vault, &main, &pair).await;
    put(vault, &main, &pair).await;
    assert_eq!(get(vault, &main).await, Some(pair));
}

async fn deleted_keys_are_missing_and_deleting_again_is_no_error<V: Vault>(vault: &V) {
    let main = destination("acme", "main");
    assert_eq!(vault.delete(&main).await, Ok(()), "there are none");
    put(vault, &main, &keys("AKID1", "secret-1")).await;
    assert_eq!(vault.delete(&main).await, Ok(()));
    assert_eq!(get(vault, &main).await, None);
    assert_eq!(vault.delete(&main).await, Ok(()));
    let again = keys("AKID2", "secret-2");
    put(vault, &main, &again).await;
    assert_eq!(get(vault, &main).await, Some(again));
}

async fn destinations_have_keys_of_their_own<V: Vault>(vault: &V) {
    // Names that run together, or differ in what a file system or a path may not tell apart.
    let names = [
        ("acme", "main"),
        ("acme", "main-2"),
        ("acme-main", "2"),
        ("ACME", "main"),
        ("other", "main"),
        ("acme", "a@b"),
        ("acme", "a_40b"),
        ("acme", "a=b,c+d"),
    ];
    for (number, (organization, id)) in names.into_iter().enumerate() {
        let pair = keys("AKID", &format!("secret-{number}"));
        put(vault, &destination(organization, id), &pair).await;
    }
    let gone = destination("acme", "main-2");
    vault.delete(&gone).await.expect("delete answers");
    for (number, (organization, id)) in names.into_iter().enumerate() {
        let there = get(vault, &destination(organization, id)).await;
        let expected = (id != "main-2").then(|| keys("AKID", &format!("secret-{number}")));
        assert_eq!(there, expected, "{organization}/{id}");
    }
}

async fn the_keys_stay_when_the_destination_changes<V: Vault>(vault: &V) {
    let (mut main, pair) = (destination("acme", "main"), keys("AKID1", "secret-1"));
    put(vault, &main, &pair).await;
    main.start_ms = Some(1_700_000_000_000);
    main.location.path_style = true;
    assert_eq!(get(vault, &main).await, Some(pair));
}

async fn special_characters_come_back<V: Vault>(vault: &V) {
    let main = destination("acme", "main");
    let pair = keys("GOOG1E+/=", r#"a"b\c{}$&%'<>;:,.?!~^`|()[]@#*_-"#);
    put(vault, &main, &pair).await;
    assert_eq!(get(vault, &main).await, Some(pair));
    let long = keys(&"A".repeat(1024), &"\"".repeat(1024));
    put(vault, &main, &long).await;
    assert_eq!(get(vault, &main).await, Some(long), "the longest of both");
}

async fn a_failure_shows_no_keys<V: Vault>(vault: &V) {
    let main = destination("acme", "main");
    put(vault, &main, &keys("AKID-SEEN", "secret-seen")).await;
    vault.delete(&main).await.expect("delete answers");
    let error = vault.get(&main).await.expect_err("there are none");
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains("AKID-SEEN") && !shown.contains("secret-seen"),
        "{shown}"
    );
}
