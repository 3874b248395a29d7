//! `sealift serve`: the embedded stack on a folder, with the control API on 127.0.0.1.
//!
//! The routes are those that `control-api` serves in AWS, on the same service. Unlike in the demo,
//! time is the machine's own: schedules tick when they are due, and nothing is jumped over.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use control_api::{Automations, Door, Exports, TokenDoor, router};
use sealift_aws::{OsEntropy, SystemClock};
use sealift_core::ports::{Clock, Entropy};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::stack::Stack;
use crate::target::DATA;
use crate::target::serving::Serving;

pub(crate) use self::both_sides::{NewBucket, NewEvents, NewKeys, NewPair, NewRole, PutEvents};

mod both_sides;

/// How long the stack rests between two looks at what is due.
const REST: Duration = Duration::from_millis(200);

/// How far the stack's time runs ahead at the end: longer than a batch of the queue is gathered for.
const LAST: Duration = Duration::from_secs(10);

/// Run the whole of Sealift on this machine, with its HTTP API on 127.0.0.1.
///
/// Everything runs in this process, on plain files below DIR, which may be one that the demo left.
/// It runs until it is interrupted, and goes on from there at the next start. The bus and its queues
/// are in memory: if it is killed (`kill -9`), events that are not in the log yet are lost; those of
/// AWS keep them. `sealift destination`, `customer` and `events` find it by its folder.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The folder that all is kept in
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,

    /// The address of the HTTP API, on this machine; any port that is free with 0
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8480", value_parser = loopback)]
    listen: SocketAddr,

    /// A parameter of the template, such as FlushIntervalSeconds=5
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::cost::pair)]
    parameter: Vec<(String, String)>,
}

/// An address of this machine alone.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let form = |_| "it must be an address and a port, such as 127.0.0.1:8480".to_owned();
    let address: SocketAddr = text.parse().map_err(form)?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err(
            "it must be an address of this machine alone, such as 127.0.0.1: the operator's token would go over \
             the network in the clear. Put a proxy with TLS before it to let others in"
                .to_owned(),
        ),
    }
}

/// Runs until it is told to end: by Ctrl-C, or as `kill` does.
pub async fn run(args: ServeArgs, out: &mut impl Write) -> anyhow::Result<()> {
    // From the start on: what ends it without its knowing loses what is in memory alone.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let stop = async {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
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
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| {
        let address = args.listen;
        format!(
            "cannot listen on {address}; name another with --listen, whose port may be 0 for any"
        )
    })?;
    let address = listener.local_addr()?;
    let stack = Arc::new(Stack::start(&args.data, args.parameter.into_iter().collect()).await?);
    let token = format!("{}{}", OsEntropy.nonce(), OsEntropy.nonce());
    let door: Arc<dyn Door> = Arc::new(TokenDoor::new(&token, OsEntropy));
    let organization = stack.api.organization().id.clone();
    let (registry, bus) = (stack.automations(), stack.own_bus());
    let exports = Automations::new(registry, bus, stack.clock.clone(), organization);
    let exports: Arc<dyn Exports> = Arc::new(exports);
    let routes = router(Arc::new(stack.control()), Some(exports), Arc::clone(&door));
    let routes = routes.merge(both_sides::routes(Arc::clone(&stack), door));
    let serving = Serving::new(
        format!("http://{address}"),
        token.clone(),
        stack.aws.endpoint_url(),
    );
    let sign = serving.write(&args.data)?;
    tell(out, &args.data, address, &stack, &token)?;
    tokio::select! {
        served = axum::serve(listener, routes).into_future() => served.context("the HTTP API stopped")?,
        ticked = tick(&stack) => ticked?,
        () = stop => {}
    }
    drop(sign);
    // What is still on the bus is in memory alone: it goes into the log now, without the wait for more.
    stack.bus.run_until(stack.now().checked_add(LAST)?).await?;
    // A request that is under way has it, too; then it ends with the process.
    if let Some(stack) = Arc::into_inner(stack) {
        stack.aws.shutdown().await;
        stack.api.shutdown().await;
    }
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
    data: &Path,
    address: SocketAddr,
    stack: &Stack,
    token: &str,
) -> anyhow::Result<()> {
    let api = format!("http://{address}");
    let shown = data.display();
    writeln!(
        out,
        "Sealift serves on {api}\n\
         \n  \
           routes     {api}{}\n  \
           S3, STS    {}\n  \
           principal  {}\n  \
           bus        {}\n  \
           buckets    {shown}/s3, as files: {} has the state, {} the audit log\n  \
           vault      {shown}/vault, for its owner alone\n\
         \nGo on in another terminal, as the customer, the customer's administrator, and the platform:\n\
         \n  \
           sealift customer --help\n  \
           sealift destination --help\n  \
           sealift events put FILE\n\
         \nOr call it with the operator's token, which is another one at each start:\n\
         \n  \
           export SEALIFT_TOKEN={token}\n  \
           curl -H \"authorization: Bearer $SEALIFT_TOKEN\" {api}/v1/organizations/acme/destinations\n\
         \nStop it with Ctrl-C; what it has stays, and the next one goes on with it.",
        control_api::DOCUMENT,
        stack.aws.endpoint_url(),
        stack.principal,
        stack.bus_name,
        stack.state_bucket,
        stack.log_bucket,
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
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            parameter: Vec::new(),
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
