//! The ledger: what each project has got so far.
//!
//! Names are drawn before they are used: a project's folder, and an automation's id, its part
//! of the ExternalId and its start stand here before anything is created with them. So doing it
//! again after a crash does the same again, and no two projects ever get one folder, whatever
//! they are called and in whatever order they come.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Project;
use super::mode::Mode;
use super::template::Template;
use crate::document::{Document, Place};
use crate::export::automation::AutomationStatus;
use crate::export::name::slug_of;
use crate::external_id::ExternalIdSuffix;
use crate::id::{AutomationId, InvalidId, ObjectKey, OrgId, ProjectId, XactId};
use crate::partition::hex;
use crate::ports::Entropy;

/// All projects that ever got something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// When the first project was written down, in milliseconds since 1970. What is created
    /// later is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// The last project that was asked about because the list lacks it, where there are more
    /// of them than one sweep asks about: the next one goes on behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<ProjectId>,
    /// By project.
    pub projects: BTreeMap<ProjectId, Known>,
}

/// One project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Whose it is.
    pub organization: OrgId,
    /// Its folder's name. It stays when the project is renamed.
    pub slug: String,
    /// Its automations, by their templates' names.
    #[serde(default)]
    pub automations: BTreeMap<String, Provisioned>,
    /// What failed last, by the templates' names; gone when it has worked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, String>,
}

/// An automation that a project got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioned {
    /// Its id in this stack.
    pub id: AutomationId,
    /// Its own part of the ExternalId; none where the automation was there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<ExternalIdSuffix>,
    /// Where its export starts.
    pub start: XactId,
    /// Whether it is registered, and the bus was told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
    /// Whether it is stopped because its project is gone. Of one that Braintrust runs: whether
    /// that was told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// What its stopping needs to be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halt: Option<Halt>,
    /// Who exports.
    #[serde(default, skip_serializing_if = "Mode::is_self_run")]
    pub mode: Mode,
    /// Its id in Braintrust, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<AutomationId>,
    /// How far its registration with Braintrust's data plane has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// Who is at work on it with Braintrust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
}

/// What an automation was before its project was gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// When it was found that the project is gone, in milliseconds since 1970.
    pub at_ms: i64,
    /// What the automation was then.
    pub before: AutomationStatus,
    /// What it was when the project was found to be back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<AutomationStatus>,
}

/// How far a registration has come. It must not be made twice, since it sets a cursor anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// The request may have gone out. Written down before it does.
    Sent,
    /// It was made.
    Made,
    /// It was there already.
    Found,
}

/// Two calls that are at work on one automation could both register it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The call.
    pub by: String,
    /// Until when nobody else takes it up, in milliseconds since 1970.
    pub until_ms: i64,
}

impl Provisioned {
    /// One that is not registered yet.
    pub fn new(id: AutomationId, start: XactId, mode: Mode) -> Self {
        Self {
            id,
            external_id: None,
            start,
            done: false,
            stopped: false,
            halt: None,
            mode,
            remote: None,
            registration: None,
            claim: None,
        }
    }

    /// The id by which people find it: Braintrust's, where that is known.
    pub fn automation(&self) -> &AutomationId {
        self.remote.as_ref().unwrap_or(&self.id)
    }

    /// Whether it runs, as far as provisioning has to say.
    pub fn runs(&self) -> bool {
        self.done && !self.stopped
    }

    /// Takes it up for a call, unless another is at work on it.
    pub fn take_up(&mut self, claim: &Claim, now_ms: i64) {
        let taken = self.claim.as_ref();
        if !taken.is_some_and(|taken| taken.by != claim.by && taken.until_ms > now_ms) {
            self.claim = Some(claim.clone());
        }
    }

    /// Whether a call is at work on it.
    pub fn is_taken_by(&self, by: &str) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.by == by)
    }
}

/// By how much two clocks may differ, in milliseconds.
const CLOCKS_DIFFER_MS: i64 = 10 * 60 * 1000;

impl Document for Ledger {
    const FORMAT: &'static str = "sealift.provisioning-ledger/1";
}

impl Ledger {
    /// Where it lies in the state bucket: `provisioning/ledger.json`.
    pub fn place() -> Place<Self> {
        Place::new(ObjectKey::of_known_form(
            "provisioning/ledger.json".to_owned(),
        ))
    }

    /// Where the export of a project starts: as the settings say where the project was there
    /// before anything was provisioned, and with the first row where it is new, however late
    /// it is found, so that nothing of it is passed. To be asked of the ledger as it was when the
    /// plan was made: what one plan provisions is of one age, however many writes it takes.
    pub fn start_of(&self, project: &Project, of_older: XactId, now_ms: i64) -> XactId {
        if self.is_new(project, now_ms) {
            XactId::ZERO
        } else {
            of_older
        }
    }

    /// Whether a project was created since provisioning began.
    pub fn is_new(&self, project: &Project, now_ms: i64) -> bool {
        match project.created {
            // The clocks of this side and of the API may differ.
            Some(created) => {
                let since_ms = self.since_ms.unwrap_or(now_ms);
                created.as_millisecond() >= since_ms - CLOCKS_DIFFER_MS
            }
            None => self.since_ms.is_some(),
        }
    }

    /// The folders' names that are taken.
    pub fn slugs(&self) -> HashSet<String> {
        let known = self.projects.values();
        known.map(|known| known.slug.clone()).collect()
    }

    /// A project's entry, made if there is none. `taken` holds the names that are taken, and
    /// then the new one as well.
    pub fn project(&mut self, project: &Project, taken: &mut HashSet<String>) -> &mut Known {
        self.projects.entry(project.id.clone()).or_insert_with(|| {
            let slug = free_slug(project, taken);
            taken.insert(slug.clone());
            Known {
                organization: project.organization.clone(),
                slug,
                automations: BTreeMap::new(),
                failures: BTreeMap::new(),
            }
        })
    }
}

impl Known {
    /// Draws the names of an automation, unless they are drawn already.
    pub fn draw(
        &mut self,
        template: &Template,
        start: XactId,
        mode: Mode,
        entropy: &impl Entropy,
    ) -> Result<&mut Provisioned, InvalidId> {
        if !self.automations.contains_key(&template.name) {
            let kind: String = slug_of(&template.name).chars().take(40).collect();
            let nonce: String = entropy.nonce().chars().take(8).collect();
            let id = AutomationId::parse(format!("{}-{kind}-{nonce}", self.slug))?;
            let provisioned = Provisioned {
                external_id: Some(ExternalIdSuffix::parse(entropy.nonce())?),
                ..Provisioned::new(id, start, mode)
            };
            self.automations.insert(template.name.clone(), provisioned);
        }
        self.automations
            .get_mut(&template.name)
            .ok_or_else(|| InvalidId::new("template", &template.name, "it was just written down"))
    }
}

/// The name of a project's folder: its own where that is free, otherwise with as much of its
/// id's hash as makes it unlike all others.
fn free_slug(project: &Project, taken: &HashSet<String>) -> String {
    let plain = slug_of(&project.name);
    if !taken.contains(&plain) {
        return plain;
    }
    let hash = hex(Sha256::digest(project.id.as_str()).as_slice());
    let with = |digits: usize| {
        let digits: String = hash.chars().take(digits).collect();
        format!("{plain}-{digits}")
    };
    // Somebody may have named a project just so.
    (8..64)
        .map(with)
        .find(|slug| !taken.contains(slug))
        .unwrap_or_else(|| with(64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::KeyPrefix;
    use proptest::prelude::*;

    fn project(id: &str, name: &str) -> Project {
        Project {
            id: ProjectId::parse(id).unwrap(),
            organization: OrgId::parse("o").unwrap(),
            name: name.to_owned(),
            created: None,
        }
    }

    #[test]
    fn a_project_that_is_new_is_exported_from_its_first_row_on() {
        let of_older = XactId::parse("1000196176995155968").unwrap();
        let at = |time: &str| Some(time.parse().unwrap());
        let created = |created| Project {
            created,
            ..project("1", "p")
        };
        let mut ledger = Ledger::default();
        // Noon of 2025-11-21.
        let now_ms = 1_763_726_400_000;
        let first = |created_at| ledger.start_of(&created(created_at), of_older, now_ms);
        assert_eq!(first(at("2025-11-21T11:30:00Z")), of_older);
        assert_eq!(first(at("2025-11-21T11:59:00Z")), XactId::ZERO, "just now");
        assert_eq!(first(None), of_older);
        ledger.since_ms = Some(now_ms);
        let later_ms = now_ms + 86_400_000;
        let start = |time| ledger.start_of(&created(at(time)), of_older, later_ms);
        assert_eq!(start("2025-11-21T11:30:00Z"), of_older);
        assert_eq!(start("2025-11-21T11:55:00Z"), XactId::ZERO, "clocks differ");
        assert_eq!(start("2025-11-22T11:30:00Z"), XactId::ZERO);
        assert_eq!(
            ledger.start_of(&created(None), of_older, later_ms),
            XactId::ZERO
        );
    }

    #[test]
    fn a_folder_stays_whatever_the_project_is_called_later() {
        let mut ledger = Ledger::default();
        let mut taken = ledger.slugs();
        assert_eq!(
            ledger.project(&project("1", "GSM8K"), &mut taken).slug,
            "gsm8k"
        );
        for name in ["../..", "🚢", "other"] {
            let renamed = project("1", name);
            assert_eq!(ledger.project(&renamed, &mut taken).slug, "gsm8k");
        }
    }

    #[test]
    fn the_second_of_a_name_gets_another_folder_even_where_that_was_foreseen() {
        let mut ledger = Ledger::default();
        let mut taken = ledger.slugs();
        let first = ledger
            .project(&project("1", "a b"), &mut taken)
            .slug
            .clone();
        let second = ledger
            .project(&project("2", "a/b"), &mut taken)
            .slug
            .clone();
        assert_eq!(first, "a-b");
        assert!(second.starts_with("a-b-") && second.len() == 12, "{second}");
        let hash = hex(Sha256::digest("3").as_slice());
        let foreseen = format!("a-b-{}", hash.get(..8).unwrap());
        let squatter = project("4", &foreseen);
        assert_eq!(ledger.project(&squatter, &mut taken).slug, foreseen);
        let third = ledger
            .project(&project("3", "A B"), &mut taken)
            .slug
            .clone();
        assert_ne!(third, foreseen);
    }

    proptest! {
        #[test]
        fn whatever_projects_are_called_each_has_a_folder_of_its_own_below_the_prefix(
            names in prop::collection::vec("[ab./é🚢 \\-]{0,6}", 1..40),
        ) {
            let mut ledger = Ledger::default();
            let mut taken = ledger.slugs();
            for (number, name) in names.iter().enumerate() {
                ledger.project(&project(&format!("p{number}"), name), &mut taken);
            }
            prop_assert_eq!(ledger.slugs().len(), names.len());
            for known in ledger.projects.values() {
                let inner = known.slug.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
                prop_assert!(inner && !known.slug.is_empty(), "{}", known.slug);
                let path = format!("braintrust/{}", known.slug);
                let prefix = KeyPrefix::normalize(&path).unwrap();
                prop_assert_eq!(prefix.as_str(), format!("{path}/"));
            }
        }
    }
}
