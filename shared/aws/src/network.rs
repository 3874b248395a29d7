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
            self.permitted(name, addresses)
                .map_err(ResolveDnsError::new)
        })
    }
}

impl PermittedResolver {
    fn permitted(&self, name: &str, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, NotPublic> {
        let mut permitted = addresses;
        permitted.retain(|address| permits(self.reach, *address, &self.allowed));
        match permitted.is_empty() {
            true => Err(NotPublic::resolved(name)),
            false => Ok(permitted),
        }
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

    #[test]
    fn of_what_a_name_has_only_the_permitted_addresses_are_handed_out() {
        let ips = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let all = ips(&[
            "169.254.169.254",
            "8.8.8.8",
            "10.1.2.3",
            "::1",
            "2600::1",
            "10.20.0.1",
            "::ffff:8.8.8.8",
        ]);
        for (reach, expected) in [
            (Reach::Public, &["8.8.8.8", "2600::1", "10.20.0.1"][..]),
            (
                Reach::Listed,
                &["8.8.8.8", "10.1.2.3", "2600::1", "10.20.0.1"],
            ),
        ] {
            let allowed = "10.20.0.0/16".parse().unwrap();
            let resolver = PermittedResolver { reach, allowed };
            let handed_out = resolver.permitted("minio.example.com", all.clone());
            assert_eq!(handed_out, Ok(ips(expected)));
            let inside = ips(&["127.0.0.1", "169.254.170.2", "fd00:ec2::254"]);
            let error = resolver.permitted("minio.example.com", inside).unwrap_err();
            assert!(error.to_string().starts_with("minio.example.com has no"));
        }
    }

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
