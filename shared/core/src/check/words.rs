//! The report in words: why it is so, and what is to be done.

mod denied;

use super::checker::{Scene, Seen};
use super::{Advice, Problem, Who};
use crate::destination::{Credentials, Destination, Location, Region};
use crate::ports::Failure;
use crate::role_check::{Attempt, Matrix};

/// Cause and advice.
pub(super) fn of(problem: Option<Problem>, scene: &Scene<'_>) -> (String, Option<Advice>) {
    let Some(problem) = problem else {
        return (healthy(scene.destination), None);
    };
    let words = Words::of(scene);
    let (cause, who, what) = match problem {
        Problem::RoleUnsafe | Problem::RoleRefused | Problem::RoleUntried => words.role(problem),
        Problem::WriteDenied => words.write_denied(),
        Problem::KmsDenied | Problem::KmsUnusable => words.kms(problem),
        Problem::KeysMissing | Problem::KeysUnread | Problem::KeysRefused => words.keys(problem),
        Problem::NoAddress | Problem::NotPublic | Problem::Unreachable | Problem::TlsFailed => {
            words.way(problem)
        }
        _ => words.other(problem),
    };
    (cause, Some(Advice { who, what }))
}

fn healthy(destination: &Destination) -> String {
    match destination.credentials {
        Credentials::IamRole { .. } => {
            "the role lets Sealift in with this destination's ExternalId alone, and the bucket \
             takes what is delivered"
        }
        Credentials::AccessKeys => "the bucket takes what is delivered",
    }
    .to_owned()
}

/// What is not as it should be where the canary was taken.
pub(super) fn warnings(destination: &Destination, seen: &Seen) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Err(trouble) = &seen.look.answer {
        let consequence =
            "deliveries do without it, but a check can tell less when something fails";
        warnings.push(if seen.look.is_denied() {
            format!("HeadBucket is refused (s3:ListBucket on the bucket is missing): {consequence}")
        } else {
            format!("HeadBucket fails, although the bucket takes objects: {trouble}")
        });
    }
    if let Some(other) = seen.other_region(destination) {
        let Location { bucket, region, .. } = &destination.location;
        warnings.push(format!(
            "the bucket {bucket} says that it is in {}, not in {}, and takes objects all the same",
            other.as_str(),
            region.as_str()
        ));
    }
    if let (Some(was), Some(taken)) = (destination.storage.checksum, seen.checksum)
        && was != taken
    {
        warnings.push(format!(
            "the bucket takes objects only if `storage.checksum` is {taken}, and it is {was}"
        ));
    }
    if let Some(path_style) = seen.path_style {
        warnings.push(format!(
            "the endpoint takes objects only if `path_style` is {path_style}, and it was {}",
            !path_style
        ));
    }
    warnings
}

type Told = (String, Who, String);

/// What the words are about.
struct Words<'a> {
    scene: &'a Scene<'a>,
    location: &'a Location,
    /// What the canary met, in the other side's words.
    said: String,
    message: &'a str,
}

impl<'a> Words<'a> {
    fn of(scene: &'a Scene<'a>) -> Self {
        let failure = scene.failure();
        Self {
            scene,
            location: &scene.destination.location,
            said: failure.map_or_else(String::new, quoted),
            message: failure.map_or("", |failure| &failure.message),
        }
    }

    fn role(&self, problem: Problem) -> Told {
        let Credentials::IamRole { role_arn, .. } = &self.scene.destination.credentials else {
            return self.other(Problem::Other);
        };
        let principal = match self.scene.principal {
            Some(principal) => principal.as_str(),
            None => "the principal that Sealift comes from",
        };
        let told = self.scene.matrix.map(Matrix::cause).unwrap_or_default();
        match problem {
            Problem::RoleUnsafe => (
                format!("the role {role_arn} is not safe: {told}"),
                Who::Customer,
                format!(
                    "replace the statement of its trust policy by one that names {principal} and \
                     this destination's ExternalId, whole, by StringEquals"
                ),
            ),
            Problem::RoleRefused => (
                format!(
                    "the role {role_arn} does not let Sealift in. AWS does not tell whether it is \
                     missing, does not trust {principal}, or asks for another ExternalId. It says: {}",
                    self.refusal()
                ),
                Who::Customer,
                format!(
                    "see that the role exists, and that its trust policy lets {principal} assume \
                     it with this destination's ExternalId"
                ),
            ),
            _ => (
                format!("the role {role_arn} could not be tried: {told}"),
                self.who_untried(),
                "look at what AWS says, put it right, and check again".to_owned(),
            ),
        }
    }

    /// What STS says of the right attempt, or later of the session that was to write.
    fn refusal(&self) -> String {
        let right = self.scene.matrix.map(|matrix| {
            let [.., (_, right)] = matrix.attempts();
            right
        });
        match right {
            Some(Attempt::Denied(failure)) => quoted(failure),
            _ => self.said.clone(),
        }
    }

    /// A region that is switched off is the role's account's; all else is Sealift's own.
    fn who_untried(&self) -> Who {
        let switched_off = |(_, attempt): &(_, Attempt)| matches!(attempt, Attempt::Invalid(failure) if failure.code == "RegionDisabledException");
        let attempts = self.scene.matrix.map(Matrix::attempts);
        match attempts.is_some_and(|attempts| attempts.iter().any(switched_off)) {
            true => Who::Customer,
            false => Who::Operator,
        }
    }

    fn keys(&self, problem: Problem) -> Told {
        match problem {
            Problem::KeysMissing => (
                format!(
                    "there are no access keys for this destination: {}",
                    self.said
                ),
                Who::Customer,
                "store a pair of access keys with the destination".to_owned(),
            ),
            Problem::KeysUnread => (
                format!(
                    "the access keys cannot be read from where they are kept: {}",
                    self.said
                ),
                Who::Operator,
                "see that Sealift's functions may read the vault, or store the keys again"
                    .to_owned(),
            ),
            _ => (
                format!("the access keys are refused: {}", self.said),
                Who::Customer,
                format!(
                    "see that the keys are active and belong to {}, or replace them",
                    self.service()
                ),
            ),
        }
    }

    fn way(&self, problem: Problem) -> Told {
        let service = self.service();
        let at_aws = self.location.endpoint.is_none();
        // AWS is there, and in every region that is spelt right.
        let (who, where_) = match (at_aws, problem) {
            (true, Problem::NoAddress) => (Who::Customer, "`region`"),
            (true, _) => (Who::Operator, "the way from Sealift's functions to AWS"),
            (false, _) => (Who::Customer, "`endpoint`"),
        };
        let (cause, what) = match problem {
            Problem::NoAddress => (
                "has no address",
                format!("correct {where_}: the name cannot be resolved"),
            ),
            Problem::NotPublic => (
                "is not on the public internet, and Sealift goes nowhere else",
                "give an endpoint with a public address; on-premises ones have to be allowed by \
                 the operator"
                    .to_owned(),
            ),
            Problem::TlsFailed => (
                "takes connections, but no TLS session comes about",
                format!(
                    "see that {where_} speaks TLS at this port, with a certificate for this name \
                     from a public authority that has not expired"
                ),
            ),
            _ => (
                "does not take connections",
                format!("correct {where_} and its port, and see that no firewall is in the way"),
            ),
        };
        (format!("{service} {cause}: {}", self.said), who, what)
    }

    fn other(&self, problem: Problem) -> Told {
        let Location { bucket, region, .. } = self.location;
        let region = region.as_str();
        let said = &self.said;
        let customer = |cause: String, what: &str| (cause, Who::Customer, what.to_owned());
        match problem {
            Problem::RoleNeedsAws => customer(
                "a role's credentials go to AWS alone, and the destination has an endpoint of its \
                 own"
                .to_owned(),
                "leave `endpoint` out, or use access keys",
            ),
            Problem::NoSuchBucket => (
                format!("there is no bucket {bucket} at {}: {said}", self.service()),
                Who::Customer,
                format!("create the bucket {bucket}, or correct `bucket`"),
            ),
            Problem::WrongRegion => {
                let right = self.right_region();
                let cause = match right {
                    Some(right) => format!("the bucket {bucket} is in {right}, not in {region}"),
                    None => format!("the bucket {bucket} is not in {region}"),
                };
                let what = match right {
                    Some(right) => format!("set the destination's `region` to {right}"),
                    None => "set the destination's `region` to the bucket's".to_owned(),
                };
                (format!("{cause}: {said}"), Who::Customer, what)
            }
            Problem::WrongOwner => {
                let owner = self.owner().unwrap_or_default();
                customer(
                    format!(
                        "the bucket {bucket} does not belong to account {owner}: it lets itself be \
                         looked at, unless that account is asked for"
                    ),
                    "if the bucket is yours, set `bucket_owner` to its account; if it is not, your \
                     events would have gone to somebody else: choose another bucket",
                )
            }
            Problem::StorageClassRefused => {
                let class = self.scene.destination.storage.storage_class.as_ref();
                let class = class.map_or("asked for", |class| class.as_str());
                customer(
                    format!("the storage class {class} is not taken: {said}"),
                    "choose another `storage_class`, or none",
                )
            }
            Problem::ChecksumRequired => customer(
                format!(
                    "the bucket {bucket} locks its objects (Object Lock), and takes them with a \
                     checksum only, which {} does not take as Sealift sends it \
                     (x-amz-checksum-sha256): {said}",
                    self.service()
                ),
                "choose a bucket without a default retention, or a service that takes \
                 x-amz-checksum-sha256",
            ),
            Problem::Redirected => customer(
                format!(
                    "{} sends requests on to somewhere else, and Sealift follows nobody: {said}",
                    self.service()
                ),
                "give the endpoint that answers by itself, and the region that it calls the bucket's",
            ),
            Problem::NoAnswer => {
                let told = self.scene.matrix.map(Matrix::cause);
                let told = told.filter(|_| said.is_empty());
                let told = told.as_deref().unwrap_or(said);
                (
                    format!("it cannot be told now: {told}"),
                    Who::Nobody,
                    "check again in a few minutes: nothing is proved".to_owned(),
                )
            }
            _ => customer(
                format!("what is delivered to s3://{bucket} is refused: {said}"),
                "look at the code and the message, and put right what they name",
            ),
        }
    }

    /// Told by the look, or by the refusal itself.
    fn right_region(&self) -> Option<&str> {
        let seen = self.scene.seen?;
        let told = seen.other_region(self.scene.destination);
        told.map(Region::as_str).or_else(|| {
            let (_, rest) = self.message.split_once("expecting '")?;
            rest.split_once('\'').map(|(region, _)| region)
        })
    }

    /// Who writes.
    fn by(&self) -> String {
        match &self.scene.destination.credentials {
            Credentials::IamRole { role_arn, .. } => format!("the role {role_arn}"),
            Credentials::AccessKeys => "the access keys' user".to_owned(),
        }
    }

    /// The account that the bucket must belong to.
    fn owner(&self) -> Option<&str> {
        match &self.scene.destination.credentials {
            Credentials::IamRole {
                bucket_owner: Some(owner),
                ..
            } => Some(owner.as_str()),
            Credentials::IamRole { role_arn, .. } => Some(role_arn.account()),
            Credentials::AccessKeys => None,
        }
    }

    fn service(&self) -> String {
        match &self.location.endpoint {
            Some(endpoint) => endpoint.as_str().to_owned(),
            None => format!("S3 in {}", self.location.region.as_str()),
        }
    }
}

/// Code and message, without what the sentence around them says already.
fn quoted(failure: &Failure) -> String {
    match (failure.code.is_empty(), failure.message.is_empty()) {
        (true, _) => failure.message.clone(),
        (false, true) => failure.code.clone(),
        (false, false) => format!("{}: {}", failure.code, failure.message),
    }
}
