//! The least function that asks S3 for an object: the SDK, the runtime, and nothing of Sealift's.
//!
//! `benches/start.py` holds the functions' sizes and starts against it.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12());
    let client = aws_sdk_s3::Client::new(&config.load().await);
    let client = &client;
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let named = |name: &str| event.payload.get(name).and_then(Value::as_str);
        let request = client.get_object();
        let request = request.set_bucket(named("bucket").map(str::to_owned));
        let answer = request.set_key(named("key").map(str::to_owned)).send();
        Ok::<_, Error>(answer.await?.content_length)
    }))
    .await
}
