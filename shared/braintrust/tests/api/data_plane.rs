//! The client and the embedded data plane.

use std::sync::Arc;
use std::time::Duration;

use sealift_braintrust::automations::NewAutomation;
use sealift_braintrust::{ChangeError, Settings};
use sealift_core::export::source::{
    Ask, Freshness, LogSource, Query, RowPage, SourceError, XactRange,
};
use sealift_core::export::user_query::UserQuery;
use sealift_core::id::{OrgId, ProjectId, XactId};
use sealift_embedded::braintrust::faults::{Effect, Rule};
use sealift_embedded::braintrust::request_log::Endpoint;
use sealift_embedded::braintrust::{DataPlane, DataPlaneOptions, Organization};
use sealift_embedded::iam::Secret;
use sealift_testkit::SeededEntropy;
use serde_json::json;
use serde_json::value::RawValue;

use crate::server::{KEY, TestClient, client_with, clock};

/// Above 2^53, and odd: no `f64` holds it.
const FIRST: u64 = 1_000_197_156_529_394_087;

struct World {
    plane: DataPlane,
    client: TestClient,
    project: ProjectId,
}

impl World {
    /// A project with 20 rows in 10 transactions and 4 traces.
    async fn start(set: impl FnOnce(DataPlaneOptions) -> DataPlaneOptions) -> Self {
        let organization = Organization {
            id: OrgId::parse("5abfae3a-7aa7-4653-a9c8-b3efcb18f584").unwrap(),
            name: "Acme".to_owned(),
        };
        let (clock, entropy) = (Arc::new(clock()), Arc::new(SeededEntropy::new(7)));
        let options = DataPlaneOptions::new(organization, Secret::new(KEY), clock, entropy);
        let plane = DataPlane::start(set(options)).await.unwrap();
        let project = plane.create_project("first").unwrap();
        for row in 0..20 {
            let fields = json!({
                "id": format!("row-{row:02}"), "root_span_id": format!("it's \\ {}", row % 4),
                "span_id": format!("s-{row}"), "is_root": row < 4, "metadata": {"n": row},
            });
            let xact = XactId::new(FIRST + row / 2);
            plane
                .upsert(&project, fields.to_string().as_bytes(), xact)
                .unwrap();
        }
        let url = plane.url();
        let client = client_with(&url, crate::server::clock(), Settings::default());
        let client = client.for_organization("Acme").unwrap();
        Self {
            plane,
            client,
            project,
        }
    }

    /// The transactions from the second to the ninth.
    fn range() -> XactRange {
        XactRange {
            after: XactId::new(FIRST),
            through: XactId::new(FIRST + 8),
        }
    }

    /// All pages of an ask, until one is empty or has no cursor.
    async fn all(&self, ask: Ask, limit: u32) -> Result<Vec<String>, SourceError> {
        let mut query = Query {
            project: self.project.clone(),
            ask,
            limit,
            cursor: None,
        };
        let mut all = Vec::new();
        loop {
            let mut page = self.client.page(&query).await?;
            let before = all.len();
            while let Some(row) = page.next().await? {
                all.push(String::from_utf8(row.to_vec()).unwrap());
            }
            query.cursor = page.cursor().map(str::to_owned);
            if query.cursor.is_none() || all.len() == before {
                return Ok(all);
            }
        }
    }

    fn stored(&self, rows: std::ops::Range<u32>) -> Vec<String> {
        rows.map(|row| {
            let row = self.plane.row(&self.project, &format!("row-{row:02}"));
            String::from_utf8(row.unwrap().to_vec()).unwrap()
        })
        .collect()
    }

    fn strike(&self, rule: Rule) {
        self.plane.faults().add(rule);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_rows_of_a_range_come_page_by_page_as_they_are_stored() {
    for overflow in [usize::MAX, 0] {
        for line_break in [true, false] {
            let set = |options: DataPlaneOptions| {
                options
                    .page_cap(7)
                    .overflow_bytes(overflow)
                    .final_line_break(line_break)
            };
            let world = World::start(set).await;
            let rows = world.all(Ask::Spans(World::range()), 3).await.unwrap();
            assert_eq!(rows, world.stored(2..18));
            let rows = world.all(Ask::Spans(World::range()), 100).await.unwrap();
            assert_eq!(rows, world.stored(2..18));
            let asked = world.plane.requests();
            let counted = asked.count(Endpoint::Btql) + asked.count(Endpoint::Overflow);
            assert_eq!(world.client.requests(), counted);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn touched_traces_are_found_and_their_summaries_read() {
    let world = World::start(|options| options).await;
    let touched = world.all(Ask::Touched(World::range()), 5).await.unwrap();
    assert_eq!(touched.len(), 16);
    let first: serde_json::Value = touched[0].parse().unwrap();
    assert_eq!(
        first,
        json!({"_xact_id": (FIRST + 1).to_string(), "root_span_id": "it's \\ 2"})
    );
    let roots = vec!["it's \\ 2".to_owned(), "it's \\ 3".to_owned()];
    let summaries = world.all(Ask::Summaries(roots), 100).await.unwrap();
    let ids: Vec<serde_json::Value> = summaries
        .iter()
        .map(|row| row.parse::<serde_json::Value>().unwrap()["root_span_id"].clone())
        .collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(
        ids.contains(&json!("it's \\ 2")) && ids.contains(&json!("it's \\ 3")),
        "{ids:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_query_is_bounded_by_the_range_in_both_syntaxes() {
    let world = World::start(|options| options).await;
    let project = &world.project;
    for text in [
        format!(
            "SELECT _xact_id, id FROM project_logs('{project}') WHERE metadata.n < 5 OR metadata.n > 15 -- all"
        ),
        format!(
            "select: _xact_id, id | from: project_logs('{project}') | filter: metadata.n < 5 OR metadata.n > 15"
        ),
    ] {
        let query = UserQuery::parse(&text).unwrap();
        let rows = world
            .all(Ask::Custom(query, World::range()), 2)
            .await
            .unwrap();
        let ids: Vec<String> = rows
            .iter()
            .map(|row| {
                row.parse::<serde_json::Value>().unwrap()["id"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(
            ids,
            ["row-02", "row-03", "row-04", "row-16", "row-17"],
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn freshness_and_surveys_are_exact() {
    for numeric in [false, true] {
        let world = World::start(|options| options.numeric_xact_ids(numeric)).await;
        let other = world.plane.create_project("empty").unwrap();
        let fresh = world
            .client
            .freshness(&world.project, World::range())
            .await
            .unwrap();
        let settled = Some(XactId::new(FIRST + 9));
        assert_eq!(fresh, Freshness { any: true, settled });
        let late = XactRange {
            after: XactId::new(FIRST + 9),
            through: XactId::new(u64::MAX),
        };
        assert!(
            !world
                .client
                .freshness(&world.project, late)
                .await
                .unwrap()
                .any
        );
        let projects = [world.project.clone(), other];
        let found = world
            .client
            .survey(&projects, XactId::new(FIRST))
            .await
            .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].latest, found[0].rows),
            (XactId::new(FIRST + 9), 18)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_before_a_page_begins_is_overcome() {
    for effect in [
        Effect::TooManyRequests {
            retry_after: Some(3),
        },
        Effect::Status(503),
        Effect::HangUp,
        Effect::LoseReply,
    ] {
        let world = World::start(|options| options).await;
        world.strike(Rule::new(effect.clone()).on(Endpoint::Btql).times(2));
        let rows = world.all(Ask::Spans(World::range()), 100).await.unwrap();
        assert_eq!(rows, world.stored(2..18), "{effect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_page_that_has_begun_is_told() {
    for effect in [
        Effect::TearBody { after: 500 },
        Effect::StallBody { after: 500 },
        Effect::BreakLine,
    ] {
        let mut world = World::start(|options| options).await;
        let settings = Settings {
            stall_timeout: Duration::from_millis(200),
            ..Settings::default()
        };
        world.client = client_with(&world.plane.url(), crate::server::clock(), settings);
        world.strike(Rule::new(effect.clone()).on(Endpoint::Btql));
        let error = world
            .all(Ask::Spans(World::range()), 100)
            .await
            .unwrap_err();
        assert!(
            matches!(error, SourceError::Transient(_)),
            "{effect:?}: {error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_in_the_apis_words() {
    let world = World::start(|options| options).await;
    let nowhere = ProjectId::parse("f1e858a4-58e3-408f-983f-016760d7fa25").unwrap();
    let error = world
        .client
        .freshness(&nowhere, World::range())
        .await
        .unwrap_err();
    assert!(!error.failure().message.is_empty() && !error.failure().code.is_empty());
    assert!(!matches!(error, SourceError::Transient(_)), "{error:?}");
    world.strike(Rule::new(Effect::PlainBadRequest("plain words".to_owned())));
    let error = world.client.projects().await.unwrap_err();
    assert_eq!(error.failure().message, "plain words");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automation_goes_its_whole_way() {
    let world = World::start(|options| options.list_cap(1)).await;
    world.plane.create_project("second").unwrap();
    let client = &world.client;
    assert_eq!(client.projects().await.unwrap().len(), 2);
    let organizations = client.organizations().await.unwrap();
    assert_eq!(organizations[0].id, world.plane.organization().id);
    let config = r#"{"event_type":"btql_export","export_definition":{"type":"log_spans"},
        "export_path":"s3://bucket/x","format":"jsonl","interval_seconds":3600,"credentials":
        {"type":"aws_iam","role_arn":"arn:aws:iam::123456789012:role/x","external_id":"s"}}"#;
    let new = NewAutomation {
        project_id: world.project.clone(),
        name: "Logs export".to_owned(),
        description: None,
        config: RawValue::from_string(config.to_owned()).unwrap(),
    };
    // A creation whose reply is lost is made again, and finds itself.
    world.strike(
        Rule::new(Effect::LoseReply)
            .on(Endpoint::CreateAutomation)
            .times(1),
    );
    let created = client.create_automation(&new).await.unwrap();
    assert!(created.existed);
    let id = created.object.id;
    assert_eq!(client.automations(&world.project).await.unwrap().len(), 1);

    let after = XactId::new(FIRST);
    client
        .reset_cursors(&id, &world.project, after)
        .await
        .unwrap();
    client
        .upsert_object_cursor(&id, &world.project)
        .await
        .unwrap();
    let registered = world.plane.registration(&id).unwrap();
    assert_eq!((registered.start, registered.resets), (after, 1));
    world.strike(Rule::new(Effect::LoseReply).on(Endpoint::ResetCursors));
    let error = client
        .reset_cursors(&id, &world.project, after)
        .await
        .unwrap_err();
    assert!(matches!(error, ChangeError::Unknown(_)), "{error:?}");
    assert_eq!(
        world.plane.registration(&id).unwrap().resets,
        2,
        "once more, and not twice"
    );

    client.segment_cursors(&id, &world.project).await.unwrap();
    world.plane.fail_automation(&id, "AccessDenied").unwrap();
    let cursors = client.object_cursors(&id, &world.project).await.unwrap();
    assert_eq!(cursors.last_error.as_deref(), Some("AccessDenied"));
    assert_eq!(client.delete_automation(&id).await, Ok(true));
}
