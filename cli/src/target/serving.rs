//! Where a `sealift serve` on this machine listens, as it says in the folder that it keeps.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::Uri;
use sealift_aws::SystemClock;
use sealift_core::ports::Clock as _;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

/// The file's name, in the folder.
const FILE: &str = "serving.json";

/// Its name while it is written.
const DRAFT: &str = "serving.json.new";

/// The version of the file that is read.
const FORMAT: &str = "sealift.serving/1";

/// How often it is looked for, and how long is waited in between: three seconds in all. A
/// `sealift serve &` with the next command right behind it takes a tenth of one to be there.
const LOOKS: u32 = 30;
const PAUSE: Duration = Duration::from_millis(100);

/// What the file says. `Debug` is left out: the token is a secret.
#[derive(Serialize, Deserialize)]
pub(crate) struct Serving {
    format: String,
    /// Where the control API is.
    pub(crate) url: String,
    /// The operator's token.
    pub(crate) token: String,
    /// Where S3 and STS are.
    endpoint_url: String,
    /// The process.
    pid: u32,
}

/// Takes the file away when the serving ends.
pub(crate) struct Sign(PathBuf);

impl Drop for Sign {
    fn drop(&mut self) {
        // One that stays is found out by whoever reads it: nobody listens.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Serving {
    /// What this process serves.
    pub(crate) fn new(url: String, token: String, endpoint_url: String) -> Self {
        Self {
            format: FORMAT.to_owned(),
            url,
            token,
            endpoint_url,
            pid: std::process::id(),
        }
    }

    /// Writes the file, for its owner alone to read.
    pub(crate) fn write(&self, data: &Path) -> anyhow::Result<Sign> {
        let file = data.join(FILE);
        let failed = || format!("{} cannot be written", file.display());
        // Under another name first: whoever waits for the file reads all of it or none.
        let draft = data.join(DRAFT);
        // One that was left has the rights that it was left with.
        if let Err(error) = std::fs::remove_file(&draft)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error).with_context(failed);
        }
        let open = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&draft);
        let text = serde_json::to_vec_pretty(self)?;
        open.with_context(failed)?
            .write_all(&text)
            .with_context(failed)?;
        std::fs::rename(&draft, &file).with_context(failed)?;
        Ok(Sign(file))
    }

    /// Of the folder that it keeps, also if that has only begun; fails with the way out if nobody
    /// serves it.
    pub(crate) async fn read(data: &Path) -> anyhow::Result<Self> {
        for _ in 0..LOOKS {
            if let Ok(serving) = Self::look(data).await {
                return Ok(serving);
            }
            SystemClock.sleep(PAUSE).await;
        }
        Self::look(data).await
    }

    async fn look(data: &Path) -> anyhow::Result<Self> {
        let shown = data.display();
        let start = format!("start it with `sealift serve --data {shown}`");
        let file = data.join(FILE);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!(
                    "no `sealift serve` runs on the folder {shown}: {start}, or name another target \
                     with --data, --api or --stack"
                )
            }
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", file.display()));
            }
        };
        // What stands there is not quoted: a token is among it.
        let Ok(serving) = serde_json::from_str::<Self>(&text) else {
            bail!(
                "{} is not one that `sealift serve` writes: {start}",
                file.display()
            );
        };
        if serving.format != FORMAT {
            bail!(
                "{} is of another version of Sealift: {start} anew",
                file.display()
            );
        }
        let uri: Option<Uri> = serving.url.parse().ok();
        let address = uri.as_ref().and_then(Uri::authority);
        let address = address.with_context(|| format!("{} has no address", file.display()))?;
        if TcpStream::connect(address.as_str()).await.is_err() {
            bail!(
                "nobody listens on {}, where a `sealift serve` on the folder {shown} has listened: {start}",
                serving.url
            );
        }
        Ok(serving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn read(text: Option<&str>) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = text {
            std::fs::write(folder.path().join(FILE), text).unwrap();
        }
        let read = Serving::look(folder.path()).await;
        let error = match read {
            Ok(serving) => return Ok(format!("{} {}", serving.url, serving.token)),
            Err(error) => format!("{error:#}"),
        };
        let start = format!("sealift serve --data {}", folder.path().display());
        assert!(error.contains(&start), "{error}");
        Err(error)
    }

    #[tokio::test]
    async fn what_serves_is_found_and_what_does_not_is_told_with_the_way_to_start_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let written = format!(
            r#"{{"format":"sealift.serving/1","url":"{url}","token":"t0k3n","endpoint_url":"x","pid":1}}"#
        );
        assert_eq!(read(Some(&written)).await, Ok(format!("{url} t0k3n")));
        drop(listener);
        for (text, wanted) in [
            (Some(written.as_str()), "nobody listens on"),
            (None, "no `sealift serve` runs"),
            (Some(r#"{"token":"t0k3n"}"#), "not one that"),
            (Some(&written.replace("/1", "/2")), "another version"),
        ] {
            let error = read(text).await.unwrap_err();
            assert!(
                error.contains(wanted) && !error.contains("t0k3n"),
                "{error}"
            );
        }
    }
}
