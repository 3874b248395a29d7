//! What it means when the API does not let its audit log be read, and what to do.

use std::fmt;

use sealift_core::export::source::SourceError;
use sealift_core::ports::Failure;

/// What can be missing. None of it is told by a code that is known, so the words decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    Enterprise,
    DataPlane,
    Permission,
    Key,
}

impl Lack {
    fn advice(self) -> &'static str {
        match self {
            Self::Enterprise => {
                "audit logs need Braintrust's Enterprise plan, and are written only while the \
                 organization is on it"
            }
            Self::DataPlane => {
                "a data plane of your own needs version 2.6.0 or later: bring it up to date"
            }
            Self::Permission => {
                "the API key's user or service account needs the organization's permission \
                 \"Read audit logs\" (Settings > Permission groups)"
            }
            Self::Key => {
                "the API key is not accepted: put a valid one into the parameter that \
                 SEALIFT_API_KEY_PARAMETER names"
            }
        }
    }
}

/// The audit log may not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is missing, if the API's words tell it; else all that can be.
    lacks: Vec<Lack>,
    failure: Failure,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_of = if self.lacks.len() > 1 { "one of: " } else { "" };
        write!(
            f,
            "the audit log may not be read; what is missing: {one_of}"
        )?;
        for (number, lack) in self.lacks.iter().enumerate() {
            let between = if number == 0 { "" } else { "; or " };
            write!(f, "{between}{}", lack.advice())?;
        }
        write!(
            f,
            ". Nothing is relayed until then, and nothing is passed; new projects are still found \
             by the sweep of project-fanout. ({})",
            self.failure
        )
    }
}

impl Refusal {
    /// The refusal that an error is; `None` if it is another error.
    pub(crate) fn of(error: &SourceError) -> Option<Self> {
        let (SourceError::Denied(failure) | SourceError::Invalid(failure)) = error else {
            return None;
        };
        // It lies elsewhere, and the message says where.
        if failure.code == "HTTP 421" || failure.code.starts_with("HTTP 3") {
            return None;
        }
        // An answer that cannot be read is none that refuses.
        if matches!(error, SourceError::Invalid(_)) && failure.code.is_empty() {
            return None;
        }
        Some(Self {
            lacks: lacks(failure),
            failure: failure.clone(),
        })
    }
}

/// What the words tell; all that can be missing if they tell nothing, or more than one thing.
fn lacks(failure: &Failure) -> Vec<Lack> {
    if failure.code == "HTTP 401" {
        return vec![Lack::Key];
    }
    let said = failure.message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let told = [
        (
            Lack::Enterprise,
            says(&["enterprise", "your plan", "pricing"]),
        ),
        (
            Lack::DataPlane,
            says(&[
                "data plane",
                "2.6.0",
                "unknown function",
                "unsupported",
                "not supported",
            ]) || (said.contains("audit_logs")
                && says(&[
                    "unknown",
                    "not found",
                    "does not exist",
                    "no such",
                    "unrecognized",
                ])),
        ),
        (
            Lack::Permission,
            says(&[
                "permission",
                "read_acls",
                "org_audit_logs",
                "not authorized",
            ]),
        ),
    ];
    let found: Vec<Lack> = told
        .into_iter()
        .filter_map(|(lack, told)| told.then_some(lack))
        .collect();
    match found.as_slice() {
        [one] => vec![*one],
        _ => vec![Lack::Enterprise, Lack::DataPlane, Lack::Permission],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &str, message: &str) -> Failure {
        Failure {
            operation: "read the audit log".to_owned(),
            target: "organization org-1".to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: "trace-1".to_owned(),
        }
    }

    fn told(error: &SourceError) -> String {
        Refusal::of(error).unwrap().to_string()
    }

    const ALL: [&str; 3] = ["Enterprise plan", "2.6.0", "Read audit logs"];

    #[test]
    fn what_the_words_tell_is_told_alone() {
        let denied = |message| SourceError::Denied(failure("HTTP 403", message));
        let invalid = |message| SourceError::Invalid(failure("HTTP 400", message));
        for (error, which) in [
            (denied("Audit logs are available on Enterprise"), 0),
            (invalid("Unknown function audit_logs"), 1),
            (invalid("table \"audit_logs\" does not exist"), 1),
            (denied("Missing read permission on the organization"), 2),
        ] {
            let told = told(&error);
            for (number, words) in ALL.iter().enumerate() {
                assert_eq!(told.contains(words), number == which, "{told}");
            }
            assert!(
                told.contains("trace-1") && told.contains("project-fanout"),
                "{told}"
            );
        }
    }

    #[test]
    fn words_that_do_not_tell_it_name_all_three() {
        for message in ["Forbidden", "", "no permission; ask for Enterprise"] {
            let told = told(&SourceError::Denied(failure("HTTP 403", message)));
            assert!(ALL.iter().all(|words| told.contains(words)), "{told}");
        }
    }

    #[test]
    fn a_key_that_is_refused_is_not_taken_for_a_permission() {
        let told = told(&SourceError::Denied(failure(
            "HTTP 401",
            "invalid permission",
        )));
        assert!(told.contains("SEALIFT_API_KEY_PARAMETER"), "{told}");
        assert!(!told.contains("one of"), "{told}");
    }

    #[test]
    fn what_may_pass_or_lies_elsewhere_is_no_refusal() {
        for error in [
            SourceError::Transient(failure("HTTP 503", "Enterprise")),
            SourceError::Throttled {
                failure: failure("HTTP 429", ""),
                retry_after: None,
            },
            SourceError::Invalid(failure("HTTP 421", "the organization lives elsewhere")),
            SourceError::Invalid(failure(
                "",
                "the rows do not come in the order of `created`",
            )),
        ] {
            assert_eq!(Refusal::of(&error), None);
        }
    }
}
