//! The settings: which templates there are, which projects are left alone, and where exports
//! start.

use serde::{Deserialize, Serialize};

use super::Project;
use super::glob;
use super::mode::Mode;
use super::template::{InvalidTemplate, Template};
use crate::document::{Document, Place};
use crate::export::message::Start;
use crate::id::ObjectKey;

/// What an operator has written down beside the parameters of the stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Further templates; one with the name of the default one takes its place.
    #[serde(default)]
    pub templates: Vec<Template>,
    /// Patterns of names of projects that are left alone, in addition.
    #[serde(default)]
    pub exclude: Vec<String>,
}

impl Document for Written {
    const FORMAT: &'static str = "sealift.provisioning/1";
}

impl Written {
    /// Where they lie in the state bucket: `provisioning/settings.json`.
    pub fn place() -> Place<Self> {
        Place::new(ObjectKey::of_known_form(
            "provisioning/settings.json".to_owned(),
        ))
    }
}

/// What counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What each project gets.
    pub templates: Vec<Template>,
    /// Projects whose names fit one of these are left alone.
    pub exclude: Vec<String>,
    /// Where the export of a project starts that was there before; a new one starts with its
    /// first row.
    pub start: Start,
    /// Who exports.
    pub mode: Mode,
    /// In managed mode, how many requests of the API a call may take beside the projects' list.
    pub requests: u64,
}

/// How many requests a call may take where the settings do not say.
pub const DEFAULT_REQUESTS: u64 = 200;

impl Settings {
    /// Adds what was written down, and checks all templates.
    pub fn with(mut self, written: Written) -> Result<Self, InvalidTemplate> {
        for template in written.templates {
            self.templates.retain(|other| other.name != template.name);
            self.templates.push(template);
        }
        self.exclude.extend(written.exclude);
        for (number, template) in self.templates.iter().enumerate() {
            template.check()?;
            let path = &template.config.export_path;
            let mut before = self.templates.iter().take(number);
            if let Some(other) = before.find(|other| other.config.export_path == *path) {
                return Err(InvalidTemplate {
                    name: template.name.clone(),
                    reason: format!(
                        "its export_path is that of template {:?}; give each a folder of its own, so that \
                         readers do not find rows twice",
                        other.name
                    ),
                });
            }
        }
        Ok(self)
    }

    /// Whether a project is left alone.
    pub fn excludes(&self, project: &Project) -> bool {
        let mut patterns = self.exclude.iter();
        patterns.any(|pattern| glob::matches(pattern, &project.name))
    }
}
