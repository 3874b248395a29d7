//! The audit entries of changes.

use serde_json::{Value, json};

use super::ControlError;
use super::record::Pending;
use super::view::{status_word, text};
use crate::Timestamp;
use crate::audit::catalogue::OwnType;
use crate::audit::{Actor, BadEntry, Entry, Resource};
use crate::check::CheckReport;
use crate::destination::{Credentials, Destination};

/// Gathers the entries of one change. Their ids follow from the change's name, so that an entry
/// that is told twice is the same entry.
pub(super) struct Teller<'a> {
    destination: &'a Destination,
    actor: &'a Actor,
    name: &'a str,
    now: Timestamp,
    told: Vec<Pending>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(
        destination: &'a Destination,
        actor: &'a Actor,
        name: &'a str,
        now: Timestamp,
    ) -> Self {
        Self {
            destination,
            actor,
            name,
            now,
            told: Vec::new(),
        }
    }

    pub(super) fn end(self) -> Vec<Pending> {
        self.told
    }

    pub(super) fn created(&mut self, own: &'static OwnType) -> Result<(), ControlError> {
        let after = described(self.destination);
        self.tell(Entry::created(own, self.resource(), after), Value::Null)
    }

    pub(super) fn deleted(&mut self, own: &'static OwnType) -> Result<(), ControlError> {
        let before = described(self.destination);
        self.tell(Entry::deleted(own, self.resource(), before), Value::Null)
    }

    pub(super) fn updated(
        &mut self,
        own: &'static OwnType,
        before: Value,
        after: Value,
        details: Value,
    ) -> Result<(), ControlError> {
        self.tell(Entry::updated(own, self.resource(), before, after), details)
    }

    pub(super) fn happened(
        &mut self,
        own: &'static OwnType,
        details: Value,
    ) -> Result<(), ControlError> {
        self.tell(Entry::happened(own, self.resource()), details)
    }

    fn resource(&self) -> Resource {
        let Destination {
            id, organization, ..
        } = self.destination;
        Resource {
            id: id.to_string(),
            name: id.to_string(),
            organization: organization.clone(),
            project: None,
        }
    }

    fn tell(&mut self, entry: Result<Entry, BadEntry>, details: Value) -> Result<(), ControlError> {
        let id = format!("{}-{}", self.name, self.told.len());
        let entry = entry
            .map(|entry| entry.with_details(details).by(self.actor.clone()))
            .and_then(|entry| entry.on_bus(&id, self.now))
            .map_err(|_| ControlError::Own("an audit entry could not be written"))?;
        self.told.push(entry.into());
        Ok(())
    }
}

/// A destination as entries show it. The ExternalId is its owner's and Sealift's alone, and
/// entries are read by more people: it is left out.
pub(super) fn described(destination: &Destination) -> Value {
    let location = &destination.location;
    let storage = &destination.storage;
    let authentication = match &destination.credentials {
        Credentials::IamRole {
            role_arn,
            bucket_owner,
            ..
        } => json!({"type": "iam_role", "role_arn": role_arn, "bucket_owner": bucket_owner}),
        Credentials::AccessKeys => json!({"type": "access_keys"}),
    };
    json!({
        "status": status_word(destination),
        "endpoint": location.endpoint,
        "bucket": location.bucket,
        "region": location.region,
        "prefix": location.prefix,
        "path_style": location.path_style,
        "authentication": authentication,
        "included_events": destination.include,
        "kms_key_arn": storage.kms_key_arn,
        "storage_class": storage.storage_class,
        "checksum": storage.checksum,
        "started": destination.start_ms.map(text),
    })
}

/// What is told of a check: not the statements that would mend it, which hold the ExternalId.
pub(super) fn of_check(report: &CheckReport) -> Value {
    json!({
        "verdict": report.verdict,
        "checked": text(report.at_ms),
        "cause": report.cause,
        "advice": report.advice,
    })
}
