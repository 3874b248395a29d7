//! Connections to customer-given endpoints: to public addresses, and to what an operator opens.
//!
//! The host of an endpoint is resolved anew for each connection, so judging it when it is saved is not enough: the
//! resolver itself hands out permitted addresses only. An address written in place of a name, for which no resolver is
//! asked, is [judged](sealift_core::reach::judge) before the client is made.

use std::net::IpAddr;

use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use sealift_core::reach::{Allowed, NotPublic, Reach, permits};

/// Resolves names by the operating system and hands out permitted addresses only.
#[derive(Debug, Clone)]
pub(crate) struct PermittedResolver {
    pub(crate) reach: Reach,
    pub(crate) allowed: Allowed,
}

impl ResolveDns for PermittedResolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let addresses = addresses(name).await.map_err(ResolveDnsError::new)?;
            let permitted = addresses.into_iter();
            let permitted: Vec<IpAddr> = permitted
                .filter(|address| permits(self.reach, *address, &self.allowed))
                .collect();
            if permitted.is_empty() {
                return Err(ResolveDnsError::new(NotPublic::resolved(name)));
            }
            Ok(permitted)
        })
    }
}

/// The addresses that a name has at this moment.
pub(crate) async fn addresses(name: &str) -> std::io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_this_machine_resolves_to_nothing_whatever_is_opened() {
        // `127.1` is no address to Rust, but one to the operating system.
        for name in ["localhost", "127.1"] {
            for reach in [Reach::Public, Reach::Listed] {
                let allowed = "10.0.0.0/8".parse().unwrap();
                let resolver = PermittedResolver { reach, allowed };
                let error = resolver.resolve_dns(name).await.unwrap_err();
                let words = crate::error::in_words(&error);
                assert!(words.contains("public internet"), "{name}: {words}");
            }
        }
    }
}
