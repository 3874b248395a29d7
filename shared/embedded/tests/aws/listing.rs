use aws_sdk_s3::types::EncodingType;

use crate::support::{World, failed, is, put};

async fn filled(keys: &[&str]) -> (World, aws_sdk_s3::Client) {
    let world = World::start().await;
    let client = world.platform();
    for key in keys {
        put(&client, "state", key, key.as_bytes()).await;
    }
    (world, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_in_the_order_of_their_bytes_page_by_page() {
    // As files, `a` would come before `a-b`; as keys, `a-b` and `a.` come before `a/`.
    let keys = ["B", "a-b", "a.", "a/1", "a/2", "a0", "ab", "z", "ä", "😀"];
    let (_world, client) =
        filled(&["😀", "a/2", "z", "a-b", "ä", "a/1", "ab", "a.", "B", "a0"]).await;
    for page_size in [1, 3, 1000] {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let list = client.list_objects_v2().bucket("state").max_keys(page_size);
            let page = list.set_continuation_token(token).send().await.unwrap();
            assert_eq!(page.key_count(), i32::try_from(page.contents().len()).ok());
            found.extend(
                page.contents()
                    .iter()
                    .map(|object| object.key().unwrap().to_owned()),
            );
            token = page.next_continuation_token().map(str::to_owned);
            assert_eq!(page.is_truncated(), Some(token.is_some()));
            if token.is_none() {
                break;
            }
        }
        assert_eq!(found, keys);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_tells_size_etag_and_time() {
    let (_world, client) = filled(&["k"]).await;
    let page = client
        .list_objects_v2()
        .bucket("state")
        .send()
        .await
        .unwrap();
    let object = &page.contents()[0];
    assert_eq!(object.size(), Some(1));
    assert_eq!(object.e_tag(), Some("\"8ce4b16b22b58894aa86c421e8759df3\""));
    assert_eq!(
        object.last_modified().unwrap().to_string(),
        "2026-03-01T12:00:00Z"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_and_a_start_narrow_a_listing() {
    let (_world, client) = filled(&["log/1", "log/2", "log/3", "log", "logs/1", "m"][..3]).await;
    put(&client, "state", "logs/1", b"").await;
    put(&client, "state", "m", b"").await;
    let list = |prefix: &str, after: &str| {
        let list = client.list_objects_v2().bucket("state").prefix(prefix);
        let list = if after.is_empty() {
            list
        } else {
            list.start_after(after)
        };
        async move {
            let page = list.send().await.unwrap();
            page.contents()
                .iter()
                .map(|o| o.key().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(list("log/", "").await, ["log/1", "log/2", "log/3"]);
    assert_eq!(list("log/", "log/1").await, ["log/2", "log/3"]);
    assert_eq!(list("log/", "a").await, ["log/1", "log/2", "log/3"]);
    assert_eq!(list("log/", "log/3").await, [""; 0]);
    assert_eq!(list("log", "log/3").await, ["logs/1"]);
    assert_eq!(list("", "logs/1").await, ["m"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delimiter_folds_what_lies_below() {
    let (_world, client) = filled(&["d/a/1", "d/a/2", "d/b", "d/c/1", "d/c/2", "e"]).await;
    let mut lines = Vec::new();
    let mut token = None;
    loop {
        let list = client
            .list_objects_v2()
            .bucket("state")
            .prefix("d/")
            .delimiter("/")
            .max_keys(1);
        let page = list.set_continuation_token(token).send().await.unwrap();
        assert_eq!(page.key_count(), Some(1));
        lines.extend(
            page.common_prefixes()
                .iter()
                .map(|p| p.prefix().unwrap().to_owned()),
        );
        lines.extend(page.contents().iter().map(|o| o.key().unwrap().to_owned()));
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(lines, ["d/a/", "d/b", "d/c/"]);
    let page = client
        .list_objects_v2()
        .bucket("state")
        .delimiter("/")
        .send()
        .await
        .unwrap();
    assert_eq!(page.common_prefixes()[0].prefix(), Some("d/"));
    assert_eq!(page.contents()[0].key(), Some("e"));
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_questions_are_answered_as_s3_does() {
    let (_world, client) = filled(&["a b", "c<d>&"]).await;
    let none = client
        .list_objects_v2()
        .bucket("state")
        .max_keys(0)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (none.contents().len(), none.is_truncated()),
        (0, Some(false))
    );
    let token = client
        .list_objects_v2()
        .bucket("state")
        .continuation_token("?")
        .send()
        .await;
    assert_eq!(failed(token), is(400, "InvalidArgument"));
    let url = client
        .list_objects_v2()
        .bucket("state")
        .encoding_type(EncodingType::Url);
    let url = url.send().await.unwrap();
    assert_eq!(url.contents()[0].key(), Some("a%20b"));
    let plain = client
        .list_objects_v2()
        .bucket("state")
        .send()
        .await
        .unwrap();
    assert_eq!(plain.contents()[1].key(), Some("c<d>&"));
}
