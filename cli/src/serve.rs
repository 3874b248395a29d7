//! `sealift serve`: the embedded stack on a folder, with the control API on 127.0.0.1.
//!
//! The routes are those that `control-api` serves in AWS, on the same service. Unlike in the demo,
//! time is the machine's own: schedules tick when they are due, and nothing is jumped over.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use control_api::{Automations, Exports, TokenDoor, router};
use sealift_aws::{OsEntropy, SystemClock};
use sealift_core::ports::{Clock, Entropy};
use tokio::net::TcpListener;

use crate::stack::Stack;

/// How long the stack rests between two looks at what is due.
const REST: Duration = Duration::from_millis(200);

/// Run the whole of Sealift on this machine, with its HTTP API on 127.0.0.1.
///
/// Everything runs in this process, on plain files below DIR, which may be one that the demo left.
/// It runs until it is interrupted, and goes on from there at the next start.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The folder that all is kept in
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// The port of the HTTP API; any that is free with 0
    #[arg(long, value_name = "N", default_value_t = 8480)]
    port: u16,
}

/// Runs until it is interrupted.
pub async fn run(args: ServeArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let stop = async {
        // Without a way to be told, it runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    serve(args, out, stop).await
}

async fn serve(
    args: ServeArgs,
    out: &mut impl Write,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    // First, so that a port in use leaves the folder alone.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| {
        format!("cannot listen on {address}; name another port with --port, or 0 for any")
    })?;
    let address = listener.local_addr()?;
    let stack = Stack::start(&args.data, std::collections::BTreeMap::new()).await?;
    let token = format!("{}{}", OsEntropy.nonce(), OsEntropy.nonce());
    let door = TokenDoor::new(&token, OsEntropy);
    let organization = stack.api.organization().id.clone();
    let (registry, bus) = (stack.automations(), stack.own_bus());
    let exports = Automations::new(registry, bus, stack.clock.clone(), organization);
    let exports: Arc<dyn Exports> = Arc::new(exports);
    let routes = router(Arc::new(stack.control()), Some(exports), Arc::new(door));
    tell(out, address, &stack, &token)?;
    tokio::select! {
        served = axum::serve(listener, routes).into_future() => served.context("the HTTP API stopped")?,
        ticked = tick(&stack) => ticked?,
        () = stop => {}
    }
    stack.aws.shutdown().await;
    stack.api.shutdown().await;
    Ok(())
}

/// Does what is due, as time goes by.
async fn tick(stack: &Stack) -> anyhow::Result<()> {
    loop {
        // Never beyond now: the stack's clock would jump.
        stack.bus.run_until(stack.now()).await?;
        SystemClock.sleep(REST).await;
    }
}

fn tell(
    out: &mut impl Write,
    address: SocketAddr,
    stack: &Stack,
    token: &str,
) -> anyhow::Result<()> {
    let api = format!("http://{address}");
    writeln!(
        out,
        "Sealift serves on {api}\n\
         \n  \
           routes     {api}{}\n  \
           S3, STS    {}\n  \
           principal  {}\n\
         \nCall it with the operator's token, which is another one at each start:\n\
         \n  \
           export SEALIFT_TOKEN={token}\n  \
           curl -H \"authorization: Bearer $SEALIFT_TOKEN\" {api}/v1/organizations/acme/destinations\n\
         \nStop it with Ctrl-C.",
        control_api::DOCUMENT,
        stack.aws.endpoint_url(),
        stack.principal,
    )?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was printed so far, shared with whoever waits for it.
    #[derive(Clone, Default)]
    struct Printed(Arc<std::sync::Mutex<Vec<u8>>>);

    impl Printed {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        /// What follows a word.
        fn after(&self, word: &str) -> Option<String> {
            let text = self.text();
            let rest = text.split_once(word)?.1;
            Some(rest.split_whitespace().next()?.to_owned())
        }
    }

    impl Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    async fn send(address: &str, request: String) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn who_has_the_printed_token_manages_destinations_and_nobody_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let args = ServeArgs {
            data: folder.path().to_owned(),
            port: 0,
        };
        let printed = Printed::default();
        let called = async {
            let address = loop {
                if printed.text().contains("Ctrl-C") {
                    break printed.after("http://").unwrap();
                }
                SystemClock.sleep(Duration::from_millis(20)).await;
            };
            let token = printed.after("SEALIFT_TOKEN=").unwrap();
            let body = r#"{"id":"main","bucket":"acme-audit","region":"us-east-1","authentication":{"type":"access_keys","access_key_id":"AKIAEXAMPLE","secret_access_key":"sEcReT-of-a-customer"}}"#;
            let create = |token: &str| {
                format!(
                    "POST /v1/organizations/acme/destinations HTTP/1.1\r\nhost: {address}\r\n\
                     authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                )
            };
            let refused = send(&address, create("another")).await;
            assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
            let created = send(&address, create(&token)).await;
            assert!(created.starts_with("HTTP/1.1 201"), "{created}");
            assert!(created.contains("x-request-id") && !created.contains("sEcReT"));
        };
        // No bucket of that name is there, and nothing has to be delivered to it.
        serve(args, &mut printed.clone(), called).await.unwrap();
        let vault = folder.path().join("vault");
        assert_eq!(std::fs::read_dir(vault).unwrap().count(), 1);
    }
}
