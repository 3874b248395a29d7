//! An automation is created over the HTTP API while the bus is away, and the entry that waits is an
//! example of `docs/formats.md`.

use std::collections::BTreeMap;

use control_api::Automations;
use control_api::automations::{Exports, NewAutomation};
use futures_util::FutureExt;
use sealift_core::audit::Actor;
use sealift_core::audit::outbox::FOLDER;
use sealift_core::control::{Access, Caller};
use sealift_core::export::registry::Registry;
use sealift_core::id::{OrgId, ProjectId};
use sealift_core::ports::StoreError;
use sealift_testkit::exports::MemoryBus;
use sealift_testkit::{MemoryStore, SeededEntropy, VirtualClock};
use serde_json::json;

/// The examples by their names.
pub(crate) fn examples() -> BTreeMap<&'static str, String> {
    let clock = VirtualClock::new("2025-11-21T08:00:00Z".parse().unwrap());
    let (state, bus) = (MemoryStore::new(clock.clone()), MemoryBus::default());
    let registry = Registry {
        store: state.clone(),
        entropy: SeededEntropy::new(5),
        shards: 1,
    };
    let organization = OrgId::parse("5abfae3a-7aa7-4653-a9c8-b3efcb18f584").unwrap();
    let exports = Automations::new(registry, bus.clone(), clock, organization);
    let known = json!({
        "ip_address": "198.51.100.7",
        "user_agent": "curl/8.5.0",
        "request_id": "JKJaXmPLvHcESHA=",
    });
    let caller = Caller {
        access: Access::Operator,
        actor: Actor::new(
            "arn:aws:iam::111111111111:user/ops",
            known.as_object().unwrap().clone(),
        ),
    };
    let config = json!({
        "event_type": "btql_export",
        "export_definition": {"type": "log_spans"},
        "export_path": "s3://your-bucket/braintrust/my-project",
        "format": "parquet",
        "interval_seconds": 3600,
        "credentials": {
            "type": "aws_iam",
            "role_arn": "arn:aws:iam::123456789012:role/your-role",
            "external_id": "logs-export",
        },
    });
    let new = NewAutomation {
        project: ProjectId::parse("f1e858a4-58e3-408f-983f-016760d7fa25").unwrap(),
        name: "Logs export".to_owned(),
        description: None,
        config: serde_json::from_value(config).unwrap(),
    };
    bus.fail(1, StoreError::Transient);
    let created = exports.create(&caller, new).now_or_never().unwrap();
    assert!(!created.unwrap().1 && bus.entries().is_empty());
    let mut keys = state.keys().into_iter();
    let key = keys.find(|key| key.as_str().starts_with(FOLDER)).unwrap();
    let object = state.get_now(&key).unwrap();
    let document = String::from_utf8(object.bytes.to_vec()).unwrap();
    BTreeMap::from([("outbox-key", key.to_string()), ("outbox-entry", document)])
}
