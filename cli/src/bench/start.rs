//! How long a function's process takes from its start to its first request for work.
//!
//! Lambda starts the binary and waits until it asks the Runtime API for the next invocation; what
//! comes before that is the part of a cold start that a program can do something about.
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::io::{BufRead as _, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::meter::{Samples, elapsed, real};

/// How long a binary may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the functions want to know at their start. The names lead nowhere.
const VARIABLES: [(&str, &str); 14] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "bench"),
    ("AWS_SECRET_ACCESS_KEY", "bench"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("SEALIFT_LOG_BUCKET", "bench-log"),
    ("SEALIFT_STATE_BUCKET", "bench-state"),
    (
        "SEALIFT_PRINCIPAL_ROLE_ARN",
        "arn:aws:iam::123456789012:role/bench",
    ),
    ("SEALIFT_PARAMETER_PATH", "/bench"),
    ("SEALIFT_LOG_LEVEL", "error"),
];

/// Reads `NAME=VALUE`.
pub(super) fn variable(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Starts each binary by turns, once to warm up; prints its time and size. `variables` are given
/// to the binaries in addition to those that they need.
pub(super) fn run(
    binaries: &[impl AsRef<Path>],
    variables: &[(String, String)],
    rounds: u32,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut samples = vec![Samples::default(); binaries.len()];
    for round in 0..=rounds {
        for (binary, samples) in binaries.iter().zip(&mut samples) {
            let taken = first_request(binary.as_ref(), variables)?;
            if round > 0 {
                samples.push(taken);
            }
        }
    }
    for (binary, samples) in binaries.iter().zip(&samples) {
        let binary = binary.as_ref();
        writeln!(
            out,
            "  {:>7.2} ms, {:.2} ms at the least;{:>6.1} MB  {}",
            samples.median() * 1e3,
            samples.least() * 1e3,
            real(std::fs::metadata(binary)?.len()) / 1e6,
            binary.file_name().unwrap_or_default().display(),
        )?;
    }
    Ok(())
}

/// A process that ends when it is no longer needed.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn first_request(binary: &Path, variables: &[(String, String)]) -> anyhow::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?.to_string();
    let began = elapsed();
    let child = Command::new(binary)
        .env_clear()
        .envs(VARIABLES)
        .envs(variables.iter().cloned())
        .env("AWS_LAMBDA_RUNTIME_API", &address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let mut process = Process(child);
    // A blocking wait would hang on a binary that ends without a word.
    let stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if let Some(status) = process.0.try_wait()? {
                    bail!(
                        "{} ended before it asked for work: {status}",
                        binary.display()
                    );
                }
                ensure!(
                    elapsed().saturating_sub(began) < PATIENCE,
                    "{} does not ask for work",
                    binary.display()
                );
                std::thread::sleep(Duration::from_micros(20));
            }
            Err(error) => return Err(error.into()),
        }
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = String::new();
    BufReader::new(stream).read_line(&mut request)?;
    let taken = elapsed().saturating_sub(began);
    ensure!(
        request.starts_with("GET /2018-06-01/runtime/invocation/next "),
        "{} asked for something else: {request:?}",
        binary.display()
    );
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_never_asks_for_work_is_an_error_and_no_wait() {
        // A shell without input ends at once.
        let error = run(&["/bin/sh"], &[], 1, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("ended before"), "{error}");
        let error = run(&["/no/such/binary"], &[], 1, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("/no/such/binary"), "{error}");
    }
}
