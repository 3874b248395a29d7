//! Changes of automations in the operator's name, which the audit log is told of.

use std::io::Write;

use sealift_core::Timestamp;
use sealift_core::audit::Actor;
use sealift_core::audit::outbox::{OutboxError, Told};
use sealift_core::export::changes::{Changed, Changes};
use sealift_core::export::registry::Registry;
use sealift_core::ports::{BusEntry, EventBus, Failure, StoreError};
use serde_json::{Map, json};

/// What changes are made with.
pub(super) struct Changing<'a, S, B, E> {
    pub(super) registry: &'a Registry<S, E>,
    bus: B,
    actor: Actor,
    pub(super) now: Timestamp,
}

impl<'a, S, B, E> Changing<'a, S, B, E> {
    pub(super) fn new(registry: &'a Registry<S, E>, bus: B, now: Timestamp) -> Self {
        // Whoever has the stack's credentials is its operator; which of them it is, AWS's own trail
        // of the state bucket knows.
        let agent = concat!("sealift/", env!("CARGO_PKG_VERSION"));
        let known = Map::from_iter([("user_agent".to_owned(), json!(agent))]);
        Self {
            registry,
            bus,
            actor: Actor::new("operator", known),
            now,
        }
    }

    /// Changes by whoever runs the command.
    pub(super) fn by_us(&self) -> Changes<'_, S, B, E> {
        Changes {
            registry: self.registry,
            bus: &self.bus,
            actor: &self.actor,
            now: self.now,
        }
    }
}

/// What came of a change; says so if its audit entry has to wait.
pub(super) fn made<T>(changed: Changed<T>, out: &mut impl Write) -> std::io::Result<T> {
    if let Told::Left(error) = &changed.told {
        let why = match error {
            OutboxError::Bus(error) => error.failure().to_string(),
            other => other.to_string(),
        };
        writeln!(
            out,
            "its audit entry is kept in the state, and destination-check sends it: {why}"
        )?;
    }
    Ok(changed.value)
}

/// A bus that was not named.
pub(super) struct NoBus;

impl EventBus for NoBus {
    async fn put(&self, entries: &[BusEntry]) -> Vec<Result<(), StoreError>> {
        let refused = || {
            StoreError::Invalid(Failure {
                operation: "PutEvents".to_owned(),
                target: "the bus".to_owned(),
                code: String::new(),
                message: "--bus was not given".to_owned(),
                request_id: String::new(),
            })
        };
        entries.iter().map(|_| Err(refused())).collect()
    }
}
