//! The deployed template as the embedded mode reads it, so that the wiring has one source.
//!
//! [`Template`] is `template.yaml` as JSON, with CloudFormation's short tags written out
//! (`!Ref X` is `{"Ref": "X"}`). [`Template::wiring`] takes from it what the embedded
//! [bus](crate::bus) needs: buses, rules, queues, mappings, schedules and the functions'
//! variables, with every reference resolved for a [`Deployment`]. [`Template::permissions`] takes
//! the roles and policies in the same way. What would change how events flow or who may do what,
//! and is not understood, is an error that names resource and property.
//!
//! Source: <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use self::permissions::{Permissions, Role};
pub use self::wiring::{
    Bucket, Function, Mapping, Queue, Redrive, Rule, Schedule, Target, TargetOf, Wiring,
};
use crate::pattern::InvalidPattern;

mod node;
mod permissions;
mod read;
mod resolve;
mod wiring;
mod yaml;

/// A template, with its tags written out.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    document: Map<String, Value>,
}

/// Where a template is taken to be deployed, and under which names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The stack's name.
    pub stack: String,
    /// The account, 12 digits.
    pub account: String,
    /// The region: `eu-central-1`.
    pub region: String,
    /// Values of parameters; the others keep their defaults.
    pub parameters: BTreeMap<String, String>,
    /// Names of resources, by logical id. The others are named as the template says, and
    /// `<stack>-<logical id>` in lower case where it says nothing.
    pub names: BTreeMap<String, String>,
}

/// A template that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is no YAML, or no template.
    #[error("the template cannot be read: {0}")]
    Unreadable(String),
    /// A property needs a value, and an intrinsic function stands there that is not known.
    #[error("{resource}, {property}: the intrinsic function {intrinsic} is not known")]
    UnknownIntrinsic {
        /// The resource's logical id.
        resource: String,
        /// The property, as a path.
        property: String,
        /// The function: `Fn::Select`.
        intrinsic: String,
    },
    /// A reference to something that the template does not hold, or that has no value.
    #[error("{resource}, {property}: {reference:?} cannot be resolved: {reason}")]
    Unresolved {
        /// The resource's logical id.
        resource: String,
        /// The property, as a path.
        property: String,
        /// What is referred to.
        reference: String,
        /// Why it has no value.
        reason: &'static str,
    },
    /// A property is missing, holds what it may not, or means what is not understood.
    #[error("{resource}, {property}: {reason}")]
    Property {
        /// The resource's logical id.
        resource: String,
        /// The property, as a path.
        property: String,
        /// What is wrong.
        reason: String,
    },
    /// A rule's event pattern.
    #[error("{resource}: {source}")]
    Pattern {
        /// The rule's logical id.
        resource: String,
        /// What is wrong with it.
        source: InvalidPattern,
    },
}

impl Template {
    /// Reads the text of a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        match yaml::long_form(text).map_err(TemplateError::Unreadable)? {
            Value::Object(document) => Ok(Self { document }),
            _ => Err(TemplateError::Unreadable("it is no mapping".to_owned())),
        }
    }

    /// A section of it (`Resources`, `Parameters`, …), with nothing resolved. Empty if there is
    /// none.
    pub fn section(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.document
            .get(name)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// A resource, by its logical id, with nothing resolved.
    pub fn resource(&self, id: &str) -> Option<&Value> {
        self.document.get("Resources")?.get(id)
    }

    /// The resources of a type, by logical id, with nothing resolved.
    pub fn resources_of(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.section("Resources")
            .filter(move |(_, resource)| resource.get("Type").and_then(Value::as_str) == Some(kind))
    }

    /// Whether a resource is created with these parameters: it has no condition, or one that
    /// holds.
    pub fn creates(
        &self,
        id: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<bool, TemplateError> {
        let condition = self.resource(id).and_then(|r| r.get("Condition")?.as_str());
        let Some(name) = condition else {
            return Ok(true);
        };
        read::holds(self, parameters, name).ok_or_else(|| TemplateError::Property {
            resource: id.to_owned(),
            property: "Condition".to_owned(),
            reason: format!("the condition {name} is not understood here"),
        })
    }

    /// How events flow in a deployment of it.
    pub fn wiring(&self, deployment: &Deployment) -> Result<Wiring, TemplateError> {
        read::wiring(self, deployment)
    }

    /// Who may do what in a deployment of it.
    pub fn permissions(&self, deployment: &Deployment) -> Result<Permissions, TemplateError> {
        permissions::permissions(self, deployment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    const DEPLOYED: &str = include_str!("../../../template.yaml");

    fn deployment() -> Deployment {
        let names = [
            ("LogBucket", "sealift-log"),
            ("StateBucket", "sealift-state"),
        ];
        Deployment {
            stack: "sealift".to_owned(),
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            parameters: BTreeMap::from([("FlushIntervalSeconds".to_owned(), "7".to_owned())]),
            names: names
                .map(|(id, name)| (id.to_owned(), name.to_owned()))
                .into(),
        }
    }

    fn wiring(text: &str) -> Result<Wiring, TemplateError> {
        Template::parse(text).unwrap().wiring(&deployment())
    }

    /// A template with one queue that has the property.
    fn queue_with(property: &str) -> Result<Wiring, TemplateError> {
        wiring(&format!(
            "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n    Properties:\n      {property}\n"
        ))
    }

    #[test]
    fn the_deployed_template_leads_from_the_bus_to_the_writer() {
        let wiring = wiring(DEPLOYED).unwrap();
        assert_eq!(wiring.buses["Bus"], "sealift");
        let rule = wiring
            .rules
            .iter()
            .find(|rule| rule.bus == "sealift")
            .unwrap();
        assert_eq!(rule.targets[0].to, TargetOf::Queue("AuditQueue".to_owned()));
        let mapping = wiring
            .mappings
            .iter()
            .find(|m| m.queue == "AuditQueue")
            .unwrap();
        assert_eq!(mapping.function, "AuditWriter");
        assert_eq!(mapping.batch_size, 10_000);
        assert_eq!(mapping.window, Duration::from_secs(5));
        assert!(mapping.report_batch_item_failures);
        let queue = &wiring.queues["AuditQueue"];
        let redrive = queue.redrive.as_ref().unwrap();
        assert_eq!(redrive.dead_letter_queue, "AuditDeadLetterQueue");
        assert_eq!(redrive.max_receive_count, 10);
    }

    #[test]
    fn the_deployed_template_leads_from_the_log_to_delivery() {
        let wiring = wiring(DEPLOYED).unwrap();
        assert!(wiring.buckets["LogBucket"].notifies_bus);
        assert!(!wiring.buckets["StateBucket"].notifies_bus);
        let rule = wiring
            .rules
            .iter()
            .find(|rule| rule.bus == "default")
            .unwrap();
        let object = |bucket: &str, key: &str| {
            json!({
                "source": "aws.s3", "detail-type": "Object Created",
                "detail": {"bucket": {"name": bucket}, "object": {"key": key}}
            })
        };
        assert!(
            rule.pattern
                .matches(&object("sealift-log", "log/00000000000000000001"))
        );
        assert!(!rule.pattern.matches(&object("sealift-log", "parked/x")));
        assert!(
            !rule
                .pattern
                .matches(&object("sealift-state", "log/00000000000000000001"))
        );
        assert_eq!(wiring.queues["DeliveryQueue"].delay, Duration::from_secs(7));
        let mut schedules = wiring.schedules.iter();
        let schedule = schedules.find(|schedule| schedule.function == "AuditDelivery");
        assert_eq!(schedule.unwrap().every, Duration::from_mins(1));
    }

    #[test]
    fn variables_are_resolved() {
        let wiring = wiring(DEPLOYED).unwrap();
        let environment = &wiring.functions["AuditDelivery"].environment;
        assert_eq!(environment["SEALIFT_LOG_BUCKET"], "sealift-log");
        assert_eq!(environment["SEALIFT_FLUSH_INTERVAL_SECONDS"], "7");
        assert_eq!(environment["SEALIFT_LOOKBACK_SECONDS"], "21600");
        assert_eq!(
            environment["SEALIFT_PRINCIPAL_ROLE_ARN"],
            "arn:aws:iam::123456789012:role/sealift-principal"
        );
        assert_eq!(wiring.parameters["DeliveryShards"], "1");
    }

    #[test]
    fn an_unknown_function_is_named_with_its_place() {
        let error = queue_with("DelaySeconds: !Select [0, [1, 2]]").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Queue, Properties.DelaySeconds: the intrinsic function Fn::Select is not known"
        );
    }

    #[test]
    fn a_reference_to_nothing_is_named_with_its_place() {
        for property in [
            "DelaySeconds: !Ref Nothing",
            "DelaySeconds: !Sub '${Nothing}'",
            "DelaySeconds: !GetAtt Nothing.Arn",
            "DelaySeconds: !FindInMap [A, B, C]",
        ] {
            let error = queue_with(property).unwrap_err();
            assert!(
                matches!(&error, TemplateError::Unresolved { resource, property, .. }
                    if resource == "Queue" && property == "Properties.DelaySeconds"),
                "{property}: {error}"
            );
        }
    }

    #[test]
    fn what_would_change_the_flow_and_is_not_understood_is_an_error() {
        assert_eq!(
            queue_with("FifoQueue: true").unwrap_err().to_string(),
            "Queue, Properties.FifoQueue: it is not understood here"
        );
        assert!(queue_with("DelaySeconds: soon").is_err());
        let conditional =
            "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n    Condition: Sometimes\n";
        assert!(wiring(conditional).is_err());
        let globals = "Globals:\n  Function:\n    Timeout: 3\n";
        assert_eq!(
            wiring(globals).unwrap_err().to_string(),
            "Globals, Function.Timeout: it must stand on each function"
        );
    }

    #[test]
    fn an_unknown_operator_in_a_pattern_names_the_rule() {
        let error = wiring(
            "Resources:\n  Rule:\n    Type: AWS::Events::Rule\n    Properties:\n      EventPattern:\n        source: [{ like: x }]\n",
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "Rule: event pattern, at source: the operator \"like\" is not known"
        );
    }

    #[test]
    fn substitution_knows_literals_attributes_and_own_values() {
        let name = |value: &str| {
            queue_with(&format!("QueueName: !Sub {value}"))
                .unwrap()
                .queues["Queue"]
                .arn
                .clone()
        };
        let arn = |name: &str| format!("arn:aws:sqs:us-east-1:123456789012:{name}");
        assert_eq!(name("${AWS::StackName}-audit"), arn("sealift-audit"));
        assert_eq!(name("'${!Literal}'"), arn("${Literal}"));
        assert_eq!(
            name("['${A}-${AWS::Region}', { A: x }]"),
            arn("x-us-east-1")
        );
    }
}
