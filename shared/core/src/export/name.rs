//! The names of an export's objects. Nothing in them depends on a clock or on chance, so that
//! doing a file again overwrites it.

use sha2::{Digest, Sha256};

use crate::export::automation::Format;
use crate::id::{AutomationId, InvalidId, KeyPrefix, ObjectKey, XactId};
use crate::partition::{Hour, hex};

/// What an export's names have in common: its automation and generation.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: KeyPrefix,
    generation: u32,
    /// 8 hexadecimal digits of the SHA-256 of the automation's id: two automations on one path
    /// never share a name.
    tag: String,
}

impl Names {
    /// The names below a prefix.
    pub fn new(prefix: &KeyPrefix, automation: &AutomationId, generation: u32) -> Self {
        let hash = hex(Sha256::digest(automation.as_str()).as_slice());
        Self {
            prefix: prefix.clone(),
            generation,
            tag: hash.chars().take(8).collect(),
        }
    }

    /// The file of an hour's transactions that come after a position:
    /// `<prefix>date=YYYY-MM-DD/hour=HH/<position, 20 digits>-g<generation>-<tag>.<extension>`.
    ///
    /// A file that is done again starts at the same position. It may hold other rows then, if
    /// some were updated meanwhile, and overwrites what was there.
    pub fn file(&self, hour: Hour, after: XactId, format: Format) -> Result<ObjectKey, InvalidId> {
        let (folder, extension) = (hour.folder(), format.extension());
        ObjectKey::parse(format!(
            "{}{folder}{}.{extension}",
            self.prefix,
            self.stem(after)
        ))
    }

    /// The manifest of a run that began at a position: `<prefix>_runs/<stem>.json`.
    pub fn manifest(&self, after: XactId) -> Result<ObjectKey, InvalidId> {
        ObjectKey::parse(format!("{}_runs/{}.json", self.prefix, self.stem(after)))
    }

    fn stem(&self, after: XactId) -> String {
        format!("{:020}-g{}-{}", after.get(), self.generation, self.tag)
    }
}

/// The hour of a transaction, by the second that stands in its id.
pub fn hour_of(transaction: XactId) -> Option<Hour> {
    let second = i64::from(transaction.epoch_seconds());
    Hour::of(jiff::Timestamp::from_second(second).ok()?)
}

/// A project's name as it stands in paths: lower-case letters and digits, with `-` for
/// everything between them; `project` if nothing is left.
///
/// Two names can give the same; who needs them apart adds something of their ids.
///
/// ```
/// use sealift_core::export::name::slug_of;
/// assert_eq!(slug_of("Grade school math (v2)"), "grade-school-math-v2");
/// assert_eq!(slug_of("../.."), "project");
/// ```
pub fn slug_of(name: &str) -> String {
    let mut slug = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= 64 {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "project" } else { slug }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(automation: &str, generation: u32) -> Names {
        let prefix = KeyPrefix::parse("braintrust/p/").unwrap();
        Names::new(
            &prefix,
            &AutomationId::parse(automation).unwrap(),
            generation,
        )
    }

    #[test]
    fn a_name_tells_where_its_file_starts() {
        let first = XactId::parse("1000196176995155968").unwrap();
        let hour = hour_of(first).unwrap();
        let key = names("a", 0)
            .file(hour, XactId::ZERO, Format::Parquet)
            .unwrap();
        assert_eq!(
            key.as_str(),
            "braintrust/p/date=2025-11-21/hour=00/00000000000000000000-g0-ca978112.parquet"
        );
        let manifest = names("a", 2).manifest(first).unwrap();
        assert_eq!(
            manifest.as_str(),
            "braintrust/p/_runs/01000196176995155968-g2-ca978112.json"
        );
    }

    #[test]
    fn automations_generations_and_positions_never_share_a_name() {
        let hour = Hour::parse("2025-11-21T00").unwrap();
        let key = |automation, generation, after| {
            let names = names(automation, generation);
            names.file(hour, XactId::new(after), Format::Jsonl).unwrap()
        };
        let keys = [
            key("a", 0, 1),
            key("b", 0, 1),
            key("a", 1, 1),
            key("a", 0, 2),
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
