//! What an operator opens beside the public internet.

use std::net::IpAddr;
use std::str::FromStr;

use super::{is_name, is_openable};

/// The hosts and networks that an operator opens, for services on premises.
///
/// A list, separated by commas, of hosts (`minio.corp.example`, with `:9000` for one port alone; an IPv6 address in
/// brackets) and of networks (`10.20.0.0/16`, `fd12:3456::/32`). A host may then have addresses of a private network;
/// a network's addresses may be any host's. Nothing opens this machine, its link, or a metadata service.
///
/// ```
/// use sealift_core::reach::Allowed;
/// assert!("minio.corp.example:9000, 10.20.0.0/16".parse::<Allowed>().is_ok());
/// assert!("169.254.0.0/16".parse::<Allowed>().is_err());
/// assert!("0.0.0.0/0".parse::<Allowed>().is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    hosts: Vec<(String, Option<u16>)>,
    networks: Vec<Network>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// A term of the list that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{term:?} {reason}")]
pub struct BadAllowance {
    term: String,
    reason: &'static str,
}

impl FromStr for Allowed {
    type Err = BadAllowance;

    fn from_str(text: &str) -> Result<Self, BadAllowance> {
        let mut allowed = Self::default();
        for term in text
            .split(',')
            .map(str::trim)
            .filter(|term| !term.is_empty())
        {
            let bad = |reason| BadAllowance {
                term: term.to_owned(),
                reason,
            };
            if term.contains('/') {
                allowed.networks.push(Network::parse(term).map_err(bad)?);
            } else {
                allowed.hosts.push(host(term).map_err(bad)?);
            }
        }
        Ok(allowed)
    }
}

impl Allowed {
    /// Whether a host, in small letters, is listed for a port.
    pub(super) fn lists(&self, host: &str, port: u16) -> bool {
        let fits =
            |(listed, at): &(String, Option<u16>)| listed == host && at.is_none_or(|at| at == port);
        self.hosts.iter().any(fits)
    }

    /// Whether an address is in a network that is listed.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.holds(address))
    }
}

fn host(term: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match term.strip_prefix('[').and_then(|term| term.split_once(']')) {
        Some(parts) => parts,
        None => term.split_at(term.find(':').unwrap_or(term.len())),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return Err("must be a host, with `:` and a port or without"),
        Some(digits) => match digits.parse() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err("has a port that is none: it must be 1 to 65535"),
        },
    };
    let host = host.to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(address) if !is_openable(address) => Err(NOT_OPENABLE),
        Err(_) if super::ends_in_a_number(&host) || !is_name(&host) => {
            Err("is neither a host's name nor an address nor a network such as 10.20.0.0/16")
        }
        Ok(_) | Err(_) => Ok((host, port)),
    }
}

const NOT_OPENABLE: &str = "cannot be opened: only private networks can (10.0.0.0/8, 172.16.0.0/12, \
    192.168.0.0/16, 100.64.0.0/10, fc00::/7 without fd00:ec2::/32), and what is public is open";

impl Network {
    fn parse(term: &str) -> Result<Self, &'static str> {
        let form = "is no network: write one as 10.20.0.0/16";
        let (address, bits) = term.split_once('/').ok_or(form)?;
        let address: IpAddr = address.parse().map_err(|_| form)?;
        let bits: u8 = bits.parse().map_err(|_| form)?;
        let network = Self { address, bits };
        let width = network.width();
        if bits > width {
            return Err(form);
        }
        let first = Self::number(address);
        let last = first | network.beyond();
        if first & network.beyond() != 0 {
            return Err("has bits set beyond its length: write its first address");
        }
        // The openable ranges have no holes but one, so that both ends and that one tell.
        let ends = [first, last].map(|number| network.address_of(number));
        let hole = IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0));
        let one_range = width == 128 || bits >= 8;
        if !one_range || !ends.into_iter().all(is_openable) || network.holds(hole) {
            return Err(NOT_OPENABLE);
        }
        Ok(network)
    }

    fn width(self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// The bits beyond its length.
    fn beyond(self) -> u128 {
        let free = u32::from(self.width().saturating_sub(self.bits));
        1_u128.checked_shl(free).map_or(u128::MAX, |end| end - 1)
    }

    fn number(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        }
    }

    fn address_of(self, number: u128) -> IpAddr {
        match (self.address, u32::try_from(number)) {
            (IpAddr::V4(_), Ok(number)) => IpAddr::V4(number.into()),
            _ => IpAddr::V6(number.into()),
        }
    }

    fn holds(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && (Self::number(self.address) ^ Self::number(address)) & !self.beyond() == 0
    }
}
