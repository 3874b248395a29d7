//! `POST /btql`: the request's form, and the forms of its answer.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::audit_log::{self, Actor};
use super::faults::Effect;
use super::query::Asked;
use super::refusal::Refusal;
use super::reply::Reply;
use super::run::{Page, run};
use super::shared::Shared;
use super::state::Freshness;
use super::validate::{Fields, Invalid, flag, number, number_in, one_of, text};

/// Confirmed, word for word, as Braintrust's command-line tool knows it; the milliseconds vary.
const UNBOUNDED: &str = "Brainstore btql/query request failed 400 (Bad Request) after 9 ms: \
    Query blocked by strict lint mode due to 1 lint:\n\
    No filters available for segment elimination. Add a range filter on created, _xact_id, or \
    _pagination_key, or scope to a specific root_span_id or id.";

/// What the content type of lines is, is not documented.
const LINES: &str = "application/x-ndjson";

/// Fields of the request that are true or false.
const FLAGS: [&str; 7] = [
    "brainstore_ephemeral_wal",
    "brainstore_realtime",
    "brainstore_skip_backfill_check",
    "disable_limit",
    "strict_lint_mode",
    "use_brainstore",
    "use_columnstore",
];

/// Fields of the request that are numbers.
const NUMBERS: [&str; 3] = ["api_version", "query_timeout_seconds", "tz_offset"];

/// Other fields that Braintrust's own tools send.
const OTHERS: [&str; 14] = [
    "audit_log",
    "client_version",
    "custom_column_scope",
    "expected_cost",
    "fmt",
    "force_push_limit",
    "inference_depth",
    "lint_mode",
    "overflow_results",
    "query",
    "query_source",
    "relaxed_search_mode",
    "scope_to_root_span_id",
    "version",
];

/// Answers a query. `effect` is the fault that strikes it, if any.
pub(crate) fn answer(
    shared: &Shared,
    body: &Value,
    actor: &Actor,
    effect: Option<&Effect>,
) -> Result<Reply, Refusal> {
    check(body)?;
    let fields = Fields::of("", body)?;
    let lines = fields.text("fmt") == "jsonl";
    let asked = Asked::parse(fields.text("query"))?;
    if !asked.is_bounded() {
        return Err(Refusal::bad_request(UNBOUNDED));
    }
    let (page, freshness) = {
        let mut state = shared.state();
        let (page, freshness, project) = match &asked {
            Asked::Logs(query) => {
                let projects = state.visible(&query.projects)?;
                let settings = &shared.settings;
                let mut page = run(query, &projects, settings.page_cap, settings.numeric)?;
                if effect == Some(&Effect::RepeatCursor) {
                    page.cursor.clone_from(&query.cursor);
                }
                (page, state.freshness(&query.projects), query.project())
            }
            Asked::Audit(query) => (
                state.audit.answer(shared, query)?,
                Freshness::default(),
                None,
            ),
        };
        let text = fields.text("query");
        state.audit.record_read(shared, actor, text, project);
        (page, freshness)
    };
    let columns = match &asked {
        Asked::Logs(query) => query.columns(),
        Asked::Audit(_) => audit_log::COLUMNS.to_vec(),
    };
    let mut content = match lines {
        true => as_lines(&page, shared.settings.final_line_break),
        false => as_document(&page, &columns, freshness),
    };
    if lines && effect == Some(&Effect::BreakLine) {
        let last = page.rows.last().map_or(0, Bytes::len);
        content.truncate(content.len().saturating_sub(last / 2 + 1));
    }
    let kind = if lines { LINES } else { "application/json" };
    let overflows = content.len() > shared.settings.overflow_bytes;
    if overflows || effect == Some(&Effect::Overflow) {
        return Ok(elsewhere(shared, kind, content, page.cursor));
    }
    let mut reply = Reply::new(kind, content);
    if lines {
        reply = reply.streamed();
    }
    Ok(match page.cursor {
        Some(cursor) => reply.header("x-bt-cursor", &cursor),
        None => reply,
    })
}

/// The request's fields: those that Braintrust's own tools send. Fields that would change the
/// answer and cannot be honoured here are refused, not ignored.
fn check(body: &Value) -> Result<(), Invalid> {
    let fields = Fields::of("", body)?;
    let known = [&FLAGS[..], &NUMBERS[..], &OTHERS[..]].concat();
    fields
        .only(&known)?
        .required("query", &|path, value| {
            let said = "must be a text: parsed queries are not answered here";
            text(path, value).map_err(|_| Invalid::new(path, said))
        })?
        .optional("fmt", &one_of(&["json", "jsonl"]))?
        .optional("lint_mode", &one_of(&["default", "strict"]))?
        .optional("expected_cost", &number_in(1.0, 10.0))?
        .optional("query_source", &text)?
        .optional("client_version", &text)?
        .optional("audit_log", &|path, value| match value {
            Value::Bool(false) => Ok(()),
            _ => Err(Invalid::new(path, "is not answered here")),
        })?
        .optional("scope_to_root_span_id", &|path, _| {
            Err(Invalid::new(path, "is not answered here"))
        })?
        // Confirmed: it is for experiments and datasets.
        .optional("version", &|path, _| {
            Err(Invalid::new(path, "is not supported for project_logs"))
        })?;
    for name in FLAGS {
        fields.optional(name, &flag)?;
    }
    for name in NUMBERS {
        fields.optional(name, &number)?;
    }
    Ok(())
}

fn as_lines(page: &Page, final_line_break: bool) -> Vec<u8> {
    let mut content = page.rows.join(&b"\n"[..]);
    if final_line_break && !page.rows.is_empty() {
        content.push(b'\n');
    }
    content
}

/// The document of `fmt=json`, its fields in the recorded order.
fn as_document(page: &Page, columns: &[&str], freshness: Freshness) -> Vec<u8> {
    let text = |xact: Option<sealift_core::id::XactId>| xact.map(|xact| xact.to_string());
    let (processed, considered) = (text(freshness.processed), text(freshness.considered));
    // Recorded schemas describe each column's type; only the names are told here.
    let columns: Map<String, Value> = columns
        .iter()
        .map(|name| ((*name).to_owned(), json!({})))
        .collect();
    let schema = json!({"type": "array", "items": {"type": "object", "properties": columns}});
    let realtime = json!({
        "type": "on", "minimum_xact_id": processed, "read_bytes": 0, "actual_xact_id": processed,
    });
    let fresh = json!({
        "last_processed_xact_id": processed, "last_considered_xact_id": considered,
    });
    let cursor = page.cursor.as_ref();
    let cursor = cursor.map_or(String::new(), |token| {
        format!(",\"cursor\":{}", json!(token))
    });
    let rest = format!(
        "],\"schema\":{schema}{cursor},\"realtime_state\":{realtime},\"warnings\":[],\
         \"freshness_state\":{fresh}}}"
    );
    let mut content = b"{\"data\":[".to_vec();
    content.extend(page.rows.join(&b","[..]));
    content.extend(rest.into_bytes());
    content
}

/// A large answer: a redirect to a signed URL, where it lies with its cursor as metadata.
fn elsewhere(
    shared: &Shared,
    content_type: &'static str,
    content: Vec<u8>,
    cursor: Option<String>,
) -> Reply {
    let place = shared.keep(Overflow {
        id: shared.entropy.nonce(),
        signature: shared.entropy.nonce(),
        content_type,
        content: content.into(),
        cursor: cursor.clone(),
    });
    let reply = Reply::new("text/plain", "")
        .status(StatusCode::SEE_OTHER)
        .header("location", &place);
    match cursor {
        // Documented for the redirect, the stored answer or both: whichever a client reads first.
        Some(cursor) if shared.settings.redirect_cursor => reply.header("x-bt-cursor", &cursor),
        _ => reply,
    }
}

/// An answer that is fetched elsewhere.
pub(crate) struct Overflow {
    pub(crate) id: String,
    pub(crate) signature: String,
    content_type: &'static str,
    content: Bytes,
    cursor: Option<String>,
}

impl Overflow {
    pub(crate) fn reply(&self) -> Reply {
        let reply = Reply::new(self.content_type, self.content.clone());
        match &self.cursor {
            Some(cursor) => reply.header("x-amz-meta-bt_cursor", cursor),
            None => reply,
        }
    }
}
