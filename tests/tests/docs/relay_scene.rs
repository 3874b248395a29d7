//! Two entries of a platform's audit log are relayed, and the cursor of that is an example of
//! `docs/formats.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use audit_relay::{Relay, Settings, Start};
use futures_util::FutureExt;
use sealift_core::export::source::SourceError;
use sealift_core::id::{ObjectKey, OrgId};
use sealift_core::relay::{AuditEntry, AuditLog, AuditPage, AuditQuery};
use sealift_testkit::exports::MemoryBus;
use sealift_testkit::{MemoryStore, SeededEntropy, VirtualClock};
use serde_json::json;

const ORGANIZATION: &str = "5abfae3a-7aa7-4653-a9c8-b3efcb18f584";

/// A log of two entries.
struct TwoEntries;

impl AuditLog for TwoEntries {
    async fn entries(&self, query: &AuditQuery) -> Result<AuditPage, SourceError> {
        let entries = [
            ("e1", "2025-11-21T07:58:12.004Z", "project.created"),
            ("e2", "2025-11-21T08:03:40.915Z", "api_key.deleted"),
        ];
        let entries = entries.map(|(id, created, event_type)| AuditEntry {
            id: id.to_owned(),
            created: created.parse().unwrap(),
            event_type: event_type.to_owned(),
            text: json!({
                "id": id,
                "created": created,
                "org_id": ORGANIZATION,
                "event_type": event_type,
            })
            .to_string(),
        });
        let asked = |entry: &AuditEntry| (query.from..query.until).contains(&entry.created);
        Ok(AuditPage {
            entries: entries.into_iter().filter(asked).collect(),
            unusable: Vec::new(),
        })
    }
}

/// The examples by their names.
pub(crate) fn examples() -> BTreeMap<&'static str, String> {
    let clock = VirtualClock::new("2025-11-21T08:05:00Z".parse().unwrap());
    let (state, parking) = (
        MemoryStore::new(clock.clone()),
        MemoryStore::new(clock.clone()),
    );
    let settings = Settings {
        start: Start::At("2025-11-21T07:50:00Z".parse().unwrap()),
        ..Settings::of(OrgId::parse(ORGANIZATION).unwrap())
    };
    let bus = MemoryBus::default();
    let deadline = clock.now().checked_add(Duration::from_secs(55)).unwrap();
    let relay = Relay::new(
        (state.clone(), parking),
        TwoEntries,
        bus.clone(),
        clock,
        SeededEntropy::new(6),
        settings,
    );
    let report = relay.handle(deadline).now_or_never().unwrap().unwrap();
    assert_eq!((report.relayed, bus.entries().len()), (2, 2));
    let key = ObjectKey::parse(format!("relay/{ORGANIZATION}.json")).unwrap();
    let cursor = state.get_now(&key).unwrap();
    let text = String::from_utf8(cursor.bytes.to_vec()).unwrap();
    BTreeMap::from([("relay-cursor", text)])
}
