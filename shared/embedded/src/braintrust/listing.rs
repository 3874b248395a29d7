//! Lists: which objects, from where, and how many.
//!
//! Confirmed: the newest come first; there is no cursor, a client goes on with
//! `starting_after` the last id it has.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::reply::Reply;
use super::validate::is_uuid;

/// A list's query parameters.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    limit: Option<usize>,
    starting_after: Option<String>,
    ending_before: Option<String>,
    ids: Vec<String>,
    pub(crate) name: Option<String>,
    pub(crate) org_name: Option<String>,
    pub(crate) project_id: Option<String>,
}

impl Listing {
    /// Reads the parameters that the endpoint knows, and refuses all others: what a real server
    /// ignores would pass here unseen.
    pub(crate) fn parse(query: &str, known: &[&str]) -> Result<Self, Refusal> {
        let mut listing = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let said = format!("{name}: is not a known query parameter");
                return Err(Refusal::bad_request(said));
            }
            let wrong = |said: &str| Refusal::bad_request(format!("{name}: {said}"));
            let text = value.into_owned();
            let is_id = matches!(
                name.as_ref(),
                "starting_after" | "ending_before" | "ids" | "project_id"
            );
            if is_id && !is_uuid(&text) {
                return Err(wrong("must be a UUID"));
            }
            let slot = match name.as_ref() {
                "ids" => {
                    listing.ids.push(text);
                    continue;
                }
                "limit" => {
                    let limit = text.parse().map_err(|_| wrong("must be a whole number"))?;
                    if listing.limit.replace(limit).is_some() {
                        return Err(wrong("stands twice"));
                    }
                    continue;
                }
                "starting_after" => &mut listing.starting_after,
                "ending_before" => &mut listing.ending_before,
                "org_name" => &mut listing.org_name,
                "project_id" => &mut listing.project_id,
                _ => &mut listing.name,
            };
            if slot.replace(text).is_some() {
                return Err(wrong("stands twice"));
            }
        }
        if listing.starting_after.is_some() && listing.ending_before.is_some() {
            let said = "you may only pass one of starting_after and ending_before";
            return Err(Refusal::bad_request(said));
        }
        Ok(listing)
    }

    /// The page of the objects, which come newest first and each with its id, the filters'
    /// verdict on it and its JSON.
    pub(crate) fn page<'a, T>(
        &self,
        newest_first: &[&'a T],
        id: impl Fn(&'a T) -> &'a str,
        wanted: impl Fn(&T) -> bool,
        to_json: impl Fn(&T) -> Value,
        cap: usize,
    ) -> Result<Reply, Refusal> {
        let place = |wanted: &str| {
            // An id that is gone is refused: what a real server makes of it is not documented.
            let found = newest_first.iter().position(|object| id(object) == wanted);
            found.ok_or_else(|| Refusal::bad_request(format!("there is no object of id {wanted}")))
        };
        let after = self.starting_after.as_deref().map(place).transpose()?;
        let before = self.ending_before.as_deref().map(place).transpose()?;
        let limit = self.limit.unwrap_or(cap).min(cap);
        let first = after.map_or(0, |place| place + 1);
        let last = before.unwrap_or(newest_first.len());
        let range = newest_first.get(first..last).unwrap_or_default();
        let matching = range.iter().filter(|object| {
            let among = self.ids.is_empty() || self.ids.iter().any(|wanted| wanted == id(object));
            among && wanted(object)
        });
        let matching: Vec<&&T> = matching.collect();
        // The page before an object is the one that ends right before it.
        let skipped = match before {
            Some(_) => matching.len().saturating_sub(limit),
            None => 0,
        };
        let page = matching.into_iter().skip(skipped).take(limit);
        let objects: Vec<Value> = page.map(|object| to_json(object)).collect();
        Ok(Reply::json(&json!({ "objects": objects })))
    }
}
