//! What is used of AWS, what it costs, and by whom it is paid.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

/// The prices that are part of the program.
const PRICES: &str = include_str!("prices.json");

/// SQS and EventBridge count each 64 KB of a payload as a request or an event of its own.
pub(super) const CHUNK_BYTES: u64 = 64 * 1024;

/// Bytes of a GB, as AWS bills it.
pub(super) const GB: f64 = 1024.0 * 1024.0 * 1024.0;

/// Days of a month, and its hours.
pub(super) const MONTH_DAYS: f64 = 30.0;
pub(super) const MONTH_HOURS: f64 = 720.0;

/// What AWS bills. The names are those of the price table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Item {
    CustomEvents,
    ServiceEvents,
    SqsRequests,
    LambdaRequests,
    LambdaGbSeconds,
    S3Writes,
    S3Reads,
    S3GbMonths,
    LogGb,
    MetricMonths,
    AlarmMetricMonths,
    DashboardMonths,
    SchedulerCalls,
    FirehoseGb,
    FirehoseConvertedGb,
    FirehosePartitionedGb,
    FirehoseObjects,
    FirehoseJqHours,
}

/// A line of the bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Service {
    EventBridge,
    #[serde(rename = "SQS")]
    Sqs,
    Lambda,
    S3,
    CloudWatch,
    Scheduler,
    Firehose,
}

impl Service {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EventBridge => "EventBridge",
            Self::Sqs => "SQS",
            Self::Lambda => "Lambda",
            Self::S3 => "S3",
            Self::CloudWatch => "CloudWatch",
            Self::Scheduler => "Scheduler",
            Self::Firehose => "Firehose",
        }
    }
}

impl Item {
    pub(super) const ALL: [Self; 18] = [
        Self::CustomEvents,
        Self::ServiceEvents,
        Self::SqsRequests,
        Self::LambdaRequests,
        Self::LambdaGbSeconds,
        Self::S3Writes,
        Self::S3Reads,
        Self::S3GbMonths,
        Self::LogGb,
        Self::MetricMonths,
        Self::AlarmMetricMonths,
        Self::DashboardMonths,
        Self::SchedulerCalls,
        Self::FirehoseGb,
        Self::FirehoseConvertedGb,
        Self::FirehosePartitionedGb,
        Self::FirehoseObjects,
        Self::FirehoseJqHours,
    ];

    pub(super) fn service(self) -> Service {
        match self {
            Self::CustomEvents | Self::ServiceEvents => Service::EventBridge,
            Self::SqsRequests => Service::Sqs,
            Self::LambdaRequests | Self::LambdaGbSeconds => Service::Lambda,
            Self::S3Writes | Self::S3Reads | Self::S3GbMonths => Service::S3,
            Self::LogGb | Self::MetricMonths | Self::AlarmMetricMonths | Self::DashboardMonths => {
                Service::CloudWatch
            }
            Self::SchedulerCalls => Service::Scheduler,
            Self::FirehoseGb
            | Self::FirehoseConvertedGb
            | Self::FirehosePartitionedGb
            | Self::FirehoseObjects
            | Self::FirehoseJqHours => Service::Firehose,
        }
    }

    /// What is counted, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CustomEvents => "events put, by 64 KB",
            Self::ServiceEvents => "events of S3",
            Self::SqsRequests => "requests, by 64 KB",
            Self::LambdaRequests => "calls",
            Self::LambdaGbSeconds => "GB-seconds",
            Self::S3Writes => "PUT, POST, LIST",
            Self::S3Reads => "GET and others",
            Self::S3GbMonths => "GB-months kept",
            Self::LogGb => "GB of logs",
            Self::MetricMonths => "metrics, for a month",
            Self::AlarmMetricMonths => "metrics in alarms",
            Self::DashboardMonths => "dashboards",
            Self::SchedulerCalls => "calls by time",
            Self::FirehoseGb => "GB taken in, by 5 KB",
            Self::FirehoseConvertedGb => "GB made Parquet",
            Self::FirehosePartitionedGb => "GB partitioned",
            Self::FirehoseObjects => "objects",
            Self::FirehoseJqHours => "hours of JQ",
        }
    }
}

/// An amount of each item.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Usage(BTreeMap<Item, f64>);

impl Usage {
    pub(super) fn add(&mut self, item: Item, amount: f64) {
        *self.0.entry(item).or_default() += amount;
    }

    pub(super) fn of(&self, item: Item) -> f64 {
        self.0.get(&item).copied().unwrap_or_default()
    }

    /// This and so many times another.
    pub(super) fn plus(mut self, times: f64, other: &Self) -> Self {
        for (item, amount) in &other.0 {
            self.add(*item, times * amount);
        }
        self
    }

    /// So many times this.
    pub(super) fn times(&self, times: f64) -> Self {
        Self::default().plus(times, self)
    }
}

/// What a number of units costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    usd: f64,
    per: f64,
    /// What each account gets for nothing in each month, for good.
    free: f64,
    source: String,
}

/// A price table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prices {
    pub(super) region: String,
    pub(super) as_of: String,
    pub(super) note: String,
    items: BTreeMap<Item, Price>,
}

impl Prices {
    /// Those that are part of the program.
    pub(super) fn built_in() -> anyhow::Result<Self> {
        Self::parse(PRICES)
    }

    /// Reads a table. Each item must have a price.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let prices: Self = serde_json::from_str(text)?;
        for item in Item::ALL {
            let price = prices.items.get(&item);
            let price = price.with_context(|| format!("there is no price of {item:?}"))?;
            let sane = price.usd >= 0.0 && price.per > 0.0 && price.free >= 0.0;
            ensure!(sane, "the price of {item:?} has a number that is none");
        }
        Ok(prices)
    }

    /// What the amounts cost, by service, in dollars. Nothing is free.
    pub(super) fn bill(&self, usage: &Usage) -> Bill {
        self.bill_above(usage, 0.0)
    }

    /// What a month costs an account that uses AWS for nothing else.
    pub(super) fn bill_of_month_with_allowances(&self, usage: &Usage) -> Bill {
        self.bill_above(usage, 1.0)
    }

    fn bill_above(&self, usage: &Usage, allowances: f64) -> Bill {
        let mut bill = Bill::default();
        for (item, amount) in &usage.0 {
            if let Some(price) = self.items.get(item) {
                let billed = (amount - allowances * price.free).max(0.0);
                *bill.0.entry(item.service()).or_default() += billed / price.per * price.usd;
            }
        }
        bill
    }
}

/// Dollars by service.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Bill(BTreeMap<Service, f64>);

impl Bill {
    pub(super) fn of(&self, service: Service) -> f64 {
        self.0.get(&service).copied().unwrap_or_default()
    }

    pub(super) fn services(&self) -> impl Iterator<Item = Service> {
        self.0.keys().copied()
    }

    pub(super) fn total(&self) -> f64 {
        self.0.values().sum()
    }

    /// What does not go to the bus and the queues.
    pub(super) fn beside_bus_and_queues(&self) -> f64 {
        self.total() - self.of(Service::EventBridge) - self.of(Service::Sqs)
    }
}

/// How often a payload is counted.
pub(super) fn chunks(bytes: usize) -> f64 {
    real((bytes as u64).div_ceil(CHUNK_BYTES).max(1))
}

/// A count, to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "what is counted here is far below 2^53"
)]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    /// The built-in table with round prices in it.
    fn round_prices() -> Prices {
        let mut prices = Prices::built_in().unwrap();
        let mut set = |item, usd, per, free| {
            let source = String::new();
            let price = Price {
                usd,
                per,
                free,
                source,
            };
            prices.items.insert(item, price);
        };
        set(Item::CustomEvents, 2.0, 1_000_000.0, 0.0);
        set(Item::SqsRequests, 0.5, 1_000_000.0, 1_000_000.0);
        set(Item::LambdaRequests, 3.0, 1_000.0, 0.0);
        set(Item::LambdaGbSeconds, 0.25, 1.0, 100.0);
        set(Item::DashboardMonths, 3.0, 1.0, 3.0);
        prices
    }

    #[test]
    fn a_bill_is_what_one_reckons_by_hand() {
        let mut usage = Usage::default();
        usage.add(Item::CustomEvents, 1_500_000.0); // 1.5 times 2 dollars
        usage.add(Item::SqsRequests, 3_000_000.0); // 3 times half a dollar
        usage.add(Item::LambdaRequests, 200.0); // a fifth of 3 dollars
        usage.add(Item::LambdaGbSeconds, 8.0); // 8 quarters
        let bill = round_prices().bill(&usage);
        assert!(close(bill.of(Service::EventBridge), 3.0));
        assert!(close(bill.of(Service::Sqs), 1.5));
        assert!(close(bill.of(Service::Lambda), 2.6));
        assert!(close(bill.total(), 7.1));
        assert!(close(bill.beside_bus_and_queues(), 2.6));
        let half = round_prices().bill(&usage.times(0.5));
        assert!(close(half.total(), 3.55));
        let more = usage.clone().plus(2.0, &usage);
        assert!(close(more.of(Item::LambdaRequests), 600.0));
    }

    #[test]
    fn allowances_are_taken_off_each_item_and_never_give_money_back() {
        let mut usage = Usage::default();
        usage.add(Item::SqsRequests, 3_000_000.0);
        usage.add(Item::LambdaGbSeconds, 8.0);
        usage.add(Item::DashboardMonths, 1.0);
        let bill = round_prices().bill_of_month_with_allowances(&usage);
        assert!(close(bill.of(Service::Sqs), 1.0));
        assert!(close(bill.total(), 1.0));
    }

    #[test]
    fn a_payload_counts_once_for_each_64_kb_begun() {
        let counts = [0, 1, 65_536, 65_537, 131_073].map(chunks);
        assert!(
            counts
                .iter()
                .zip([1.0, 1.0, 1.0, 2.0, 3.0])
                .all(|(a, b)| close(*a, b))
        );
    }

    #[test]
    fn a_table_without_a_price_or_with_a_bad_one_is_refused() {
        let table: serde_json::Value = serde_json::from_str(PRICES).unwrap();
        let mut missing = table.clone();
        missing["items"].as_object_mut().unwrap().remove("s3_reads");
        let error = Prices::parse(&missing.to_string()).unwrap_err().to_string();
        assert!(error.contains("S3Reads"), "{error}");
        let mut bad = table.clone();
        bad["items"]["log_gb"]["per"] = 0.into();
        assert!(Prices::parse(&bad.to_string()).is_err());
        let mut unknown = table;
        unknown["items"]["log_gb"]["discount"] = 1.into();
        assert!(Prices::parse(&unknown.to_string()).is_err());
    }

    #[test]
    fn every_built_in_price_names_its_page() {
        let prices = Prices::built_in().unwrap();
        for price in prices.items.values() {
            let page = price.source.strip_prefix("https://aws.amazon.com/");
            assert!(page.is_some_and(|page| page.ends_with("/pricing/")));
        }
        assert!(!prices.as_of.is_empty() && prices.note.contains("not fetched"));
    }
}
