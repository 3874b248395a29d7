//! A deployed stack, found by its name: its outputs and parameters, as CloudFormation tells them.
//!
//! One call of one service, so it is made here, without that service's SDK.
//! Source: <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html>

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use aws_config::{Region, SdkConfig};
use bytes::Bytes;
use clap::Args;
use http::{Request, Response, header};
use sealift_aws::SystemClock;
use sealift_aws::system::environment;
use sealift_core::ports::Clock;
use serde::Deserialize;

use super::client::Http;
use super::sign::{Scope, credentials, signed};
use crate::text::printable;

/// A deployed stack, by its name.
#[derive(Debug, Clone, Default, Args)]
pub struct StackArgs {
    /// A deployed stack: what is not given is taken from its outputs and parameters
    #[arg(long, global = true, value_name = "NAME", value_parser = stack_name)]
    pub stack: Option<String>,

    /// The AWS region, in place of the environment's
    #[arg(long, global = true, value_name = "REGION", value_parser = region)]
    pub region: Option<String>,
}

impl StackArgs {
    /// The stack, if one is named.
    pub async fn describe(&self) -> anyhow::Result<Option<Deployed>> {
        match &self.stack {
            Some(stack) => describe(stack, self.region.as_deref()).await.map(Some),
            None => Ok(None),
        }
    }

    /// The SDK's configuration of the environment, in the region that was named.
    pub async fn sdk(&self) -> SdkConfig {
        sdk(self.region.as_deref()).await
    }
}

/// A name or an ARN. CloudFormation's own error about another one is long and tells little.
pub(super) fn stack_name(text: &str) -> Result<String, &'static str> {
    let is_arn = text.starts_with("arn:");
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || (is_arn && ":/".contains(c));
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if begins && text.len() <= 2048 && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(
            "a stack's name begins with a letter and holds letters, digits and `-`; its ARN will do, too",
        )
    }
}

pub(super) fn region(text: &str) -> Result<String, sealift_core::id::InvalidId> {
    sealift_core::destination::Region::parse(text).map(|region| region.as_str().to_owned())
}

/// A stack as CloudFormation tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// What it is called.
    pub name: String,
    /// `CREATE_COMPLETE` and the like.
    pub status: String,
    /// Its outputs, by their names in the template.
    pub outputs: BTreeMap<String, String>,
    /// Its parameters, by their names in the template.
    pub parameters: BTreeMap<String, String>,
}

impl Deployed {
    /// An output.
    pub fn output(&self, name: &str) -> anyhow::Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| {
            format!(
                "the stack {} ({}) has no output {name}: it is not one of Sealift's, or an older \
                 one, or not deployed to its end",
                self.name, self.status
            )
        })
    }

    /// A parameter; `None` if the stack has no such parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// The outputs of a stack, in a region or in the environment's.
pub async fn outputs(
    stack: &str,
    region: Option<&str>,
) -> anyhow::Result<BTreeMap<String, String>> {
    Ok(describe(stack, region).await?.outputs)
}

/// The SDK's configuration of the environment, in a region if one is named.
pub async fn sdk(region: Option<&str>) -> SdkConfig {
    let sdk = sealift_aws::config::load().await;
    match region {
        Some(region) => {
            let region = Region::new(region.to_owned());
            sdk.into_builder().region(region).build()
        }
        None => sdk,
    }
}

/// Asks CloudFormation for a stack, in a region or in the environment's. `AWS_ENDPOINT_URL` and
/// `AWS_ENDPOINT_URL_CLOUDFORMATION` count, so it may be an emulator's.
pub async fn describe(stack: &str, region: Option<&str>) -> anyhow::Result<Deployed> {
    let sdk = sdk(region).await;
    let region = sdk.region().map(ToString::to_string);
    let region =
        region.context("no AWS region is known: set AWS_REGION, or name it beside the stack")?;
    let url = environment("AWS_ENDPOINT_URL_CLOUDFORMATION")
        .filter(|url| !url.is_empty())
        .or_else(|| sdk.endpoint_url().map(str::to_owned))
        .unwrap_or_else(|| endpoint(&region));
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "DescribeStacks")
        .append_pair("Version", "2010-05-15")
        .append_pair("StackName", stack)
        .finish();
    let request = Request::post(format!("{}/", url.trim_end_matches('/')))
        .header(
            header::CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=utf-8",
        )
        .body(Bytes::from(body))
        .with_context(|| format!("CloudFormation cannot be asked at {url}"))?;
    let scope = Scope {
        service: "cloudformation",
        region: &region,
        now: SystemClock.now(),
    };
    let request = signed(request, &credentials(&sdk).await?, &scope)?;
    let answer = Http::new()?.send(request).await;
    let answer = answer.context("CloudFormation could not be asked for the stack")?;
    read(stack, &region, &answer)
}

fn endpoint(region: &str) -> String {
    let suffix = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("https://cloudformation.{region}.{suffix}")
}

/// `DescribeStacksResponse`, as far as it is used.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(rename = "DescribeStacksResult")]
    result: Described,
}

#[derive(Debug, Deserialize)]
struct Described {
    #[serde(rename = "Stacks", default)]
    stacks: List<Stack>,
}

#[derive(Debug, Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    member: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { member: Vec::new() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stack {
    #[serde(rename = "StackName")]
    name: String,
    #[serde(rename = "StackStatus", default)]
    status: String,
    #[serde(default)]
    outputs: List<Output>,
    #[serde(default)]
    parameters: List<Parameter>,
}

#[derive(Debug, Deserialize)]
struct Output {
    #[serde(rename = "OutputKey")]
    key: String,
    #[serde(rename = "OutputValue", default)]
    value: String,
}

#[derive(Debug, Deserialize)]
struct Parameter {
    #[serde(rename = "ParameterKey")]
    key: String,
    #[serde(rename = "ParameterValue", default)]
    value: String,
}

/// `ErrorResponse`
#[derive(Debug, Deserialize)]
struct Refused {
    #[serde(rename = "Error")]
    error: Told,
    #[serde(rename = "RequestId", default)]
    request_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    code: String,
    #[serde(default)]
    message: String,
}

fn read(stack: &str, region: &str, answer: &Response<Bytes>) -> anyhow::Result<Deployed> {
    let text = String::from_utf8_lossy(answer.body());
    if !answer.status().is_success() {
        return Err(refusal(stack, region, answer.status().as_u16(), &text));
    }
    let read: Answer = quick_xml::de::from_str(&text)
        .context("CloudFormation's answer about the stack cannot be read")?;
    let Some(found) = read.result.stacks.member.into_iter().next() else {
        bail!("there is no stack {stack} in {region}");
    };
    let outputs = found.outputs.member.into_iter();
    let parameters = found.parameters.member.into_iter();
    Ok(Deployed {
        name: found.name,
        status: found.status,
        outputs: outputs.map(|o| (o.key, o.value)).collect(),
        parameters: parameters.map(|p| (p.key, p.value)).collect(),
    })
}

fn refusal(stack: &str, region: &str, status: u16, text: &str) -> anyhow::Error {
    let Ok(Refused { error, request_id }) = quick_xml::de::from_str(text) else {
        let text = printable(text);
        return anyhow!("CloudFormation answered with HTTP {status}: {text}");
    };
    let (code, message) = (error.code.as_str(), printable(&error.message));
    match code {
        "ValidationError" if message.contains("does not exist") => anyhow!(
            "there is no stack {stack} in {region}, in the account of these AWS credentials: see \
             AWS_REGION, AWS_PROFILE, and `aws cloudformation list-stacks`"
        ),
        "AccessDenied" | "AccessDeniedException" => anyhow!(
            "these AWS credentials may not look at the stack {stack}; they need \
             cloudformation:DescribeStacks on it. CloudFormation says: {message} (request {request_id})"
        ),
        _ => anyhow!(
            "CloudFormation does not tell of the stack {stack}: {code}: {message} (request {request_id})"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Response<Bytes> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Response::builder().status(status).body(body).unwrap()
    }

    const STACK: &str = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
  <DescribeStacksResult>
    <Stacks>
      <member>
        <Outputs>
          <member><Description>The bus &amp; all.</Description><OutputKey>BusName</OutputKey><OutputValue>sealift-bus</OutputValue></member>
          <member><OutputKey>OperatorApiUrl</OutputKey><OutputValue>https://a1.execute-api.eu-west-1.amazonaws.com</OutputValue></member>
        </Outputs>
        <Capabilities><member>CAPABILITY_IAM</member></Capabilities>
        <CreationTime>2026-01-02T03:04:05.678Z</CreationTime>
        <StackName>sealift</StackName>
        <Parameters>
          <member><ParameterKey>EventShapes</ParameterKey><ParameterValue>[{&quot;a&quot;:1}]</ParameterValue></member>
          <member><ParameterKey>ProvisionPath</ParameterKey><ParameterValue/></member>
        </Parameters>
        <StackStatus>UPDATE_COMPLETE</StackStatus>
        <Tags/>
      </member>
    </Stacks>
  </DescribeStacksResult>
  <ResponseMetadata><RequestId>b9b4b068-3a41-11e5-94eb-example</RequestId></ResponseMetadata>
</DescribeStacksResponse>"#;

    #[test]
    fn a_stacks_outputs_and_parameters_are_read_and_a_missing_one_is_named() {
        let stack = read("sealift", "eu-west-1", &answer(200, STACK)).unwrap();
        assert_eq!(stack.output("BusName").unwrap(), "sealift-bus");
        assert_eq!(stack.outputs.len(), 2);
        assert_eq!(stack.parameter("EventShapes"), Some(r#"[{"a":1}]"#));
        assert_eq!(stack.parameter("ProvisionPath"), Some(""));
        assert_eq!(stack.parameter("ExportShards"), None);
        let error = stack.output("LogBucketName").unwrap_err().to_string();
        assert!(
            error.contains("the stack sealift (UPDATE_COMPLETE) has no output LogBucketName"),
            "{error}"
        );
        let bare = STACK.replace("<Outputs>", "<Outputs/><Others>");
        let bare = bare.replace("</Outputs>", "</Others>");
        let stack = read("sealift", "eu-west-1", &answer(200, &bare)).unwrap();
        assert_eq!(stack.outputs.len(), 0);
    }

    #[test]
    fn what_cloudformation_refuses_is_told_with_the_way_out() {
        let error = |code: &str, message: &str| {
            let body = format!(
                r#"<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
                   <Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>
                   <RequestId>r-1</RequestId></ErrorResponse>"#
            );
            read("mine", "eu-west-1", &answer(400, &body))
                .unwrap_err()
                .to_string()
        };
        let missing = error("ValidationError", "Stack with id mine does not exist");
        assert!(missing.contains("no stack mine in eu-west-1"), "{missing}");
        let denied = error("AccessDenied", "User: x is not authorized");
        assert!(
            denied.contains("cloudformation:DescribeStacks") && denied.contains("request r-1"),
            "{denied}"
        );
        let expired = error("ExpiredToken", "The security token is expired");
        assert!(
            expired.contains("ExpiredToken: The security token is expired"),
            "{expired}"
        );
        let other = read("mine", "eu-west-1", &answer(502, "<html>\u{1b}[2Jbad")).unwrap_err();
        assert_eq!(
            other.to_string(),
            "CloudFormation answered with HTTP 502: <html> [2Jbad"
        );
    }

    #[test]
    fn a_stack_is_named_by_its_name_or_its_arn() {
        for good in [
            "sealift",
            "sealift-eu-1",
            "arn:aws:cloudformation:eu-west-1:111111111111:stack/sealift/0a-1b",
        ] {
            assert_eq!(stack_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "-x", "my stack", "my/stack", "1st"] {
            assert!(stack_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn china_has_an_endpoint_of_its_own() {
        assert_eq!(
            [endpoint("eu-west-1"), endpoint("cn-north-1")],
            [
                "https://cloudformation.eu-west-1.amazonaws.com",
                "https://cloudformation.cn-north-1.amazonaws.com.cn"
            ]
        );
    }
}
