//! The bill, for people and as JSON.

use std::io::Write;

use serde_json::json;

use super::firehose::{self, Records};
use super::goals::goals;
use super::usage::{Bill, Item, Prices, Service, Usage, real};
use super::{MILLION, Measured, Run, Stretch};
use crate::text::bytes;

/// The width of what a row is called, and of each of its figures.
const LABEL: usize = 50;
const FIGURE: usize = 15;

/// Prints everything as one JSON object.
pub(super) fn json(
    measured: &Measured,
    prices: &Prices,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let bills: Vec<_> = measured
        .runs
        .iter()
        .map(|run| {
            let both = |stretch: &Stretch, bundle| {
                let records = records(measured, run, stretch, bundle);
                json!({
                    "platform": prices.bill(&stretch.platform),
                    "customers": prices.bill(&stretch.customers),
                    "firehose_streams": prices.bill(&records.streams()),
                    "firehose_partitioned": prices.bill(&records.partitioned()),
                })
            };
            json!({
                "tenants": run.tenants,
                "million_single": both(&run.single, 1),
                "million_bundled": both(&run.bundled, measured.bundle),
                "idle_month": prices.bill(&run.idle.platform),
                "idle_month_with_allowances": prices.bill_of_month_with_allowances(&run.idle.platform),
            })
        })
        .collect();
    let page = json!({
        "prices": prices,
        "measured": measured,
        "bills": bills,
        "exported_gb": prices.bill(&measured.exported.of_gigabyte()),
        "goals": goals(measured, prices),
    });
    writeln!(out, "{}", serde_json::to_string_pretty(&page)?)?;
    Ok(())
}

/// Prints tables.
pub(super) fn print(
    measured: &Measured,
    prices: &Prices,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let build = if measured.debug_build {
        "without optimization: work takes longer here than there"
    } else {
        "with optimization"
    };
    writeln!(
        out,
        "What Sealift costs in {}, by prices of {} ({}).\n\
         Measured on this machine, compiled {build}; each request waits {} ms.",
        prices.region, prices.as_of, prices.note, measured.request_ms
    )?;
    for (name, value) in &measured.parameters {
        writeln!(out, "Parameter {name}: {value}")?;
    }
    million(measured, prices, out, 1, |run| &run.single)?;
    million(measured, prices, out, measured.bundle, |run| &run.bundled)?;
    functions(measured, out)?;
    idle(measured, prices, out)?;
    exported(measured, prices, out)?;
    verdict(measured, prices, out)
}

fn million(
    measured: &Measured,
    prices: &Prices,
    out: &mut impl Write,
    bundle: u32,
    of: fn(&Run) -> &Stretch,
) -> anyhow::Result<()> {
    let entry = match bundle {
        1 => "one in an entry".to_owned(),
        many => format!("{many} in an entry"),
    };
    head(measured, out, &format!("A million events, {entry}"))?;
    let each =
        |figure: fn(&Stretch) -> String| measured.runs.iter().map(move |run| figure(of(run)));
    row(
        out,
        "  bytes of an event",
        each(|s| format!("{:.0}", s.event_bytes)),
    )?;
    row(
        out,
        "  events a second",
        each(|s| amount(real(s.events) / s.seconds)),
    )?;
    let platform: Vec<&Usage> = measured.runs.iter().map(|run| &of(run).platform).collect();
    services(&platform, prices, out)?;
    let bills: Vec<_> = platform.iter().map(|usage| prices.bill(usage)).collect();
    row(
        out,
        "  all in",
        bills.iter().map(|bill| dollars(bill.total())),
    )?;
    row(
        out,
        "    of which not EventBridge and SQS",
        bills
            .iter()
            .map(|bill| dollars(bill.beside_bus_and_queues())),
    )?;
    let customers: Vec<&Usage> = measured.runs.iter().map(|run| &of(run).customers).collect();
    row(
        out,
        "  beside it, on the bucket owners' bills",
        customers
            .iter()
            .map(|usage| dollars(prices.bill(usage).total())),
    )?;
    row(
        out,
        "    PUT, POST, LIST",
        customers
            .iter()
            .map(|usage| amount(usage.of(Item::S3Writes))),
    )?;
    let firehose = |usage: fn(&Records) -> Usage| {
        measured.runs.iter().map(move |run| {
            let records = records(measured, run, of(run), bundle);
            dollars(prices.bill(&usage(&records)).total())
        })
    };
    row(
        out,
        "  Firehose, a stream for each tenant",
        firehose(Records::streams),
    )?;
    row(
        out,
        "  Firehose, partitioned, in one bucket",
        firehose(Records::partitioned),
    )
}

fn records(measured: &Measured, run: &Run, stretch: &Stretch, bundle: u32) -> Records {
    Records {
        events: MILLION,
        bytes: stretch.event_bytes,
        bundle,
        rate: measured.rate,
        tenants: run.tenants,
    }
}

/// What each service costs, and what drives it.
fn services(usages: &[&Usage], prices: &Prices, out: &mut impl Write) -> anyhow::Result<()> {
    let bills: Vec<_> = usages.iter().map(|usage| prices.bill(usage)).collect();
    let mut all: Vec<Service> = bills.iter().flat_map(Bill::services).collect();
    all.sort_unstable();
    all.dedup();
    for service in all {
        let costs = bills.iter().map(|bill| dollars(bill.of(service)));
        row(out, &format!("  {}", service.name()), costs)?;
        for item in Item::ALL.iter().filter(|item| item.service() == service) {
            if usages.iter().any(|usage| usage.of(*item) > 0.0) {
                let amounts = usages.iter().map(|usage| amount(usage.of(*item)));
                row(out, &format!("    {}", item.name()), amounts)?;
            }
        }
    }
    Ok(())
}

fn functions(measured: &Measured, out: &mut impl Write) -> anyhow::Result<()> {
    let Some(run) = measured.runs.iter().max_by_key(|run| run.tenants) else {
        return Ok(());
    };
    writeln!(
        out,
        "\n{:<LABEL$}{:>FIGURE$}{:>FIGURE$}{:>FIGURE$}{:>FIGURE$}",
        format!("Calls under load, {}", tenants(run.tenants)),
        "MB",
        "calls",
        "measured ms",
        "billed ms"
    )?;
    for (name, stretch) in [("single", &run.single), ("bundled", &run.bundled)] {
        for (function, used) in &stretch.functions {
            let calls = real(used.calls.max(1));
            let figures = [
                used.megabytes.to_string(),
                used.calls.to_string(),
                format!("{:.0}", used.measured_seconds * 1000.0 / calls),
                format!("{:.0}", used.billed_seconds * 1000.0 / calls),
            ];
            row(out, &format!("  {function}, {name}"), figures.into_iter())?;
        }
    }
    Ok(())
}

fn idle(measured: &Measured, prices: &Prices, out: &mut impl Write) -> anyhow::Result<()> {
    head(measured, out, "A month in which nothing happens")?;
    let checked = measured.runs.iter().map(|run| run.idle.checked.to_string());
    row(out, "  destinations whose daily check was run", checked)?;
    let usages: Vec<&Usage> = measured.runs.iter().map(|run| &run.idle.platform).collect();
    services(&usages, prices, out)?;
    row(
        out,
        "  all in",
        usages
            .iter()
            .map(|usage| dollars(prices.bill(usage).total())),
    )?;
    row(
        out,
        "    less what AWS gives each account for nothing",
        usages
            .iter()
            .map(|usage| dollars(prices.bill_of_month_with_allowances(usage).total())),
    )?;
    row(
        out,
        "  beside it, on the bucket owners' bills",
        measured
            .runs
            .iter()
            .map(|run| dollars(prices.bill(&run.idle.customers).total())),
    )
}

fn exported(measured: &Measured, prices: &Prices, out: &mut impl Write) -> anyhow::Result<()> {
    let exported = &measured.exported;
    writeln!(
        out,
        "\nA GB of rows, exported as Parquet (measured on {} of {} rows, which became {} in {} files)",
        bytes(exported.row_bytes),
        amount(real(exported.rows)),
        bytes(exported.file_bytes),
        exported.files
    )?;
    let platform = exported.of_gigabyte();
    services(&[&platform], prices, out)?;
    let total = prices.bill(&platform).total();
    let owners = prices.bill(&exported.of_gigabyte_in_bucket()).total();
    let firehose = firehose::rows(exported.rows, exported.row_bytes);
    let firehose = prices.bill(&firehose).total();
    row(out, "  all in", [dollars(total)].into_iter())?;
    row(
        out,
        "  beside it, on the bucket owners' bills",
        [dollars(owners)].into_iter(),
    )?;
    row(
        out,
        "  Firehose, made Parquet",
        [dollars(firehose)].into_iter(),
    )
}

fn verdict(measured: &Measured, prices: &Prices, out: &mut impl Write) -> anyhow::Result<()> {
    let most = measured.runs.iter().map(|run| run.tenants).max();
    writeln!(
        out,
        "\nGoals, {} events a second over {}",
        amount(f64::from(measured.rate)),
        tenants(most.unwrap_or_default())
    )?;
    for goal in goals(measured, prices) {
        let verdict = if goal.met { "met" } else { "not met" };
        let figures = [
            format!("at most ${:.2}", goal.at_most),
            dollars(goal.is),
            verdict.to_owned(),
        ];
        row(out, &format!("  {}", goal.what), figures.into_iter())?;
    }
    Ok(())
}

fn head(measured: &Measured, out: &mut impl Write, title: &str) -> anyhow::Result<()> {
    writeln!(out)?;
    let counts = measured.runs.iter().map(|run| tenants(run.tenants));
    row(out, title, counts)
}

fn tenants(count: u32) -> String {
    match count {
        1 => "1 tenant".to_owned(),
        many => format!("{} tenants", amount(f64::from(many))),
    }
}

fn row(
    out: &mut impl Write,
    label: &str,
    figures: impl Iterator<Item = String>,
) -> anyhow::Result<()> {
    write!(out, "{label:<LABEL$}")?;
    for figure in figures {
        write!(out, "{figure:>FIGURE$}")?;
    }
    Ok(writeln!(out)?)
}

fn dollars(amount: f64) -> String {
    format!("${amount:.4}")
}

/// An amount, with its thousands set apart where it has some.
fn amount(amount: f64) -> String {
    if amount < 100.0 {
        let text = format!("{amount:.4}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return text.to_owned();
    }
    let digits = format!("{amount:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_readable_whatever_their_size() {
        assert_eq!(
            [0.0, 0.12345, 3.0, 99.5, 648_000.4, 1_000_000.0].map(amount),
            ["0", "0.1235", "3", "99.5", "648,000", "1,000,000"]
        );
        assert_eq!(dollars(1.48), "$1.4800");
    }
}
