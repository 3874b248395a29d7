//! The Lambda function; all that it does stands in the library.

use audit_writer::{Config, Writer};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use sealift_aws::{OsEntropy, S3Store, SystemClock, config, system};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let Config {
        log_bucket,
        shapes,
        level,
        log_level,
    } = Config::from_lookup(system::environment)?;
    system::log_as_json(&log_level);
    let store = S3Store::on(&config::load().await, log_bucket);
    let writer = Writer::new(store, SystemClock, OsEntropy, shapes, level);
    let writer = &writer;
    run(service_fn(|event: LambdaEvent<_>| async move {
        Ok::<_, Error>(writer.handle(&event.payload).await.response)
    }))
    .await
}
