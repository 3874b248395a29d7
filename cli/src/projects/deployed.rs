//! A deployed stack by its name: its outputs and parameters in place of options.

use anyhow::Context as _;

use super::ProjectsArgs;
use crate::target::Deployed;

impl ProjectsArgs {
    /// Takes what was not given from the stack that was named.
    pub(super) async fn fill(&mut self) -> anyhow::Result<()> {
        match self.target.deployed.describe().await? {
            Some(stack) => self.fill_from(&stack),
            None => Ok(()),
        }
    }

    fn fill_from(&mut self, stack: &Deployed) -> anyhow::Result<()> {
        let Self {
            target, settings, ..
        } = self;
        if target.state_bucket.is_none() {
            let bucket = stack.output("StateBucketName")?;
            target.state_bucket = Some(bucket.parse()?);
        }
        if target.bus.is_none() {
            target.bus = Some(stack.output("BusName")?.to_owned());
        }
        if let (None, Some(shards)) = (target.shards, stack.parameter("ExportShards")) {
            let shards = shards.parse();
            target.shards = Some(shards.context("the stack's parameter ExportShards")?);
        }
        // An empty path is one that was given: nothing is provisioned.
        if let (None, Some(path)) = (&settings.path, stack.parameter("ProvisionPath")) {
            settings.path = Some(path.to_owned());
        }
        for (option, name) in [
            (&mut target.api_url, "ApiUrl"),
            (&mut target.api_organization, "ApiOrganizationName"),
            (&mut settings.role_arn, "ProvisionRoleArn"),
            (&mut settings.definition, "ProvisionDefinition"),
            (&mut settings.format, "ProvisionFormat"),
            (&mut settings.interval, "ProvisionIntervalSeconds"),
            (&mut settings.exclude, "ProvisionExclude"),
            (&mut settings.start, "ProvisionStart"),
            (&mut settings.mode, "ProvisionMode"),
            (&mut settings.data_plane_version, "DataPlaneVersion"),
        ] {
            let parameter = stack.parameter(name).filter(|value| !value.is_empty());
            if option.is_none() {
                *option = parameter.map(str::to_owned);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: ProjectsArgs,
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn filled(options: &[&str], parameters: &[(&str, &str)]) -> ProjectsArgs {
        let words = [&["projects", "plan"], options].concat();
        let mut args = Program::try_parse_from(words).unwrap().args;
        let outputs = [("StateBucketName", "sealift-state"), ("BusName", "its-bus")];
        let stack = Deployed {
            name: "sealift".to_owned(),
            status: "CREATE_COMPLETE".to_owned(),
            outputs: map(&outputs),
            parameters: map(parameters),
        };
        args.fill_from(&stack).unwrap();
        args
    }

    #[test]
    fn options_come_before_the_stacks_own_and_an_empty_parameter_is_none() {
        let parameters = [
            ("ExportShards", "4"),
            ("ProvisionPath", ""),
            ("ProvisionRoleArn", ""),
            ("ProvisionFormat", "jsonl"),
            ("ProvisionIntervalSeconds", "600"),
        ];
        let args = filled(&["--bus", "mine", "--format", "parquet"], &parameters);
        let bucket = args.target.state_bucket.map(|bucket| bucket.to_string());
        assert_eq!(bucket.as_deref(), Some("sealift-state"));
        assert_eq!(args.target.bus.as_deref(), Some("mine"));
        assert_eq!(args.target.shards, Some(4));
        let settings = args.settings;
        assert_eq!(settings.format.as_deref(), Some("parquet"));
        assert_eq!(settings.interval.as_deref(), Some("600"));
        assert_eq!(settings.role_arn, None);
        // That nothing is provisioned is said by the stack.
        assert_eq!(settings.path.as_deref(), Some(""));
    }
}
