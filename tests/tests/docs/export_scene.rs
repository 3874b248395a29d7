//! A small scene of exports on buckets in memory, whose documents and objects are examples of
//! `docs/formats.md`: a run that comes to the end of its requests in the second of two hours.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use export_dispatch::Dispatch;
use futures_util::FutureExt;
use interval_export::Export;
use sealift_core::export::automation::Automation;
use sealift_core::export::message::Message;
use sealift_core::export::registry::Registry;
use sealift_core::id::{AutomationId, BucketName, ObjectKey, OrgId, ProjectId, XactId};
use sealift_core::sqs::{Batch, Record};
use sealift_testkit::exports::{MemoryBus, MemoryExports, MemorySource, Row};
use sealift_testkit::{MemoryStore, SeededEntropy, VirtualClock};
use serde_json::json;

const CURSOR: &str = "exports/cursors/math-spans.json";

/// The examples by their names.
pub(crate) fn examples() -> BTreeMap<&'static str, String> {
    let mut examples = BTreeMap::new();
    let clock = VirtualClock::new("2025-11-21T08:00:00Z".parse().unwrap());
    let (state, entropy) = (MemoryStore::new(clock.clone()), SeededEntropy::new(3));
    let (bus, sinks) = (MemoryBus::default(), MemoryExports::new(clock.clone()));
    let source = MemorySource::new(clock.clone());
    let automation = automation();
    let registry = Registry {
        store: state.clone(),
        entropy: entropy.clone(),
        shards: 1,
    };
    let now_ms = clock.now().as_millisecond();
    let registered = registry.register(&automation, XactId::ZERO, now_ms);
    assert!(registered.now_or_never().unwrap().unwrap());
    let rows = |first: u64, count: u64| {
        (first..first + count).map(|n| {
            let xact = XactId::new(1_000_196_176_995_155_968 + (n / 4) * (3600 << 16) + n);
            Row::new(xact, &format!("row-{n}"), "trace")
        })
    };
    source.upsert(&automation.project_id, rows(0, 12));
    source.set_page_limit(3);

    // The dispatcher starts what is due.
    let dispatch = Dispatch::new(
        state.clone(),
        source.clone(),
        bus.clone(),
        clock.clone(),
        entropy.clone(),
        export_dispatch::Settings {
            requests_per_minute: 8,
            ..export_dispatch::Settings::default()
        },
    );
    let deadline = clock.now().checked_add(Duration::from_mins(15)).unwrap();
    let started = dispatch.handle(b"{}", deadline).now_or_never().unwrap();
    assert_eq!(started.unwrap().started, 1);
    examples.insert("timetable", text(&state, "exports/timetable/0000.json"));
    examples.insert("request-budget", text(&state, "exports/budget.json"));
    examples.insert(
        "automation",
        text(&state, "exports/automations/math-spans.json"),
    );

    // A run, whose cursor is looked at before its last page.
    let export = Export::new(
        state.clone(),
        source.clone(),
        sinks.clone(),
        bus.clone(),
        clock.clone(),
        entropy,
        interval_export::Settings::default(),
    );
    let middle = Arc::new(Mutex::new(String::new()));
    let (seen, store) = (middle.clone(), state.clone());
    source.before_each_page(move |_, _| *seen.lock().unwrap() = text(&store, CURSOR));
    let due = bus.take().remove(0);
    let body = format!(
        r#"{{"detail-type":"{}","detail":{}}}"#,
        due.detail_type, due.detail
    );
    assert!(matches!(
        Message::parse(body.as_bytes()),
        Ok(Message::Due(_))
    ));
    let batch = Batch {
        records: vec![Record {
            message_id: "1".to_owned(),
            body,
        }],
    };
    let handled = Box::pin(export.handle(&batch, deadline));
    assert!(handled.now_or_never().unwrap().failures.is_empty());
    examples.insert("export-cursor", middle.lock().unwrap().clone());
    let bucket = BucketName::parse("your-bucket").unwrap();
    for (key, bytes) in sinks.objects(&bucket) {
        if key.as_str().contains("/_runs/") {
            let manifest = String::from_utf8(bytes.to_vec()).unwrap();
            examples.insert("export-run", manifest.trim_end().to_owned());
        } else {
            examples.insert("exported-key", key.to_string());
        }
    }
    examples
}

fn text(store: &MemoryStore, key: &str) -> String {
    let object = store.get_now(&ObjectKey::parse(key).unwrap()).unwrap();
    String::from_utf8(object.bytes.to_vec()).unwrap()
}

fn automation() -> Automation {
    let config = json!({
        "event_type": "btql_export",
        "export_definition": {"type": "log_spans"},
        "export_path": "s3://your-bucket/braintrust/math",
        "format": "jsonl",
        "interval_seconds": 3600,
        "credentials": {
            "type": "aws_iam",
            "role_arn": "arn:aws:iam::210987654321:role/braintrust-export",
            "external_id": "0b41f9c2",
        },
    });
    Automation {
        id: AutomationId::parse("math-spans").unwrap(),
        organization: OrgId::parse("5abfae3a-7aa7-4653-a9c8-b3efcb18f584").unwrap(),
        project_id: ProjectId::parse("f1e858a4-58e3-408f-983f-016760d7fa25").unwrap(),
        name: "Logs export".to_owned(),
        description: None,
        created_ms: 1_763_700_000_000,
        config: serde_json::from_value(config).unwrap(),
        bucket_owner: None,
    }
}
