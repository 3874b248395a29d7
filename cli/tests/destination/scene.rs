//! The program, and a `sealift serve` of its own to speak to.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A run of the program that is over.
pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            ok: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it printed, of a run that must succeed.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert!(self.ok, "{}{}", self.out, self.err);
        self.out
    }

    /// What it complained of, of a run that must fail.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        assert!(!self.ok, "{}{}", self.out, self.err);
        self.err
    }

    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }
}

/// The program, with nothing of this environment that it would read.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealift"));
    for (name, _) in std::env::vars() {
        if name.starts_with("AWS_") || name.starts_with("SEALIFT_") {
            command.env_remove(name);
        }
    }
    command
        // No credentials of this machine's.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .stdin(Stdio::null());
    command
}

/// Runs it with variables and standard input.
pub(crate) fn run(words: &[&str], variables: &[(&str, &str)], input: &str) -> Ran {
    let mut command = program();
    command.args(words).envs(variables.iter().copied());
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may be over before it reads anything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Ran::of(child.wait_with_output().unwrap())
}

/// A stack on this machine, ended with the test.
pub(crate) struct Served {
    child: Child,
    folder: tempfile::TempDir,
}

impl Served {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let served = Self { child, folder };
        let begun = Instant::now();
        while !served.data().join("serving.json").exists() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "it does not serve"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        served
    }

    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// `sealift destination …` on it.
    pub(crate) fn destination(&self, words: &[&str]) -> Ran {
        self.destination_with(words, &[], "")
    }

    pub(crate) fn destination_with(
        &self,
        words: &[&str],
        variables: &[(&str, &str)],
        input: &str,
    ) -> Ran {
        let data = self.data().to_str().unwrap();
        let words = [&["destination"], words, &["--data", data]].concat();
        run(&words, variables, input)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
