//! Reading the wiring: from a template's resources to what the bus runs on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::node::Node;
use super::resolve::Resolver;
use super::wiring::{
    Bucket, Function, Mapping, Queue, Redrive, Rule, Schedule, Target, TargetOf, Wiring,
};
use super::{Deployment, Template, TemplateError};
use crate::pattern::Pattern;

pub(super) fn wiring(
    template: &Template,
    deployment: &Deployment,
) -> Result<Wiring, TemplateError> {
    check_globals(template)?;
    let resolver = Resolver {
        template,
        deployment,
    };
    let reader = Reader {
        resolver: &resolver,
        by_arn: by_arn(&resolver)?,
    };
    let mut wiring = Wiring {
        account: deployment.account.clone(),
        region: deployment.region.clone(),
        buses: BTreeMap::new(),
        rules: Vec::new(),
        queues: BTreeMap::new(),
        mappings: Vec::new(),
        schedules: Vec::new(),
        functions: BTreeMap::new(),
        buckets: BTreeMap::new(),
        parameters: BTreeMap::new(),
    };
    for (name, parameter) in template.section("Parameters") {
        let given = deployment.parameters.get(name).cloned();
        let default = || match parameter.get("Default")? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        if let Some(value) = given.or_else(default) {
            wiring.parameters.insert(name.to_owned(), value);
        }
    }
    for (id, document) in template.section("Resources") {
        let node = Node::properties(&resolver, id, document);
        let owned = id.to_owned();
        let kind = document
            .get("Type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let flows = matches!(
            kind,
            "AWS::Events::EventBus"
                | "AWS::Events::Rule"
                | "AWS::SQS::Queue"
                | "AWS::Scheduler::Schedule"
                | "AWS::Serverless::Function"
                | "AWS::S3::Bucket"
        );
        if flows && !is_created(template, &wiring.parameters, &node, document)? {
            continue;
        }
        match kind {
            "AWS::Events::EventBus" => {
                wiring.buses.insert(owned, resolver.name(id)?);
            }
            "AWS::Events::Rule" => wiring.rules.push(reader.rule(id, &node)?),
            "AWS::SQS::Queue" => {
                wiring.queues.insert(owned, reader.queue(id, &node)?);
            }
            "AWS::Scheduler::Schedule" => wiring.schedules.push(reader.schedule(id, &node)?),
            "AWS::Serverless::Function" => {
                wiring.functions.insert(owned, reader.function(id, &node)?);
                wiring.mappings.extend(reader.mappings(id, &node)?);
            }
            "AWS::S3::Bucket" => {
                wiring.buckets.insert(owned, reader.bucket(id, &node)?);
            }
            _ => {}
        }
    }
    // In an order of their own, so that a run does not depend on how the template is sorted.
    wiring.rules.sort_by(|a, b| a.id.cmp(&b.id));
    wiring.schedules.sort_by(|a, b| a.id.cmp(&b.id));
    wiring
        .mappings
        .sort_by(|a, b| (&a.function, &a.queue).cmp(&(&b.function, &b.queue)));
    Ok(wiring)
}

/// Whether a resource's condition holds, if it has one. Only the comparison of a parameter with
/// a text is understood, and that it is another.
fn is_created(
    template: &Template,
    parameters: &BTreeMap<String, String>,
    node: &Node<'_>,
    document: &Value,
) -> Result<bool, TemplateError> {
    let Some(name) = document.get("Condition").and_then(Value::as_str) else {
        return Ok(true);
    };
    holds(template, parameters, name).ok_or_else(|| {
        node.error(format!(
            "the condition {name} is not understood here: it must be !Equals [!Ref <parameter>, <text>], \
             or !Not of that"
        ))
    })
}

/// Whether a condition holds; `None` if it is not understood.
pub(super) fn holds(
    template: &Template,
    parameters: &BTreeMap<String, String>,
    name: &str,
) -> Option<bool> {
    let (_, condition) = template
        .section("Conditions")
        .find(|(known, _)| *known == name)?;
    let denied = condition.get("Fn::Not");
    let equals = match denied {
        Some(denied) => denied.as_array()?.first()?,
        None => condition,
    };
    let sides = equals.get("Fn::Equals")?.as_array()?;
    let parameter = sides.first()?.get("Ref")?.as_str()?;
    let equal = parameters.get(parameter)? == sides.get(1)?.as_str()?;
    Some(equal != denied.is_some())
}

/// SAM would merge these into each function; here each says them for itself.
fn check_globals(template: &Template) -> Result<(), TemplateError> {
    let globals = template
        .section("Globals")
        .find(|(name, _)| *name == "Function");
    for property in ["Environment", "EventInvokeConfig", "Timeout"] {
        if globals.is_some_and(|(_, function)| function.get(property).is_some()) {
            return Err(TemplateError::Property {
                resource: "Globals".to_owned(),
                property: format!("Function.{property}"),
                reason: "it must stand on each function".to_owned(),
            });
        }
    }
    Ok(())
}

/// What the ARN of a queue or function stands for.
type ByArn = BTreeMap<String, TargetOf>;

fn by_arn(resolver: &Resolver<'_>) -> Result<ByArn, TemplateError> {
    let mut by_arn = ByArn::new();
    for (id, _) in resolver.template.resources_of("AWS::SQS::Queue") {
        if let Some(arn) = resolver.arn(id)? {
            by_arn.insert(arn, TargetOf::Queue(id.to_owned()));
        }
    }
    for (id, _) in resolver.template.resources_of("AWS::Serverless::Function") {
        if let Some(arn) = resolver.arn(id)? {
            by_arn.insert(arn, TargetOf::Function(id.to_owned()));
        }
    }
    Ok(by_arn)
}

struct Reader<'a> {
    resolver: &'a Resolver<'a>,
    by_arn: ByArn,
}

impl Reader<'_> {
    fn target(&self, arn: &Node<'_>) -> Result<TargetOf, TemplateError> {
        let text = arn.text()?;
        let found = self.by_arn.get(&text).cloned();
        found.ok_or_else(|| arn.error(format!("{text} is no queue or function of the template")))
    }

    fn queue_at(&self, arn: &Node<'_>) -> Result<String, TemplateError> {
        match self.target(arn)? {
            TargetOf::Queue(id) => Ok(id),
            TargetOf::Function(_) => Err(arn.error("it must be a queue")),
        }
    }

    fn function_at(&self, arn: &Node<'_>) -> Result<String, TemplateError> {
        match self.target(arn)? {
            TargetOf::Function(id) => Ok(id),
            TargetOf::Queue(_) => Err(arn.error("it must be a function")),
        }
    }

    fn dead_letter_queue(&self, node: &Node<'_>) -> Result<Option<String>, TemplateError> {
        node.get("DeadLetterConfig")
            .map(|config| self.queue_at(&config.need("Arn")?))
            .transpose()
    }

    fn own_arn(&self, id: &str, node: &Node<'_>) -> Result<String, TemplateError> {
        let arn = self.resolver.arn(id)?;
        arn.ok_or_else(|| node.error("it has no ARN"))
    }

    fn rule(&self, id: &str, node: &Node<'_>) -> Result<Rule, TemplateError> {
        node.only(&[
            "Name",
            "Description",
            "EventBusName",
            "EventPattern",
            "Targets",
            "Tags",
        ])?;
        let bus = node
            .get("EventBusName")
            .map_or(Ok("default".to_owned()), |bus| bus.text())?;
        let pattern = node.need("EventPattern")?.resolved()?;
        let pattern = Pattern::parse(&pattern).map_err(|source| TemplateError::Pattern {
            resource: id.to_owned(),
            source,
        })?;
        let mut targets = Vec::new();
        for target in node.need("Targets")?.items()? {
            // Retries have no meaning where every target is in reach.
            target.only(&["Id", "Arn", "RetryPolicy", "DeadLetterConfig"])?;
            targets.push(Target {
                to: self.target(&target.need("Arn")?)?,
                dead_letter_queue: self.dead_letter_queue(&target)?,
            });
        }
        Ok(Rule {
            id: id.to_owned(),
            bus,
            pattern,
            targets,
        })
    }

    fn queue(&self, id: &str, node: &Node<'_>) -> Result<Queue, TemplateError> {
        node.only(&[
            "QueueName",
            "DelaySeconds",
            "VisibilityTimeout",
            "MessageRetentionPeriod",
            "RedrivePolicy",
            "SqsManagedSseEnabled",
            "KmsMasterKeyId",
            "Tags",
        ])?;
        let redrive = node.get("RedrivePolicy").map(|policy| {
            Ok(Redrive {
                dead_letter_queue: self.queue_at(&policy.need("deadLetterTargetArn")?)?,
                max_receive_count: policy.need("maxReceiveCount")?.number()?,
            })
        });
        // The defaults are those of
        // https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queue.html
        Ok(Queue {
            arn: self.own_arn(id, node)?,
            delay: seconds(node, "DelaySeconds", 0)?,
            visibility: seconds(node, "VisibilityTimeout", 30)?,
            retention: seconds(node, "MessageRetentionPeriod", 345_600)?,
            redrive: redrive.transpose()?,
        })
    }

    fn schedule(&self, id: &str, node: &Node<'_>) -> Result<Schedule, TemplateError> {
        node.only(&[
            "Name",
            "Description",
            "ScheduleExpression",
            "FlexibleTimeWindow",
            "Target",
        ])?;
        if node.need("FlexibleTimeWindow")?.need("Mode")?.text()? != "OFF" {
            return Err(node.error("FlexibleTimeWindow.Mode must be OFF"));
        }
        let expression = node.need("ScheduleExpression")?;
        let every = rate(&expression.text()?)
            .ok_or_else(|| expression.error("only rate(<number> <unit>) is understood here"))?;
        let target = node.need("Target")?;
        target.only(&["Arn", "RoleArn", "Input", "RetryPolicy", "DeadLetterConfig"])?;
        Ok(Schedule {
            id: id.to_owned(),
            every,
            function: self.function_at(&target.need("Arn")?)?,
            input: target.need("Input")?.text()?,
        })
    }

    fn function(&self, id: &str, node: &Node<'_>) -> Result<Function, TemplateError> {
        let mut environment = BTreeMap::new();
        let variables = node.get("Environment").and_then(|e| e.get("Variables"));
        for (name, value) in variables.iter().flat_map(Node::entries) {
            environment.insert(name.to_owned(), value.text()?);
        }
        let invoke = node.get("EventInvokeConfig");
        let ends = invoke.as_ref().and_then(|i| i.get("DestinationConfig"));
        if let Some(config) = ends.as_ref().and_then(|ends| ends.get("OnSuccess")) {
            return Err(config.error("it is not understood here"));
        }
        let on_failure = ends.and_then(|ends| ends.get("OnFailure"));
        let on_failure = on_failure.and_then(|failure| failure.get("Destination"));
        let retries = invoke.and_then(|i| i.get("MaximumRetryAttempts"));
        Ok(Function {
            arn: self.own_arn(id, node)?,
            timeout: seconds(node, "Timeout", 3)?,
            environment,
            // https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
            asynchronous_retries: retries.map_or(Ok(2), |retries| retries.number())?,
            on_failure: on_failure.map(|queue| self.queue_at(&queue)).transpose()?,
        })
    }

    fn mappings(&self, id: &str, node: &Node<'_>) -> Result<Vec<Mapping>, TemplateError> {
        let mut mappings = Vec::new();
        for (_, event) in node.get("Events").iter().flat_map(Node::entries) {
            let kind = event.need("Type")?;
            match kind.text()?.as_str() {
                "SQS" => {}
                // Requests go past the bus: whoever serves the function serves them.
                "HttpApi" => continue,
                _ => return Err(kind.error("only events from SQS and HttpApi are understood here")),
            }
            let event = event.need("Properties")?;
            event.only(&[
                "Queue",
                "BatchSize",
                "MaximumBatchingWindowInSeconds",
                "FunctionResponseTypes",
                "ScalingConfig",
            ])?;
            let types = event
                .get("FunctionResponseTypes")
                .map_or(Ok(Vec::new()), |t| t.items())?;
            let mut report_batch_item_failures = false;
            for kind in types {
                match kind.text()?.as_str() {
                    "ReportBatchItemFailures" => report_batch_item_failures = true,
                    _ => return Err(kind.error("it is not understood here")),
                }
            }
            let batch_size = event
                .get("BatchSize")
                .map_or(Ok(10), |size| size.number())?;
            let scaling = event
                .get("ScalingConfig")
                .and_then(|s| s.get("MaximumConcurrency"));
            mappings.push(Mapping {
                queue: self.queue_at(&event.need("Queue")?)?,
                function: id.to_owned(),
                batch_size: usize::try_from(batch_size)
                    .map_err(|_| event.error("BatchSize is too large"))?,
                window: seconds(&event, "MaximumBatchingWindowInSeconds", 0)?,
                report_batch_item_failures,
                maximum_concurrency: scaling.map(|s| s.number()).transpose()?,
            });
        }
        Ok(mappings)
    }

    fn bucket(&self, id: &str, node: &Node<'_>) -> Result<Bucket, TemplateError> {
        let configuration = node
            .get("NotificationConfiguration")
            .and_then(|n| n.get("EventBridgeConfiguration"));
        // An empty configuration means that they are on.
        let notifies_bus = match configuration {
            Some(on) if on.object().is_some_and(serde_json::Map::is_empty) => true,
            Some(on) => on.need("EventBridgeEnabled")?.text()? == "true",
            None => false,
        };
        Ok(Bucket {
            name: self.resolver.name(id)?,
            notifies_bus,
        })
    }
}

fn seconds(node: &Node<'_>, name: &str, default: u64) -> Result<Duration, TemplateError> {
    let value = node.get(name).map_or(Ok(default), |value| value.number())?;
    Ok(Duration::from_secs(value))
}

/// `rate(5 minutes)`
///
/// Source: <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based>
fn rate(expression: &str) -> Option<Duration> {
    let inner = expression.strip_prefix("rate(")?.strip_suffix(')')?;
    let (count, unit) = inner.split_once(' ')?;
    let unit = match unit {
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3600,
        "day" | "days" => 86_400,
        _ => return None,
    };
    let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
    Some(Duration::from_secs(count.checked_mul(unit)?))
}
