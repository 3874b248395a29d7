//! Says who may do what in a deployment of the template, for the simulator of IAM.
//!
//! `roles <template> <deployment>`: the template as YAML, and the deployment that it is taken to be
//! in, as JSON: `{"stack": …, "account": …, "region": …, "parameters": {…}, "names": {…}}`. It writes
//! one document: the roles with their trust and their policies, the functions with the ARNs of
//! their roles, and the policies of queues and buckets.

use std::collections::BTreeMap;
use std::fs::read_to_string;

use sealift_embedded::template::{Deployment, Template};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [template, deployment] = arguments.as_slice() else {
        return Err("usage: roles <template.yaml> <deployment.json>".into());
    };
    let template = Template::parse(&read_to_string(template)?)?;
    let deployment = read(&serde_json::from_str(&read_to_string(deployment)?)?)?;
    let permissions = template.permissions(&deployment)?;
    let roles = permissions.roles.iter().map(|(id, role)| {
        let role = json!({"arn": role.arn, "trust": role.trust, "policies": role.policies});
        (id.clone(), role)
    });
    let said = json!({
        "roles": roles.collect::<BTreeMap<_, _>>(),
        "functions": permissions.functions,
        "resources": permissions.resources,
    });
    println!("{said}");
    Ok(())
}

fn read(deployment: &Value) -> Result<Deployment, Failure> {
    let text = |field: &str| {
        let text = deployment[field].as_str().map(str::to_owned);
        text.ok_or_else(|| format!("the deployment has no {field:?}"))
    };
    let texts = |field: &str| serde_json::from_value(deployment[field].clone());
    Ok(Deployment {
        stack: text("stack")?,
        account: text("account")?,
        region: text("region")?,
        parameters: texts("parameters")?,
        names: texts("names")?,
    })
}
