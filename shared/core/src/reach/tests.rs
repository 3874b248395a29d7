//! Endpoints as somebody would write them who wants to get in, and what becomes of each.

use std::collections::BTreeSet;

use super::*;

/// What becomes of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is no endpoint at all.
    NoEndpoint,
    /// It is refused when it is saved.
    Refused,
    /// It may be saved; where its name leads is looked at besides.
    Saved,
    /// It may be saved because the operator has listed it.
    Listed,
}

use Fate::{Listed, NoEndpoint, Refused, Saved};

/// What the operator of these tests opens.
const OPENED: &str = "minio.corp.local, s3:9000, [fd12::7]:9000, 10.9.8.7, 10.20.0.0/16, fd34::/32";

const ENDPOINTS: &[(&str, Fate)] = &[
    // ---- Other schemes, users, and what comes after a host.
    ("http://minio.example.com", NoEndpoint),
    ("HTTPS://minio.example.com", NoEndpoint),
    ("ftp://minio.example.com", NoEndpoint),
    ("file:///etc/passwd", NoEndpoint),
    ("gopher://minio.example.com", NoEndpoint),
    ("//minio.example.com", NoEndpoint),
    ("minio.example.com", NoEndpoint),
    ("https:minio.example.com", NoEndpoint),
    ("https:/minio.example.com", NoEndpoint),
    ("https://", NoEndpoint),
    ("https:///", NoEndpoint),
    ("https://user@minio.example.com", NoEndpoint),
    ("https://user:word@minio.example.com", NoEndpoint),
    ("https://minio.example.com@169.254.169.254", NoEndpoint),
    ("https://minio.example.com:443@127.0.0.1", NoEndpoint),
    ("https://minio.example.com/path", NoEndpoint),
    ("https://minio.example.com//", NoEndpoint),
    ("https://minio.example.com/..", NoEndpoint),
    ("https://minio.example.com?x=y", NoEndpoint),
    ("https://minio.example.com#x", NoEndpoint),
    ("https://minio.example.com\\@127.0.0.1", NoEndpoint),
    ("https://minio.example.com\t.evil.example", NoEndpoint),
    ("https://minio.example.com\r\nhost: x", NoEndpoint),
    ("https://minio example.com", NoEndpoint),
    (" https://minio.example.com", NoEndpoint),
    ("https://minio.example.com ", NoEndpoint),
    ("https://%31%32%37.0.0.1", NoEndpoint),
    ("https://minio.example.com%00.evil.example", NoEndpoint),
    ("https://mini\u{f6}.example.com", NoEndpoint),
    ("https://\u{2460}\u{2461}\u{2466}.0.0.1", NoEndpoint),
    ("https://127\u{3002}0\u{3002}0\u{3002}1", NoEndpoint),
    ("https://[fe80::1%25eth0]", NoEndpoint),
    ("https://minio_1.example.com", NoEndpoint),
    ("https://*.example.com", NoEndpoint),
    // ---- Ports.
    ("https://minio.example.com:0", Refused),
    ("https://minio.example.com:", Refused),
    ("https://minio.example.com:65536", Refused),
    ("https://minio.example.com:-1", Refused),
    ("https://minio.example.com:https", Refused),
    ("https://minio.example.com:9000:9000", Refused),
    ("https://[2600::1]9000", Refused),
    ("https://[2600::1]:", Refused),
    // ---- This machine, by address.
    ("https://127.0.0.1", Refused),
    ("https://127.0.0.1:9001", Refused),
    ("https://127.0.0.1/", Refused),
    ("https://127.0.0.53", Refused),
    ("https://127.1.2.3:443", Refused),
    ("https://127.255.255.255", Refused),
    ("https://0.0.0.0", Refused),
    ("https://0.0.0.0:9000", Refused),
    ("https://0.1.2.3", Refused),
    ("https://[::1]", Refused),
    ("https://[::1]:9000", Refused),
    ("https://[::]", Refused),
    ("https://[0:0:0:0:0:0:0:1]", Refused),
    ("https://[0000:0000:0000:0000:0000:0000:0000:0001]", Refused),
    // ---- This machine, in old spellings.
    ("https://127.1", Refused),
    ("https://127.0.1", Refused),
    ("https://127.", Refused),
    ("https://127.0.0.1.", Refused),
    ("https://2130706433", Refused),
    ("https://2130706433:9000", Refused),
    ("https://017700000001", Refused),
    ("https://0177.0.0.1", Refused),
    ("https://0177.0.0.01.", Refused),
    ("https://0x7f.0.0.1", Refused),
    ("https://0x7f000001", Refused),
    ("https://0X7F000001", Refused),
    ("https://0x7f.1", Refused),
    ("https://127.0.0.0x1", Refused),
    ("https://00000127.0.0.1", Refused),
    ("https://127.0.0.0001", Refused),
    ("https://0", Refused),
    ("https://0x0", Refused),
    ("https://0x", Refused),
    ("https://1.2.3.4.5", Refused),
    ("https://256.256.256.256", Refused),
    ("https://4294967297", Refused),
    // ---- This machine and its network, by name.
    ("https://localhost", Refused),
    ("https://LOCALHOST:9001", Refused),
    ("https://localhost.", Refused),
    ("https://localhost.localdomain", Refused),
    ("https://a.localhost", Refused),
    ("https://a.b.localhost:443", Refused),
    ("https://localdomain", Refused),
    ("https://minio", Refused),
    ("https://sandbox", Refused),
    ("https://printer.local", Refused),
    ("https://nas.local:9000", Refused),
    ("https://nas.home.arpa", Refused),
    ("https://s3.corp.internal", Refused),
    ("https://ip-10-0-0-1.ec2.internal", Refused),
    ("https://metadata.google.internal", Refused),
    ("https://metadata.goog.internal", Refused),
    ("https://s3.invalid", Refused),
    ("https://s3.onion", Refused),
    ("https://minio.example.com.", Refused),
    ("https://.minio.example.com", Refused),
    ("https://minio..example.com", Refused),
    ("https://-minio.example.com", Refused),
    ("https://minio-.example.com", Refused),
    ("https://.", Refused),
    ("https://-", Refused),
    ("https://[minio.example.com]", Refused),
    ("https://[", Refused),
    ("https://]", Refused),
    ("https://[]", Refused),
    // ---- Links and metadata.
    ("https://169.254.169.254", Refused),
    ("https://169.254.169.254:443/", Refused),
    ("https://169.254.170.2", Refused),
    ("https://169.254.170.23", Refused),
    ("https://169.254.0.1", Refused),
    ("https://2852039166", Refused),
    ("https://0xa9fea9fe", Refused),
    ("https://0251.0376.0251.0376", Refused),
    ("https://[fd00:ec2::254]", Refused),
    ("https://[fd00:ec2::23]", Refused),
    ("https://[fe80::1]", Refused),
    ("https://[fe80::a9fe:a9fe]:80", Refused),
    ("https://[febf::1]", Refused),
    ("https://100.100.100.200", Refused),
    ("https://192.0.0.192", Refused),
    // ---- Private networks.
    ("https://10.0.0.1", Refused),
    ("https://10.255.255.255", Refused),
    ("https://10.0.0.0x1", Refused),
    ("https://10.1", Refused),
    ("https://167772161", Refused),
    ("https://172.16.0.1", Refused),
    ("https://172.31.255.255", Refused),
    ("https://192.168.0.1:9000", Refused),
    ("https://192.168.255.255", Refused),
    ("https://100.64.0.1", Refused),
    ("https://100.127.255.255", Refused),
    ("https://[fc00::1]", Refused),
    ("https://[fdff:ffff::1]", Refused),
    ("https://[fec0::1]", Refused),
    // ---- Addresses for other ends.
    ("https://192.0.2.1", Refused),
    ("https://198.51.100.1", Refused),
    ("https://203.0.113.1", Refused),
    ("https://198.18.0.1", Refused),
    ("https://198.19.255.255", Refused),
    ("https://192.88.99.1", Refused),
    ("https://224.0.0.1", Refused),
    ("https://239.255.255.250", Refused),
    ("https://240.0.0.1", Refused),
    ("https://255.255.255.255", Refused),
    ("https://[ff02::1]", Refused),
    ("https://[ff05::2]", Refused),
    ("https://[2001:db8::1]", Refused),
    ("https://[3fff::1]", Refused),
    ("https://[100::1]", Refused),
    // ---- Addresses that stand for others: mapped, compatible, NAT64, 6to4, Teredo.
    ("https://[::ffff:127.0.0.1]", Refused),
    ("https://[::ffff:7f00:1]", Refused),
    ("https://[::ffff:169.254.169.254]", Refused),
    ("https://[::ffff:a9fe:a9fe]", Refused),
    ("https://[::ffff:10.0.0.1]", Refused),
    ("https://[::ffff:8.8.8.8]", Refused),
    ("https://[0:0:0:0:0:ffff:10.20.0.1]", Refused),
    ("https://[::127.0.0.1]", Refused),
    ("https://[::10.0.0.1]", Refused),
    ("https://[64:ff9b::127.0.0.1]", Refused),
    ("https://[64:ff9b::a9fe:a9fe]", Refused),
    ("https://[64:ff9b:1::a00:1]", Refused),
    ("https://[2002:7f00:1::]", Refused),
    ("https://[2002:a9fe:a9fe::1]", Refused),
    ("https://[2002:a14:1::]", Refused),
    ("https://[2001::1]", Refused),
    ("https://[2001:0:7f00:1::]", Refused),
    ("https://[2001:10::1]", Refused),
    ("https://[2001:20::1]", Refused),
    // ---- What the operator has not quite listed.
    ("https://other.corp.local", Refused),
    ("https://a.minio.corp.local", Refused),
    ("https://s3", Refused),
    ("https://s3:9001", Refused),
    ("https://10.9.8.8", Refused),
    ("https://10.21.0.1", Refused),
    ("https://10.19.255.255", Refused),
    ("https://[fd12::7]", Refused),
    ("https://[fd12::8]:9000", Refused),
    ("https://[fd35::1]", Refused),
    // ---- What the operator has listed.
    ("https://minio.corp.local", Listed),
    ("https://MINIO.corp.local:9000", Listed),
    ("https://s3:9000", Listed),
    ("https://10.9.8.7", Listed),
    ("https://10.9.8.7:8443", Listed),
    ("https://10.20.0.0", Listed),
    ("https://10.20.255.255:9000", Listed),
    ("https://[fd12::7]:9000", Listed),
    ("https://[fd34::1]", Listed),
    // ---- What anybody may use.
    ("https://minio.example.com", Saved),
    ("https://minio.example.com/", Saved),
    ("https://minio.example.com:9000", Saved),
    ("https://MinIO.Example.Com:65535", Saved),
    ("https://storage.googleapis.com", Saved),
    ("https://s3.eu-central-1.amazonaws.com", Saved),
    ("https://1.example.com", Saved),
    ("https://127.0.0.1.nip.io", Saved),
    ("https://s3.0x.example", Saved),
    ("https://xn--mini-6qa.example.com", Saved),
    ("https://localhost.example.com", Saved),
    ("https://8.8.8.8", Saved),
    ("https://52.219.0.1:443", Saved),
    ("https://100.63.255.255", Saved),
    ("https://100.128.0.1", Saved),
    ("https://172.15.255.255", Saved),
    ("https://172.32.0.1", Saved),
    ("https://192.0.1.1", Saved),
    ("https://198.20.0.1", Saved),
    ("https://[2600::1]:1", Saved),
    ("https://[2a05:d000::1]", Saved),
    ("https://[2001:4860:4860::8888]", Saved),
];

fn opened() -> Allowed {
    OPENED.parse().unwrap()
}

#[test]
fn each_endpoint_meets_its_fate() {
    let distinct: BTreeSet<&str> = ENDPOINTS.iter().map(|(text, _)| *text).collect();
    assert_eq!(distinct.len(), ENDPOINTS.len(), "one stands there twice");
    assert!(distinct.len() >= 150, "only {}", distinct.len());
    let mut wrong = Vec::new();
    for (text, fate) in ENDPOINTS {
        let met = match Endpoint::parse(*text) {
            Err(_) => NoEndpoint,
            Ok(endpoint) => match judge(&endpoint, &opened()) {
                Err(_) => Refused,
                Ok(Reach::Public) => Saved,
                Ok(Reach::Listed) => Listed,
            },
        };
        if met != *fate {
            wrong.push(format!("{text}: {met:?}, not {fate:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn without_a_list_nothing_is_listed() {
    for (text, fate) in ENDPOINTS {
        let Ok(endpoint) = Endpoint::parse(*text) else {
            continue;
        };
        let judged = judge(&endpoint, &Allowed::default());
        match fate {
            Saved => assert_eq!(judged, Ok(Reach::Public), "{text}"),
            _ => assert!(judged.is_err(), "{text}"),
        }
    }
}

#[test]
fn a_name_leads_only_where_it_may() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let none = Allowed::default();
    for inside in [
        "10.0.0.1",
        "10.20.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "::1",
        "::ffff:10.20.0.1",
        "64:ff9b::8.8.8.8",
        "2002:808:808::",
        "fd34::1",
        "fd00:ec2::254",
        "fe80::1",
        "0.0.0.0",
        "224.0.0.1",
    ] {
        assert!(!permits(Reach::Public, ip(inside), &none), "{inside}");
    }
    // A network is open to any name, a private address to a listed one, and some to nobody.
    assert!(permits(Reach::Public, ip("10.20.3.4"), &opened()));
    assert!(permits(Reach::Public, ip("fd34::9"), &opened()));
    assert!(!permits(Reach::Public, ip("10.21.3.4"), &opened()));
    assert!(permits(Reach::Listed, ip("10.21.3.4"), &opened()));
    assert!(permits(Reach::Listed, ip("8.8.8.8"), &opened()));
    for never in [
        "127.0.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "0.0.0.0",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:10.20.0.1",
        "64:ff9b::a14:1",
        "2002:a14:1::",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        assert!(!permits(Reach::Listed, ip(never), &opened()), "{never}");
    }
}

#[test]
fn an_operator_cannot_open_what_must_stay_shut() {
    for term in [
        "127.0.0.1",
        "127.0.0.0/8",
        "169.254.169.254",
        "169.254.0.0/16",
        "0.0.0.0/0",
        "0.0.0.0",
        "::/0",
        "::1",
        "[::1]:9000",
        "fe80::/10",
        "fd00:ec2::/32",
        "fd00::/16",
        "fc00::/7",
        "224.0.0.0/4",
        "8.8.8.0/24",
        "10.0.0.0/7",
        "10.0.0.1/16",
        "10.0.0.0/33",
        "10.0.0.0/x",
        "/16",
        "10.0.0.0/",
        "2130706433",
        "0x7f000001",
        "127.1",
        "minio:0",
        "minio:port",
        "minio.example.com:70000",
        "https://minio.example.com",
        "user@minio",
        "a..b",
        "*.example.com",
        "::ffff:10.0.0.0/104",
        "64:ff9b::/96",
        "100.64.0.0/9",
        "172.16.0.0/11",
        "192.168.0.0/15",
    ] {
        let error = term.parse::<Allowed>().unwrap_err().to_string();
        assert!(error.contains(term), "{error}");
    }
    for term in [
        "",
        " , ",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "fd12::/16",
        "10.1.2.3/32",
        "fdff::/64",
        "minio",
        "minio:9000",
        "MINIO.corp:1",
        "10.1.2.3:9000",
        "[fd12::1]",
    ] {
        assert!(term.parse::<Allowed>().is_ok(), "{term}");
    }
}
