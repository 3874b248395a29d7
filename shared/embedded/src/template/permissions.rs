//! Who may do what in a deployment: roles, and the policies of queues and buckets.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::node::Node;
use super::resolve::Resolver;
use super::{Deployment, Template, TemplateError};

/// Who may do what in a deployment. Every resource of the template is there, whether or not its
/// condition holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Permissions {
    /// The roles, by their logical ids.
    pub roles: BTreeMap<String, Role>,
    /// The ARN of each function's role, by the function's logical id.
    pub functions: BTreeMap<String, String>,
    /// The policies of queues and buckets, by ARN.
    pub resources: BTreeMap<String, Value>,
}

/// A role.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// Who may assume it: a policy document.
    pub trust: Value,
    /// What it may do: its own policies, by name.
    pub policies: BTreeMap<String, Value>,
}

pub(super) fn permissions(
    template: &Template,
    deployment: &Deployment,
) -> Result<Permissions, TemplateError> {
    check_globals(template)?;
    let resolver = Resolver {
        template,
        deployment,
    };
    let nodes = |kind| {
        let of_kind = template.resources_of(kind);
        of_kind.map(|(id, document)| (id, Node::properties(&resolver, id, document)))
    };
    let mut permissions = Permissions {
        roles: BTreeMap::new(),
        functions: BTreeMap::new(),
        resources: BTreeMap::new(),
    };
    for (id, node) in nodes("AWS::IAM::Role") {
        let role = role(&resolver, id, &node)?;
        permissions.roles.insert(id.to_owned(), role);
    }
    for (id, node) in nodes("AWS::Serverless::Function") {
        // Without a role SAM makes one, of these and of what it finds that the events need.
        if let Some(policies) = node.get("Policies") {
            return Err(policies.error("it must stand on the role"));
        }
        let role = node.need("Role")?.text()?;
        permissions.functions.insert(id.to_owned(), role);
    }
    for (_, node) in nodes("AWS::SQS::QueuePolicy") {
        node.only(&["Queues", "PolicyDocument"])?;
        for queue in node.need("Queues")?.items()? {
            let url = queue.text()?;
            let name = url.rsplit('/').next().unwrap_or_default();
            permissions.add(resolver.arn_named("AWS::SQS::Queue", name), &node)?;
        }
    }
    for (_, node) in nodes("AWS::S3::BucketPolicy") {
        node.only(&["Bucket", "PolicyDocument"])?;
        let name = node.need("Bucket")?.text()?;
        permissions.add(resolver.arn_named("AWS::S3::Bucket", &name), &node)?;
    }
    Ok(permissions)
}

impl Permissions {
    fn add(&mut self, arn: Option<String>, node: &Node<'_>) -> Result<(), TemplateError> {
        let policy = node.need("PolicyDocument")?;
        let arn = arn.ok_or_else(|| policy.error("it is of a resource without an ARN"))?;
        let document = policy.resolved()?;
        match self.resources.insert(arn.clone(), document) {
            None => Ok(()),
            Some(_) => Err(policy.error(format!("{arn} has another policy already"))),
        }
    }
}

fn role(resolver: &Resolver<'_>, id: &str, node: &Node<'_>) -> Result<Role, TemplateError> {
    // Of what else a role may have, managed policies and boundaries would change what it may do.
    node.only(&[
        "AssumeRolePolicyDocument",
        "Description",
        "Policies",
        "RoleName",
    ])?;
    let mut policies = BTreeMap::new();
    for policy in node.get("Policies").map_or(Ok(Vec::new()), |p| p.items())? {
        let name = policy.need("PolicyName")?.text()?;
        let document = policy.need("PolicyDocument")?.resolved()?;
        if policies.insert(name, document).is_some() {
            return Err(policy.error("another policy of the role has its name"));
        }
    }
    let arn = resolver.arn(id)?;
    Ok(Role {
        arn: arn.ok_or_else(|| node.error("the role has no ARN"))?,
        trust: node.need("AssumeRolePolicyDocument")?.resolved()?,
        policies,
    })
}

/// SAM would give these to each function, or to the role that it makes for it.
fn check_globals(template: &Template) -> Result<(), TemplateError> {
    let globals = template
        .section("Globals")
        .find(|(name, _)| *name == "Function")
        .and_then(|(_, function)| function.as_object());
    let given = |name: &&str| globals.is_some_and(|g: &Map<_, _>| g.contains_key(*name));
    let found = ["PermissionsBoundary", "Policies", "Role"];
    match found.iter().find(|name| given(name)) {
        None => Ok(()),
        Some(property) => Err(TemplateError::Property {
            resource: "Globals".to_owned(),
            property: format!("Function.{property}"),
            reason: "it must stand on each function or its role".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SMALL: &str = r"
Resources:
  Bus:
    Type: AWS::Events::EventBus
    Properties: { Name: !Ref AWS::StackName }
  Fed:
    Type: AWS::Events::Rule
    Properties: { EventBusName: !Ref Bus }
  Told:
    Type: AWS::Events::Rule
    Properties: {}
  Queue:
    Type: AWS::SQS::Queue
  QueuePolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Queue]
      PolicyDocument: { Statement: [!GetAtt Fed.Arn, !GetAtt Told.Arn] }
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: { LogGroupName: /aws/lambda/one }
  One:
    Type: AWS::Serverless::Function
    Properties: { Role: !GetAtt OneRole.Arn }
  OneRole:
    Type: AWS::IAM::Role
    Condition: NeverLookedAt
    Properties:
      RoleName: !Sub ${AWS::StackName}-one
      AssumeRolePolicyDocument: { Statement: [{ Principal: { Service: lambda.amazonaws.com } }] }
      Policies:
        - PolicyName: one
          PolicyDocument: { Statement: [{ Resource: !GetAtt Logs.Arn }] }
";

    fn permissions(text: &str) -> Result<Permissions, TemplateError> {
        let deployment = Deployment {
            stack: "sealift".to_owned(),
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            parameters: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        Template::parse(text).unwrap().permissions(&deployment)
    }

    #[test]
    fn policies_are_read_with_every_reference_resolved() {
        let found = permissions(SMALL).unwrap();
        let role = &found.roles["OneRole"];
        assert_eq!(role.arn, "arn:aws:iam::123456789012:role/sealift-one");
        assert_eq!(found.functions["One"], role.arn);
        assert_eq!(
            role.trust,
            json!({"Statement": [{"Principal": {"Service": "lambda.amazonaws.com"}}]})
        );
        // A log group's ARN ends with what stands for its streams, and only with it the policy
        // allows anything.
        let group = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/one:*";
        assert_eq!(
            role.policies["one"],
            json!({"Statement": [{"Resource": group}]})
        );
        assert_eq!(
            found.resources["arn:aws:sqs:us-east-1:123456789012:sealift-queue"],
            json!({"Statement": [
                "arn:aws:events:us-east-1:123456789012:rule/sealift/sealift-fed",
                "arn:aws:events:us-east-1:123456789012:rule/sealift-told",
            ]})
        );
    }

    #[test]
    fn what_would_allow_more_and_is_not_understood_is_an_error() {
        for (line, with, said) in [
            (
                "      Policies:\n",
                "      ManagedPolicyArns: [a]\n      Policies:\n",
                "OneRole, Properties.ManagedPolicyArns: it is not understood here",
            ),
            (
                "Properties: { Role: !GetAtt OneRole.Arn }",
                "Properties: { Role: !GetAtt OneRole.Arn, Policies: [a] }",
                "One, Properties.Policies: it must stand on the role",
            ),
            (
                "Properties: { Role: !GetAtt OneRole.Arn }",
                "Properties: {}",
                "One, Properties: Role is missing",
            ),
            (
                "\nResources:\n",
                "\nGlobals: { Function: { Policies: [a] } }\nResources:\n",
                "Globals, Function.Policies: it must stand on each function or its role",
            ),
        ] {
            let changed = SMALL.replacen(line, with, 1);
            assert_ne!(changed, SMALL);
            assert_eq!(permissions(&changed).unwrap_err().to_string(), said);
        }
    }
}
