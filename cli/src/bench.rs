//! `sealift bench`: what the audit path costs on this machine.
//!
//! Every figure that `docs/performance.md` argues with comes from here.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sealift_core::gzip::Level;

use self::corpus::{Case, Corpus};
use self::meter::real;

mod corpus;
mod delivery;
mod levels;
mod members;
mod meter;
mod sink;
mod start;
mod writer;

/// Measure what the audit path costs on this machine.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    Audit(AuditArgs),
}

/// Measure the writer, the choice of level, and delivery, on real CloudTrail records.
///
/// Contenders take turns, and ratios are of the same round. Compare nothing but ratios with
/// other machines, and let nothing else run meanwhile.
#[derive(Debug, Args)]
struct AuditArgs {
    /// CloudTrail records as JSON lines, plain or gzip; without it, the excerpt that is built in
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// How often each thing is measured; the middle one counts
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// The gzip level that the writer uses
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=9))]
    level: u32,

    /// A function's binary to start; its time to the first request is measured
    #[arg(long, value_name = "PATH", num_args = 1..)]
    bootstrap: Vec<PathBuf>,

    /// A variable for the binaries that are started; they have none of this process's own
    #[arg(long, value_name = "NAME=VALUE", value_parser = start::variable)]
    env: Vec<(String, String)>,
}

/// What is measured with.
struct Setup {
    corpus: Corpus,
    /// The writer's gzip level.
    level: u32,
    /// How often each thing is measured.
    rounds: u32,
    /// The most that a batch has.
    payload_bytes: usize,
    /// Segments in a plan of delivery.
    segments: u64,
}

/// How much Lambda hands to a function at once, at the most.
const PAYLOAD_BYTES: usize = 6_000_000;

/// What a busy log holds after one flush interval.
const SEGMENTS: u64 = 20;

/// Runs the command.
pub fn run(args: BenchArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let BenchCommand::Audit(args) = args.command;
    let setup = Setup {
        corpus: Corpus::load(args.input.as_deref())?,
        level: args.level,
        rounds: args.rounds,
        payload_bytes: PAYLOAD_BYTES,
        segments: SEGMENTS,
    };
    audit(&setup, &args.bootstrap, &args.env, out)
}

fn audit(
    setup: &Setup,
    bootstrap: &[PathBuf],
    variables: &[(String, String)],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let Setup { level, rounds, .. } = *setup;
    let (records, bytes) = setup.corpus.size();
    writeln!(
        out,
        "{records} CloudTrail records, {:.2} MB of lines; medians of {rounds} rounds; MB and GB are powers of ten",
        real(bytes) / 1e6
    )?;

    for case in [Case::OneTenant, Case::ManyTenants, Case::Bundles] {
        writeln!(out, "\nThe writer, level {level}, {}", case.name())?;
        writer::run(setup, case, out)?;
    }

    let lines = setup.corpus.batch_of_lines(setup.payload_bytes)?;
    let megabytes = real(lines.len() as u64) / 1e6;
    writeln!(
        out,
        "\nGzip levels, on {megabytes:.2} MB of lines as one stream"
    )?;
    levels::run(&lines, level, rounds, out)?;

    for case in [Case::OneTenant, Case::ManyTenants] {
        writeln!(out, "\nDelivery, {}", case.name())?;
        delivery::run(setup, case, out)?;
    }

    writeln!(out, "\nMembers of different sizes, level {level}")?;
    let level = Level::new(level).context("levels go from 1 to 9")?;
    members::run(&lines, level, rounds, out)?;

    writeln!(
        out,
        "\nFrom the start of a process to its first request for work"
    )?;
    if bootstrap.is_empty() {
        writeln!(
            out,
            "  not measured: name the functions' binaries with --bootstrap"
        )?;
    }
    start::run(bootstrap, variables, rounds, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchArgs,
    }

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
        for bad in ["--rounds=0", "--level=0", "--level=10", "--env=X"] {
            assert!(
                Cli::try_parse_from(["bench", "audit", bad]).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn everything_is_measured_and_every_figure_is_a_number() {
        let setup = Setup {
            corpus: Corpus::load(None).unwrap(),
            level: 6,
            rounds: 1,
            // A bundle fits into it, with the backslashes that it needs.
            payload_bytes: 1_100_000,
            segments: 2,
        };
        let mut out = Vec::new();
        audit(&setup, &[], &[], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for heading in [
            "The writer, level 6, one tenant, events in bundles",
            "Gzip levels",
            "Delivery, a tenant for each event source",
            "Members of different sizes",
            "not measured",
        ] {
            assert!(text.contains(heading), "{heading} is missing:\n{text}");
        }
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
