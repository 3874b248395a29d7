//! References: what `!Ref`, `!Sub`, `!GetAtt` and `!FindInMap` stand for in a deployment.

use serde_json::{Map, Value};

use super::{Deployment, Template, TemplateError};

/// The properties in which resources say their names.
const NAME_PROPERTIES: [&str; 6] = [
    "Name",
    "QueueName",
    "BucketName",
    "FunctionName",
    "RoleName",
    "LogGroupName",
];

/// Resolves references within a template.
pub(super) struct Resolver<'a> {
    pub(super) template: &'a Template,
    pub(super) deployment: &'a Deployment,
}

/// The value for whom something is resolved.
#[derive(Clone, Copy)]
struct For<'a> {
    resource: &'a str,
    property: &'a str,
}

impl For<'_> {
    fn unresolved(self, reference: &str, reason: &'static str) -> TemplateError {
        TemplateError::Unresolved {
            resource: self.resource.to_owned(),
            property: self.property.to_owned(),
            reference: reference.to_owned(),
            reason,
        }
    }
}

impl Resolver<'_> {
    /// A value with every function in it resolved.
    pub(super) fn value(
        &self,
        value: &Value,
        resource: &str,
        property: &str,
    ) -> Result<Value, TemplateError> {
        self.resolve(value, For { resource, property })
    }

    /// The physical name of a resource.
    pub(super) fn name(&self, id: &str) -> Result<String, TemplateError> {
        if let Some(name) = self.deployment.names.get(id) {
            return Ok(name.clone());
        }
        let properties = self.template.resource(id).and_then(|r| r.get("Properties"));
        for property in NAME_PROPERTIES {
            let Some(value) = properties.and_then(|p| p.get(property)) else {
                continue;
            };
            return self.text(
                value,
                For {
                    resource: id,
                    property,
                },
            );
        }
        Ok(format!("{}-{}", self.deployment.stack, id.to_lowercase()))
    }

    /// The ARN of a resource, if its kind has one that is known.
    pub(super) fn arn(&self, id: &str) -> Result<Option<String>, TemplateError> {
        let resource = self.template.resource(id);
        let Some(kind) = resource.and_then(|r| r.get("Type")?.as_str()) else {
            return Ok(None);
        };
        let mut name = self.name(id)?;
        // A rule's own name says nothing about its bus, and the default bus is not named.
        let property = "EventBusName";
        let bus = resource.and_then(|r| r.get("Properties")?.get(property));
        if let ("AWS::Events::Rule", Some(bus)) = (kind, bus) {
            let place = For {
                resource: id,
                property,
            };
            name = format!("{}/{name}", self.text(bus, place)?);
        }
        Ok(self.arn_named(kind, &name))
    }

    /// The ARN of a resource of the name, if its kind has one that is known.
    pub(super) fn arn_named(&self, kind: &str, name: &str) -> Option<String> {
        let Deployment {
            account, region, ..
        } = self.deployment;
        Some(match kind {
            "AWS::SQS::Queue" => format!("arn:aws:sqs:{region}:{account}:{name}"),
            "AWS::S3::Bucket" => format!("arn:aws:s3:::{name}"),
            "AWS::Events::EventBus" => {
                format!("arn:aws:events:{region}:{account}:event-bus/{name}")
            }
            "AWS::Events::Rule" => format!("arn:aws:events:{region}:{account}:rule/{name}"),
            "AWS::Serverless::Function" => {
                format!("arn:aws:lambda:{region}:{account}:function:{name}")
            }
            "AWS::IAM::Role" => format!("arn:aws:iam::{account}:role/{name}"),
            // With what stands for its streams:
            // https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-loggroup.html
            "AWS::Logs::LogGroup" => {
                format!("arn:aws:logs:{region}:{account}:log-group:{name}:*")
            }
            _ => return None,
        })
    }

    fn resolve(&self, value: &Value, place: For<'_>) -> Result<Value, TemplateError> {
        match value {
            Value::Object(map) => match function(map) {
                Some((name, argument)) => self.call(name, argument, place).map(Value::from),
                None => map
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.resolve(value, place)?)))
                    .collect(),
            },
            Value::Array(items) => items.iter().map(|item| self.resolve(item, place)).collect(),
            other => Ok(other.clone()),
        }
    }

    fn text(&self, value: &Value, place: For<'_>) -> Result<String, TemplateError> {
        match self.resolve(value, place)? {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(value) => Ok(value.to_string()),
            other => Err(place.unresolved(&other.to_string(), "it is no text")),
        }
    }

    fn call(&self, name: &str, argument: &Value, place: For<'_>) -> Result<String, TemplateError> {
        match (name, argument) {
            ("Ref", Value::String(target)) => self.reference(target, place),
            ("Fn::GetAtt", Value::Array(path)) => match path.as_slice() {
                [Value::String(id), Value::String(attribute)] => {
                    self.attribute(id, attribute, place)
                }
                _ => Err(place.unresolved(&argument.to_string(), "it names no attribute")),
            },
            ("Fn::Sub", Value::String(text)) => self.substitute(text, None, place),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(text), Value::Object(values)] => {
                    self.substitute(text, Some(values), place)
                }
                _ => Err(place.unresolved(&argument.to_string(), "it is no text with values")),
            },
            ("Fn::FindInMap", Value::Array(path)) => self.find_in_map(path, place),
            _ => Err(TemplateError::UnknownIntrinsic {
                resource: place.resource.to_owned(),
                property: place.property.to_owned(),
                intrinsic: name.to_owned(),
            }),
        }
    }

    fn reference(&self, target: &str, place: For<'_>) -> Result<String, TemplateError> {
        let Deployment {
            account,
            region,
            stack,
            parameters,
            ..
        } = self.deployment;
        match target {
            "AWS::AccountId" => return Ok(account.clone()),
            "AWS::Partition" => return Ok("aws".to_owned()),
            "AWS::Region" => return Ok(region.clone()),
            "AWS::StackName" => return Ok(stack.clone()),
            "AWS::URLSuffix" => return Ok("amazonaws.com".to_owned()),
            _ => {}
        }
        if let Some((_, parameter)) = self
            .template
            .section("Parameters")
            .find(|(n, _)| *n == target)
        {
            return match (parameters.get(target), parameter.get("Default")) {
                (Some(value), _) => Ok(value.clone()),
                (None, Some(default)) => self.text(default, place),
                (None, None) => Err(place.unresolved(target, "the parameter has no value")),
            };
        }
        let Some(resource) = self.template.resource(target) else {
            return Err(place.unresolved(target, "no parameter or resource has the name"));
        };
        let name = self.name(target)?;
        match resource.get("Type").and_then(Value::as_str) {
            Some("AWS::SQS::Queue") => Ok(format!(
                "https://sqs.{region}.amazonaws.com/{account}/{name}"
            )),
            _ => Ok(name),
        }
    }

    fn attribute(
        &self,
        id: &str,
        attribute: &str,
        place: For<'_>,
    ) -> Result<String, TemplateError> {
        let reference = format!("{id}.{attribute}");
        match attribute {
            "Arn" => self
                .arn(id)?
                .ok_or_else(|| place.unresolved(&reference, "no ARN is known for it")),
            "QueueName" | "Name" => self.name(id),
            "QueueUrl" => self.reference(id, place),
            _ => Err(place.unresolved(&reference, "the attribute is not known")),
        }
    }

    /// `${Name}` and `${Resource.Attribute}`; `${!Literal}` stands for `${Literal}`.
    fn substitute(
        &self,
        text: &str,
        values: Option<&Map<String, Value>>,
        place: For<'_>,
    ) -> Result<String, TemplateError> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            result.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                return Err(place.unresolved(text, "`${` is not closed"));
            };
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str("${");
                result.push_str(literal);
                result.push('}');
            } else if let Some(value) = values.and_then(|v| v.get(name)) {
                result.push_str(&self.text(value, place)?);
            } else if let Some((id, attribute)) = name.split_once('.') {
                result.push_str(&self.attribute(id, attribute, place)?);
            } else {
                result.push_str(&self.reference(name, place)?);
            }
        }
        result.push_str(rest);
        Ok(result)
    }

    fn find_in_map(&self, path: &[Value], place: For<'_>) -> Result<String, TemplateError> {
        let keys = path
            .iter()
            .map(|key| self.text(key, place))
            .collect::<Result<Vec<_>, _>>()?;
        let found = match keys.as_slice() {
            [map, first, second] => self
                .template
                .section("Mappings")
                .find(|(name, _)| name == map)
                .and_then(|(_, map)| map.get(first)?.get(second)),
            _ => None,
        };
        match found {
            Some(value) => self.text(value, place),
            None => Err(place.unresolved(&keys.join("."), "the mappings hold no such entry")),
        }
    }
}

/// A mapping with one entry whose name is a function's.
fn function(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = map.iter();
    let (name, argument) = entries.next()?;
    let called = name == "Ref" || name == "Condition" || name.starts_with("Fn::");
    (called && entries.next().is_none()).then_some((name, argument))
}
