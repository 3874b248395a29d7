//! Listing a bucket, in the order of the keys' UTF-8 bytes.

use std::io;
use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use s3s::dto::{
    CommonPrefix, ETag, ListObjectsV2Input, ListObjectsV2Output, Object, ObjectStorageClass,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::headers::{last_modified, signed};
use super::record::Record;
use super::store::Bucket;
use super::{Service, blocking, errors};

/// What is asked of a listing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) prefix: String,
    pub(crate) delimiter: String,
    pub(crate) from: From,
    pub(crate) limit: usize,
}

/// Where a listing begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum From {
    #[default]
    Start,
    /// After this key.
    Key(String),
    /// After all keys with this prefix.
    Prefix(String),
}

/// One page of a listing.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<(String, Arc<Record>)>,
    pub(crate) prefixes: Vec<String>,
    /// Where the next page begins; `None` if there is no more.
    pub(crate) next: Option<From>,
}

impl From {
    /// The position as a continuation token.
    pub(crate) fn token(&self) -> String {
        let text = match self {
            Self::Start => String::new(),
            Self::Key(key) => format!("k{key}"),
            Self::Prefix(prefix) => format!("p{prefix}"),
        };
        URL_SAFE_NO_PAD.encode(text)
    }

    /// Reads a continuation token; `None` if it is none of ours.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        match (text.strip_prefix('k'), text.strip_prefix('p')) {
            (Some(key), _) => Some(Self::Key(key.to_owned())),
            (_, Some(prefix)) => Some(Self::Prefix(prefix.to_owned())),
            _ => None,
        }
    }
}

impl Service {
    pub(super) async fn list(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let from = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => From::parse(token).ok_or_else(|| {
                s3_error!(
                    InvalidArgument,
                    "The continuation token provided is incorrect"
                )
            })?,
            (None, Some(key)) => From::Key(key.clone()),
            (None, None) => From::Start,
        };
        let asked = input.max_keys.unwrap_or(1000);
        let limit = usize::try_from(asked).map_err(|_| {
            s3_error!(
                InvalidArgument,
                "Argument max-keys must be an integer between 0 and 2147483647"
            )
        })?;
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            from,
            limit: limit.min(1000),
        };
        let page = blocking(move || list(&bucket, &query).map_err(errors::internal)).await?;
        let encoded = input
            .encoding_type
            .as_ref()
            .is_some_and(|kind| kind.as_str() == "url");
        let name = |text: String| {
            if encoded {
                percent_encoded(&text)
            } else {
                text
            }
        };
        let objects: Vec<Object> = page
            .objects
            .into_iter()
            .map(|(key, record)| listed(name(key), &record))
            .collect();
        let prefixes: Vec<CommonPrefix> = page
            .prefixes
            .into_iter()
            .map(|prefix| CommonPrefix {
                prefix: Some(name(prefix)),
            })
            .collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(name(input.prefix.unwrap_or_default())),
            delimiter: input.delimiter.map(name),
            start_after: input.start_after.map(name),
            max_keys: Some(asked),
            key_count: i32::try_from(objects.len() + prefixes.len()).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|next| next.token()),
            encoding_type: input.encoding_type,
            contents: Some(objects),
            common_prefixes: Some(prefixes),
            ..ListObjectsV2Output::default()
        }))
    }
}

/// One line of a listing, before records are looked up.
enum Line {
    Key(String),
    Prefix(String),
}

fn list(bucket: &Bucket, query: &Query) -> io::Result<Page> {
    let (lines, next) = lines(bucket, query);
    let mut page = Page {
        next,
        ..Page::default()
    };
    for line in lines {
        match line {
            Line::Prefix(prefix) => page.prefixes.push(prefix),
            Line::Key(key) => {
                // A key that was deleted meanwhile is not listed.
                if let Some(record) = bucket.record(&key)? {
                    page.objects.push((key, record));
                }
            }
        }
    }
    Ok(page)
}

fn lines(bucket: &Bucket, query: &Query) -> (Vec<Line>, Option<From>) {
    let index = bucket.index();
    let mut lines = Vec::new();
    let mut last = query.from.clone();
    if query.limit == 0 {
        return (lines, None);
    }
    loop {
        let begin = begin(&last, &query.prefix);
        let range = (begin.as_ref().map(String::as_str), Bound::Unbounded);
        let key = index
            .range::<str, _>(range)
            .map(|(key, _)| key)
            .find(|key| !matches!(&last, From::Prefix(prefix) if key.starts_with(prefix.as_str())));
        let Some(key) = key.filter(|key| key.starts_with(&query.prefix)) else {
            return (lines, None);
        };
        if lines.len() == query.limit {
            return (lines, Some(last));
        }
        last = if let Some(prefix) = common_prefix(key, query) {
            lines.push(Line::Prefix(prefix.to_owned()));
            From::Prefix(prefix.to_owned())
        } else {
            lines.push(Line::Key(key.clone()));
            From::Key(key.clone())
        };
    }
}

/// Where in the index the next line can be.
fn begin(last: &From, prefix: &str) -> Bound<String> {
    match last {
        From::Key(key) if key.as_str() >= prefix => Bound::Excluded(key.clone()),
        // Nothing sorts after it among the keys with that prefix, save those that hold the very
        // last character of Unicode; they are skipped one by one.
        From::Prefix(done) if done.as_str() >= prefix => {
            Bound::Excluded(format!("{done}\u{10ffff}"))
        }
        _ => Bound::Included(prefix.to_owned()),
    }
}

/// The part of a key up to the first delimiter after the query's prefix.
fn common_prefix<'a>(key: &'a str, query: &Query) -> Option<&'a str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = key.get(query.prefix.len()..)?;
    let at = rest.find(&query.delimiter)?;
    key.get(..query.prefix.len() + at + query.delimiter.len())
}

fn listed(key: String, record: &Record) -> Object {
    let sum = record.facts.checksums.keys().next();
    let class = record.facts.headers.get("x-amz-storage-class");
    Object {
        key: Some(key),
        size: Some(signed(record.size)),
        e_tag: Some(ETag::Strong(record.etag.clone())),
        last_modified: Some(last_modified(record)),
        storage_class: Some(ObjectStorageClass::from(
            class.map_or("STANDARD", String::as_str).to_owned(),
        )),
        checksum_algorithm: sum.map(|name| vec![name.to_ascii_uppercase().into()]),
        ..Object::default()
    }
}

/// A name as `encoding-type=url` wants it.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_brings_its_position_back() {
        for from in [From::Key("a/ü".into()), From::Prefix("log/".into())] {
            assert_eq!(From::parse(&from.token()), Some(from));
        }
        assert_eq!(From::parse("???"), None);
        assert_eq!(From::parse(""), None);
    }
    #[test]
    fn a_listed_name_is_encoded_but_for_its_slashes() {
        assert_eq!(percent_encoded("date=1/ä b"), "date%3D1/%C3%A4%20b");
    }
}
