//! What several answers have in common.

use std::fmt;

use http::{HeaderMap, Method};
use sealift_core::export::source::SourceError;
use sealift_core::id::XactId;
use sealift_core::ports::{Clock, Entropy};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};

use crate::call::Call;
use crate::client::Client;
use crate::error::Setback;
use crate::key::ApiKeys;

/// What was to be created, and whether it was there already, unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created<T> {
    /// The object, as it is now.
    pub object: T,
    /// Whether it existed before.
    pub existed: bool,
}

/// A transaction id: digits in a string, or a number, which is taken exactly. Numbers with a
/// fraction or an exponent are refused: beyond 2^53 they have lost digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Xact(pub(crate) XactId);

impl<'de> Deserialize<'de> for Xact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Xact;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a transaction id, as digits or as a whole number")
            }

            fn visit_u64<E: Error>(self, id: u64) -> Result<Xact, E> {
                Ok(Xact(XactId::new(id)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Xact, E> {
                XactId::parse(text).map(Xact).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// For fields that may be null or absent: `#[serde(default, deserialize_with = "…")]`.
pub(crate) fn xact<'de, D>(deserializer: D) -> Result<Option<XactId>, D::Error>
where
    D: Deserializer<'de>,
{
    let id = Option::<Xact>::deserialize(deserializer)?;
    Ok(id.map(|Xact(id)| id))
}

/// An object of a list.
pub(crate) trait Listed {
    /// By which the list goes on.
    fn id(&self) -> &str;
}

#[derive(Deserialize)]
struct Objects<T> {
    objects: Vec<T>,
}

impl<C: Clock, E: Entropy, K: ApiKeys> Client<C, E, K> {
    /// Lists everything. An answer does not say whether there is more, and the API may give
    /// fewer than were asked for, so only an empty answer is the end.
    pub(crate) async fn list<T: Listed + DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &'static str,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<T>, SourceError> {
        let limit = self.settings().listed_at_once.to_string();
        let mut all: Vec<T> = Vec::new();
        loop {
            let mut pairs = parameters.to_vec();
            pairs.push(("limit", &limit));
            pairs.extend(self.organization().map(|name| ("org_name", name)));
            pairs.extend(all.last().map(|last| ("starting_after", last.id())));
            let call = Call::new(operation, "", Method::GET, with_query(path, &pairs));
            let answer = self.whole(&call).await.map_err(Setback::into_error)?;
            let page: Objects<T> = answer.read()?;
            let Some(last) = page.objects.last() else {
                return Ok(all);
            };
            if all.iter().any(|before| before.id() == last.id()) {
                let said = "the list does not go on: it gives what it has given before";
                return Err(answer.about.invalid(said));
            }
            all.extend(page.objects);
        }
    }

    /// Asks for one object, `None` if it is not there.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<Option<T>, SourceError> {
        match self.whole(call).await {
            Ok(answer) => answer.read().map(Some),
            Err(setback) if setback.is_absence() => Ok(None),
            Err(setback) => Err(setback.into_error()),
        }
    }
}

/// A header's value that is text and not empty.
pub(crate) fn text_header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    Some(value).filter(|value| !value.is_empty())
}

/// Whether what was to be created was there: the header's presence says so.
pub(crate) fn found_existing(headers: &HeaderMap) -> bool {
    let value = text_header(headers, "x-bt-found-existing");
    value.is_some_and(|value| value != "false")
}

/// Path and query, each value escaped.
pub(crate) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("{path}?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_id_beyond_2_to_the_53_is_exact_in_either_form() {
        for text in ["1000197156529394087", "\"1000197156529394087\""] {
            let Xact(id) = serde_json::from_str(text).unwrap();
            assert_eq!(id.get(), 1_000_197_156_529_394_087);
        }
        let greatest: Xact = serde_json::from_str("18446744073709551615").unwrap();
        assert_eq!(greatest.0.get(), u64::MAX);
        for lossy in [
            "1.000197156529394e18",
            "1e18",
            "-1",
            "\"\"",
            "\"1.0\"",
            "true",
        ] {
            assert!(serde_json::from_str::<Xact>(lossy).is_err(), "{lossy}");
        }
    }

    #[test]
    fn values_in_a_query_are_escaped() {
        assert_eq!(
            with_query("/v1/x", &[("org_name", "A & B"), ("limit", "5")]),
            "/v1/x?org_name=A+%26+B&limit=5"
        );
    }
}
