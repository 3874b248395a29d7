//! The bill of a small run.

use clap::Parser;
use sealift_cli::Cli;
use serde_json::Value;

async fn sealift(arguments: &[&str]) -> anyhow::Result<String> {
    let mut out = Vec::new();
    let cli = Cli::try_parse_from([&["sealift", "cost"], arguments].concat())?;
    cli.run(&mut out).await?;
    Ok(String::from_utf8(out)?)
}

/// A run that is over in seconds.
const SMALL: [&str; 10] = [
    "--tenants=1",
    "--rate=40",
    "--bundle=20",
    "--seconds=40",
    "--request-ms=0",
    "--export-megabytes=1",
    "--parameter",
    "FlushIntervalSeconds=10",
    "--parameter",
    "SweepMinutes=30",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_bill_of_one_tenant_adds_up() {
    let page = sealift(&[&SMALL[..], &["--json"]].concat()).await.unwrap();
    let page: Value = serde_json::from_str(&page).unwrap();
    let number = |pointer: &str| {
        let value = page.pointer(pointer).and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("{pointer} is missing"))
    };
    let within = |pointer: &str, least: f64, most: f64| {
        let is = number(pointer);
        assert!((least..=most).contains(&is), "{pointer}: {is}");
    };
    let single = "/measured/runs/0/single/platform";
    // One event of the bus for each, and a few of the stack's own.
    within(&format!("{single}/custom_events"), 1e6, 1.1e6);
    // Sent, and received and deleted by tens; the rest are polls of queues that are empty, which
    // weigh much at a rate this low.
    within(&format!("{single}/sqs_requests"), 1.2e6, 1.6e6);
    let bundled = "/measured/runs/0/bundled/platform";
    within(&format!("{bundled}/custom_events"), 5e4, 1.1e5);
    for path in [
        "s3_writes",
        "s3_reads",
        "lambda_requests",
        "lambda_gb_seconds",
        "log_gb",
    ] {
        assert!(number(&format!("{single}/{path}")) > 0.0, "{path}");
    }
    // A flush each ten seconds writes at least one object.
    within(
        "/measured/runs/0/single/customers/s3_writes",
        3.0 * 625.0,
        6.0 * 625.0,
    );
    // Two or five pollers of twenty seconds at each of three queues, for thirty days.
    let idle = "/measured/runs/0/idle/platform";
    within(&format!("{idle}/sqs_requests"), 770_000.0, 1_960_000.0);
    within(&format!("{idle}/alarm_metric_months"), 1.0, 30.0);
    // What the daily check leaves in the one tenant's bucket.
    within("/measured/runs/0/idle/customers/s3_writes", 29.9, 30.1);
    let calls = number(&format!("{idle}/lambda_requests"));
    let by_time = number(&format!("{idle}/scheduler_calls"));
    assert!((calls / by_time - 1.0).abs() < 0.03, "{calls} {by_time}");
    // The bill is the amounts times the prices.
    let price = |item: &str| {
        number(&format!("/prices/items/{item}/usd")) / number(&format!("/prices/items/{item}/per"))
    };
    let queues = number(&format!("{single}/sqs_requests")) * price("sqs_requests");
    let billed = number("/bills/0/million_single/platform/SQS");
    assert!((queues - billed).abs() < 1e-6, "{queues} {billed}");
    assert!(number("/measured/exported/row_bytes") >= 1e6);
    for goal in page["goals"].as_array().unwrap() {
        let met = goal["is"].as_f64().unwrap() <= goal["at_most"].as_f64().unwrap();
        assert_eq!(goal["met"].as_bool().unwrap(), met, "{goal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_of_ones_own_replace_those_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.json");
    let text = include_str!("../src/cost/prices.json").replace("us-east-1", "eu-central-1");
    std::fs::write(&file, text).unwrap();
    let prices = ["--prices", file.to_str().unwrap()];
    let page = sealift(&[&SMALL[..], &prices[..]].concat()).await.unwrap();
    for part in [
        "in eu-central-1",
        "A million events, one in an entry",
        "A million events, 20 in an entry",
        "A month in which nothing happens",
        "A GB of rows",
        "Firehose, partitioned",
        "an idle month",
    ] {
        assert!(page.contains(part), "{part} is missing:\n{page}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    std::fs::write(&file, "{}").unwrap();
    let error = sealift(&prices).await.unwrap_err();
    assert!(format!("{error:#}").contains("prices.json"), "{error:#}");
}
