//! What the template has there all the time, whether anything happens or not.

use std::collections::BTreeMap;

use anyhow::Context as _;
use sealift_embedded::template::Template;
use serde_json::Value;

use super::usage::{Item, Usage, real};
use crate::stack::TEMPLATE;

/// How many batches Lambda asks a queue for at once, at the least. It goes down to two where little
/// happens, but not where a mapping has a maximum concurrency:
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
const POLLERS: f64 = 5.0;
const POLLERS_WITHOUT_MAXIMUM: f64 = 2.0;

/// For how long each request waits, in seconds.
const POLL_SECONDS: f64 = 20.0;

/// What stands there.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// Alarms and dashboards, for a month.
    pub(super) month: Usage,
    /// The functions' memory in MB, by logical id.
    pub(super) memory: BTreeMap<String, u64>,
    /// Days for which an object of the log is kept.
    pub(super) log_days: f64,
    /// Days for which a replaced document is kept.
    pub(super) state_days: f64,
}

impl Standing {
    /// As the template has it with these parameters.
    pub(super) fn of_template(parameters: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        Self::of(&Template::parse(TEMPLATE)?, parameters)
    }

    fn of(template: &Template, parameters: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let mut month = Usage::default();
        for (id, alarm) in template.resources_of("AWS::CloudWatch::Alarm") {
            if template.creates(id, parameters)? {
                month.add(Item::AlarmMetricMonths, metrics_of(alarm));
            }
        }
        for (id, _) in template.resources_of("AWS::CloudWatch::Dashboard") {
            if template.creates(id, parameters)? {
                month.add(Item::DashboardMonths, 1.0);
            }
        }
        let memory = template
            .resources_of("AWS::Serverless::Function")
            .map(|(id, function)| {
                let megabytes = function.pointer("/Properties/MemorySize");
                let megabytes = megabytes.and_then(Value::as_u64);
                let megabytes = megabytes.with_context(|| format!("{id} has no MemorySize"))?;
                Ok((id.to_owned(), megabytes))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            month,
            memory,
            log_days: days(template, "LogBucket", "/ExpirationInDays")?,
            state_days: days(
                template,
                "StateBucket",
                "/NoncurrentVersionExpiration/NoncurrentDays",
            )?,
        })
    }

    /// The requests in which Lambda asks a queue that has nothing.
    pub(super) fn polls(maximum_concurrency: Option<u64>, seconds: f64) -> f64 {
        let pollers = match maximum_concurrency {
            Some(_) => POLLERS,
            None => POLLERS_WITHOUT_MAXIMUM,
        };
        pollers * seconds / POLL_SECONDS
    }
}

/// An alarm is paid for each metric that it looks at.
fn metrics_of(alarm: &Value) -> f64 {
    let metrics = alarm.pointer("/Properties/Metrics");
    let Some(metrics) = metrics.and_then(Value::as_array) else {
        return 1.0;
    };
    let read = metrics.iter().filter(|m| m.get("MetricStat").is_some());
    real(read.count() as u64)
}

/// The days of the first lifecycle rule that has some.
fn days(template: &Template, bucket: &str, pointer: &str) -> anyhow::Result<f64> {
    let rules = template
        .resource(bucket)
        .and_then(|bucket| bucket.pointer("/Properties/LifecycleConfiguration/Rules"))
        .and_then(Value::as_array);
    rules
        .into_iter()
        .flatten()
        .find_map(|rule| rule.pointer(pointer)?.as_f64())
        .with_context(|| format!("{bucket} has no lifecycle rule with {pointer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "
Conditions:
  WantsMore: !Equals [!Ref More, yes]
Resources:
  One:
    Type: AWS::CloudWatch::Alarm
    Properties: { Namespace: N, MetricName: M }
  Sum:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Metrics:
        - { Id: sum, Expression: SUM(METRICS()) }
        - { Id: a, MetricStat: {} }
        - { Id: b, MetricStat: {} }
  Board:
    Type: AWS::CloudWatch::Dashboard
  Wanted:
    Type: AWS::CloudWatch::Dashboard
    Condition: WantsMore
  Function:
    Type: AWS::Serverless::Function
    Properties: { MemorySize: 512 }
  LogBucket:
    Type: AWS::S3::Bucket
    Properties:
      LifecycleConfiguration: { Rules: [{ Id: x }, { Id: y, ExpirationInDays: 37 }] }
  StateBucket:
    Type: AWS::S3::Bucket
    Properties:
      LifecycleConfiguration:
        Rules: [{ NoncurrentVersionExpiration: { NoncurrentDays: 30 } }]
";

    #[test]
    fn alarms_count_by_their_metrics_and_what_is_not_created_does_not_count() {
        let template = Template::parse(SMALL).unwrap();
        let with = |more: &str| BTreeMap::from([("More".to_owned(), more.to_owned())]);
        let standing = Standing::of(&template, &with("yes")).unwrap();
        assert!((standing.month.of(Item::DashboardMonths) - 2.0).abs() < 1e-9);
        let standing = Standing::of(&template, &with("no")).unwrap();
        assert!((standing.month.of(Item::AlarmMetricMonths) - 3.0).abs() < 1e-9);
        assert!((standing.month.of(Item::DashboardMonths) - 1.0).abs() < 1e-9);
        assert_eq!(standing.memory["Function"], 512);
        assert!((standing.log_days - 37.0).abs() < 1e-9);
        assert!((standing.state_days - 30.0).abs() < 1e-9);
    }

    /// The template's parameters, as they are by default.
    fn defaults() -> BTreeMap<String, String> {
        let template = Template::parse(TEMPLATE).unwrap();
        let default = |parameter: &Value| match parameter.get("Default")? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let parameters = template.section("Parameters");
        parameters
            .filter_map(|(name, parameter)| Some((name.to_owned(), default(parameter)?)))
            .collect()
    }

    #[test]
    fn the_deployed_template_has_all_that_is_asked_of_it() {
        let standing = Standing::of_template(&defaults()).unwrap();
        assert!(standing.memory.contains_key("AuditWriter"));
    }

    #[test]
    fn an_idle_queue_is_asked_fifteen_times_a_minute_or_six() {
        for (maximum, polls) in [(Some(2), 15.0), (None, 6.0)] {
            assert!((Standing::polls(maximum, 60.0) - polls).abs() < 1e-9);
        }
    }
}
