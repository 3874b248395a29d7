//! `sealift redrive`: brings parked and dead-letter events back without doubling any.
//!
//! Every event is looked up in the log first, since a message can be parked or dead although
//! its events are in the log: a reply was lost, or its bundle held others. What is missing
//! goes through the writer's own code; what still cannot be used stays where it is. The
//! source is cleared only when that is certain, so that a redrive that is killed can be
//! run again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use audit_writer::Writer;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use sealift_aws::{OsEntropy, S3Store, SystemClock};
use sealift_core::event::{Event, Reading, Shapes, read, split};
use sealift_core::gzip::Level;
use sealift_core::id::{BucketName, ObjectKey, Sequence};
use sealift_core::log::Log;
use sealift_core::parked::{FOLDER, FORMAT, Parked};
use sealift_core::ports::{Clock, Conditional, Metadata, Object, ObjectStore};
use sealift_core::segment::{EventDigest, Index};
use sealift_core::sqs::{Batch, Record};

use crate::demo::ShapeArgs;
use crate::stack::Stack;
use crate::target::StackArgs;
use crate::text::count;

/// Indexes that are read at once.
const READ_AHEAD: usize = 32;

/// Messages that are taken from the dead-letter queue before they are looked up.
const MESSAGES_AT_ONCE: usize = 1000;

/// How long messages of the dead-letter queue stay hidden while they are dealt with, in seconds.
const HIDDEN_SECONDS: i32 = 600;

/// Bring parked and dead-letter events back without doubling any.
///
/// Events that are in the log already are left out; events that still cannot be used stay parked.
/// Give --data for the folder of a demo, or --stack for a deployed stack, which brings back what is
/// in its dead-letter queue, too; in place of that, --log-bucket with the others. AWS credentials and
/// region come from the environment.
#[derive(Debug, Args)]
pub struct RedriveArgs {
    /// The folder of a demo
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present_any = ["log_bucket", "stack"],
        conflicts_with_all = ["log_bucket", "stack"]
    )]
    data: Option<PathBuf>,

    #[command(flatten)]
    deployed: StackArgs,

    #[command(flatten)]
    shape: ShapeArgs,

    /// The bucket of a deployed stack's audit log
    #[arg(long, value_name = "BUCKET")]
    log_bucket: Option<BucketName>,

    /// The URL of a deployed stack's dead-letter queue, to bring back what is in it, too
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    dead_letter_queue: Option<String>,

    /// The event shapes of a deployed stack, as its parameter EventShapes has them
    #[arg(long, value_name = "JSON", conflicts_with = "data")]
    shapes: Option<String>,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl RedriveArgs {
    /// Takes what was not given from the stack that was named.
    async fn fill(&mut self) -> anyhow::Result<()> {
        let Some(stack) = self.deployed.describe().await? else {
            return Ok(());
        };
        if self.log_bucket.is_none() {
            self.log_bucket = Some(stack.output("LogBucketName")?.parse()?);
        }
        if self.dead_letter_queue.is_none() {
            let queue = stack.output("AuditDeadLetterQueueUrl")?;
            self.dead_letter_queue = Some(queue.to_owned());
        }
        if self.shapes.is_none() {
            self.shapes = stack.parameter("EventShapes").map(str::to_owned);
        }
        Ok(())
    }
}

/// What a redrive did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that were brought back.
    pub redriven: u64,
    /// Events that the log has already.
    pub in_log: u64,
    /// Events that still cannot be used.
    pub unusable: u64,
}

/// Runs the command.
pub async fn run(mut args: RedriveArgs, out: &mut impl Write) -> anyhow::Result<()> {
    args.fill().await?;
    let Some(bucket) = &args.log_bucket else {
        return on_demo(&args, out).await;
    };
    let sdk = args.deployed.sdk().await;
    let store = S3Store::on(&sdk, bucket.clone());
    let redrive = Redrive::new(
        store,
        SystemClock,
        Shapes::parse(args.shapes.as_deref().unwrap_or_default())?,
        args.dry_run,
    );
    tell(out, "parked", redrive.parked().await?, args.dry_run)?;
    if let Some(url) = &args.dead_letter_queue {
        let queue = aws_sdk_sqs::Client::new(&sdk);
        tell(
            out,
            "dead-letter",
            redrive.dead_letters(&queue, url).await?,
            args.dry_run,
        )?;
    }
    Ok(())
}

/// On a demo's folder; its queues live in memory, so nothing but parked events is left of it.
async fn on_demo(args: &RedriveArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let data = args
        .data
        .as_deref()
        .context("--data or --stack must be given")?;
    if !data.join("s3").is_dir() {
        bail!("{} is no folder of a demo", data.display());
    }
    let shapes = args.shape.shapes()?;
    let parameter = ("EventShapes".to_owned(), shapes.clone());
    let stack = Stack::start(data, BTreeMap::from([parameter])).await?;
    let redrive = Redrive::new(
        stack.log_store(),
        stack.clock.clone(),
        Shapes::parse(&shapes)?,
        args.dry_run,
    );
    tell(out, "parked", redrive.parked().await?, args.dry_run)?;
    // What was appended is delivered.
    let limit = stack.now().checked_add(Duration::from_hours(1))?;
    stack.bus.run_until_idle(limit).await?;
    stack.aws.shutdown().await;
    Ok(())
}

fn tell(out: &mut impl Write, what: &str, tally: Tally, dry_run: bool) -> anyhow::Result<()> {
    let Tally {
        redriven,
        in_log,
        unusable,
    } = tally;
    let events = |number| count(number, "event");
    let verb = if dry_run {
        "would be brought back"
    } else {
        "brought back"
    };
    writeln!(
        out,
        "{what}: {} {verb}, {} in the log already, {} still unusable",
        events(redriven),
        events(in_log),
        events(unusable)
    )?;
    Ok(())
}

/// What brings events back to one log.
pub struct Redrive<S, C> {
    log: Log<S>,
    writer: Writer<S, C, OsEntropy>,
    shapes: Shapes,
    dry_run: bool,
}

/// An event by the hashes that the log's indexes know it by: of its id, of its line.
type Known = (u64, u64);

impl<S: ObjectStore + Clone, C: Clock> Redrive<S, C> {
    /// Brings events back to the log in the store's bucket.
    pub fn new(store: S, clock: C, shapes: Shapes, dry_run: bool) -> Self {
        let writer = Writer::new(
            store.clone(),
            clock,
            OsEntropy,
            shapes.clone(),
            Level::DEFAULT,
        );
        Self {
            log: Log::new(store),
            writer,
            shapes,
            dry_run,
        }
    }

    /// Brings parked events back, one object after the other.
    pub async fn parked(&self) -> anyhow::Result<Tally> {
        let store = self.log.store();
        let mut tally = Tally::default();
        let mut after: Option<ObjectKey> = None;
        loop {
            let page = store.list(FOLDER, after.as_ref(), 1000).await?;
            let Some(last) = page.last() else {
                return Ok(tally);
            };
            after = Some(last.key.clone());
            for listed in page {
                if let Some(object) = store.get(&listed.key).await? {
                    self.parked_object(&listed.key, object, &mut tally).await?;
                }
            }
        }
    }

    async fn parked_object(
        &self,
        key: &ObjectKey,
        object: Object,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let text =
            std::str::from_utf8(&object.bytes).with_context(|| format!("{key} is no text"))?;
        let lines = text.lines().map(|line| {
            let parked: Parked = serde_json::from_str(line)
                .with_context(|| format!("{key} holds a line that is no parked event"))?;
            if parked.format != FORMAT {
                bail!(
                    "{key} holds a line of the format {:?}; this version reads {FORMAT:?}",
                    parked.format
                );
            }
            Ok((line, parked.body))
        });
        let lines: Vec<(&str, String)> = lines.collect::<anyhow::Result<_>>()?;
        let (usable, unusable): (Vec<_>, Vec<_>) = lines
            .into_iter()
            .partition(|(_, body)| self.digests(body).is_some());
        tally.unusable += unusable.len() as u64;
        if usable.is_empty() {
            return Ok(());
        }
        let bodies: Vec<String> = usable.into_iter().map(|(_, body)| body).collect();
        self.bring_back(bodies, tally).await?;
        if self.dry_run {
            return Ok(());
        }
        let store = self.log.store();
        if unusable.is_empty() {
            store.delete(key).await?;
            return Ok(());
        }
        let left: Vec<&str> = unusable.iter().map(|(line, _)| *line).collect();
        let left = Bytes::from(left.join("\n") + "\n");
        let swapped = store
            .swap(key, left, Metadata::new(), &object.meta.etag)
            .await?;
        if swapped == Conditional::Refused {
            bail!("{key} was changed meanwhile; run the redrive again");
        }
        Ok(())
    }

    /// Brings the messages of a dead-letter queue back.
    pub async fn dead_letters(
        &self,
        queue: &aws_sdk_sqs::Client,
        url: &str,
    ) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        loop {
            let mut bodies = Vec::new();
            let mut receipts = Vec::new();
            while bodies.len() < MESSAGES_AT_ONCE {
                let request = queue
                    .receive_message()
                    .queue_url(url)
                    .max_number_of_messages(10);
                let answer = request
                    .wait_time_seconds(2)
                    .visibility_timeout(HIDDEN_SECONDS)
                    .send()
                    .await;
                let messages = answer.map_err(in_words)?.messages.unwrap_or_default();
                if messages.is_empty() {
                    break;
                }
                for message in messages {
                    bodies.push(message.body.unwrap_or_default());
                    receipts.extend(message.receipt_handle);
                }
            }
            if bodies.is_empty() {
                return Ok(tally);
            }
            // The writer parks what cannot be used, so nothing of it need stay in the queue.
            let apart: Vec<String> = bodies.iter().flat_map(|body| split(body)).collect();
            self.bring_back(apart, &mut tally).await?;
            if self.dry_run {
                // They stay hidden for a while, and are not counted again.
                continue;
            }
            for chunk in receipts.chunks(10) {
                self.delete(queue, url, chunk).await?;
            }
        }
    }

    async fn delete(
        &self,
        queue: &aws_sdk_sqs::Client,
        url: &str,
        receipts: &[String],
    ) -> anyhow::Result<()> {
        let entry = |(number, receipt): (usize, &String)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
            entry.receipt_handle(receipt).build()
        };
        let entries = receipts
            .iter()
            .enumerate()
            .map(entry)
            .collect::<Result<Vec<_>, _>>()?;
        let request = queue
            .delete_message_batch()
            .queue_url(url)
            .set_entries(Some(entries));
        let answer = request.send().await.map_err(in_words)?;
        if let Some(failed) = answer.failed.first() {
            bail!(
                "a message could not be deleted from the dead-letter queue: {}: {}; run the redrive again",
                failed.code,
                failed.message.as_deref().unwrap_or_default()
            );
        }
        Ok(())
    }

    /// Appends those messages of one event each that the log does not have.
    async fn bring_back(&self, bodies: Vec<String>, tally: &mut Tally) -> anyhow::Result<()> {
        let digests: HashMap<usize, Known> = bodies
            .iter()
            .enumerate()
            .filter_map(|(number, body)| Some((number, self.digests(body)?)))
            .collect();
        let mut in_log = self.look_up(digests.values().copied().collect()).await?;
        let mut records = Vec::new();
        for (number, body) in bodies.into_iter().enumerate() {
            match digests.get(&number) {
                None => tally.unusable += 1,
                // An event that stands here twice is brought back once.
                Some(known) if !in_log.insert(*known) => {
                    tally.in_log += 1;
                    continue;
                }
                Some(_) => tally.redriven += 1,
            }
            let message_id = format!("redrive-{number}");
            records.push(Record { message_id, body });
        }
        if self.dry_run || records.is_empty() {
            return Ok(());
        }
        let failed = self
            .writer
            .handle(&Batch { records })
            .await
            .response
            .failures
            .len();
        if failed > 0 {
            bail!(
                "{failed} events could not be appended, and nothing was removed; the log tells why (--log info); run the redrive again"
            );
        }
        Ok(())
    }

    /// How the log would know the one event of a message; `None` if it cannot be used.
    fn digests(&self, body: &str) -> Option<Known> {
        let Reading::Events(events) = read(body, &self.shapes) else {
            return None;
        };
        let Event {
            organization,
            id,
            line,
            ..
        } = events.into_iter().next()?.ok()?;
        Some((
            EventDigest::id_of(&organization, &id),
            EventDigest::line_of(&line),
        ))
    }

    /// Which of the events stand in the log, as far back as it is kept.
    async fn look_up(&self, wanted: HashSet<Known>) -> anyhow::Result<HashSet<Known>> {
        let mut found = HashSet::new();
        let mut after = Sequence(0);
        while found.len() < wanted.len() {
            let page = self.log.list_after(after, 1000).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.sequence;
            let mut indexes = stream::iter(page.into_iter().map(|entry| entry.sequence))
                .map(|sequence| self.log.read_index(sequence))
                .buffered(READ_AHEAD);
            while let Some(index) = indexes.try_next().await? {
                let digests = index.iter().flat_map(Index::digests);
                let known = digests.flat_map(|(_, digests)| digests.iter().map(|d| (d.id, d.line)));
                found.extend(known.filter(|known| wanted.contains(known)));
            }
        }
        Ok(found)
    }
}

/// An error of the SDK with what the service said; its own text says only "service error".
fn in_words<E: std::error::Error + Send + Sync + 'static>(error: E) -> anyhow::Error {
    let source = std::error::Error::source(&error).map(ToString::to_string);
    match source {
        Some(source) => anyhow::anyhow!("{error}: {source}"),
        None => anyhow::Error::new(error),
    }
}
