//! From YAML with CloudFormation's tags to JSON with its functions written out.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Number, Value};

/// Reads one document. The error is for people.
pub(super) fn long_form(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match documents.as_slice() {
        [document] => convert(document),
        others => Err(format!("it holds {} documents, not one", others.len())),
    }
}

fn convert(node: &Yaml<'_>) -> Result<Value, String> {
    match node {
        Yaml::Value(scalar) => convert_scalar(scalar),
        Yaml::Sequence(items) => items.iter().map(convert).collect(),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let key = key
                    .as_str()
                    .ok_or_else(|| format!("a key is no string: {key:?}"))?;
                map.insert(key.to_owned(), convert(value)?);
            }
            Ok(Value::Object(map))
        }
        Yaml::Tagged(tag, node) if tag.handle == "!" => function(&tag.suffix, convert(node)?),
        Yaml::Tagged(tag, _) => Err(format!("the tag {}{} is not known", tag.handle, tag.suffix)),
        Yaml::Alias(_) => Err("aliases are not read".to_owned()),
        Yaml::Representation(text, ..) => Err(format!("{text:?} has no value")),
        Yaml::BadValue => Err("a value contradicts its tag".to_owned()),
    }
}

fn convert_scalar(scalar: &Scalar<'_>) -> Result<Value, String> {
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(*value),
        Scalar::Integer(value) => Value::from(*value),
        Scalar::FloatingPoint(value) => {
            let number = Number::from_f64(value.into_inner());
            Value::Number(number.ok_or("a number is infinite or none")?)
        }
        Scalar::String(text) => Value::from(text.as_ref()),
    })
}

/// Any tag is a function; whether it is a known one is asked where its value is needed.
fn function(name: &str, argument: Value) -> Result<Value, String> {
    let (name, argument) = match (name, argument) {
        ("Ref" | "Condition", argument) => (name.to_owned(), argument),
        ("GetAtt", Value::String(text)) => {
            let (resource, attribute) = text
                .split_once('.')
                .ok_or_else(|| format!("!GetAtt {text} names no attribute"))?;
            let argument = Value::from(vec![resource, attribute]);
            ("Fn::GetAtt".to_owned(), argument)
        }
        (name, argument) => (format!("Fn::{name}"), argument),
    };
    Ok(Value::Object(Map::from_iter([(name, argument)])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tags_become_functions() {
        let text = "a: !Ref AWS::StackName\nb: !GetAtt Queue.Arn\nc: !Sub ${Bucket.Arn}/log/*\nd: !Equals [!Ref X, \"true\"]\n";
        assert_eq!(
            long_form(text).unwrap(),
            json!({
                "a": {"Ref": "AWS::StackName"},
                "b": {"Fn::GetAtt": ["Queue", "Arn"]},
                "c": {"Fn::Sub": "${Bucket.Arn}/log/*"},
                "d": {"Fn::Equals": [{"Ref": "X"}, "true"]}
            })
        );
    }

    #[test]
    fn scalars_keep_their_types() {
        let text = "a: 20\nb: \"20\"\nc: true\nd: 'OFF'\ne: 0.5\nf:\n";
        assert_eq!(
            long_form(text).unwrap(),
            json!({"a": 20, "b": "20", "c": true, "d": "OFF", "e": 0.5, "f": null})
        );
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_place() {
        assert!(long_form("a: [").unwrap_err().contains("line"));
        assert!(long_form("a: 1\na: 2\n").is_err());
        assert!(long_form("a: 1\n---\nb: 2\n").is_err());
    }
}
