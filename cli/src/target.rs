//! Where commands go: a stack that runs on this machine, any control API, or a deployed stack by
//! its name.
//!
//! [`TargetArgs`] is for what speaks to the control API and has no other way in; [`StackArgs`] for what
//! reaches a deployed stack's buckets and queues directly and can also be given them one by one.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use http::{HeaderValue, Uri};
use sealift_aws::system::environment;
use sealift_braintrust::ApiUrl;

pub(crate) use self::api::{Answer, Api, ApiError, quoted};
pub use self::client::Http;
pub use self::stack::{Deployed, StackArgs, describe, outputs, sdk};

use self::api::Door;
use self::serving::Serving;

mod api;
mod client;
pub(crate) mod serving;
mod sign;
mod stack;

/// The folder of `sealift serve`, unless another is named.
pub const DATA: &str = "out";

/// The variable with a token for the API at `--api`.
const TOKEN: &str = "SEALIFT_TOKEN";

/// Which control API is spoken to.
#[derive(Debug, Clone, Default, Args)]
pub struct TargetArgs {
    /// The folder of a running `sealift serve`; out if no other target is named
    #[arg(
        long,
        value_name = "DIR",
        help_heading = "Target",
        conflicts_with_all = ["api", "stack", "stack_region"]
    )]
    data: Option<PathBuf>,

    /// The URL of a control API. The token in SEALIFT_TOKEN is sent along; without one, requests are
    /// signed with the AWS credentials of the environment
    #[arg(
        long,
        value_name = "URL",
        help_heading = "Target",
        value_parser = ApiUrl::parse,
        conflicts_with = "stack"
    )]
    api: Option<ApiUrl>,

    /// A deployed stack. Requests are signed with the AWS credentials of the environment
    #[arg(long, value_name = "NAME", help_heading = "Target", value_parser = stack::stack_name)]
    stack: Option<String>,

    /// The AWS region of the stack or API, in place of the environment's or the URL's
    // Not `--region`: that of a bucket is asked for beside it.
    #[arg(long, value_name = "REGION", help_heading = "Target", value_parser = stack::region)]
    stack_region: Option<String>,
}

impl TargetArgs {
    /// The API that is spoken to.
    pub(crate) async fn api(&self) -> anyhow::Result<Api> {
        let (url, door) = match (&self.api, &self.stack) {
            (Some(url), _) => {
                let token = environment(TOKEN).filter(|token| !token.is_empty());
                (url.as_str().to_owned(), self.door(url, token).await?)
            }
            (None, Some(stack)) => {
                let region = self.stack_region.as_deref();
                let stack = describe(stack, region).await?;
                let text = stack.output("OperatorApiUrl")?;
                let url = ApiUrl::parse(text).context("the stack's output OperatorApiUrl")?;
                (url.as_str().to_owned(), self.door(&url, None).await?)
            }
            (None, None) => {
                let data = self.data.as_deref().unwrap_or(Path::new(DATA));
                return served(data).await;
            }
        };
        Api::new(&url, door)
    }

    async fn door(&self, url: &ApiUrl, token: Option<String>) -> anyhow::Result<Door> {
        if let Some(token) = token {
            return Ok(Door::Token(bearer(&token)?));
        }
        let region = self.stack_region.clone().or_else(|| region_of(url));
        let region = region.with_context(|| {
            format!(
                "{TOKEN} is not set, and {} is no address of API Gateway's to sign requests for: set \
                 {TOKEN}, or give --stack-region if it is API Gateway under a name of your own",
                url.as_str()
            )
        })?;
        let sdk = sdk(Some(&region)).await;
        let credentials = sign::credentials(&sdk)
            .await
            .with_context(|| format!("neither a token in {TOKEN} nor AWS credentials"))?;
        Ok(Door::Signed {
            credentials,
            region,
        })
    }

    /// The same options once more, for a command that is to be run next.
    pub(crate) fn again(&self) -> String {
        let data = self.data.as_ref().map(|data| data.display().to_string());
        let api = self.api.as_ref().map(|api| api.as_str().to_owned());
        let stack = self.stack.clone();
        let region = self.stack_region.clone();
        let options = [
            ("--data", data),
            ("--api", api),
            ("--stack", stack),
            ("--stack-region", region),
        ];
        let given = options.into_iter().filter_map(|(option, value)| {
            let value = value?;
            Some(format!(" {option} {}", quoted(&value)))
        });
        given.collect()
    }
}

/// The API of the `sealift serve` that runs on a folder.
pub(crate) async fn served(data: &Path) -> anyhow::Result<Api> {
    let Serving { url, token, .. } = Serving::read(data).await?;
    Api::new(&url, Door::Token(bearer(&token)?))
}

fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .context("the token cannot stand in a header")?;
    header.set_sensitive(true);
    Ok(header)
}

/// The region of an address of API Gateway's own: `https://….execute-api.<region>.amazonaws.com`.
fn region_of(url: &ApiUrl) -> Option<String> {
    let uri: Uri = url.as_str().parse().ok()?;
    let host = uri.host()?;
    let own = host.strip_suffix(".amazonaws.com.cn");
    let own = own.or_else(|| host.strip_suffix(".amazonaws.com"))?;
    let (_, region) = own.split_once(".execute-api.")?;
    stack::region(region).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches};

    fn parse(words: &[&str]) -> Result<TargetArgs, clap::Error> {
        let command = TargetArgs::augment_args(Command::new("x"));
        let matches = command.try_get_matches_from([&["x"], words].concat())?;
        TargetArgs::from_arg_matches(&matches)
    }

    #[test]
    fn the_region_stands_in_an_address_of_api_gateways_own() {
        for (url, region) in [
            (
                "https://a1.execute-api.eu-west-1.amazonaws.com",
                Some("eu-west-1"),
            ),
            (
                "https://a1.execute-api.cn-north-1.amazonaws.com.cn/",
                Some("cn-north-1"),
            ),
            (
                "https://execute-api.eu-west-1.amazonaws.com.evil.example",
                None,
            ),
            ("https://api.example.com", None),
            ("http://127.0.0.1:8480", None),
        ] {
            let url = ApiUrl::parse(url).unwrap();
            assert_eq!(region_of(&url).as_deref(), region, "{url:?}");
        }
    }

    #[test]
    fn one_target_alone_can_be_named_and_it_is_named_again_in_the_next_command() {
        for both in [
            ["--data", "x", "--stack", "s"],
            ["--data", "x", "--api", "https://a.example"],
            ["--api", "https://a.example", "--stack", "s"],
            ["--data", "x", "--stack-region", "eu-west-1"],
        ] {
            let error = parse(&both).unwrap_err().to_string();
            assert!(error.contains("cannot be used with"), "{error}");
        }
        let error = parse(&["--api", "http://api.example.com"]).unwrap_err();
        assert!(error.to_string().contains("must begin with https://"));
        assert_eq!(parse(&[]).unwrap().again(), "");
        let given = ["--stack", "sealift", "--stack-region", "eu-west-1"];
        assert_eq!(
            parse(&given).unwrap().again(),
            " --stack sealift --stack-region eu-west-1"
        );
        let spaced = parse(&["--data", "my folder"]).unwrap();
        assert_eq!(spaced.again(), " --data 'my folder'");
    }

    #[tokio::test]
    async fn without_a_token_or_a_region_to_sign_for_no_request_is_made() {
        let target = parse(&["--api", "http://127.0.0.1:1"]).unwrap();
        let url = target.api.clone().unwrap();
        let error = target.door(&url, None).await.unwrap_err().to_string();
        assert!(
            error.contains("SEALIFT_TOKEN is not set") && error.contains("--stack-region"),
            "{error}"
        );
    }
}
