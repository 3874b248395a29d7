//! Which entries are relayed: all, but for reads and changes of single rows, which are only on
//! request, and for what Sealift itself has read.

use sealift_core::relay::AuditEntry;
use serde::Deserialize;

/// The types of entries about single rows. There can be very many of them.
pub const ROW_LEVEL: [&str; 4] = [
    QUERY_READ,
    "project_log.deleted",
    "experiment_log.deleted",
    "dataset_log.deleted",
];

const QUERY_READ: &str = "query.read";

/// How the name of Sealift begins in the `User-Agent` of its requests.
const PRODUCT: &str = "sealift/";

#[derive(Deserialize)]
struct Reader {
    #[serde(default)]
    actor_id: Option<String>,
    #[serde(default)]
    actor_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    user_agent: Option<String>,
}

/// Which types are left out already when they are asked for.
pub(crate) fn without(row_level: bool) -> Vec<String> {
    let left_out: &[&str] = if row_level { &[] } else { &ROW_LEVEL };
    left_out.iter().map(|&name| name.to_owned()).collect()
}

/// Whether an entry is relayed.
///
/// Each query of an export would be an entry, and an export of such entries would never come to
/// rest: so what Sealift reads is left out, whoever's key it has.
pub(crate) fn is_relayed(entry: &AuditEntry, row_level: bool, own_actor: Option<&str>) -> bool {
    let kind = entry.event_type.as_str();
    if !row_level && ROW_LEVEL.contains(&kind) {
        return false;
    }
    kind != QUERY_READ || !is_own(&entry.text, own_actor)
}

/// Whether Sealift has read it. What cannot be told is relayed.
fn is_own(text: &str, own_actor: Option<&str>) -> bool {
    let Ok(reader) = serde_json::from_str::<Reader>(text) else {
        return false;
    };
    let agent = reader.actor_details.and_then(|details| details.user_agent);
    let ours = |agent: String| agent.split_whitespace().any(|p| p.starts_with(PRODUCT));
    (own_actor.is_some() && reader.actor_id.as_deref() == own_actor) || agent.is_some_and(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event_type: &str, rest: &str) -> AuditEntry {
        AuditEntry {
            id: "1".to_owned(),
            created: sealift_core::Timestamp::UNIX_EPOCH,
            event_type: event_type.to_owned(),
            text: format!(r#"{{"id":"1"{rest}}}"#),
        }
    }

    #[test]
    fn rows_are_left_out_unless_they_are_asked_for() {
        for kind in ROW_LEVEL {
            assert!(!is_relayed(&entry(kind, ""), false, None));
            assert!(is_relayed(&entry(kind, ""), true, None));
        }
        assert!(is_relayed(&entry("project.created", ""), false, None));
        assert_eq!(without(false).len(), 4);
        assert!(without(true).is_empty());
    }

    #[test]
    fn what_sealift_has_read_is_left_out_by_its_actor_or_its_name() {
        let own = r#","actor_id":"user-7","actor_details":{"user_agent":"sealift/0.1.0"}"#;
        let actor = r#","actor_id":"user-7","actor_details":{"user_agent":"curl/8"}"#;
        let other = r#","actor_id":"user-8","actor_details":{"user_agent":"not-sealift/1"}"#;
        let read = |rest: &str, actor| is_relayed(&entry("query.read", rest), true, actor);
        assert!(!read(own, None) && !read(own, Some("user-9")));
        assert!(!read(actor, Some("user-7")) && read(actor, None));
        assert!(read(other, Some("user-7")));
        assert!(read(r#","actor_id":null,"actor_details":null"#, None));
        assert!(read(r#","actor_details":"sealift/1""#, Some("user-7")));
        let deleted = entry("dataset_log.deleted", own);
        assert!(
            is_relayed(&deleted, true, Some("user-7")),
            "a change is no read"
        );
    }

    #[test]
    fn the_name_is_the_one_that_the_client_sends() {
        let source = include_str!("../../../shared/braintrust/src/client.rs");
        let line = format!(r#"const USER_AGENT: &str = concat!("{PRODUCT}""#);
        assert!(source.contains(&line), "the client calls itself otherwise");
    }
}
