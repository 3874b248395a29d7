//! The queries that exports ask, and what is read of their answers.
//!
//! They are Braintrust's SQL in exactly these forms. Rows come as JSON Lines, page by page, each
//! page with the cursor of the one before; what is asked of a range as a whole comes as JSON.
//! A page is never cut by `_xact_id > <the last>`: several rows share a transaction.

use std::fmt::Write;

use http::Method;
use sealift_core::export::source::{
    Ask, Freshness, LogSource, Query, SourceError, Surveyed, XactRange,
};
use sealift_core::export::user_query::{bounds, literal};
use sealift_core::id::{ProjectId, XactId};
use sealift_core::ports::{Clock, Entropy};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Setback;
use crate::key::ApiKeys;
use crate::page::Page;
use crate::wire::{self, Xact};

/// Whether a range holds any row; the answer also tells how far the data plane has come.
pub fn freshness(project: &ProjectId, range: XactRange) -> String {
    let (source, bounds) = (spans(std::slice::from_ref(project)), bounds(range));
    format!("SELECT _xact_id FROM {source} WHERE {bounds} ORDER BY _xact_id LIMIT 1")
}

/// The rows that a page is asked of.
pub fn rows(query: &Query) -> String {
    let Query {
        project,
        ask,
        limit,
        cursor,
    } = query;
    let source = spans(std::slice::from_ref(project));
    let mut text = match ask {
        Ask::Spans(range) => {
            let bounds = bounds(*range);
            format!("SELECT * FROM {source} WHERE {bounds} ORDER BY _xact_id LIMIT {limit}")
        }
        Ask::Touched(range) => {
            let bounds = bounds(*range);
            format!(
                "SELECT _xact_id, root_span_id FROM {source} WHERE {bounds} ORDER BY _xact_id \
                 LIMIT {limit}"
            )
        }
        Ask::Summaries(roots) => {
            let project = literal(project.as_str());
            let roots: Vec<String> = roots.iter().map(|root| literal(root)).collect();
            format!(
                "SELECT * FROM project_logs({project}, shape => 'summary') \
                 WHERE root_span_id IN ({}) LIMIT {limit}",
                roots.join(", ")
            )
        }
        Ask::Custom(query, range) => return query.with_range(*range, *limit, cursor.as_deref()),
    };
    if let Some(cursor) = cursor {
        // Writing to a string does not fail.
        let _ = write!(text, " OFFSET {}", literal(cursor));
    }
    text
}

/// How many rows projects have after a transaction, and the latest of each.
pub fn survey(projects: &[ProjectId], after: XactId) -> String {
    let source = spans(projects);
    format!(
        "SELECT project_id, max(_xact_id) AS latest, count(1) AS rows FROM {source} \
         WHERE _xact_id > '{after}' GROUP BY project_id"
    )
}

fn spans(projects: &[ProjectId]) -> String {
    let projects = projects.iter().map(|project| literal(project.as_str()));
    let projects = projects.collect::<Vec<_>>().join(", ");
    format!("project_logs({projects}, shape => 'spans')")
}

/// The body of `POST /btql`.
#[derive(Serialize)]
struct Asked<'a> {
    query: &'a str,
    fmt: &'static str,
}

pub(crate) fn call(
    operation: &'static str,
    target: String,
    query: &str,
    fmt: &'static str,
) -> Result<Call, SourceError> {
    let call = Call::new(operation, target, Method::POST, "/btql").followed();
    call.json(&Asked { query, fmt })
}

#[derive(Deserialize)]
struct Looked {
    data: Vec<IgnoredAny>,
    freshness_state: Option<FreshnessState>,
}

#[derive(Deserialize)]
struct FreshnessState {
    #[serde(default, deserialize_with = "wire::xact")]
    last_processed_xact_id: Option<XactId>,
}

#[derive(Deserialize)]
struct Survey {
    data: Vec<SurveyRow>,
}

#[derive(Deserialize)]
struct SurveyRow {
    project_id: ProjectId,
    latest: Xact,
    rows: u64,
}

impl<C: Clock, E: Entropy, K: ApiKeys> LogSource for Client<C, E, K> {
    type Page = Page;

    async fn freshness(
        &self,
        project: &ProjectId,
        range: XactRange,
    ) -> Result<Freshness, SourceError> {
        let target = format!("project {project}");
        let query = freshness(project, range);
        let call = call("look into a range", target, &query, "json")?;
        let answer = self.whole(&call).await.map_err(Setback::into_error)?;
        let looked: Looked = answer.read()?;
        let state = looked.freshness_state;
        Ok(Freshness {
            any: !looked.data.is_empty(),
            settled: state.and_then(|state| state.last_processed_xact_id),
        })
    }

    async fn page(&self, query: &Query) -> Result<Page, SourceError> {
        let operation = match &query.ask {
            Ask::Spans(_) => "query for spans",
            Ask::Touched(_) => "query for touched traces",
            Ask::Summaries(roots) if roots.is_empty() => return Ok(Page::empty(self.settings())),
            Ask::Summaries(_) => "query for summaries",
            Ask::Custom(..) => "query of the automation",
        };
        let target = format!("project {}", query.project);
        let call = call(operation, target, &rows(query), "jsonl")?;
        // The key may read the projects of other tenants too.
        if let Ask::Custom(custom, _) = &query.ask
            && custom.project() != &query.project
        {
            let said = format!(
                "the automation's query reads project {}: it must read its own, {}",
                custom.project(),
                query.project
            );
            return Err(self.refuse(&call, said));
        }
        let opened = self.open(&call).await.map_err(Setback::into_error)?;
        Ok(Page::new(opened, self.settings()))
    }

    async fn survey(
        &self,
        projects: &[ProjectId],
        after: XactId,
    ) -> Result<Vec<Surveyed>, SourceError> {
        let mut found = Vec::new();
        for projects in projects.chunks(self.settings().surveyed_at_once.max(1)) {
            let target = format!("{} projects", projects.len());
            let call = call("survey", target, &survey(projects, after), "json")?;
            let answer = self.whole(&call).await.map_err(Setback::into_error)?;
            let survey: Survey = answer.read()?;
            found.extend(survey.data.into_iter().map(|row| Surveyed {
                project: row.project_id,
                latest: row.latest.0,
                rows: row.rows,
            }));
        }
        Ok(found)
    }

    fn requests(&self) -> u64 {
        Client::requests(self)
    }
}

#[cfg(test)]
mod tests {
    use sealift_core::export::user_query::UserQuery;

    use super::*;

    fn project(id: &str) -> ProjectId {
        ProjectId::parse(id).unwrap()
    }

    fn range() -> XactRange {
        XactRange {
            after: XactId::ZERO,
            through: XactId::new(u64::MAX),
        }
    }

    fn page(ask: Ask, cursor: Option<&str>) -> String {
        rows(&Query {
            project: project("p1"),
            ask,
            limit: 1000,
            cursor: cursor.map(str::to_owned),
        })
    }

    #[test]
    fn each_question_has_its_form() {
        let bounds = "_xact_id > '0' AND _xact_id <= '18446744073709551615'";
        assert_eq!(
            freshness(&project("p1"), range()),
            format!(
                "SELECT _xact_id FROM project_logs('p1', shape => 'spans') WHERE {bounds} \
                 ORDER BY _xact_id LIMIT 1"
            )
        );
        assert_eq!(
            page(Ask::Spans(range()), None),
            format!(
                "SELECT * FROM project_logs('p1', shape => 'spans') WHERE {bounds} \
                 ORDER BY _xact_id LIMIT 1000"
            )
        );
        assert_eq!(
            page(Ask::Touched(range()), Some("aQ+/")),
            format!(
                "SELECT _xact_id, root_span_id FROM project_logs('p1', shape => 'spans') \
                 WHERE {bounds} ORDER BY _xact_id LIMIT 1000 OFFSET 'aQ+/'"
            )
        );
        assert_eq!(
            page(Ask::Summaries(vec!["r1".into(), "r2".into()]), Some("c")),
            "SELECT * FROM project_logs('p1', shape => 'summary') WHERE root_span_id IN \
             ('r1', 'r2') LIMIT 1000 OFFSET 'c'"
        );
        assert_eq!(
            survey(&[project("p1"), project("p2")], XactId::new(7)),
            "SELECT project_id, max(_xact_id) AS latest, count(1) AS rows FROM \
             project_logs('p1', 'p2', shape => 'spans') WHERE _xact_id > '7' GROUP BY project_id"
        );
        let query = UserQuery::parse("SELECT * FROM project_logs('p1')").unwrap();
        assert_eq!(
            page(Ask::Custom(query, range()), Some("c")),
            format!(
                "SELECT * FROM project_logs('p1', shape => 'spans') WHERE {bounds} \
                 ORDER BY _xact_id LIMIT 1000 OFFSET 'c'"
            )
        );
    }

    #[test]
    fn a_root_span_id_cannot_end_its_literal() {
        let text = page(
            Ask::Summaries(vec![r"a') OR ('1'='1".into(), r"b\".into()]),
            None,
        );
        assert!(
            text.contains(r"IN ('a\') OR (\'1\'=\'1', 'b\\') LIMIT"),
            "{text}"
        );
    }
}
