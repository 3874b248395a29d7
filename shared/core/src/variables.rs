//! Reads a function's variables, and reports all that are bad at once.
//!
//! The environment itself is handed in as a lookup, so that this is testable and the core reads
//! none.

use std::fmt;
use std::str::FromStr;

/// The variables that could not be used, one line for each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BadVariables(pub Vec<String>);

impl fmt::Display for BadVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// Looks variables up and collects what is wrong with them.
pub struct Variables<L> {
    lookup: L,
    bad: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Variables<L> {
    /// Reads variables from the lookup.
    pub fn new(lookup: L) -> Self {
        Self {
            lookup,
            bad: Vec::new(),
        }
    }

    /// A variable that must be there.
    pub fn required<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.optional(name);
        if value.is_none() && (self.lookup)(name).is_none_or(|text| text.is_empty()) {
            self.bad.push(format!("{name} is not set"));
        }
        value
    }

    /// A variable that may be missing or empty.
    pub fn optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = (self.lookup)(name).filter(|text| !text.is_empty())?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.bad.push(format!("{name}: {error}"));
                None
            }
        }
    }

    /// A whole number within bounds, or a default.
    pub fn number(
        &mut self,
        name: &str,
        bounds: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let number = self.optional(name).unwrap_or(default);
        if !bounds.contains(&number) {
            let (low, high) = bounds.into_inner();
            self.bad
                .push(format!("{name}: {number} is not between {low} and {high}"));
        }
        number
    }

    /// Reports what is wrong beyond a single variable's form.
    pub fn refuse(&mut self, name: &str, reason: &dyn fmt::Display) {
        self.bad.push(format!("{name}: {reason}"));
    }

    /// Ends the reading: `build` is called if no variable was bad, and must then find all of
    /// its required ones.
    pub fn finish<C>(self, build: impl FnOnce() -> Option<C>) -> Result<C, BadVariables> {
        if self.bad.is_empty()
            && let Some(config) = build()
        {
            return Ok(config);
        }
        Err(BadVariables(self.bad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BucketName;

    #[test]
    fn all_bad_variables_are_reported_at_once() {
        let lookup = |name: &str| match name {
            "BUCKET" => Some("No Bucket".to_owned()),
            "LEVEL" => Some("12".to_owned()),
            "COUNT" => Some("many".to_owned()),
            _ => None,
        };
        let mut variables = Variables::new(lookup);
        let bucket: Option<BucketName> = variables.required("BUCKET");
        let other: Option<BucketName> = variables.required("OTHER");
        variables.number("LEVEL", 1..=9, 6);
        variables.number("COUNT", 1..=9, 6);
        let error = variables.finish(|| bucket.zip(other)).unwrap_err();
        assert_eq!(error.0.len(), 4, "{error}");
        assert!(error.to_string().contains("OTHER is not set"), "{error}");
    }
}
