//! Turns a file of JSON Lines, plain or gzip, into Parquet or gzip JSON Lines, as the exporter
//! does: row by row, and no more of the file in memory than is being read or written.
//!
//! ```sh
//! cargo run --release -p sealift-rows --example convert -- rows.jsonl spans out.parquet
//! ```
//!
//! The format is `spans`, `traces`, `query` (Parquet) or `json-lines`; `--times N` takes the
//! rows N times over. One line of JSON on standard output says what it took; `benches/spans.py`
//! compares it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a tool that is run by hand fails where it stands"
)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use flate2::bufread::MultiGzDecoder;
use rustix::time::{ClockId, clock_gettime};
use sealift_rows::{FileEncoder, Format, Settings, Table};

const USAGE: &str = "usage: convert FILE spans|traces|query|json-lines OUT [--times N] \
                     [--zstd-level N] [--gzip-level N] [--page-bytes N] [--row-group-bytes N] \
                     [--memory-limit N]";

struct Job {
    from: PathBuf,
    format: Format,
    to: PathBuf,
    times: u32,
    settings: Settings,
}

impl Job {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let from = arguments.next()?.into();
        let format = match arguments.next()?.as_str() {
            "spans" => Format::Parquet(Table::Spans),
            "traces" => Format::Parquet(Table::Traces),
            "query" => Format::Parquet(Table::Query),
            "json-lines" => Format::JsonLines,
            _ => return None,
        };
        let mut job = Self {
            from,
            format,
            to: arguments.next()?.into(),
            times: 1,
            settings: Settings::default(),
        };
        while let Some(option) = arguments.next() {
            let value = arguments.next()?;
            let settings = &mut job.settings;
            match option.as_str() {
                "--times" => job.times = value.parse().ok()?,
                "--zstd-level" => settings.zstd_level = value.parse().ok()?,
                "--gzip-level" => settings.gzip_level = value.parse().ok()?,
                "--page-bytes" => settings.page_bytes = value.parse().ok()?,
                "--row-group-bytes" => settings.row_group_bytes = value.parse().ok()?,
                "--memory-limit" => settings.memory_limit = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(job)
    }

    fn open(&self) -> Box<dyn BufRead> {
        let file = File::open(&self.from).expect("the file can be opened");
        let mut file = BufReader::with_capacity(64 << 10, file);
        let start = file.fill_buf().expect("the file can be read");
        if start.starts_with(&[0x1f, 0x8b]) {
            Box::new(BufReader::with_capacity(
                256 << 10,
                MultiGzDecoder::new(file),
            ))
        } else {
            Box::new(file)
        }
    }
}

fn main() {
    let job = Job::parse(std::env::args().skip(1)).unwrap_or_else(|| panic!("{USAGE}"));
    let (cpu, wall) = (
        seconds(ClockId::ProcessCPUTime),
        seconds(ClockId::Monotonic),
    );
    let mut out = File::create(&job.to).expect("the output can be made");
    let mut file = FileEncoder::new(job.format, job.settings.clone());
    let mut size = 0;
    let mut held = 0;
    let mut write = |pieces: Vec<bytes::Bytes>| {
        for piece in pieces {
            size += piece.len();
            out.write_all(&piece).expect("the output can be written");
        }
    };
    for _ in 0..job.times {
        each_line(job.open(), |line| {
            file.push(line).unwrap_or_else(|error| panic!("{error}"));
            held = held.max(file.held());
            write(file.take());
        });
    }
    let finished = file.finish().expect("the file can be ended");
    let finished = finished.expect("the input has a row");
    write(finished.bytes);
    #[expect(
        clippy::cast_precision_loss,
        reason = "it is printed with three digits"
    )]
    let raw_mb = finished.summary.raw_bytes as f64 / 1e6;
    println!(
        r#"{{"rows":{},"raw_mb":{raw_mb:.3},"cpu_s":{:.3},"wall_s":{:.3},"peak_rss_kb":{},"held_kb":{},"size":{size}}}"#,
        finished.summary.rows,
        seconds(ClockId::ProcessCPUTime) - cpu,
        seconds(ClockId::Monotonic) - wall,
        peak_rss_kb(),
        held / 1024,
    );
}

/// Lines as they stand in the reader's buffer; only one that crosses its end is copied.
fn each_line(mut from: Box<dyn BufRead>, mut each: impl FnMut(&[u8])) {
    let mut begun = Vec::new();
    loop {
        let buffer = from.fill_buf().expect("the file can be read");
        let length = buffer.len();
        let Some(end) = memchr::memchr(b'\n', buffer) else {
            begun.extend_from_slice(buffer);
            from.consume(length);
            if length > 0 {
                continue;
            }
            if !begun.is_empty() {
                each(&begun);
            }
            return;
        };
        let (line, _) = buffer.split_at(end);
        if begun.is_empty() {
            each(line);
        } else {
            begun.extend_from_slice(line);
            each(&begun);
            begun.clear();
        }
        from.consume(end + 1);
    }
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    #[expect(clippy::cast_precision_loss, reason = "durations are short")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}

/// The most memory that the process ever had, as Linux tells it; 0 elsewhere.
fn peak_rss_kb() -> u64 {
    let mut status = String::new();
    let read =
        File::open("/proc/self/status").and_then(|mut file| file.read_to_string(&mut status));
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    read.ok()
        .and(number)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}
