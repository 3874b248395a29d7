//! The organizations of a key: `/api/apikey/login`.
//!
//! Their ids are what the ExternalId of exports begins with.

use http::Method;
use sealift_core::export::source::SourceError;
use sealift_core::id::OrgId;
use sealift_core::ports::{Clock, Entropy};
use serde::Deserialize;

use crate::call::Call;
use crate::client::Client;
use crate::error::Setback;
use crate::key::ApiKeys;

/// An organization that the key belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Organization {
    /// Its id.
    pub id: OrgId,
    /// Its name, by which a request may name it.
    pub name: String,
    /// Where its data plane is.
    #[serde(default)]
    pub api_url: Option<String>,
}

#[derive(Deserialize)]
struct Login {
    org_info: Vec<Organization>,
}

impl<C: Clock, E: Entropy, K: ApiKeys> Client<C, E, K> {
    /// The organizations that the key belongs to.
    ///
    /// It is known to be answered by `https://www.braintrust.dev`; a data plane serves the
    /// paths below `/api/` too.
    pub async fn organizations(&self) -> Result<Vec<Organization>, SourceError> {
        let call = Call::new("list organizations", "", Method::POST, "/api/apikey/login");
        let answer = self.whole(&call).await.map_err(Setback::into_error)?;
        let login: Login = answer.read()?;
        Ok(login.org_info)
    }
}
