//! Refusals in words, by the policy that AWS names.

use super::{Told, Words};
use crate::check::checker::Seen;
use crate::check::denial::{Denial, Place};
use crate::check::{Problem, Who, mend};
use crate::destination::Location;

impl Words<'_> {
    pub(super) fn write_denied(&self) -> Told {
        let Location { bucket, prefix, .. } = self.location;
        let looked = self.scene.seen.is_some_and(|seen| seen.look.answer.is_ok());
        let begin = match looked {
            true => "the bucket is there and lets itself be looked at, but",
            false => "the bucket refuses to be written to:",
        };
        let place = format!("s3://{bucket}/{prefix}");
        let by = self.by();
        let (why, who, what) = match Denial::read(self.message) {
            Denial::Missing(Place::Identity) => (
                format!("no policy of {by} allows s3:PutObject below {place}"),
                Who::Customer,
                format!("add the statement to the permissions of {by}"),
            ),
            Denial::Missing(Place::Resource) => (
                format!(
                    "the bucket's own policy does not allow s3:PutObject below {place} to {by}"
                ),
                Who::Customer,
                "add the statement to the bucket's policy".to_owned(),
            ),
            Denial::Missing(Place::Session) => (
                format!(
                    "the policy of Sealift's own session does not allow to write below {place}"
                ),
                Who::Operator,
                "this is an error of Sealift's: report it".to_owned(),
            ),
            Denial::Missing(elsewhere) | Denial::Explicit(Some(elsewhere)) => (
                format!(
                    "{} keeps {by} from writing below {place}",
                    in_words(elsewhere)
                ),
                match elsewhere {
                    Place::Network | Place::Session => Who::Operator,
                    _ => Who::Customer,
                },
                format!(
                    "change {}: another permission does not help",
                    in_words(elsewhere)
                ),
            ),
            Denial::Explicit(None) => (
                format!("a statement that denies it keeps {by} from writing below {place}"),
                Who::Customer,
                "find the statement with `\"Effect\": \"Deny\"`, in the bucket's policy or the \
                 role's: another permission does not help"
                    .to_owned(),
            ),
            Denial::Untold => self.untold(&place, &by),
        };
        (format!("{begin} {why}. S3 says: {}", self.said), who, what)
    }

    /// Of a bare 403 S3 does not tell the reason; two of them it answers alike.
    fn untold(&self, place: &str, by: &str) -> Told {
        let owner_fits = self.scene.seen.and_then(Seen::owner_fits);
        match self.owner().filter(|_| owner_fits.is_none()) {
            Some(owner) => (
                format!(
                    "writing below {place} is refused. Either {by} may not do it, or the bucket \
                     does not belong to account {owner}, which S3 answers alike"
                ),
                Who::Customer,
                format!(
                    "see that the bucket belongs to account {owner}, add the statement to the \
                     permissions of {by}, and look for a statement of the bucket's policy that \
                     denies it"
                ),
            ),
            None => (
                format!("writing below {place} is refused, and S3 does not tell by which policy"),
                Who::Customer,
                format!(
                    "add s3:PutObject below {place} to the permissions of {by}, and look for a \
                     statement of the bucket's policy that denies it"
                ),
            ),
        }
    }

    pub(super) fn kms(&self, problem: Problem) -> Told {
        let key = mend::key_in_use(self.scene.destination, self.message);
        let key = key.as_ref().map_or("a KMS key", |key| key.as_str());
        let configured = self.scene.destination.storage.kms_key_arn.is_some();
        let by = self.by();
        if problem == Problem::KmsUnusable {
            let region = self.location.region.as_str();
            return (
                format!(
                    "objects are to be encrypted with {key}, which cannot be used: {}",
                    self.said
                ),
                Who::Customer,
                format!(
                    "see that the key exists, is enabled, is a symmetric one for encryption and is \
                     in {region} as the bucket is; or name another"
                ),
            );
        }
        let (why, what) = match Denial::read(self.message) {
            Denial::Missing(Place::Session) if !configured => (
                "the bucket encrypts with it by default, and Sealift asks for the use of no key \
                 but the one that the destination names",
                format!("set the destination's `kms_key_arn` to {key}"),
            ),
            Denial::Missing(Place::Identity) => (
                "no policy of the role or user allows kms:GenerateDataKey",
                format!("add the statement to the permissions of {by}"),
            ),
            Denial::Missing(Place::Resource) => (
                "the key's own policy does not allow it, or there is no such key in this region",
                format!("add the statement to the policy of {key}, or correct `kms_key_arn`"),
            ),
            Denial::Explicit(_) => (
                "a statement denies it",
                "find the statement that denies kms:GenerateDataKey: another permission does not \
                 help"
                    .to_owned(),
            ),
            _ => (
                "AWS does not tell by which policy",
                format!(
                    "allow kms:GenerateDataKey on {key} in the permissions of {by}, and in the \
                     key's policy, if the key is another account's or does not leave it to IAM"
                ),
            ),
        };
        (
            format!(
                "the bucket would take it, but the use of {key} is refused: {why}. S3 says: {}",
                self.said
            ),
            Who::Customer,
            what,
        )
    }
}

fn in_words(place: Place) -> &'static str {
    match place {
        Place::Identity => "a statement in the permissions",
        Place::Resource => "a statement of the bucket's policy",
        Place::Session => "the session's policy",
        Place::Boundary => "the permissions boundary",
        Place::Organization => "a policy of the account's AWS organization",
        Place::Network => "the policy of the VPC endpoint",
    }
}
