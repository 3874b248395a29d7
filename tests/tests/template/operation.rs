//! Alarms, dashboard and metrics: what is watched is told, and has its page.

use std::collections::BTreeSet;

use sealift_embedded::template::Template;
use serde_json::Value;

use super::{properties, template};

#[test]
fn every_dead_letter_queue_has_an_alarm() {
    let template = template();
    let watched: BTreeSet<String> = template
        .resources_of("AWS::CloudWatch::Alarm")
        .filter(|(_, alarm)| {
            alarm["Properties"]["MetricName"] == "ApproximateNumberOfMessagesVisible"
        })
        .map(|(_, alarm)| {
            let queue = &alarm["Properties"]["Dimensions"][0]["Value"];
            queue["Fn::GetAtt"][0].as_str().unwrap().to_owned()
        })
        .collect();
    let dead: BTreeSet<String> = template
        .resources_of("AWS::SQS::Queue")
        .map(|(id, _)| id.to_owned())
        .filter(|id| id.ends_with("DeadLetterQueue"))
        // Its calls come again every minute, and have an alarm of their own.
        .filter(|id| id != "RelayDeadLetterQueue")
        .collect();
    assert_eq!(watched, dead);
}

#[test]
fn every_alarm_tells_the_topic_when_it_begins_and_ends_and_has_its_page() {
    let template = template();
    let page = include_str!("../../../docs/operations.md");
    let functions: Vec<&str> = template
        .resources_of("AWS::Serverless::Function")
        .map(|(id, _)| id)
        .collect();
    let (mut alarms, mut with_errors) = (BTreeSet::new(), 0);
    for (id, alarm) in template.resources_of("AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        for actions in ["AlarmActions", "OKActions"] {
            assert_eq!(properties[actions][0]["Ref"], "AlarmTopic", "{id}");
        }
        // A metric that is 0 is not written.
        assert_eq!(properties["TreatMissingData"], "notBreaching", "{id}");
        assert!(properties["AlarmDescription"].is_string(), "{id}");
        let mut name = id.strip_suffix("Alarm").unwrap();
        // One for each function, and one page for all of them.
        if name
            .strip_suffix("Errors")
            .is_some_and(|name| functions.contains(&name))
        {
            (name, with_errors) = ("FunctionErrors", with_errors + 1);
        }
        assert!(
            page.contains(&format!("\n## {name}\n")),
            "docs/operations.md has no section {name}"
        );
        assert!(
            page.contains(&format!("| [{name}](#{}) |", name.to_lowercase())),
            "docs/operations.md does not list {name}"
        );
        alarms.insert(name.to_owned());
    }
    // The relay has a page of its own.
    assert_eq!(with_errors, functions.len() - 1);
    assert_eq!(
        alarms.len(),
        page.matches("\n## ").count() - 1,
        "and no others"
    );
}

/// Every name of a metric of our own in the template, with the function that it is said to be of.
fn own_metrics(template: &Template) -> BTreeSet<(String, String)> {
    let mut metrics = BTreeSet::new();
    for (_, alarm) in template.resources_of("AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        if properties["Namespace"] == "Sealift" {
            let function = properties["Dimensions"][0]["Value"]["Ref"]
                .as_str()
                .unwrap();
            let name = super::properties(template, function)["FunctionName"]["Fn::Sub"].clone();
            let name = name.as_str().unwrap().replace("${AWS::StackName}-", "");
            let metric = properties["MetricName"].as_str().unwrap();
            metrics.insert((name, metric.to_owned()));
        }
    }
    let body = properties(template, "Dashboard")["DashboardBody"]["Fn::Sub"].clone();
    let body: Value = serde_json::from_str(body.as_str().unwrap()).unwrap();
    for widget in body["widgets"].as_array().unwrap() {
        for metric in widget["properties"]["metrics"].as_array().unwrap() {
            if metric[0] == "Sealift" {
                let function = metric[3].as_str().unwrap();
                metrics.insert((
                    function.replace("${AWS::StackName}-", ""),
                    metric[1].as_str().unwrap().to_owned(),
                ));
            }
        }
    }
    metrics
}

#[test]
fn every_metric_that_is_watched_is_told_by_the_function_that_it_is_said_to_be_of() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let metrics = own_metrics(&template());
    assert!(metrics.len() > 10, "{metrics:?}");
    for (function, metric) in metrics {
        let mut told = false;
        let mut folders = vec![root.join(&function).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|kind| kind == "rs") {
                    let text = std::fs::read_to_string(path).unwrap();
                    told |= text.contains(&format!("            {metric} = "))
                        || text.contains(&format!("        {metric} = "));
                }
            }
        }
        assert!(told, "{function} tells no {metric}");
    }
}
