//! An organization's audit log: `audit_logs('<organization>')`, asked by `POST /btql`.
//!
//! [`AuditLogClient`] is the [`AuditLog`] of Sealift's relay. Entries come as JSON Lines, so that
//! one that is broken spoils no other. What is known of them is the list of fields and event
//! types of <https://www.braintrust.dev/docs/admin/audit-logs>; that page names an id as a
//! column, and not how the field is called. Here it is `id`, and where an entry has none, the
//! SHA-256 of its bytes.

use bytes::Bytes;
use jiff::Timestamp;
use sealift_core::export::source::SourceError;
use sealift_core::export::user_query::literal;
use sealift_core::id::OrgId;
use sealift_core::partition::hex;
use sealift_core::ports::{Clock, Entropy};
use sealift_core::relay::{AuditEntry, AuditLog, AuditPage, AuditQuery, Unusable};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::call::Call;
use crate::client::Client;
use crate::error::Setback;
use crate::key::ApiKeys;
use crate::page;
use crate::query;

/// The most rows that the API answers at once. Who asks for more could not tell a page that was
/// cut from the last one.
pub const MOST_ROWS: u32 = 1000;

/// The audit log of one organization, read with a client.
#[derive(Debug)]
pub struct AuditLogClient<C, E, K> {
    client: Client<C, E, K>,
    organization: OrgId,
}

impl<C: Clock, E: Entropy, K: ApiKeys> AuditLogClient<C, E, K> {
    /// Of the organization of this id. Its key needs the permission to read audit logs.
    pub fn new(client: Client<C, E, K>, organization: OrgId) -> Self {
        Self {
            client,
            organization,
        }
    }

    /// The client that is asked with.
    pub fn client(&self) -> &Client<C, E, K> {
        &self.client
    }
}

/// The entries that are asked for.
pub fn entries(organization: &OrgId, query: &AuditQuery) -> String {
    let (from, until) = (moment(query.from), moment(query.until));
    let types: Vec<String> = query.without.iter().map(|name| literal(name)).collect();
    let without = match types.is_empty() {
        true => String::new(),
        false => format!(" AND event_type NOT IN ({})", types.join(", ")),
    };
    format!(
        "SELECT * FROM audit_logs({}) WHERE created >= '{from}' AND created < '{until}'{without} \
         ORDER BY created LIMIT {}",
        literal(organization.as_str()),
        query.limit
    )
}

/// A time with all of its digits, and with milliseconds at least, as rows have them: should
/// times be compared as texts, those of the same form compare rightly.
fn moment(time: Timestamp) -> String {
    let nanoseconds = time.subsec_nanosecond();
    let digits = match (nanoseconds % 1_000_000, nanoseconds % 1_000) {
        (0, _) => 3,
        (_, 0) => 6,
        _ => 9,
    };
    format!("{time:.digits$}")
}

impl<C: Clock, E: Entropy, K: ApiKeys> AuditLog for AuditLogClient<C, E, K> {
    async fn entries(&self, query: &AuditQuery) -> Result<AuditPage, SourceError> {
        if query.from >= query.until || query.limit == 0 {
            return Ok(AuditPage::default());
        }
        let call = self.call(query)?;
        if query.limit > MOST_ROWS {
            let said = format!("a limit of {} rows is above {MOST_ROWS}", query.limit);
            return Err(self.client.refuse(&call, said));
        }
        let answer = self.client.whole(&call).await;
        let answer = answer.map_err(Setback::into_error)?;
        if answer.body.trim_ascii_start().starts_with(b"<") {
            let said = "the answer is a web page, and no rows (is the API URL right?)";
            return Err(answer.about.invalid(said));
        }
        let rows = page::rows_of(answer.body.clone());
        let rows = rows.ok_or_else(|| {
            let said = "the answer broke off in the middle of a row";
            answer.about.transient(said)
        })?;
        let mut page = AuditPage::default();
        for row in rows {
            match read(&row, &self.organization) {
                Ok(entry) => page.entries.push(entry),
                Err(reason) => page.unusable.push(Unusable {
                    text: String::from_utf8_lossy(&row).into_owned(),
                    reason,
                }),
            }
        }
        // What was left out of a page that is full must be later than what is on it. Seconds,
        // since within one the texts of times may compare otherwise than the times.
        let seconds = page.entries.iter().map(|entry| entry.created.as_second());
        if page.rows() >= limit(query) && !seconds.is_sorted() {
            let said = "the rows do not come in the order of `created`, which was asked for";
            return Err(answer.about.invalid(said));
        }
        page.entries.sort_by_key(|entry| entry.created);
        Ok(page)
    }
}

fn limit(query: &AuditQuery) -> usize {
    usize::try_from(query.limit).unwrap_or(usize::MAX)
}

impl<C: Clock, E: Entropy, K: ApiKeys> AuditLogClient<C, E, K> {
    fn call(&self, query: &AuditQuery) -> Result<Call, SourceError> {
        let target = format!("organization {}", self.organization);
        let text = entries(&self.organization, query);
        query::call("read the audit log", target, &text, "jsonl")
    }
}

/// The fields that are read of an entry, each at most once in it.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    org_id: Option<&'a RawValue>,
    #[serde(borrow)]
    event_type: Option<&'a RawValue>,
}

/// Reads an entry of the organization; the error names the field.
fn read(row: &Bytes, organization: &OrgId) -> Result<AuditEntry, String> {
    let line = std::str::from_utf8(row).map_err(|_| "the row is not UTF-8".to_owned())?;
    // A list would be read as the fields in their order.
    if !line.starts_with('{') {
        return Err("the row is not a JSON object".to_owned());
    }
    let fields: Row<'_> = serde_json::from_str(line)
        .map_err(|error| format!("the row cannot be read as a JSON object: {error}"))?;
    let owner = text("org_id", fields.org_id)?;
    if !owner.eq_ignore_ascii_case(organization.as_str()) {
        return Err(format!(
            "`org_id` is not {organization}, whose audit log was asked for"
        ));
    }
    let created = text("created", fields.created)?.parse();
    let created =
        created.map_err(|error| format!("`created` must be a time of RFC 3339: {error}"))?;
    Ok(AuditEntry {
        id: text("id", fields.id).unwrap_or_else(|_| derived_id(row)),
        created,
        event_type: text("event_type", fields.event_type)?,
        text: line.to_owned(),
    })
}

/// The field's text, which must not be empty.
fn text(name: &str, value: Option<&RawValue>) -> Result<String, String> {
    let value = value.ok_or_else(|| format!("`{name}` is missing or null"))?;
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(format!("`{name}` must be a text that is not empty")),
    }
}

/// The id of an entry that brings none. Entries that are the same byte by byte are one, and one
/// that is answered in other bytes is another.
fn derived_id(row: &[u8]) -> String {
    format!("sha256-{}", hex(&Sha256::digest(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(from: &str, until: &str, without: &[&str]) -> String {
        let organization = OrgId::parse("5abfae3a-7aa7-4653-a9c8-b3efcb18f584").unwrap();
        let query = AuditQuery {
            from: from.parse().unwrap(),
            until: until.parse().unwrap(),
            limit: 500,
            without: without.iter().map(|name| (*name).to_owned()).collect(),
        };
        entries(&organization, &query)
    }

    #[test]
    fn the_question_has_its_form() {
        assert_eq!(
            asked("2026-05-12T23:48:21Z", "2026-05-13T00:00:00.5Z", &[]),
            "SELECT * FROM audit_logs('5abfae3a-7aa7-4653-a9c8-b3efcb18f584') \
             WHERE created >= '2026-05-12T23:48:21.000Z' AND created < '2026-05-13T00:00:00.500Z' \
             ORDER BY created LIMIT 500"
        );
    }

    #[test]
    fn times_lose_no_digit() {
        for (time, text) in [
            ("2026-05-12T23:48:21.627123Z", "21.627123Z"),
            ("2026-05-12T23:48:21.000000001Z", "21.000000001Z"),
            ("2026-05-12T23:48:21.62Z", "21.620Z"),
            ("2026-05-13T01:48:21.62+02:00", "12T23:48:21.620Z"),
            ("1969-12-31T23:59:59.9999Z", "59.999900Z"),
        ] {
            let asked = asked(time, "2026-06-01T00:00:00Z", &[]);
            assert!(
                asked.contains(&format!("{text}' AND created <")),
                "{time}: {asked}"
            );
        }
    }

    #[test]
    fn a_type_that_is_left_out_cannot_end_its_literal() {
        let (from, until) = ("2026-05-12T00:00:00Z", "2026-05-13T00:00:00Z");
        let text = asked(from, until, &["query.read", r"a') OR ('1'='1", r"b\"]);
        assert!(
            text.contains(
                r"AND event_type NOT IN ('query.read', 'a\') OR (\'1\'=\'1', 'b\\') ORDER BY"
            ),
            "{text}"
        );
    }
}
