//! Customers' access keys on their way into the Parameter Store and out of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use sealift_aws::ParameterVault;
use sealift_aws::vault::{AccessKeys, Vault};
use sealift_core::ports::StoreError;
use sealift_testkit::vault::conformance::{self, destination};
use sealift_tests::responder::{Received, Reply, Responder};
use serde_json::{Value, json};

use crate::scene::base;

const SECRET: &str = "vault-secret-3e1f";

/// Parameters as the store keeps them.
type Parameters = Arc<Mutex<BTreeMap<String, String>>>;

fn error(code: &str) -> Reply {
    Reply::answer(400, json!({"__type": code}).to_string())
}

/// A Parameter Store, as far as the vault needs one.
fn parameter_store(request: &Received, parameters: &Parameters) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let name = body["Name"].as_str().unwrap().to_owned();
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    if !name.bytes().all(valid) {
        return error("ValidationException");
    }
    let mut parameters = parameters.lock().unwrap();
    match request.header("x-amz-target") {
        "AmazonSSM.GetParameter" => match parameters.get(&name) {
            Some(value) => {
                let parameter = json!({"Parameter": {"Name": name, "Value": value}});
                Reply::answer(200, parameter.to_string())
            }
            None => error("ParameterNotFound"),
        },
        "AmazonSSM.PutParameter" => {
            let value = body["Value"].as_str().unwrap().to_owned();
            if value.len() > 4096 {
                return error("ValidationException");
            }
            if body["Overwrite"] != true && parameters.contains_key(&name) {
                return error("ParameterAlreadyExists");
            }
            parameters.insert(name, value);
            Reply::answer(200, json!({"Version": 1}).to_string())
        }
        "AmazonSSM.DeleteParameter" => match parameters.remove(&name) {
            Some(_) => Reply::answer(200, "{}"),
            None => error("ParameterNotFound"),
        },
        other => unreachable!("{other}"),
    }
}

/// A store whose first replies are lost, though it has done what it was asked.
async fn losing(replies: usize) -> (Responder, Parameters) {
    let parameters = Parameters::default();
    let kept = Arc::clone(&parameters);
    let server = Responder::start(move |request, number| {
        let reply = parameter_store(request, &kept);
        if number < replies {
            Reply::HangUp
        } else {
            reply
        }
    });
    (server.await.unwrap(), parameters)
}

fn vault(aws: &Responder, retry: RetryConfig) -> ParameterVault {
    let config = base(Some(aws.url())).into_builder().retry_config(retry);
    ParameterVault::on(&config.build(), "/sealift/access-keys/")
}

fn keys() -> AccessKeys {
    AccessKeys::parse("VAULTKEY", SECRET).unwrap()
}

#[tokio::test]
async fn the_vault_in_the_parameter_store_conforms() {
    let servers = Mutex::new(Vec::new());
    conformance::run(async || {
        let (server, _) = losing(0).await;
        let vault = vault(&server, RetryConfig::disabled());
        servers.lock().unwrap().push(server);
        vault
    })
    .await;
}

#[tokio::test]
async fn keys_are_stored_as_one_encrypted_string_in_place_of_the_old_ones() {
    let (aws, _) = losing(0).await;
    let plain = vault(&aws, RetryConfig::disabled());
    plain
        .put(&destination("acme", "a@b"), &keys())
        .await
        .unwrap();
    let own = plain.encrypted_with("alias/sealift");
    own.put(&destination("acme", "main"), &keys())
        .await
        .unwrap();
    own.delete(&destination("acme", "main")).await.unwrap();
    let asked: Vec<(String, Value)> = aws
        .received()
        .iter()
        .map(|request| {
            let body = serde_json::from_slice(&request.body).unwrap();
            (request.header("x-amz-target").to_owned(), body)
        })
        .collect();
    let value = json!({"access_key_id": "VAULTKEY", "secret_access_key": SECRET}).to_string();
    let put = |name: &str| json!({"Name": name, "Value": value, "Type": "SecureString", "Overwrite": true});
    let mut encrypted = put("/sealift/access-keys/acme/main");
    encrypted["KeyId"] = json!("alias/sealift");
    assert_eq!(
        asked,
        [
            (
                "AmazonSSM.PutParameter".to_owned(),
                put("/sealift/access-keys/acme/a_40b")
            ),
            ("AmazonSSM.PutParameter".to_owned(), encrypted),
            (
                "AmazonSSM.DeleteParameter".to_owned(),
                json!({"Name": "/sealift/access-keys/acme/main"})
            ),
        ]
    );
}

#[tokio::test]
async fn a_lost_reply_is_made_good_by_the_next_try() {
    let main = destination("acme", "main");
    let (aws, parameters) = losing(1).await;
    vault(&aws, RetryConfig::standard())
        .put(&main, &keys())
        .await
        .unwrap();
    assert_eq!(aws.received().len(), 2, "the SDK tried again");
    assert_eq!(parameters.lock().unwrap().len(), 1);

    let (aws, parameters) = losing(1).await;
    let name = "/sealift/access-keys/acme/main".to_owned();
    parameters.lock().unwrap().insert(name, "{}".to_owned());
    // The second try finds nothing, because the first one did it.
    vault(&aws, RetryConfig::standard())
        .delete(&main)
        .await
        .unwrap();
    assert_eq!(aws.received().len(), 2);
    assert!(parameters.lock().unwrap().is_empty());
}

#[tokio::test]
async fn failures_are_the_decisions_they_ask_for_and_hold_no_keys() {
    for (code, decision) in [
        ("AccessDeniedException", "denied"),
        ("ThrottlingException", "transient"),
        ("ParameterLimitExceeded", "invalid"),
        ("InvalidKeyId", "invalid"),
    ] {
        let aws = Responder::start(move |_, _| error(code)).await.unwrap();
        let vault = vault(&aws, RetryConfig::disabled());
        let main = destination("acme", "main");
        let put = vault.put(&main, &keys()).await.unwrap_err();
        let deleted = vault.delete(&main).await.unwrap_err();
        for (failed, operation) in [(put, "PutParameter"), (deleted, "DeleteParameter")] {
            let told = match &failed {
                StoreError::Transient(_) => "transient",
                StoreError::Conflict(_) => "conflict",
                StoreError::Denied(_) => "denied",
                StoreError::Invalid(_) => "invalid",
            };
            assert_eq!(told, decision, "{code} {operation}");
            assert_eq!(failed.failure().operation, operation);
            let shown = format!("{failed} {failed:?}");
            assert!(
                !shown.contains(SECRET) && !shown.contains("VAULTKEY"),
                "{shown}"
            );
        }
        assert!(!format!("{vault:?}").contains(SECRET));
    }
    let aws = Responder::start(|_, _| error("TooManyUpdates"))
        .await
        .unwrap();
    let busy = vault(&aws, RetryConfig::disabled())
        .put(&destination("acme", "main"), &keys())
        .await;
    assert!(matches!(busy, Err(StoreError::Conflict(_))), "{busy:?}");
    let (aws, _) = losing(1).await;
    let torn = vault(&aws, RetryConfig::disabled())
        .put(&destination("acme", "main"), &keys())
        .await
        .unwrap_err();
    assert!(matches!(torn, StoreError::Transient(_)), "{torn:?}");
    assert!(!format!("{torn:?}").contains(SECRET));
}
