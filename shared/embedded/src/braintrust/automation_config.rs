//! The configuration of an automation: seven kinds, told apart by `event_type`.
//!
//! Equal to the schemas of Braintrust's OpenAPI file (`CreateProjectAutomation` and those it
//! refers to). Only `btql_export` is what Sealift makes; the others are here because a project
//! has them too, and a client must leave them in peace.

use serde_json::Value;

use super::validate::{
    Fields, Invalid, filled, list_of, nullable, number, number_in, one_of, text, uuid, whole_in,
};

type Checked = Result<(), Invalid>;

/// Thirty days, the longest interval.
const MONTH_SECONDS: f64 = 2_592_000.0;

/// The body that creates or replaces an automation.
pub(crate) fn creation(body: &Value) -> Checked {
    Fields::of("", body)?
        .required("project_id", &uuid)?
        .required("name", &text)?
        .optional("description", &nullable(&text))?
        .required("config", &config)?;
    Ok(())
}

/// The body that changes an automation. Its `config` is whole: the schema asks for the same
/// fields as at creation.
pub(crate) fn patch(body: &Value) -> Checked {
    Fields::of("", body)?
        .optional("name", &nullable(&text))?
        .optional("description", &nullable(&text))?
        .optional("config", &nullable(&config))?;
    Ok(())
}

/// The body that creates a project.
pub(crate) fn project_creation(body: &Value) -> Checked {
    Fields::of("", body)?
        .required("name", &filled)?
        .optional("description", &nullable(&text))?
        .optional("org_name", &nullable(&text))?;
    Ok(())
}

pub(crate) fn config(path: &str, value: &Value) -> Checked {
    let fields = Fields::of(path, value)?;
    let kinds = [
        "logs",
        "btql_export",
        "async_query",
        "retention",
        "environment_update",
        "topic",
        "topic_digest",
    ];
    fields.required("event_type", &one_of(&kinds))?;
    match fields.text("event_type") {
        "logs" => fields
            .required("btql_filter", &text)?
            .required("interval_seconds", &number_in(1.0, MONTH_SECONDS))?
            .required("action", &action)?,
        "btql_export" => export(&fields)?,
        "async_query" => fields
            .optional("status", &status)?
            .required("created_by_user_id", &uuid)?
            .required(
                "object_type",
                &one_of(&["project_logs", "experiment", "dataset", "playground_logs"]),
            )?
            .required("object_id", &text)?
            .required("query", &text)?
            .required("format", &one_of(&["jsonl"]))?
            .optional("batch_size", &nullable(&whole_in(1.0, 100_000.0)))?,
        "retention" => fields
            .required(
                "object_type",
                &one_of(&["project_logs", "experiment", "dataset"]),
            )?
            .required("retention_days", &number_in(0.0, f64::INFINITY))?,
        "environment_update" => fields
            .optional("environment_filter", &list_of(usize::MAX, &text))?
            .required("action", &action)?,
        "topic" => topic(&fields)?,
        _ => fields
            .optional("status", &status)?
            .optional("window_seconds", &whole_in(3600.0, MONTH_SECONDS))?
            .required("scheduled_time_minutes_utc", &whole_in(0.0, 1439.0))?
            .required("action", &slack)?
            .optional("topic_map_function_ids", &list_of(10, &text))?,
    };
    Ok(())
}

fn export<'a>(fields: &'a Fields<'a>) -> Result<&'a Fields<'a>, Invalid> {
    fields
        .optional("status", &status)?
        .required("export_definition", &|path, value| {
            let fields = Fields::of(path, value)?;
            fields.required("type", &one_of(&["log_traces", "log_spans", "btql_query"]))?;
            if fields.text("type") == "btql_query" {
                fields.required("btql_query", &text)?;
            }
            Ok(())
        })?
        .optional("scope", &nullable(&scope))?
        .required("export_path", &text)?
        .required("format", &one_of(&["jsonl", "parquet"]))?
        .required("interval_seconds", &number_in(1.0, MONTH_SECONDS))?
        .required("credentials", &|path, value| {
            let fields = Fields::of(path, value)?;
            fields.required("type", &one_of(&["aws_iam", "gcp_service_account"]))?;
            match fields.text("type") {
                "aws_iam" => fields
                    .required("role_arn", &text)?
                    .required("external_id", &text)?,
                _ => fields.required("service_account_email", &text)?,
            };
            Ok(())
        })?
        .optional("batch_size", &nullable(&number))
}

fn topic<'a>(fields: &'a Fields<'a>) -> Result<&'a Fields<'a>, Invalid> {
    let models = ["brain-facet-latest", "brain-facet-1", "brain-facet-2"];
    fields
        .optional("status", &status)?
        .required("sampling_rate", &number_in(0.0, 1.0))?
        .optional("facet_model", &nullable(&one_of(&models)))?
        .required("facet_functions", &list_of(usize::MAX, &function))?
        .required(
            "topic_map_functions",
            &list_of(usize::MAX, &|path, value| {
                Fields::of(path, value)?
                    .required("function", &function)?
                    .optional("btql_filter", &nullable(&text))?;
                Ok(())
            }),
        )?
        .optional("scope", &nullable(&scope))?
        .optional("data_scope", &nullable(&data_scope))?
        .optional("btql_filter", &nullable(&text))?
        .optional("rerun_seconds", &nullable(&number_in(600.0, f64::INFINITY)))?
        .optional(
            "relabel_overlap_seconds",
            &nullable(&number_in(60.0, f64::INFINITY)),
        )?
        .optional(
            "backfill_time_range",
            &nullable(&|path, value| {
                if !value.is_string() {
                    Fields::of(path, value)?
                        .required("from", &text)?
                        .required("to", &text)?;
                }
                Ok(())
            }),
        )
}

fn status(path: &str, value: &Value) -> Checked {
    one_of(&["active", "paused"])(path, value)
}

fn action(path: &str, value: &Value) -> Checked {
    let fields = Fields::of(path, value)?;
    fields.required("type", &one_of(&["webhook", "slack"]))?;
    if fields.text("type") == "slack" {
        return slack(path, value);
    }
    fields.required("url", &text)?;
    Ok(())
}

fn slack(path: &str, value: &Value) -> Checked {
    Fields::of(path, value)?
        .required("type", &one_of(&["slack"]))?
        .required("workspace_id", &text)?
        .required("channel", &text)?
        .optional("message_template", &text)?;
    Ok(())
}

fn scope(path: &str, value: &Value) -> Checked {
    let fields = Fields::of(path, value)?;
    fields.required("type", &one_of(&["span", "trace", "group"]))?;
    match fields.text("type") {
        "trace" => {
            fields.optional("idle_seconds", &number)?;
        }
        "group" => {
            fields
                .required("group_by", &text)?
                .required("placement", &one_of(&["first", "each"]))?
                .optional("interval_seconds", &number_in(1.0, f64::INFINITY))?
                .optional("max_traces", &whole_in(1.0, 64.0))?
                .optional("idle_seconds", &number)?;
        }
        _ => {}
    }
    Ok(())
}

fn data_scope(path: &str, value: &Value) -> Checked {
    let fields = Fields::of(path, value)?;
    let kinds = ["project_logs", "project_experiments", "experiment"];
    fields.required("type", &one_of(&kinds))?;
    if fields.text("type") == "experiment" {
        fields.required("experiment_id", &text)?;
    }
    Ok(())
}

/// A saved function. Null, which `SavedFunctionId` allows, is taken away by a second schema.
fn function(path: &str, value: &Value) -> Checked {
    let kinds = [
        "llm",
        "scorer",
        "task",
        "tool",
        "custom_view",
        "preprocessor",
        "facet",
        "classifier",
        "tag",
        "parameters",
        "sandbox",
    ];
    let fields = Fields::of(path, value)?;
    fields.required("type", &one_of(&["function", "global"]))?;
    match fields.text("type") {
        "function" => fields.required("id", &text)?.optional("version", &text)?,
        _ => fields
            .required("name", &text)?
            .optional("function_type", &one_of(&kinds))?,
    };
    Ok(())
}

#[cfg(test)]
mod tests;
