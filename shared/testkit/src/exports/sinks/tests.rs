use super::*;
use futures_util::FutureExt;
use sealift_core::external_id::ExternalId;
use sealift_core::id::{KeyPrefix, OrgId, ProjectId};

fn place() -> ExportPlace {
    ExportPlace {
        organization: OrgId::parse("acme").unwrap(),
        project: ProjectId::parse("p1").unwrap(),
        role: RoleArn::parse("arn:aws:iam::222222222222:role/export").unwrap(),
        external_id: ExternalId::parse("bt:acme:p1:x").unwrap(),
        bucket: BucketName::parse("acme-export").unwrap(),
        prefix: KeyPrefix::parse("bt/").unwrap(),
        bucket_owner: AccountId::parse("222222222222").unwrap(),
    }
}

fn exports() -> MemoryExports {
    MemoryExports::new(VirtualClock::auto(Timestamp::UNIX_EPOCH))
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits")
}

fn sink(exports: &MemoryExports) -> MemoryExport {
    at_once(exports.open(&place())).unwrap()
}

fn write(exports: &MemoryExports, at: &str, text: &'static str) -> Result<(), StoreError> {
    at_once(async {
        let sink = exports.open(&place()).await?;
        let mut upload = sink.begin(&key(at), "text/plain");
        if let Err(error) = upload.write(Bytes::from(text)).await {
            upload.abort().await;
            return Err(error);
        }
        upload.complete().await
    })
}

#[test]
fn an_object_is_seen_when_it_is_completed_and_is_kept_with_what_it_replaced() {
    let exports = exports();
    exports.set_part_bytes(4);
    let mut upload = sink(&exports).begin(&key("bt/a"), "text/plain");
    at_once(upload.write(Bytes::from("one two"))).unwrap();
    assert_eq!(upload.held(), 3, "a part was sent, and the rest is held");
    assert!(exports.objects(&place().bucket).is_empty());
    at_once(upload.complete()).unwrap();
    write(&exports, "bt/a", "one two").unwrap();
    write(&exports, "bt/a", "three").unwrap();
    let counts = [Replaced::Nothing, Replaced::Identical, Replaced::Different];
    assert_eq!(counts.map(|replaced| exports.count(replaced)), [1, 1, 1]);
    assert_eq!(exports.objects(&place().bucket)[&key("bt/a")], "three");
    assert_eq!(exports.completed()[0].content_type, "text/plain");
    assert_eq!((exports.uploads().completed, exports.opened()), (3, 3));
}

#[test]
fn an_upload_that_is_neither_completed_nor_aborted_is_abandoned() {
    let exports = exports();
    let sink = sink(&exports);
    let begin = || sink.begin(&key("bt/a"), "text/plain");
    let (open, aborted, dropped) = (begin(), begin(), begin());
    at_once(aborted.abort());
    drop(dropped);
    let expected = Uploads {
        open: 1,
        completed: 0,
        aborted: 1,
        abandoned: 1,
    };
    assert_eq!(exports.uploads(), expected);
    drop(open);
    assert_eq!(exports.uploads().abandoned, 2);
    assert!(exports.completed().is_empty());
}

#[test]
fn each_illness_shows_as_the_decision_it_asks_for() {
    let exports = exports();
    let told = |health| {
        exports.set_bucket(&place().bucket, health);
        let told = match write(&exports, "bt/a", "x") {
            Ok(()) => "well".to_owned(),
            Err(StoreError::Denied(f)) => format!("denied {}", f.operation),
            Err(StoreError::Invalid(f)) => format!("invalid {} {}", f.operation, f.code),
            Err(StoreError::Transient(f)) => format!("transient {}", f.operation),
            Err(StoreError::Conflict(f)) => format!("conflict {}", f.operation),
        };
        (told, exports.completed().len())
    };
    for (health, expected, completed) in [
        (Health::Closed, "denied AssumeRole", 0),
        (Health::Denied, "denied PutObject", 0),
        (Health::Missing, "invalid HeadBucket NoSuchBucket", 0),
        (Health::Transient, "transient PutObject", 0),
        (Health::LostReply, "transient PutObject", 1),
        (Health::Slow(Duration::from_secs(3)), "well", 2),
        (Health::Well, "well", 3),
    ] {
        assert_eq!(told(health), (expected.to_owned(), completed), "{health:?}");
    }
    assert_eq!(
        exports.completed()[1].at.as_second(),
        6,
        "opened and written"
    );
    exports.set_role(&place().role, Health::Closed);
    assert_eq!(told(Health::Well).0, "denied AssumeRole");
}

#[test]
fn an_illness_may_pass_and_strike_in_the_middle() {
    let exports = exports();
    exports.set_part_bytes(2);
    let mut upload = sink(&exports).begin(&key("bt/a"), "text/plain");
    exports.set_bucket_for(&place().bucket, Health::Transient, 1);
    let write = at_once(upload.write(Bytes::from("12345")));
    assert!(matches!(write, Err(StoreError::Transient(f)) if f.operation == "UploadPart"));
    assert!(
        at_once(upload.write(Bytes::from("6"))).is_err(),
        "it stays failed"
    );
    assert!(at_once(upload.complete()).is_err());
    self::write(&exports, "bt/a", "123").unwrap();
    assert_eq!(exports.completed().len(), 1);
}

#[test]
fn the_session_ends_at_the_prefix_at_the_owner_and_at_the_test_object() {
    let exports = exports();
    assert!(matches!(
        write(&exports, "other/a", "x"),
        Err(StoreError::Denied(_))
    ));
    let sink = sink(&exports);
    let tested = test_object(&place().prefix);
    write(&exports, tested.as_str(), "x").unwrap();
    write(&exports, "bt/a", "x").unwrap();
    at_once(sink.delete(&tested)).unwrap();
    at_once(sink.delete(&tested)).unwrap();
    assert!(matches!(
        at_once(sink.delete(&key("bt/a"))),
        Err(StoreError::Denied(_))
    ));
    assert_eq!(exports.objects(&place().bucket).len(), 1);
    assert_eq!(exports.deleted().len(), 2);
    let other = AccountId::parse("333333333333").unwrap();
    exports.set_owner(&place().bucket, other);
    assert!(matches!(
        write(&exports, "bt/a", "x"),
        Err(StoreError::Denied(_))
    ));
}
