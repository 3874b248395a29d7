//! Where connections to customer-given endpoints may go: the public internet only.
//!
//! An endpoint that a customer names is a way into the network that Sealift runs in. Its host
//! is resolved anew for each connection, so checking it when it is saved is not enough: the
//! resolver itself hands out public addresses only, and an address written in place of a
//! name, for which no resolver is asked, is checked before the client is made.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use sealift_core::destination::Endpoint;

/// A host that has no address on the public internet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotPublic {
    host: String,
}

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has no address on the public internet", self.host)
    }
}

impl std::error::Error for NotPublic {}

/// Refuses an endpoint whose host is an address, and not a public one; and one that is an address
/// to the operating system alone, such as `127.1`.
pub fn check_endpoint(endpoint: &Endpoint) -> Result<(), NotPublic> {
    let host = host(endpoint);
    let public = host.parse().map_or(!ends_in_a_number(host), is_public);
    if public {
        return Ok(());
    }
    Err(NotPublic {
        host: host.to_owned(),
    })
}

/// No name of the public internet does, but addresses in their old forms do.
///
/// Source: <https://url.spec.whatwg.org/#ends-in-a-number-checker>
fn ends_in_a_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last
        .strip_prefix("0x")
        .or_else(|| last.strip_prefix("0X"))
        .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    hexadecimal || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
}

/// The host of an endpoint, without port and brackets.
fn host(endpoint: &Endpoint) -> &str {
    let text = endpoint.as_str();
    let authority = text.strip_prefix("https://").unwrap_or(text);
    let authority = authority.trim_end_matches('/');
    if let Some((address, _)) = authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return address;
    }
    match authority.rsplit_once(':') {
        // More colons are an address without its brackets.
        Some((host, _port)) if !host.contains(':') => host,
        _ => authority,
    }
}

/// Whether an address is one of the public internet. What stands for another address
/// (mapped, 6to4, Teredo, NAT64) is not, whatever it stands for.
///
/// Sources: <https://www.iana.org/assignments/iana-ipv4-special-registry>,
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        // Shared by carriers (100.64.0.0/10), of the IETF, 6to4 relays, benchmarks.
        || (a == 100 && (b & 0xc0) == 64)
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && (b & 0xfe) == 18);
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let global_unicast = (first & 0xe000) == 0x2000;
    // Of the IETF (Teredo among them), documentation, 6to4, documentation again.
    let special = (first == 0x2001 && (second < 0x0200 || second == 0x0db8))
        || first == 0x2002
        || (first == 0x3fff && second < 0x1000);
    global_unicast && !special
}

/// Resolves names by the operating system and hands out public addresses only.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PublicResolver;

impl ResolveDns for PublicResolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await;
            let addresses = addresses.map_err(ResolveDnsError::new)?;
            let public: Vec<IpAddr> = addresses
                .map(|address| address.ip())
                .filter(|ip| is_public(*ip))
                .collect();
            if public.is_empty() {
                let host = name.to_owned();
                return Err(ResolveDnsError::new(NotPublic { host }));
            }
            Ok(public)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for inside in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::a00:1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:a00:1::",
            "3fff::1",
            "::10.0.0.1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "8.8.8.8",
            "1.1.1.1",
            "52.219.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2600:1f18::1",
            "2a05:d000::1",
            "2001:4860:4860::8888",
        ] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn an_address_in_place_of_a_name_is_checked_with_and_without_port() {
        for inside in [
            "https://127.0.0.1",
            "https://169.254.169.254:443/",
            "https://[::1]:9000",
            "https://[fd00:ec2::254]",
            "https://127.1",
            "https://2130706433:9000",
            "https://0x7f000001",
            "https://10.0.0.0x1",
            "https://0177.0.0.01.",
        ] {
            let endpoint = Endpoint::parse(inside).unwrap();
            assert!(check_endpoint(&endpoint).is_err(), "{inside}");
        }
        for outside in [
            "https://minio.example.com:9000",
            "https://8.8.8.8",
            "https://[2600::1]:1",
            "https://1.example.com",
            "https://s3.0x.example",
        ] {
            assert_eq!(check_endpoint(&Endpoint::parse(outside).unwrap()), Ok(()));
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_resolves_to_nothing() {
        // `127.1` is no address to Rust, but one to the operating system.
        for name in ["localhost", "127.1"] {
            let error = PublicResolver.resolve_dns(name).await.unwrap_err();
            assert!(
                crate::error::in_words(&error).contains("public internet"),
                "{name}"
            );
        }
    }
}
