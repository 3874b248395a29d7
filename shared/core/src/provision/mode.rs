//! Who exports: Sealift itself, or Braintrust's data plane.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who holds the automations and exports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Sealift does.
    #[default]
    SelfRun,
    /// Automations are created in Braintrust, whose data plane exports.
    Managed,
}

impl Mode {
    /// The word for it, as it is configured.
    pub fn word(self) -> &'static str {
        match self {
            Self::SelfRun => "self-run",
            Self::Managed => "managed",
        }
    }

    /// Whether Sealift exports by itself.
    pub fn is_self_run(&self) -> bool {
        *self == Self::SelfRun
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A text that names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither self-run nor managed")]
pub struct InvalidMode(String);

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, InvalidMode> {
        [Self::SelfRun, Self::Managed]
            .into_iter()
            .find(|mode| mode.word() == text)
            .ok_or_else(|| InvalidMode(text.to_owned()))
    }
}

/// The version of a data plane, as far as it matters: `2.0`, `v2.1`, `v2.1.3`.
///
/// ```
/// use sealift_core::provision::mode::DataPlaneVersion;
/// let old: DataPlaneVersion = "v2.0".parse().unwrap();
/// assert!(old.registers_by_cron());
/// assert!(!"2.1".parse::<DataPlaneVersion>().unwrap().registers_by_cron());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataPlaneVersion {
    major: u32,
    minor: u32,
}

impl DataPlaneVersion {
    /// Whether exports are registered by `POST /automation/cron` there, as in versions up to
    /// 2.0; later ones know cursors. What comes after the second number does not count.
    pub fn registers_by_cron(self) -> bool {
        (self.major, self.minor) <= (2, 0)
    }
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no version of a data plane: write it as 2.0, or leave it empty for a current one"
)]
pub struct InvalidVersion(String);

impl FromStr for DataPlaneVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let numbers: Option<Vec<u32>> = text
            .strip_prefix('v')
            .unwrap_or(text)
            .split('.')
            .map(|part| {
                let digits = part.bytes().all(|b| b.is_ascii_digit());
                part.parse().ok().filter(|_| digits)
            })
            .collect();
        match numbers.as_deref() {
            Some([major]) => Ok(Self {
                major: *major,
                minor: 0,
            }),
            Some([major, minor] | [major, minor, _]) => Ok(Self {
                major: *major,
                minor: *minor,
            }),
            _ => Err(InvalidVersion(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_written_as_it_is_read() {
        for mode in [Mode::SelfRun, Mode::Managed] {
            assert_eq!(mode.word().parse(), Ok(mode));
            let json = serde_json::to_string(&mode).unwrap();
            assert_eq!(json, format!("\"{mode}\""));
        }
        assert!("Managed".parse::<Mode>().is_err());
    }

    #[test]
    fn data_planes_up_to_2_0_register_by_cron() {
        for (text, cron) in [
            ("1.9", true),
            ("2", true),
            ("2.0", true),
            ("v2.0.7", true),
            ("2.1", false),
            ("v2.10", false),
            ("3", false),
        ] {
            let version: DataPlaneVersion = text.parse().unwrap();
            assert_eq!(version.registers_by_cron(), cron, "{text}");
        }
        for bad in ["", "v", "latest", "2.", "2.x", "+2.0", "2.0.0.0", "-1"] {
            assert!(bad.parse::<DataPlaneVersion>().is_err(), "{bad}");
        }
    }
}
