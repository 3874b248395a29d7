//! Identifiers: every name that enters Sealift is parsed into a type that can only hold a
//! valid one.
//!
//! Each type states its invariant. They all have `parse`, `as_str`, `Display`, `FromStr`
//! and serde implementations that parse; [`InvalidId`] says which kind of name was refused
//! and why.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name that does not keep its type's invariant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?} is not valid: {reason}")]
pub struct InvalidId {
    /// What the name was meant to be, in words: `organization id`, `bucket name`.
    pub kind: &'static str,
    /// The refused text, cut to 80 characters.
    pub value: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

impl InvalidId {
    pub(crate) fn new(kind: &'static str, value: &str, reason: &'static str) -> Self {
        Self {
            kind,
            value: value.chars().take(80).collect(),
            reason,
        }
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Parses the text of a ", $kind, "; [`InvalidId`] names the broken rule.")]
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let check: fn(&str) -> Result<(), &'static str> = $check;
                match check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(reason) => Err(InvalidId::new($kind, &text, reason)),
                }
            }

            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

/// What may stand in an identifier that becomes part of an ExternalId: the characters that
/// STS allows there (`[\w+=,.@:\/-]`) without `:`, which separates its parts, and `/`.
fn plain_id(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 128 {
        return Err("it must have 1 to 128 characters");
    }
    if text == "." || text == ".." {
        return Err("it may not be `.` or `..`");
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
    {
        return Err(
            "only ASCII letters, digits and `_+=,.@-` may stand in it (no `:`, `*`, `?` or `/`)",
        );
    }
    Ok(())
}

identifier! {
    /// A tenant: an organization of the platform whose events are delivered.
    ///
    /// 1 to 128 ASCII letters, digits or `_+=,.@-`, and neither `.` nor `..`. So it can stand
    /// in an ExternalId (`bt:<org>:…`) without ever widening a pattern or shifting a part.
    ///
    /// ```
    /// use sealift_core::id::OrgId;
    /// assert!(OrgId::parse("5abfae3a-7aa7-4653-a9c8-b3efcb18f584").is_ok());
    /// assert!(OrgId::parse("acme:*").is_err());
    /// ```
    OrgId, "organization id", plain_id
}

identifier! {
    /// A project of an organization; the same characters as [`OrgId`].
    ProjectId, "project id", plain_id
}

identifier! {
    /// A destination of an organization; the same characters as [`OrgId`].
    DestinationId, "destination id", plain_id
}

identifier! {
    /// An automation that exports a project's rows; the same characters as [`OrgId`].
    AutomationId, "automation id", plain_id
}

identifier! {
    /// An S3 bucket: 3 to 63 lower-case letters, digits, `.` and `-`, beginning and ending with
    /// a letter or digit, without `..`, and not in the form of an IPv4 address.
    ///
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
    BucketName, "bucket name", |text| {
        if !(3..=63).contains(&text.len()) {
            return Err("it must have 3 to 63 characters");
        }
        let alphanumeric = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = text.as_bytes();
        if !bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(b)) {
            return Err("only lower-case letters, digits, `.` and `-` may stand in it");
        }
        if !alphanumeric(bytes.first()) || !alphanumeric(bytes.last()) {
            return Err("it must begin and end with a letter or digit");
        }
        if text.contains("..") {
            return Err("two dots may not stand side by side");
        }
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err("it may not look like an IP address");
        }
        Ok(())
    }
}

/// What may stand in a key that Sealift writes: no control characters, no empty, `.` or `..`
/// segment, so that neither S3 tools nor file systems read it as another place.
fn key_segments(text: &str) -> Result<(), &'static str> {
    if text.chars().any(char::is_control) {
        return Err("no control character may stand in it");
    }
    if text.contains('\\') {
        return Err("no backslash may stand in it");
    }
    if text.starts_with('/') {
        return Err("it may not begin with `/`");
    }
    for segment in text.trim_end_matches('/').split('/') {
        if segment == "." || segment == ".." {
            return Err("no segment may be `.` or `..`");
        }
        if segment.is_empty() && !text.is_empty() {
            return Err("no segment may be empty");
        }
    }
    if text.ends_with("//") {
        return Err("no segment may be empty");
    }
    Ok(())
}

identifier! {
    /// The folder in a bucket below which Sealift writes: empty, or segments that each end
    /// with `/`; at most 512 bytes; no control character, backslash, empty, `.` or `..`
    /// segment. [`KeyPrefix::normalize`] takes what people type.
    KeyPrefix, "key prefix", |text| {
        if text.len() > 512 {
            return Err("it may have at most 512 bytes");
        }
        if !text.is_empty() && !text.ends_with('/') {
            return Err("it must end with `/`");
        }
        key_segments(text)
    }
}

impl KeyPrefix {
    /// Parses a prefix as people write it: a missing `/` at the end is added.
    ///
    /// ```
    /// use sealift_core::id::KeyPrefix;
    /// assert_eq!(KeyPrefix::normalize("audit-events").unwrap().as_str(), "audit-events/");
    /// assert!(KeyPrefix::normalize("../other").is_err());
    /// ```
    pub fn normalize(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() || text.ends_with('/') {
            Self::parse(text)
        } else {
            Self::parse(format!("{text}/"))
        }
    }
}

identifier! {
    /// The key of an object: 1 to 1,024 bytes (S3's limit), segments as in [`KeyPrefix`], and
    /// no `/` at the end.
    ObjectKey, "object key", |text| {
        if text.is_empty() || text.len() > 1024 {
            return Err("it must have 1 to 1,024 bytes");
        }
        if text.ends_with('/') {
            return Err("it may not end with `/`");
        }
        key_segments(text)
    }
}

impl ObjectKey {
    /// A key whose form the caller fixes and tests: no text from outside may stand in it but
    /// identifiers.
    pub(crate) fn of_known_form(text: String) -> Self {
        debug_assert!(Self::parse(text.clone()).is_ok(), "{text:?}");
        Self(text)
    }
}

identifier! {
    /// A replay of a destination: 1 to 32 lower-case letters and digits.
    ReplayId, "replay id", |text| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(())
        } else {
            Err("it must be 1 to 32 lower-case letters and digits")
        }
    }
}

impl ReplayId {
    /// The id of random bits: 16 hexadecimal digits.
    pub fn of_bits(bits: u128) -> Self {
        Self(format!("{:016x}", bits & u128::from(u64::MAX)))
    }
}

identifier! {
    /// An AWS account: 12 digits.
    AccountId, "AWS account id", |text| {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(())
        } else {
            Err("it must be 12 digits")
        }
    }
}

identifier! {
    /// The ARN of an IAM role: `arn:<partition>:iam::<12 digits>:role/<path and name>`.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>
    RoleArn, "role ARN", |text| {
        role_account(text).map(|_| ())
    }
}

const ROLE_ARN_FORM: &str = "it must have the form arn:aws:iam::<12 digits>:role/<name>";

fn role_account(text: &str) -> Result<&str, &'static str> {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next().ok_or(ROLE_ARN_FORM);
    let (arn, partition, service, region, account, resource) =
        (next()?, next()?, next()?, next()?, next()?, next()?);
    let name = resource.strip_prefix("role/").ok_or(ROLE_ARN_FORM)?;
    let partition_known = matches!(partition, "aws" | "aws-cn" | "aws-us-gov");
    if arn != "arn" || !partition_known || service != "iam" || !region.is_empty() {
        return Err(ROLE_ARN_FORM);
    }
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        return Err("its account must be 12 digits");
    }
    let name_ok = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&b);
    if name.is_empty() || name.len() > 576 || name.ends_with('/') || !name.bytes().all(name_ok) {
        return Err("its name may hold letters, digits and `_+=,.@-`, and `/` in its path");
    }
    Ok(account)
}

impl RoleArn {
    /// The account that the role lives in.
    pub fn account(&self) -> &str {
        role_account(&self.0).unwrap_or_default()
    }

    /// The ARN's partition: `aws`, `aws-cn` or `aws-us-gov`.
    pub fn partition(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or("aws")
    }

    /// The role's name, without its path.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

/// A Braintrust transaction id: an unsigned 64-bit number, carried as a decimal string because
/// it exceeds what a double holds. Ordered as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct XactId(u64);

impl XactId {
    /// Before every transaction.
    pub const ZERO: Self = Self(0);

    /// What stands in the upper 16 bits of every transaction id. Inferred from recorded rows.
    const MARK: u64 = 0x0de1 << 48;

    /// The greatest id before the second of the time: as an exclusive bound (`_xact_id > …`)
    /// it leaves out what is older and lets in all of that second.
    ///
    /// Times before 1970 give the first second, those after 2106 the last.
    ///
    /// ```
    /// use sealift_core::id::XactId;
    /// let bound = XactId::before("2025-11-21T00:00:00Z".parse().unwrap());
    /// assert!(bound < XactId::parse("1000196176995155968").unwrap());
    /// assert_eq!(bound.epoch_seconds() + 1, 1_763_683_200);
    /// ```
    pub fn before(time: jiff::Timestamp) -> Self {
        let second = u32::try_from(time.as_second().max(0)).unwrap_or(u32::MAX);
        Self((Self::MARK | (u64::from(second) << 16)).saturating_sub(1))
    }

    /// From the number.
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// Parses decimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(value) if digits => Ok(Self(value)),
            _ => Err(InvalidId::new(
                "transaction id",
                text,
                "it must be decimal digits of an unsigned 64-bit number",
            )),
        }
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The transaction's second since 1970, which stands in bits 16 to 47.
    ///
    /// Inferred from recorded rows (63 of 63 agree), not from a published rule.
    pub fn epoch_seconds(self) -> u32 {
        u32::try_from((self.0 >> 16) & 0xffff_ffff).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for XactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for XactId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<XactId> for String {
    fn from(id: XactId) -> String {
        id.0.to_string()
    }
}

/// The number of a segment in the audit log. Dense within an epoch, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The first number of a new log.
    pub const FIRST: Self = Self(1);

    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number before this one, and zero for zero.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// 20 digits: the width of the largest `u64`, so that names sort as numbers do.
impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_organization_cannot_hold_what_would_widen_a_pattern() {
        for bad in ["", "a:b", "*", "a?", "a/b", ".", "..", "a b", "ä", "a\n"] {
            assert!(OrgId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(OrgId::parse("a".repeat(129)).is_err());
        assert!(OrgId::parse("ec2.amazonaws.com").is_ok());
    }

    #[test]
    fn a_prefix_cannot_climb_out_or_hide_characters() {
        for bad in [
            "/a/", "a//", "a/../", "../", "./", "a/./b/", "a\u{0}/", "a\n/", "a\\b/", "/", "a",
        ] {
            assert!(KeyPrefix::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["", "audit-events/", "a/b/", "ünï/", "...a/", "a b/"] {
            assert!(KeyPrefix::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn bucket_names_follow_the_published_rules() {
        for bad in [
            "ab",
            "A-bucket",
            "-ab",
            "ab-",
            "a..b",
            "192.168.5.4",
            "a_b",
            "a/b",
            "a@b.c",
        ] {
            assert!(BucketName::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["abc", "tenant-ec2", "logs.example.com", "1ab"] {
            assert!(BucketName::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_role_arn_gives_account_and_name() {
        let arn = RoleArn::parse("arn:aws:iam::123456789012:role/team/export").unwrap();
        assert_eq!(
            (arn.account(), arn.name(), arn.partition()),
            ("123456789012", "export", "aws")
        );
        for bad in [
            "arn:aws:iam::123456789012:user/x",
            "arn:aws:iam::12345:role/x",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam:us-east-1:123456789012:role/x",
            "arn:aws:iam::123456789012:role/*",
            "role/x",
        ] {
            assert!(RoleArn::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_transaction_id_beyond_2_to_the_53_is_exact() {
        let id = XactId::parse("1000197156529394086").unwrap();
        assert_eq!(id.to_string(), "1000197156529394086");
        assert_eq!(id.epoch_seconds(), 1_778_629_706);
        assert!(XactId::parse("-1").is_err());
        assert!(XactId::parse("+1").is_err());
        assert!(XactId::parse("").is_err());
    }

    #[test]
    fn the_error_names_kind_value_and_rule() {
        let error = BucketName::parse("Bad_Bucket").unwrap_err();
        assert_eq!(
            error.to_string(),
            "bucket name \"Bad_Bucket\" is not valid: only lower-case letters, digits, `.` and `-` may stand in it"
        );
    }

    proptest! {
        #[test]
        fn sequences_sort_as_numbers_do(a: u64, b: u64) {
            prop_assert_eq!(a.cmp(&b), Sequence(a).to_string().cmp(&Sequence(b).to_string()));
        }
    }
}
