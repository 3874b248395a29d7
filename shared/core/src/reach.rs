//! Where connections to customer-given endpoints may go: the public internet, and what an operator opens.
//!
//! An endpoint that a customer names is a way into the network that Sealift runs in. It is looked at when it is saved
//! ([`judge`], and the addresses that its name has then), and once more at each connection, whose resolver hands out
//! permitted addresses only: a name may have another address by then.
//!
//! Sources: <https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>,
//! <https://www.iana.org/assignments/special-use-domain-names>

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::destination::Endpoint;

pub use self::allowed::{Allowed, BadAllowance};

mod allowed;

/// Names that are nobody's in the public internet, with all below them: of the machine, of its network, of a cloud's
/// metadata (`metadata.google.internal`).
const NEVER_PUBLIC: [&str; 7] = [
    "home.arpa",
    "internal",
    "invalid",
    "local",
    "localdomain",
    "localhost",
    "onion",
];

/// Why an endpoint is not connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotPublic {
    host: String,
    why: &'static str,
}

impl NotPublic {
    /// A host none of whose addresses is public.
    pub fn resolved(host: impl Into<String>) -> Self {
        let why = "has no address on the public internet";
        Self {
            host: host.into(),
            why,
        }
    }
}

impl fmt::Display for NotPublic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.host, self.why)
    }
}

impl std::error::Error for NotPublic {}

/// By what right an endpoint is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It may be anywhere on the public internet.
    Public,
    /// The operator has listed its host: it may have addresses of a private network.
    Listed,
}

/// Refuses an endpoint whose host is an address, and not a permitted one; one that is an address to the operating
/// system alone, such as `127.1`; and a name that cannot be public. What a name resolves to is not looked at.
pub fn judge(endpoint: &Endpoint, allowed: &Allowed) -> Result<Reach, NotPublic> {
    let authority = Authority::of(endpoint);
    let host = authority.host.to_ascii_lowercase();
    let refuse = |why| {
        Err(NotPublic {
            host: authority.host.to_owned(),
            why,
        })
    };
    let Some(port) = authority.port else {
        return refuse("has a port that is none: it must be 1 to 65535");
    };
    let listed = allowed.lists(&host, port);
    if let Ok(address) = host.parse::<IpAddr>() {
        return match is_public(address) {
            true => Ok(Reach::Public),
            false if is_openable(address) && (listed || allowed.holds(address)) => {
                Ok(Reach::Listed)
            }
            false => refuse("is no address on the public internet"),
        };
    }
    if authority.bracketed {
        return refuse("is no address, and stands in brackets");
    }
    if ends_in_a_number(&host) {
        return refuse("is an address in a form that is not used for public ones");
    }
    if !is_name(&host) {
        return refuse("is no host's name");
    }
    if listed {
        return Ok(Reach::Listed);
    }
    let below = |top: &&str| {
        host.strip_suffix(*top)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if !host.contains('.') || NEVER_PUBLIC.iter().any(below) {
        return refuse("is no name of the public internet");
    }
    Ok(Reach::Public)
}

/// The host of an endpoint, without port and brackets.
pub fn host_of(endpoint: &Endpoint) -> &str {
    Authority::of(endpoint).host
}

/// Whether a connection may go to an address of an endpoint that was [judged](judge) so.
pub fn permits(reach: Reach, address: IpAddr, allowed: &Allowed) -> bool {
    is_public(address)
        || (is_openable(address) && (reach == Reach::Listed || allowed.holds(address)))
}

/// An endpoint's host and port.
struct Authority<'a> {
    host: &'a str,
    bracketed: bool,
    /// Nothing if it is no port.
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn of(endpoint: &'a Endpoint) -> Self {
        let text = endpoint.as_str();
        let authority = text.strip_prefix("https://").unwrap_or(text);
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, rest) = match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
            Some(parts) => parts,
            // More colons are an address without its brackets.
            None if authority.matches(':').count() > 1 => (authority, ""),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => Some(443),
            None => None,
            Some(digits) => digits.parse().ok().filter(|port| *port > 0),
        };
        Self {
            host,
            bracketed: authority.starts_with('['),
            port,
        }
    }
}

/// Whether a text is a name by the rules of the domain name system, as far as hosts have them.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
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

/// Whether an address is one of the public internet. What stands for another address (mapped, 6to4, Teredo,
/// NAT64) is not, whatever it stands for.
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

/// Whether an operator may open an address: those of private networks, and nothing else. Not this machine's
/// (`127.0.0.1`, where Lambda's runtime API is), not a link's (`169.254.169.254` and `169.254.170.2`, where credentials
/// are given away), nor AWS's own of that kind (`fd00:ec2::/32`).
///
/// Sources: <https://www.rfc-editor.org/rfc/rfc1918>, <https://www.rfc-editor.org/rfc/rfc6598>,
/// <https://www.rfc-editor.org/rfc/rfc4193>,
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>
pub fn is_openable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            address.is_private() || (a == 100 && (b & 0xc0) == 64)
        }
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            (first & 0xfe00) == 0xfc00 && (first, second) != (0xfd00, 0x0ec2)
        }
    }
}

#[cfg(test)]
mod tests;
