use aws_sdk_s3::primitives::ByteStream;
use futures_util::future::join_all;

use crate::support::{World, failed, get, is, put};

const WRITERS: usize = 16;
const ROUNDS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_creates_exactly_one_wins_in_every_round() {
    let world = World::start().await;
    let client = world.platform();
    for round in 0..ROUNDS {
        let key = format!("log/{round:020}");
        let writes = (0..WRITERS).map(|writer| {
            let create = client
                .put_object()
                .bucket("state")
                .key(&key)
                .if_none_match("*");
            let body = format!("writer {writer}").repeat(1000);
            tokio::spawn(create.body(ByteStream::from(body.into_bytes())).send())
        });
        let mut winners = Vec::new();
        for (writer, outcome) in join_all(writes).await.into_iter().enumerate() {
            match outcome.unwrap() {
                Ok(_) => winners.push(writer),
                lost => assert_eq!(failed(lost), is(412, "PreconditionFailed")),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        let won = format!("writer {}", winners[0]).repeat(1000);
        assert_eq!(
            get(&client, "state", &key).await,
            won.as_bytes(),
            "round {round}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_swaps_from_one_version_exactly_one_wins_in_every_round() {
    let world = World::start().await;
    let client = world.platform();
    let mut etag = put(&client, "state", "head", b"0").await;
    for round in 0..ROUNDS {
        let swaps = (0..WRITERS).map(|writer| {
            let swap = client
                .put_object()
                .bucket("state")
                .key("head")
                .if_match(&etag);
            let body = format!("{round}/{writer}");
            tokio::spawn(swap.body(ByteStream::from(body.into_bytes())).send())
        });
        let mut winners = Vec::new();
        for outcome in join_all(swaps).await {
            match outcome.unwrap() {
                Ok(put) => winners.push(put.e_tag.unwrap()),
                lost => assert_eq!(failed(lost), is(412, "PreconditionFailed")),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        etag = winners.remove(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_one_version_whole_while_others_write() {
    let world = World::start().await;
    let client = world.platform();
    let version = |n: u8| vec![n; 700_000];
    put(&client, "state", "k", &version(0)).await;
    let writer = {
        let client = client.clone();
        tokio::spawn(async move {
            for n in 1..60 {
                put(&client, "state", "k", &version(n)).await;
            }
        })
    };
    while !writer.is_finished() {
        let got = client
            .get_object()
            .bucket("state")
            .key("k")
            .send()
            .await
            .unwrap();
        let etag = got.e_tag().unwrap().to_owned();
        let bytes = got.body.collect().await.unwrap().to_vec();
        assert_eq!(bytes.len(), 700_000);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "torn read");
        let same = put(&client, "state", "other", &bytes).await;
        assert_eq!(same, etag, "another version's ETag");
    }
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_of_nothing_is_404_and_of_another_version_412() {
    let world = World::start().await;
    let client = world.platform();
    let swap = |key: &str, etag: &str| {
        client
            .put_object()
            .bucket("state")
            .key(key)
            .if_match(etag)
            .send()
    };
    assert_eq!(failed(swap("none", "\"0\"").await), is(404, "NoSuchKey"));
    assert_eq!(failed(swap("none", "*").await), is(404, "NoSuchKey"));
    let etag = put(&client, "state", "k", b"1").await;
    assert_eq!(
        failed(swap("k", "\"0\"").await),
        is(412, "PreconditionFailed")
    );
    assert_eq!(get(&client, "state", "k").await, b"1");
    swap("k", &etag).await.unwrap();
    swap("k", "*").await.unwrap();
    let only_star = client
        .put_object()
        .bucket("state")
        .key("k")
        .if_none_match(&etag)
        .send()
        .await;
    assert_eq!(failed(only_star), is(501, "NotImplemented"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_delete_deletes_only_what_it_names() {
    let world = World::start().await;
    let client = world.platform();
    let delete = |etag: &str| {
        client
            .delete_object()
            .bucket("state")
            .key("k")
            .if_match(etag)
            .send()
    };
    assert_eq!(failed(delete("\"0\"").await), is(404, "NoSuchKey"));
    let etag = put(&client, "state", "k", b"1").await;
    assert_eq!(failed(delete("\"0\"").await), is(412, "PreconditionFailed"));
    assert_eq!(get(&client, "state", "k").await, b"1");
    delete(&etag).await.unwrap();
    assert!(!world.file("state", "k").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_read_answers_only_if_the_version_fits() {
    let world = World::start().await;
    let client = world.platform();
    let etag = put(&client, "state", "k", b"1").await;
    let read = || client.get_object().bucket("state").key("k");
    assert_eq!(
        failed(read().if_match("\"0\"").send().await),
        is(412, "PreconditionFailed")
    );
    assert_eq!(failed(read().if_none_match(&etag).send().await).0, 304);
    read().if_match(&etag).send().await.unwrap();
    read().if_none_match("\"0\"").send().await.unwrap();
}
