//! The committed events of API Gateway, handed over as the runtime hands them over, and what it
//! takes back.

use futures_util::FutureExt;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent};
use serde_json::{Value, json};
use tower_service::Service as _;

use super::scene::Scene;

const CREATE: &str = include_str!("../../../../events/control-api.create.json");
const STATUS: &str = include_str!("../../../../events/control-api.status.json");

fn invoke(scene: &Scene, event: &str) -> Value {
    let payload: LambdaRequest = serde_json::from_str(event).unwrap();
    let mut adapter = Adapter::from(scene.router.clone());
    let event = LambdaEvent::new(payload, Context::default());
    let answered = adapter.call(event).now_or_never();
    let response = answered.expect("nothing in memory waits").unwrap();
    serde_json::to_value(response).unwrap()
}

#[test]
fn each_event_does_what_the_readme_says() {
    let scene = Scene::new();
    let created = invoke(&scene, CREATE);
    assert_eq!(created["statusCode"], 201, "{created}");
    assert_eq!(created["isBase64Encoded"], false);
    assert_eq!(created["headers"]["content-type"], "application/json");
    assert_eq!(created["headers"]["x-request-id"], "U8d9EhPLvHcEMzA=");
    let body: Value = serde_json::from_str(created["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&body["id"], &body["organization"]),
        (&json!("main"), &json!("acme"))
    );
    let entry = scene.bus.take().remove(0).detail;
    let entry: Value = serde_json::from_str(&entry).unwrap();
    assert_eq!(
        entry["actor_id"],
        "arn:aws:sts::111111111111:assumed-role/operators/ada"
    );
    assert_eq!(entry["actor_details"]["ip_address"], "198.51.100.7");

    let status = invoke(&scene, STATUS);
    assert_eq!(status["statusCode"], 200, "{status}");
    let body: Value = serde_json::from_str(status["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["state"], "never_started");
}
