//! Setting an automation's cursor to another position, and telling the audit log of it.

use sealift_core::audit::catalogue::CURSOR_RESET;
use sealift_core::audit::{Entry, Resource};
use sealift_core::export::automation::Automation;
use sealift_core::export::message::Reset;
use sealift_core::export::source::LogSource;
use sealift_core::id::XactId;
use sealift_core::ports::{BusEntry, Clock, Entropy, EventBus, ExportSinks, ObjectStore};
use serde_json::json;

use crate::{Export, ExportError};

impl<S, L, K, B, C, E> Export<S, L, K, B, C, E>
where
    S: ObjectStore,
    L: LogSource,
    K: ExportSinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Sets the cursor. The audit entry is named by the event that asked for it: should the bus not
    /// take it, the event comes again, changes nothing more, and the entry is told then.
    pub(crate) async fn reset(&self, reset: &Reset) -> Result<(), ExportError> {
        let id = &reset.automation_id;
        let now = self.clock.now();
        let after = reset.start.position(now);
        let after = after.map_err(|error| ExportError::Reset(error.to_string()))?;
        let automation = self.registry.automation(id).await?;
        let cursor = self.registry.cursor(id).await?.body;
        let event = reset.event_id.as_deref();
        // What was before is no longer known where it is done already.
        let done = event.is_some() && cursor.reset_by.as_deref() == event;
        let before = (!done).then_some(cursor.position);
        let now_ms = now.as_millisecond();
        self.registry.reset(id, after, event, now_ms).await?;
        let name = event.map_or_else(|| self.registry.entropy.nonce(), str::to_owned);
        let Some(entry) = entry(&automation, &name, before, after, now) else {
            return Ok(());
        };
        for told in self.bus.put(&[entry]).await {
            if let Err(error) = told {
                // Without an id of its own the event would reset the cursor a second time.
                if event.is_none() {
                    tracing::error!(automation = %id, %error, "the reset of {id} was done and not told: {error}");
                    return Ok(());
                }
                return Err(ExportError::Untold(error));
            }
        }
        Ok(())
    }
}

fn entry(
    automation: &Automation,
    event: &str,
    before: Option<XactId>,
    after: XactId,
    now: sealift_core::Timestamp,
) -> Option<BusEntry> {
    let resource = Resource {
        id: automation.id.to_string(),
        name: automation.name.clone(),
        organization: automation.organization.clone(),
        project: Some(automation.project_id.clone()),
    };
    let position = |position: Option<XactId>| json!({"start_xact_id": position});
    let (before, after) = (position(before), position(Some(after)));
    let entry = Entry::updated(&CURSOR_RESET, resource, before, after).ok()?;
    let entry = entry.with_details(json!({"reason": "an operator asked for it"}));
    entry.on_bus(&format!("reset-{event}"), now).ok()
}
