//! The command line of Sealift: `sealift`, which is `sealift demo` if nothing follows.
//!
//! [`stack`] is the embedded stack that the demo runs on; each command has a module of its own.

use std::io::Write;

use clap::{Parser, Subcommand};

pub mod bench;
pub mod cost;
pub mod customer;
pub mod demo;
pub mod destination;
pub mod events;
pub mod export;
pub mod onboard;
pub mod policy;
pub mod projects;
pub mod redrive;
pub mod segment;
pub mod serve;
pub mod stack;
pub mod target;
mod text;

/// Delivers a platform's audit trail and logs into its customers' own buckets.
///
/// Without a command it runs the demo.
#[derive(Debug, Parser)]
#[command(name = "sealift", version, max_term_width = 100)]
pub struct Cli {
    /// What is logged on standard error, such as `info` or `audit_delivery=debug`
    #[arg(long, global = true, value_name = "FILTER", default_value = "error")]
    log: String,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Destination(destination::DestinationArgs),
    Export(export::ExportArgs),
    Projects(projects::ProjectsArgs),
    Onboard(onboard::OnboardArgs),
    Policy(policy::PolicyArgs),
    Segment(segment::SegmentArgs),
    Serve(serve::ServeArgs),
    Customer(customer::CustomerArgs),
    Events(events::EventsArgs),
    Redrive(redrive::RedriveArgs),
    Bench(bench::BenchArgs),
    Cost(cost::CostArgs),
}

impl Cli {
    /// The filter of what is logged.
    pub fn log_filter(&self) -> &str {
        &self.log
    }

    /// Runs the command.
    pub async fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        match self
            .command
            .unwrap_or_else(|| Command::Demo(demo::DemoArgs::default()))
        {
            Command::Demo(args) => Box::pin(demo::run(args, out)).await,
            Command::Destination(args) => Box::pin(destination::run(args, out)).await,
            Command::Export(args) => Box::pin(export::run(args, out)).await,
            Command::Projects(args) => Box::pin(projects::run(args, out)).await,
            Command::Onboard(args) => Box::pin(onboard::run(args, out)).await,
            Command::Policy(args) => policy::run(args, out),
            Command::Segment(args) => segment::run(&args, out),
            Command::Serve(args) => Box::pin(serve::run(args, out)).await,
            Command::Customer(args) => Box::pin(customer::run(args, out)).await,
            Command::Events(args) => Box::pin(events::run(args, out)).await,
            Command::Redrive(args) => Box::pin(redrive::run(args, out)).await,
            Command::Bench(args) => bench::run(args, out),
            Command::Cost(args) => Box::pin(cost::run(args, out)).await,
        }
    }
}
