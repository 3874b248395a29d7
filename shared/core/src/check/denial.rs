//! What AWS's own words tell of a refusal.

use super::CheckReport;
use crate::destination::KmsKeyArn;
use crate::external_id::ExternalId;
use crate::ports::Failure;

/// Why something is refused.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denial {
    /// A statement forbids it, whatever others allow.
    Explicit(Option<Place>),
    /// No statement allows it.
    Missing(Place),
    /// AWS does not tell: it never does across accounts, and not always within one.
    Untold,
}

/// The policies that may stand in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Identity,
    Resource,
    Session,
    Boundary,
    Organization,
    Network,
}

const PLACES: [(&str, Place); 7] = [
    ("identity-based polic", Place::Identity),
    ("resource-based polic", Place::Resource),
    ("session polic", Place::Session),
    ("permissions boundary", Place::Boundary),
    ("service control polic", Place::Organization),
    ("resource control polic", Place::Organization),
    ("vpc endpoint polic", Place::Network),
];

impl Denial {
    pub(super) fn read(message: &str) -> Self {
        let message = message.to_lowercase();
        let named = PLACES.iter().find(|(words, _)| message.contains(words));
        let place = named.map(|(_, place)| *place);
        match place {
            _ if message.contains("with an explicit deny") => Self::Explicit(place),
            Some(place) if message.contains("because") && message.contains("allow") => {
                Self::Missing(place)
            }
            _ => Self::Untold,
        }
    }
}

/// Whether S3 asks for a checksum, as it does where objects are locked. Its words, as they were
/// seen in public reports: `Content-MD5 OR x-amz-checksum- HTTP header is required for Put
/// Object requests with Object Lock parameters`; before 2022 only `Content-MD5` was named.
pub(super) fn needs_checksum(failure: &Failure) -> bool {
    failure.code == "InvalidRequest"
        && failure.message.contains("Content-MD5")
        && failure.message.contains("required")
}

/// Whether a failure is about a KMS key, and not about a role that is named after one.
pub(super) fn is_about_kms(failure: &Failure) -> bool {
    const WORDS: [&str; 6] = [
        "perform: kms:",
        ":kms:",
        "kms key",
        "aws kms",
        "aws-kms-key-id",
        "customer master key",
    ];
    let message = failure.message.to_lowercase();
    let of_s3 = message.contains("perform: s3:");
    failure.code.starts_with("KMS.")
        || (!of_s3 && WORDS.iter().any(|words| message.contains(words)))
}

/// The KMS key that a message is about, if it names one in full.
pub(super) fn named_key(message: &str) -> Option<KmsKeyArn> {
    message
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
        .find_map(|word| KmsKeyArn::parse(word).ok())
}

/// Takes the ExternalId out of what others said, who may repeat what they were sent. The
/// statements that mend hold it rightly.
pub(super) fn redact(report: &mut CheckReport, external_id: &ExternalId) {
    let said = report.matrix.iter_mut().map(|row| &mut row.message);
    let advice = report.advice.iter_mut().map(|advice| &mut advice.what);
    let told = std::iter::once(&mut report.cause).chain(&mut report.warnings);
    for text in said.chain(advice).chain(told) {
        if text.contains(external_id.as_str()) {
            *text = text.replace(external_id.as_str(), "REDACTED");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_as_aws_words_it() {
        let user = "User: arn:aws:sts::222222222222:assumed-role/r/s is not authorized to perform:";
        for (rest, expected) in [
            (
                "s3:PutObject on resource: \"arn:aws:s3:::b/k\" because no identity-based policy \
                 allows the s3:PutObject action",
                Denial::Missing(Place::Identity),
            ),
            (
                "s3:PutObject because no session policy allows the s3:PutObject action",
                Denial::Missing(Place::Session),
            ),
            (
                "s3:PutObject because no permissions boundary allows the s3:PutObject action",
                Denial::Missing(Place::Boundary),
            ),
            (
                "s3:PutObject because no service control policy allows the s3:PutObject action",
                Denial::Missing(Place::Organization),
            ),
            (
                "s3:PutObject on resource: \"arn:aws:s3:::b/k\" with an explicit deny in a \
                 resource-based policy",
                Denial::Explicit(Some(Place::Resource)),
            ),
            ("s3:PutObject with an explicit deny", Denial::Explicit(None)),
            (
                "kms:GenerateDataKey on this resource because the resource does not exist in this \
                 Region, no resource-based policies allow access, or a resource-based policy \
                 explicitly denies access",
                Denial::Missing(Place::Resource),
            ),
        ] {
            assert_eq!(Denial::read(&format!("{user} {rest}")), expected, "{rest}");
        }
        for untold in ["Access Denied", "", "you are not allowed to access it"] {
            assert_eq!(Denial::read(untold), Denial::Untold, "{untold}");
        }
    }

    #[test]
    fn a_key_is_found_in_what_kms_says() {
        let arn = "arn:aws:kms:eu-west-2:222222222222:key/a466d1fa-5c7f";
        for message in [
            format!("is not authorized to perform: kms:GenerateDataKey on resource: {arn} because"),
            format!("Key '{arn}' does not exist."),
            format!("{arn} is disabled."),
        ] {
            let found = named_key(&message);
            assert_eq!(
                found.as_ref().map(KmsKeyArn::as_str),
                Some(arn),
                "{message}"
            );
        }
        assert_eq!(
            named_key("arn:aws:kms:eu-west-2:1:alias/mine Access Denied"),
            None
        );
    }
}
