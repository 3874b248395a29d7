//! How a data plane is started.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use sealift_core::id::OrgId;
use sealift_core::ports::{Clock, Entropy};

use crate::iam::Secret;
use crate::time::Time;

/// The organization that the API key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id, a UUID.
    pub id: OrgId,
    /// Its name.
    pub name: String,
}

/// How a data plane is started.
pub struct DataPlaneOptions {
    pub(crate) settings: Settings,
    pub(crate) time: Time,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) listen: SocketAddr,
    pub(crate) log_limit: usize,
}

pub(crate) struct Settings {
    pub(crate) api_key: Secret,
    pub(crate) organization: Organization,
    pub(crate) page_cap: usize,
    pub(crate) list_cap: usize,
    pub(crate) overflow_bytes: usize,
    pub(crate) redirect_cursor: bool,
    pub(crate) numeric: bool,
    pub(crate) final_line_break: bool,
}

impl DataPlaneOptions {
    /// What has no default: whose data plane it is, the key that opens it, time and chance.
    pub fn new<C: Clock + 'static>(
        organization: Organization,
        api_key: Secret,
        clock: Arc<C>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            settings: Settings {
                api_key,
                organization,
                page_cap: 1000,
                list_cap: 1000,
                overflow_bytes: usize::MAX,
                redirect_cursor: false,
                numeric: false,
                final_line_break: true,
            },
            time: Time::new(clock),
            entropy,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            log_limit: 10_000,
        }
    }

    /// Listens here, in place of a free port on 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Answers so many rows on a page at the most, in place of 1,000 (which is Braintrust's).
    #[must_use]
    pub fn page_cap(mut self, rows: usize) -> Self {
        self.settings.page_cap = rows;
        self
    }

    /// Answers so many projects or automations in a list at the most, in place of 1,000.
    /// Braintrust does not say what its own limit is.
    #[must_use]
    pub fn list_cap(mut self, objects: usize) -> Self {
        self.settings.list_cap = objects;
        self
    }

    /// Sends answers to queries that are larger than this elsewhere, by 303. Braintrust does
    /// not say where its own limit is; without this there is none.
    #[must_use]
    pub fn overflow_bytes(mut self, bytes: usize) -> Self {
        self.settings.overflow_bytes = bytes;
        self
    }

    /// Whether such a 303 carries the cursor as well (`x-bt-cursor`), or only the answer that it
    /// leads to (`x-amz-meta-bt_cursor`), which is the default and the harder case.
    #[must_use]
    pub fn cursor_in_redirect(mut self, carried: bool) -> Self {
        self.settings.redirect_cursor = carried;
        self
    }

    /// Whether `max(_xact_id)` and the ids that `get-cursors` tells are JSON numbers, in place of
    /// texts. Braintrust's tools expect both; which comes when is not documented.
    #[must_use]
    pub fn numeric_xact_ids(mut self, numeric: bool) -> Self {
        self.settings.numeric = numeric;
        self
    }

    /// Whether the last line of a `jsonl` answer ends with a line break, as is the default;
    /// which is true of Braintrust is not documented.
    #[must_use]
    pub fn final_line_break(mut self, there: bool) -> Self {
        self.settings.final_line_break = there;
        self
    }

    /// Keeps so many whole records in the request log, in place of 10,000.
    #[must_use]
    pub fn keep_requests(mut self, limit: usize) -> Self {
        self.log_limit = limit;
        self
    }
}
