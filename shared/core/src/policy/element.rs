//! The small parts that statements are made of: lists, actions, resources, partitions.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::ser::{Serialize, Serializer};

use crate::id::{BucketName, InvalidId, KeyPrefix, RoleArn};

/// One or more values. IAM's JSON may leave out the brackets around a single one; so it is
/// read both ways, and written without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T> {
    first: T,
    more: Vec<T>,
}

impl<T> List<T> {
    /// A list of one.
    pub fn one(value: T) -> Self {
        Self {
            first: value,
            more: Vec::new(),
        }
    }

    /// The values as a list, unless there are none.
    pub fn from_values(values: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut values = values.into_iter();
        Some(Self {
            first: values.next()?,
            more: values.collect(),
        })
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// The values, given away.
    pub fn into_values(self) -> Vec<T> {
        let mut values = self.more;
        values.insert(0, self.first);
        values
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.more.is_empty() {
            self.first.serialize(serializer)
        } else {
            serializer.collect_seq(self.iter())
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one value, or a list of at least one")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<List<T>, A::Error> {
        let values = Vec::<T>::deserialize(SeqAccessDeserializer::new(values))?;
        List::from_values(values).ok_or_else(|| A::Error::invalid_length(0, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<List<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(List::one)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<List<T>, E> {
        T::deserialize(text.into_deserializer()).map(List::one)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<List<T>, E> {
        T::deserialize(value.into_deserializer()).map(List::one)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<List<T>, E> {
        T::deserialize(value.into_deserializer()).map(List::one)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<List<T>, E> {
        T::deserialize(value.into_deserializer()).map(List::one)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<List<T>, E> {
        T::deserialize(value.into_deserializer()).map(List::one)
    }
}

macro_rules! pattern_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Parses an ", $kind, "; [`InvalidId`] names the broken rule.")]
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let check: fn(&str) -> Result<(), &'static str> = $check;
                check(&text).map_err(|reason| InvalidId::new($kind, &text, reason))?;
                Ok(Self(text))
            }

            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(pattern: $name) -> String {
                pattern.0
            }
        }
    };
}

pattern_type! {
    /// The actions that a statement is about: `*`, or `<service>:<name>` with wildcards.
    /// Matched without regard to case.
    ActionPattern, "action", |text| match text.split_once(':') {
        _ if text == "*" => Ok(()),
        Some((service, name)) if !service.is_empty() && !name.is_empty() => Ok(()),
        _ => Err("it must be `*` or have the form <service>:<name>"),
    }
}

pattern_type! {
    /// The resources that a statement is about: `*`, or an ARN with wildcards, whose last part
    /// may hold policy variables. Case counts. It is matched as one text, so that a `*` may
    /// reach beyond a colon: AWS says so of one that ends a part of the ARN, and leaves the
    /// others open.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>
    ResourcePattern, "resource", |text| {
        if text == "*" || text.starts_with("arn:") {
            Ok(())
        } else {
            Err("it must be `*` or begin with `arn:`")
        }
    }
}

impl ActionPattern {
    /// An action that is written in this crate; tests read every built document back.
    pub(super) fn known(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl ResourcePattern {
    /// A bucket itself, as in `s3:ListBucket`.
    pub fn bucket(partition: Partition, bucket: &BucketName) -> Self {
        Self(format!("arn:{partition}:s3:::{bucket}"))
    }

    /// Every object whose key begins with the prefix, letter for letter: `*`, `?` and `$` in
    /// the prefix are escaped.
    pub fn objects(partition: Partition, bucket: &BucketName, prefix: &KeyPrefix) -> Self {
        let mut text = Self::bucket(partition, bucket).0 + "/";
        for c in prefix.as_str().chars() {
            match c {
                '*' | '?' | '$' => text.extend(['$', '{', c, '}']),
                c => text.push(c),
            }
        }
        text.push('*');
        Self(text)
    }

    /// Every object of a bucket.
    pub fn everything_in(partition: Partition, bucket: &BucketName) -> Self {
        Self(Self::bucket(partition, bucket).0 + "/*")
    }

    /// A resource that was parsed as an ARN before and holds no wildcard.
    pub(super) fn known(arn: &str) -> Self {
        Self(arn.to_owned())
    }
}

/// A part of AWS with its own accounts and ARNs.
///
/// Source: <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Partition {
    /// `aws`: the commercial regions.
    #[default]
    Aws,
    /// `aws-cn`: China.
    China,
    /// `aws-us-gov`: the US government's regions.
    UsGov,
}

impl Partition {
    /// The partition that a role lives in.
    pub fn of(role: &RoleArn) -> Self {
        match role.partition() {
            "aws-cn" => Self::China,
            "aws-us-gov" => Self::UsGov,
            _ => Self::Aws,
        }
    }

    /// Its name in ARNs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::UsGov => "aws-us-gov",
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Partition {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        [Self::Aws, Self::China, Self::UsGov]
            .into_iter()
            .find(|partition| partition.as_str() == text)
            .ok_or_else(|| {
                InvalidId::new(
                    "partition",
                    text,
                    "it must be `aws`, `aws-cn` or `aws-us-gov`",
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::pattern::Pattern;
    use crate::policy::{Context, Version};
    use proptest::prelude::*;

    #[test]
    fn a_single_value_needs_no_brackets_and_gets_none() {
        for json in [r#""s3:*""#, r#"["s3:*"]"#] {
            let list: List<ActionPattern> = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&list).unwrap(), r#""s3:*""#);
        }
        let json = r#"["s3:*","kms:*"]"#;
        let list: List<ActionPattern> = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&list).unwrap(), json);
        assert_eq!(list.into_values().len(), 2);
    }

    #[test]
    fn an_empty_list_is_refused() {
        let error = serde_json::from_str::<List<ActionPattern>>("[]").unwrap_err();
        assert!(error.to_string().contains("at least one"), "{error}");
        assert!(List::<u8>::from_values([]).is_none());
    }

    #[test]
    fn the_broken_rule_is_named_inside_a_list_too() {
        for json in [r#""PutObject""#, r#"["PutObject"]"#] {
            let error = serde_json::from_str::<List<ActionPattern>>(json).unwrap_err();
            assert!(error.to_string().contains("<service>:<name>"), "{error}");
        }
        assert!(ResourcePattern::parse("bucket/*").is_err());
    }

    #[test]
    fn a_partition_comes_from_its_name_and_from_a_role() {
        for name in ["aws", "aws-cn", "aws-us-gov"] {
            let role = RoleArn::parse(format!("arn:{name}:iam::123456789012:role/r")).unwrap();
            assert_eq!(Partition::of(&role).as_str(), name);
            assert_eq!(name.parse(), Ok(Partition::of(&role)));
        }
        assert!("AWS".parse::<Partition>().is_err());
    }

    proptest! {
        #[test]
        fn an_escaped_prefix_admits_exactly_the_keys_that_begin_with_it(
            prefix in "[ab*?${}]{1,6}", key in "[ab*?${}/]{0,10}", own: bool,
        ) {
            let bucket = BucketName::parse("bucket").unwrap();
            let prefix = KeyPrefix::normalize(&prefix).unwrap();
            let resource = ResourcePattern::objects(Partition::Aws, &bucket, &prefix);
            let key = if own { format!("{prefix}{key}") } else { key };
            let pattern = Pattern::with_variables(
                resource.as_str(), true, Version::V2012, &Context::default(),
            ).unwrap();
            prop_assert_eq!(
                pattern.matches(&format!("arn:aws:s3:::bucket/{key}")),
                key.starts_with(prefix.as_str())
            );
        }
    }
}
