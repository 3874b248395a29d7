//! Holds `template.yaml` to account: what it must have, what it may not have, and that it and
//! the committed envelopes agree. `sam validate` knows the grammar; these are the rules of
//! this project.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::collections::{BTreeMap, BTreeSet};

use sealift_embedded::template::{Deployment, TargetOf, Template, Wiring};
use serde_json::Value;

#[path = "template/operation.rs"]
mod operation;

const TEMPLATE: &str = include_str!("../../template.yaml");

fn template() -> Template {
    Template::parse(TEMPLATE).unwrap()
}

fn wiring() -> Wiring {
    let names = [
        ("LogBucket", "sealift-logbucket-k3v9x2m4t7qa"),
        ("StateBucket", "sealift-state"),
        ("ExportBucket", "sealift-exports"),
    ];
    let deployment = Deployment {
        stack: "sealift".to_owned(),
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        // With everything that is there on condition.
        parameters: BTreeMap::from([
            ("CreateExportBucket".to_owned(), "true".to_owned()),
            ("RelayOrganizationId".to_owned(), "acme".to_owned()),
        ]),
        names: names
            .map(|(id, name)| (id.to_owned(), name.to_owned()))
            .into(),
    };
    template().wiring(&deployment).unwrap()
}

/// A resource's properties.
fn properties(template: &Template, id: &str) -> Value {
    let resource = template
        .resource(id)
        .unwrap_or_else(|| panic!("no resource {id}"));
    resource["Properties"].clone()
}

fn functions(template: &Template) -> Vec<(String, Value)> {
    let functions: Vec<_> = template
        .resources_of("AWS::Serverless::Function")
        .map(|(id, function)| (id.to_owned(), function["Properties"].clone()))
        .collect();
    assert_eq!(functions.len(), 8);
    functions
}

/// The statements of a role's own policies.
fn statements(role: &Value) -> Vec<Value> {
    let policies = role["Properties"]["Policies"].as_array().unwrap();
    let of = |policy: &Value| {
        policy["PolicyDocument"]["Statement"]
            .as_array()
            .unwrap()
            .clone()
    };
    policies.iter().flat_map(of).collect()
}

/// The logical id in `{"Fn::GetAtt": [id, …]}`.
fn got(value: &Value) -> &str {
    value["Fn::GetAtt"][0]
        .as_str()
        .unwrap_or_else(|| panic!("no !GetAtt: {value}"))
}

fn envelopes(file: &str) -> Vec<Value> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../events")
        .join(file);
    let event: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let records = event["Records"].as_array().unwrap();
    let bodies = records
        .iter()
        .map(|record| record["body"].as_str().unwrap());
    bodies
        .filter_map(|body| serde_json::from_str(body).ok())
        .collect()
}

#[test]
fn each_function_has_the_variables_that_it_reads_and_no_others() {
    let expected = BTreeMap::from([
        ("AuditWriter", BTreeSet::from(audit_writer::VARIABLES)),
        ("AuditRelay", BTreeSet::from(audit_relay::VARIABLES)),
        ("ControlApi", BTreeSet::from(control_api::VARIABLES)),
        (
            "DestinationCheck",
            BTreeSet::from(destination_check::VARIABLES),
        ),
        ("AuditDelivery", BTreeSet::from(audit_delivery::VARIABLES)),
        ("ExportDispatch", BTreeSet::from(export_dispatch::VARIABLES)),
        ("IntervalExport", BTreeSet::from(interval_export::VARIABLES)),
        ("ProjectFanout", BTreeSet::from(project_fanout::VARIABLES)),
    ]);
    let wiring = wiring();
    let found: BTreeMap<&str, BTreeSet<&str>> = wiring
        .functions
        .iter()
        .map(|(id, f)| {
            (
                id.as_str(),
                f.environment.keys().map(String::as_str).collect(),
            )
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn every_lookback_that_may_be_chosen_is_given_in_seconds() {
    let template = template();
    let (_, parameter) = template
        .section("Parameters")
        .find(|(name, _)| *name == "DedupeLookbackHours")
        .unwrap();
    let (_, hours) = template
        .section("Mappings")
        .find(|(name, _)| *name == "Hours")
        .unwrap();
    let allowed = parameter["AllowedValues"].as_array().unwrap();
    for choice in allowed {
        let seconds: u64 = hours[choice.to_string()]["Seconds"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(seconds, choice.as_u64().unwrap() * 3600);
    }
    assert_eq!(hours.as_object().unwrap().len(), allowed.len());
}

#[test]
fn the_lookback_covers_all_that_the_queue_can_deliver_again() {
    let wiring = wiring();
    let queue = &wiring.queues["AuditQueue"];
    let receives = queue.redrive.as_ref().unwrap().max_receive_count;
    let span = queue.visibility.as_secs() * receives;
    let template = template();
    let (_, hours) = template
        .section("Mappings")
        .find(|(name, _)| *name == "Hours")
        .unwrap();
    for (choice, seconds) in hours.as_object().unwrap() {
        let seconds: u64 = seconds["Seconds"].as_str().unwrap().parse().unwrap();
        assert!(seconds >= span, "{choice} hours are less than {span} s");
    }
}

#[test]
fn every_mapping_reports_item_failures_and_is_limited() {
    let wiring = wiring();
    assert_eq!(wiring.mappings.len(), 3);
    for mapping in &wiring.mappings {
        assert!(mapping.report_batch_item_failures, "{}", mapping.function);
        let concurrency = mapping.maximum_concurrency.unwrap();
        assert!((2..=1000).contains(&concurrency), "{}", mapping.function);
        // Lambda asks for a window where a batch may hold more than ten messages.
        assert!(
            mapping.batch_size <= 10 || !mapping.window.is_zero(),
            "{}",
            mapping.function
        );
    }
}

#[test]
fn no_function_reserves_concurrency() {
    // Reserved concurrency makes SQS throttle, and throttled messages use up their receives.
    for (id, function) in functions(&template()) {
        assert!(
            function.get("ReservedConcurrentExecutions").is_none(),
            "{id}"
        );
    }
}

#[test]
fn a_queue_hides_messages_for_six_times_its_functions_time() {
    let wiring = wiring();
    for mapping in &wiring.mappings {
        let visibility = wiring.queues[&mapping.queue].visibility;
        let timeout = wiring.functions[&mapping.function].timeout;
        assert!(
            visibility >= timeout * 6,
            "{}: {visibility:?} for {timeout:?}",
            mapping.queue
        );
    }
}

#[test]
fn every_queue_that_feeds_a_function_has_a_dead_letter_queue() {
    let wiring = wiring();
    for mapping in &wiring.mappings {
        let redrive = wiring.queues[&mapping.queue].redrive.as_ref().unwrap();
        // AWS asks for five or more, so that throttling alone does not use them up.
        assert!(redrive.max_receive_count >= 5, "{}", mapping.queue);
        let dead_letters = &wiring.queues[&redrive.dead_letter_queue];
        assert_eq!(
            dead_letters.retention.as_secs(),
            14 * 86_400,
            "{}",
            redrive.dead_letter_queue
        );
        assert!(dead_letters.redrive.is_none());
    }
}

#[test]
fn audit_events_are_kept_for_as_long_as_sqs_keeps_anything() {
    assert_eq!(
        wiring().queues["AuditQueue"].retention.as_secs(),
        14 * 86_400
    );
}

#[test]
fn every_target_of_a_rule_and_a_schedule_retries_and_has_a_dead_letter_queue() {
    let template = template();
    let mut targets = Vec::new();
    for (_, rule) in template.resources_of("AWS::Events::Rule") {
        targets.extend(rule["Properties"]["Targets"].as_array().unwrap().clone());
    }
    for (_, schedule) in template.resources_of("AWS::Scheduler::Schedule") {
        targets.push(schedule["Properties"]["Target"].clone());
    }
    assert_eq!(targets.len(), 10);
    let queues = wiring().queues;
    for target in targets {
        assert!(
            queues.contains_key(got(&target["DeadLetterConfig"]["Arn"])),
            "{target}"
        );
        assert!(
            target["RetryPolicy"]["MaximumRetryAttempts"].is_u64(),
            "{target}"
        );
        assert!(
            target["RetryPolicy"]["MaximumEventAgeInSeconds"].is_u64(),
            "{target}"
        );
    }
}

#[test]
fn only_the_rules_that_feed_a_queue_may_send_to_it_and_only_over_tls() {
    let template = template();
    let wiring = wiring();
    // Which rules reach which queue, as target or as its dead-letter queue.
    let mut senders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for rule in &wiring.rules {
        for target in &rule.targets {
            if let TargetOf::Queue(queue) = &target.to {
                senders.entry(queue).or_default().insert(&rule.id);
            }
            if let Some(queue) = &target.dead_letter_queue {
                senders.entry(queue).or_default().insert(&rule.id);
            }
        }
    }
    for queue in wiring.queues.keys() {
        let (_, policy) = template
            .resources_of("AWS::SQS::QueuePolicy")
            .find(|(_, policy)| policy["Properties"]["Queues"][0]["Ref"] == queue.as_str())
            .unwrap_or_else(|| panic!("{queue} has no policy"));
        let statements = policy["Properties"]["PolicyDocument"]["Statement"]
            .as_array()
            .unwrap();
        let mut allowed = BTreeSet::new();
        let mut tls = false;
        for statement in statements {
            assert_eq!(got(&statement["Resource"]), queue);
            if statement["Effect"] == "Allow" {
                assert_eq!(statement["Action"], "sqs:SendMessage");
                assert_eq!(statement["Principal"]["Service"], "events.amazonaws.com");
                allowed.insert(got(&statement["Condition"]["ArnEquals"]["aws:SourceArn"]));
            } else {
                tls |= denies_without_tls(statement);
            }
        }
        let expected = senders.get(queue.as_str()).cloned().unwrap_or_default();
        assert_eq!(allowed, expected, "{queue}");
        assert!(tls, "{queue} takes requests without TLS");
    }
}

fn denies_without_tls(statement: &Value) -> bool {
    statement["Effect"] == "Deny"
        && statement["Principal"] == "*"
        && statement["Condition"]["Bool"]["aws:SecureTransport"] == "false"
}

#[test]
fn every_queue_is_encrypted() {
    for (id, queue) in template().resources_of("AWS::SQS::Queue") {
        assert_eq!(queue["Properties"]["SqsManagedSseEnabled"], true, "{id}");
    }
}

#[test]
fn a_role_allows_one_action_on_one_resource_a_statement() {
    let template = template();
    let mut with_any_account = Vec::new();
    for (id, role) in template.resources_of("AWS::IAM::Role") {
        let managed = &role["Properties"]["ManagedPolicyArns"];
        assert!(
            managed.is_null(),
            "{id}: managed policies allow more than is needed"
        );
        for statement in statements(role) {
            assert_eq!(statement["Effect"], "Allow", "{id}");
            let action = statement["Action"].as_str();
            let action = action.unwrap_or_else(|| panic!("{id}: one action: {statement}"));
            assert!(!action.contains('*'), "{id}: {action}");
            let resource = &statement["Resource"];
            assert!(!resource.is_array(), "{id}: one resource: {statement}");
            // https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
            if action.starts_with("xray:Put") {
                assert_eq!(*resource, "*", "{id}: {action} knows no resources");
                continue;
            }
            assert_ne!(*resource, "*", "{id}: {action}");
            let text = resource["Fn::Sub"].as_str().unwrap_or_default();
            if text.contains(":*:") || text.starts_with('*') {
                with_any_account.push((id.to_owned(), action.to_owned(), text.to_owned()));
            }
        }
    }
    // Which roles customers make, and in which accounts, is theirs to say.
    let documented = (
        "PrincipalRole".to_owned(),
        "sts:AssumeRole".to_owned(),
        "arn:${AWS::Partition}:iam::*:role/*".to_owned(),
    );
    assert_eq!(with_any_account, [documented]);
}

#[test]
fn each_function_has_a_role_and_a_log_group_of_its_own() {
    let template = template();
    let mut roles = BTreeSet::new();
    let mut groups = BTreeSet::new();
    for (id, function) in functions(&template) {
        let role = got(&function["Role"]).to_owned();
        let group = function["LoggingConfig"]["LogGroup"]["Ref"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            !properties(&template, &group)["RetentionInDays"].is_null(),
            "{group}"
        );
        let role_document = template.resource(&role).unwrap();
        let logs: Vec<_> = statements(role_document)
            .iter()
            .filter(|s| s["Action"].as_str().is_some_and(|a| a.starts_with("logs:")))
            .map(|s| (s["Action"].clone(), got(&s["Resource"]).to_owned()))
            .collect();
        let expected = ["logs:CreateLogStream", "logs:PutLogEvents"];
        assert_eq!(
            logs,
            expected.map(|action| (Value::from(action), group.clone())),
            "{id}"
        );
        let trust = &role_document["Properties"]["AssumeRolePolicyDocument"]["Statement"];
        assert_eq!(
            trust[0]["Principal"]["Service"], "lambda.amazonaws.com",
            "{id}"
        );
        assert!(
            roles.insert(role) && groups.insert(group),
            "{id} shares its role or log group"
        );
    }
}

#[test]
fn a_function_may_consume_its_own_queue_and_no_other() {
    let template = template();
    for mapping in wiring().mappings {
        let function = properties(&template, &mapping.function);
        let role = template.resource(got(&function["Role"])).unwrap();
        let queue: Vec<_> = statements(role)
            .iter()
            .filter(|s| s["Action"].as_str().is_some_and(|a| a.starts_with("sqs:")))
            .filter(|s| s["Action"] != "sqs:SendMessage")
            .map(|s| (s["Action"].clone(), got(&s["Resource"]).to_owned()))
            .collect();
        let expected = [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
        ];
        assert_eq!(
            queue,
            expected.map(|action| (Value::from(action), mapping.queue.clone()))
        );
    }
}

#[test]
fn a_call_that_fails_to_the_last_is_kept_and_the_function_may_send_to_no_other_queue() {
    let template = template();
    let wiring = wiring();
    let by_time_or_event: BTreeSet<&str> = wiring
        .schedules
        .iter()
        .map(|schedule| schedule.function.as_str())
        .chain(wiring.rules.iter().flat_map(|rule| {
            rule.targets.iter().filter_map(|target| match &target.to {
                TargetOf::Function(function) => Some(function.as_str()),
                TargetOf::Queue(_) => None,
            })
        }))
        .collect();
    assert!(by_time_or_event.len() >= 5, "{by_time_or_event:?}");
    for (id, function) in functions(&template) {
        let queue = wiring.functions[&id].on_failure.as_deref();
        assert_eq!(
            queue.is_some(),
            by_time_or_event.contains(id.as_str()),
            "{id}"
        );
        let role = template.resource(got(&function["Role"])).unwrap();
        let sends: Vec<String> = statements(role)
            .iter()
            .filter(|s| s["Action"] == "sqs:SendMessage")
            .map(|s| got(&s["Resource"]).to_owned())
            .collect();
        assert_eq!(sends.first().map(String::as_str), queue, "{id}");
        assert!(sends.len() <= 1, "{id}: {sends:?}");
    }
}

#[test]
fn buckets_are_encrypted_private_kept_and_reached_over_tls_only() {
    let template = template();
    let buckets: Vec<_> = template.resources_of("AWS::S3::Bucket").collect();
    assert_eq!(buckets.len(), 3);
    for (id, bucket) in buckets {
        assert_eq!(bucket["DeletionPolicy"], "Retain", "{id}");
        assert_eq!(bucket["UpdateReplacePolicy"], "Retain", "{id}");
        let properties = &bucket["Properties"];
        let encryption = &properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
        let algorithm = &encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"];
        assert!(algorithm.is_string(), "{id}");
        let block = properties["PublicAccessBlockConfiguration"]
            .as_object()
            .unwrap();
        assert_eq!(block.len(), 4, "{id}");
        assert!(block.values().all(|blocked| *blocked == true), "{id}");
        let (_, policy) = template
            .resources_of("AWS::S3::BucketPolicy")
            .find(|(_, policy)| policy["Properties"]["Bucket"]["Ref"] == id)
            .unwrap_or_else(|| panic!("{id} has no policy"));
        let statement = &policy["Properties"]["PolicyDocument"]["Statement"][0];
        assert!(denies_without_tls(statement), "{id}");
        assert_eq!(statement["Action"], "s3:*", "{id}");
        assert_eq!(got(&statement["Resource"][0]), id);
        assert_eq!(
            statement["Resource"][1]["Fn::Sub"],
            format!("${{{id}.Arn}}/*")
        );
    }
}

/// The lifecycle rules of a bucket, by prefix; the ones for everything under an empty one.
fn lifecycle(bucket: &Value) -> Vec<(String, Value)> {
    let rules = bucket["LifecycleConfiguration"]["Rules"]
        .as_array()
        .unwrap();
    for rule in rules {
        assert_eq!(rule["Status"], "Enabled", "{rule}");
    }
    let prefix = |rule: &Value| rule["Prefix"].as_str().unwrap_or_default().to_owned();
    rules
        .iter()
        .map(|rule| (prefix(rule), rule.clone()))
        .collect()
}

#[test]
fn the_log_bucket_is_not_versioned_and_keeps_segments_for_37_days() {
    let bucket = properties(&template(), "LogBucket");
    assert!(bucket["VersioningConfiguration"].is_null());
    let lifecycle = lifecycle(&bucket);
    let days: BTreeMap<_, _> = lifecycle
        .iter()
        .filter_map(|(prefix, rule)| Some((prefix.as_str(), rule["ExpirationInDays"].as_u64()?)))
        .collect();
    // The head of the log lies outside both: it must never expire.
    assert_eq!(days, BTreeMap::from([("log/", 37), ("parked/", 365)]));
    assert!(
        lifecycle
            .iter()
            .any(|(_, rule)| rule["AbortIncompleteMultipartUpload"].is_object())
    );
    assert!(wiring().buckets["LogBucket"].notifies_bus);
}

#[test]
fn the_state_bucket_is_versioned_and_old_versions_expire() {
    let bucket = properties(&template(), "StateBucket");
    assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled");
    let lifecycle = lifecycle(&bucket);
    assert!(lifecycle.iter().any(|(prefix, rule)| {
        prefix.is_empty()
            && rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
                .as_u64()
                .is_some()
    }));
    assert!(
        lifecycle
            .iter()
            .all(|(_, rule)| rule["ExpirationInDays"].is_null())
    );
}

#[test]
fn the_principal_role_has_a_fixed_name_and_outlives_the_stack() {
    let template = template();
    let role = template.resource("PrincipalRole").unwrap();
    assert_eq!(role["DeletionPolicy"], "Retain");
    assert_eq!(role["UpdateReplacePolicy"], "Retain");
    assert_eq!(role["Properties"]["RoleName"]["Ref"], "PrincipalRoleName");
    let statements = statements(role);
    assert_eq!(statements.len(), 1);
    assert_eq!(
        statements[0]["Condition"]["Null"]["sts:ExternalId"],
        "false"
    );
}

#[test]
fn only_what_enters_customers_accounts_may_become_the_principal_role() {
    let template = template();
    let trust = &properties(&template, "PrincipalRole")["AssumeRolePolicyDocument"]["Statement"];
    assert_eq!(trust.as_array().unwrap().len(), 1);
    let callers = trust[0]["Condition"]["ArnEquals"]["aws:PrincipalArn"]
        .as_array()
        .unwrap();
    let wiring = wiring();
    let writers = [
        "AuditDelivery",
        "IntervalExport",
        "DestinationCheck",
        "ControlApi",
    ];
    assert_eq!(callers.len(), writers.len());
    for (caller, writer) in callers.iter().zip(writers) {
        let name = properties(&template, &format!("{writer}Role"))["RoleName"]["Fn::Sub"].clone();
        let arn = format!(
            "arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{}",
            name.as_str().unwrap()
        );
        assert_eq!(caller["Fn::Sub"], arn);
        // What the function is told, what it may assume and what is created are one role.
        let environment = &wiring.functions[writer].environment;
        assert_eq!(
            environment["SEALIFT_PRINCIPAL_ROLE_ARN"],
            format!(
                "arn:aws:iam::123456789012:role/{}",
                wiring.parameters["PrincipalRoleName"]
            )
        );
    }
}

#[test]
fn the_stacks_own_export_role_lets_in_the_principal_with_an_external_id_of_the_organization() {
    let template = template();
    let role = properties(&template, "ExportRole");
    let trust = &role["AssumeRolePolicyDocument"]["Statement"];
    assert_eq!(trust.as_array().unwrap().len(), 1);
    let condition = &trust[0]["Condition"];
    assert_eq!(
        condition["ArnEquals"]["aws:PrincipalArn"]["Fn::Sub"],
        "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${PrincipalRoleName}"
    );
    assert_eq!(
        condition["StringLike"]["sts:ExternalId"]["Fn::Sub"],
        "bt:${OrganizationId}:*"
    );
    for (id, resource) in template.section("Resources") {
        if id.starts_with("ExportBucket") || id == "ExportRole" {
            assert_eq!(resource["Condition"], "CreatesExportBucket", "{id}");
        }
    }
}

#[test]
fn a_rule_that_calls_a_function_may_call_it() {
    let template = template();
    for rule in wiring().rules {
        for target in &rule.targets {
            let TargetOf::Function(function) = &target.to else {
                continue;
            };
            let permitted =
                template
                    .resources_of("AWS::Lambda::Permission")
                    .any(|(_, permission)| {
                        let permission = &permission["Properties"];
                        permission["FunctionName"]["Ref"] == function.as_str()
                            && permission["Principal"] == "events.amazonaws.com"
                            && got(&permission["SourceArn"]) == rule.id
                    });
            assert!(permitted, "{} may not call {function}", rule.id);
        }
    }
}

#[test]
fn the_export_rules_let_the_committed_events_through_each_to_its_own() {
    use sealift_core::export::message::Message;
    let wiring = wiring();
    let rule = |id: &str| wiring.rules.iter().find(|rule| rule.id == id).unwrap();
    let (export, finished) = (rule("ExportRule"), rule("FinishedRule"));
    let mut seen = 0;
    for file in [
        "interval-export.due.json",
        "interval-export.due-again.json",
        "interval-export.controls.json",
        "interval-export.bad-automation.json",
    ] {
        for envelope in envelopes(file) {
            assert!(export.pattern.matches(&envelope), "{file}: {envelope}");
            assert!(!finished.pattern.matches(&envelope), "{file}: {envelope}");
            seen += 1;
        }
    }
    assert_eq!(seen, 8);
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../events/export-dispatch.finished.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let envelope: Value = serde_json::from_str(&text).unwrap();
    assert!(finished.pattern.matches(&envelope) && !export.pattern.matches(&envelope));
    assert!(matches!(
        Message::parse(text.as_bytes()),
        Ok(Message::Finished(_))
    ));
}

#[test]
fn the_project_rule_lets_new_projects_through_and_the_audit_rule_keeps_them_as_well() {
    let wiring = wiring();
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../events/project-fanout.created.json"
    );
    let mut envelope: Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let takes = |id: &str, envelope: &Value| {
        let rule = wiring.rules.iter().find(|rule| rule.id == id).unwrap();
        rule.pattern.matches(envelope)
    };
    assert!(takes("ProjectRule", &envelope) && takes("AuditRule", &envelope));
    envelope["detail-type"] = Value::from("project.deleted");
    assert!(!takes("ProjectRule", &envelope) && takes("AuditRule", &envelope));
}

#[test]
fn the_audit_rule_lets_the_committed_events_through() {
    let wiring = wiring();
    let rule = wiring
        .rules
        .iter()
        .find(|rule| rule.id == "AuditRule")
        .unwrap();
    assert_eq!(rule.bus, "sealift");
    let mut seen = 0;
    for file in [
        "audit-writer.sealift.json",
        "audit-writer.tool-call.json",
        "audit-writer.cloudtrail.json",
        "audit-writer.bundle.json",
        "audit-writer.unusable.json",
    ] {
        for envelope in envelopes(file) {
            assert!(rule.pattern.matches(&envelope), "{file}: {envelope}");
            seen += 1;
        }
    }
    assert_eq!(seen, 15);
}

#[test]
fn the_audit_rule_refuses_control_events() {
    let wiring = wiring();
    let rule = wiring
        .rules
        .iter()
        .find(|rule| rule.id == "AuditRule")
        .unwrap();
    let mut envelope = envelopes("audit-writer.sealift.json").remove(0);
    envelope["source"] = Value::from(sealift_core::event::CONTROL_SOURCE);
    envelope["detail-type"] = Value::from("export.due");
    assert!(!rule.pattern.matches(&envelope));
}

#[test]
fn the_segment_rule_lets_the_committed_triggers_through_and_nothing_beside_the_log() {
    let wiring = wiring();
    let rule = wiring
        .rules
        .iter()
        .find(|rule| rule.id == "SegmentRule")
        .unwrap();
    assert_eq!(rule.bus, "default");
    let triggers = envelopes("audit-delivery.segments.json");
    assert_eq!(triggers.len(), 2);
    for mut trigger in triggers {
        assert!(rule.pattern.matches(&trigger), "{trigger}");
        trigger["detail"]["object"]["key"] = Value::from("head.json");
        assert!(!rule.pattern.matches(&trigger), "{trigger}");
    }
}

#[test]
fn a_trigger_waits_for_one_flush_interval() {
    let wiring = wiring();
    let environment = &wiring.functions["AuditDelivery"].environment;
    let delay = wiring.queues["DeliveryQueue"].delay.as_secs();
    assert_eq!(
        environment["SEALIFT_FLUSH_INTERVAL_SECONDS"],
        delay.to_string()
    );
}

#[test]
fn every_parameter_is_described_has_a_default_and_refuses_what_cannot_be() {
    for (name, parameter) in template().section("Parameters") {
        assert!(parameter["Description"].is_string(), "{name}");
        assert!(!parameter["Default"].is_null(), "{name}");
        let limits = ["AllowedPattern", "AllowedValues", "MinValue"];
        assert!(
            limits.iter().any(|limit| parameter.get(limit).is_some()),
            "{name}"
        );
    }
}
