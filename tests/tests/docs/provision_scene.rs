//! A project gets its automation, and the documents of that are examples of `docs/formats.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use project_fanout::{Config, Fanout};
use sealift_core::export::automation::ExportDefinition;
use sealift_core::export::registry::Registry;
use sealift_core::export::source::SourceError;
use sealift_core::id::{ObjectKey, OrgId, ProjectId};
use sealift_core::provision::settings::Written;
use sealift_core::provision::{Project, Projects};
use sealift_testkit::exports::MemoryBus;
use sealift_testkit::{MemoryStore, SeededEntropy, VirtualClock};

/// One project.
struct OneProject;

impl Projects for OneProject {
    async fn list(&self) -> Result<Vec<Project>, SourceError> {
        Ok(vec![Project {
            id: ProjectId::parse("f1e858a4-58e3-408f-983f-016760d7fa25").unwrap(),
            organization: OrgId::parse("5abfae3a-7aa7-4653-a9c8-b3efcb18f584").unwrap(),
            name: "Grade school math".to_owned(),
            created: None,
        }])
    }

    async fn get(&self, id: &ProjectId) -> Result<Option<Project>, SourceError> {
        let all = self.list().await?;
        Ok(all.into_iter().find(|project| project.id == *id))
    }

    fn requests(&self) -> u64 {
        0
    }
}

/// The examples by their names.
pub(crate) fn examples() -> BTreeMap<&'static str, String> {
    let clock = VirtualClock::new("2025-11-21T08:00:00Z".parse().unwrap());
    let (state, entropy) = (MemoryStore::new(clock.clone()), SeededEntropy::new(5));
    let config = Config::from_lookup(|name| {
        let value = match name {
            "SEALIFT_STATE_BUCKET" => "sealift-state",
            "SEALIFT_BUS" => "sealift",
            "SEALIFT_API_URL" => "https://api.braintrust.dev",
            "SEALIFT_API_KEY_PARAMETER" => "/sealift/braintrust-api-key",
            "SEALIFT_PROVISION_PATH" => "s3://your-bucket/braintrust/<project-slug>/traces",
            "SEALIFT_PROVISION_ROLE_ARN" => "arn:aws:iam::123456789012:role/your-role-name",
            _ => return None,
        };
        Some(value.to_owned())
    })
    .unwrap();
    let mut spans = config.settings.templates[0].clone();
    "Spans".clone_into(&mut spans.name);
    spans.config.export_definition = ExportDefinition::LogSpans {};
    "s3://your-bucket/braintrust/<project-slug>/spans".clone_into(&mut spans.config.export_path);
    let written = Written {
        templates: vec![spans],
        exclude: vec!["scratch-*".to_owned()],
    };
    let place = Written::place();
    let saved = place.create(&state, written, &entropy);
    saved.now_or_never().unwrap().unwrap();
    let registry = Registry {
        store: state.clone(),
        entropy,
        shards: config.shards,
    };
    let bus = MemoryBus::default();
    let deadline = sealift_core::ports::Clock::now(&clock)
        .checked_add(Duration::from_mins(10))
        .unwrap();
    let fanout = Fanout::new(registry, OneProject, bus.clone(), clock, config.settings);
    let sweep = br#"{"detail-type":"provision.sweep"}"#;
    let applied = fanout.handle(sweep, deadline).now_or_never().unwrap();
    assert_eq!(applied.unwrap().created, 2);
    let text = |key: &str| {
        let object = state.get_now(&ObjectKey::parse(key).unwrap()).unwrap();
        String::from_utf8(object.bytes.to_vec()).unwrap()
    };
    BTreeMap::from([
        ("provisioning-ledger", text("provisioning/ledger.json")),
        ("provisioning-settings", text("provisioning/settings.json")),
        ("automation-provisioned", bus.entries()[0].detail.clone()),
    ])
}
