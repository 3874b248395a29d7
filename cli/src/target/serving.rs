//! Where a `sealift serve` on this machine listens, as it says in the folder that it keeps.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, bail};
use http::Uri;
use serde::Deserialize;
use tokio::net::TcpStream;

/// The file's name, in the folder.
const FILE: &str = "serving.json";

/// The version of the file that is read.
const FORMAT: &str = "sealift.serving/1";

/// What the file says, as far as it is used.
#[derive(Deserialize)]
pub(super) struct Serving {
    format: String,
    /// Where the control API is.
    pub(super) url: String,
    /// The operator's token.
    pub(super) token: String,
}

impl Serving {
    /// Of the folder that it keeps; fails with the way out if nobody serves it.
    pub(super) async fn read(data: &Path) -> anyhow::Result<Self> {
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
        let read = Serving::read(folder.path()).await;
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
