//! The function's variables. `README.md` has them as a table.

use sealift_core::event::Shapes;
use sealift_core::gzip::Level;
use sealift_core::id::BucketName;
use sealift_core::variables::{BadVariables, Variables};

/// The variables that [`Config`] reads.
pub const VARIABLES: [&str; 4] = [
    "SEALIFT_LOG_BUCKET",
    "SEALIFT_SHAPES",
    "SEALIFT_GZIP_LEVEL",
    "SEALIFT_LOG_LEVEL",
];

/// What the function is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of the audit log.
    pub log_bucket: BucketName,
    /// Where events keep what Sealift needs of them.
    pub shapes: Shapes,
    /// How hard to compress.
    pub level: Level,
    /// What is logged: a `tracing` filter.
    pub log_level: String,
}

struct ParsedShapes(Shapes);

impl std::str::FromStr for ParsedShapes {
    type Err = sealift_core::event::ShapeError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Shapes::parse(text).map(Self)
    }
}

impl Config {
    /// Reads the variables through a lookup. Every bad one is reported.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadVariables> {
        let mut variables = Variables::new(lookup);
        let log_bucket = variables.required("SEALIFT_LOG_BUCKET");
        let shapes = variables.optional::<ParsedShapes>("SEALIFT_SHAPES");
        let level = variables.number("SEALIFT_GZIP_LEVEL", 1..=9, 6);
        let log_level = variables.optional("SEALIFT_LOG_LEVEL");
        variables.finish(|| {
            Some(Self {
                log_bucket: log_bucket?,
                shapes: shapes.map(|shapes| shapes.0).unwrap_or_default(),
                level: Level::new(u32::try_from(level).ok()?)?,
                log_level: log_level.unwrap_or_else(|| "info".to_owned()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_alone_is_enough() {
        let config = Config::from_lookup(|name| {
            (name == "SEALIFT_LOG_BUCKET").then(|| "sealift-log".to_owned())
        })
        .unwrap();
        assert_eq!(
            (config.level, config.shapes),
            (Level::DEFAULT, Shapes::default())
        );
    }

    #[test]
    fn bad_variables_are_named() {
        let error =
            Config::from_lookup(|name| (name != "SEALIFT_LOG_BUCKET").then(|| "x".to_owned()))
                .unwrap_err();
        for name in ["SEALIFT_LOG_BUCKET", "SEALIFT_SHAPES", "SEALIFT_GZIP_LEVEL"] {
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
