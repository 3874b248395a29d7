//! The scene: `sealift serve` as a process of its own, called over HTTP, and the same folder's stack
//! in this process, where what customers do in their own accounts is done.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use sealift_cli::stack::Stack;
use sealift_core::external_id::ExternalId;
use sealift_core::id::{AccountId, BucketName, OrgId, ProjectId, RoleArn};
use sealift_core::policy::{Partition, permissions, trust};
use sealift_embedded::bus::Entry;
use sealift_embedded::iam::{Secret, User};
use serde_json::{Value, json};

use super::search::unpacked;

pub(crate) const ACCOUNT: &str = "222222222222";
pub(crate) const BUCKET: &str = "acme-audit";
pub(crate) const ROLE: &str = "arn:aws:iam::222222222222:role/audit";
/// In every key that is delivered, in the configuration and in the answers.
pub(crate) const PREFIX: &str = "marker-of-the-prefix/";
pub(crate) const PROJECT: &str = "1c0a9f5e-6d5b-4c3e-8f00-5b8a1d7e2c11";

/// A pair of access keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) id: &'static str,
    pub(crate) secret: &'static str,
}

impl Keys {
    pub(crate) fn authentication(self) -> Value {
        json!({
            "type": "access_keys",
            "access_key_id": self.id, "secret_access_key": self.secret,
        })
    }
}

/// An answer of the API.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) request_id: String,
    pub(crate) text: String,
    pub(crate) body: Value,
}

/// `sealift serve` on a folder.
pub(crate) struct Serving<'a> {
    child: Child,
    address: String,
    pub(crate) token: String,
    /// All that was answered, heads and bodies.
    said: &'a RefCell<String>,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        // As a crash would, which is no reason to leave secrets behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'a> Serving<'a> {
    /// Starts it, telling all it can of what it does; what it prints goes to files of the name.
    pub(crate) fn start(data: &Path, printed: &Path, said: &'a RefCell<String>) -> Self {
        let out = printed.with_extension("out");
        let file = |path: &Path| Stdio::from(File::create(path).unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_sealift"))
            .args([
                "--log",
                "trace",
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&printed.with_extension("err")))
            .spawn()
            .unwrap();
        let mut serving = Self {
            child,
            address: String::new(),
            token: String::new(),
            said,
        };
        let page = wait_for("`sealift serve`", || {
            let page = std::fs::read_to_string(&out).unwrap();
            page.contains("Ctrl-C").then_some(page)
        });
        let after = |word: &str| {
            let rest = page.split_once(word).unwrap().1;
            rest.split_whitespace().next().unwrap().to_owned()
        };
        serving.address = after("http://");
        serving.token = after("SEALIFT_TOKEN=");
        serving
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.call_as(&self.token, method, path, body)
    }

    pub(crate) fn call_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.address,
            body.len(),
        );
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        self.said.borrow_mut().push_str(&text);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut lines = head.lines();
        let request_id = lines.find_map(|line| line.strip_prefix("x-request-id: "));
        Answer {
            status,
            request_id: request_id.unwrap_or_default().to_owned(),
            body: serde_json::from_str(body).unwrap_or_default(),
            text,
        }
    }

    /// Calls, and fails unless it is answered so.
    #[track_caller]
    pub(crate) fn must(&self, status: u16, method: &str, path: &str, body: &Value) -> Answer {
        let answer = self.call(method, path, body);
        assert_eq!(
            answer.status, status,
            "{method} {path} {body}: {}",
            answer.text
        );
        answer
    }
}

/// Looks again and again, for a minute at the most.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = look() {
            return found;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("{what} did not come in a minute");
}

/// Waits until the audit log holds so many entries of a type.
pub(crate) fn wait_for_entries(data: &Path, event_type: &str, count: usize) {
    wait_for(event_type, || {
        let segments = super::search::files(&data.join("s3/sealift-log/log"));
        let text: String = segments
            .iter()
            // One may be under way.
            .filter_map(|segment| std::fs::read(segment).ok())
            .map(|bytes| unpacked(&bytes))
            .collect();
        let lines = text.lines().filter(|line| line.starts_with('{'));
        let entries = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_type = entries.filter(|entry| entry["event_type"] == event_type);
        (of_type.count() >= count).then_some(())
    });
}

/// The folder's stack, in this process.
pub(crate) async fn stack(data: &Path) -> Stack {
    Stack::start(data, std::collections::BTreeMap::new())
        .await
        .unwrap()
}

/// What a platform and its customer have before anything begins: a project, a bucket, a role that
/// trusts nobody yet, and users.
pub(crate) async fn set_up(data: &Path, users: &[Keys]) {
    let platform = sealift_cli::stack::platform::Platform {
        organization: OrgId::parse("5abfae3a-7aa7-4653-a9c8-b3efcb18f584").unwrap(),
        projects: [(ProjectId::parse(PROJECT).unwrap(), "Marker".to_owned())].into(),
    };
    platform.save(data).unwrap();
    let stack = stack(data).await;
    let bucket = BucketName::parse(BUCKET).unwrap();
    let account = AccountId::parse(ACCOUNT).unwrap();
    stack.aws.create_bucket(&bucket, &account).unwrap();
    for user in users {
        create_user(&stack, *user);
    }
    let prefix = PREFIX.parse().unwrap();
    let permits = permissions::least(Partition::default(), &bucket, &prefix, None).to_string();
    // Sealift has not drawn the ExternalId yet.
    let nobody = [ExternalId::parse("nobody").unwrap()];
    let nobody = trust::for_audit_destination(&stack.principal, &nobody).unwrap();
    let role = RoleArn::parse(ROLE).unwrap();
    let policies = [("write", permits.as_str())];
    stack
        .aws
        .iam()
        .create_role(&role, &nobody.to_string(), &policies)
        .unwrap();
    stop(stack).await;
}

pub(crate) fn create_user(stack: &Stack, keys: Keys) {
    let may = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "s3:*",
        "Resource": [format!("arn:aws:s3:::{BUCKET}"), format!("arn:aws:s3:::{BUCKET}/*")],
    }]});
    let user = User {
        name: "audit".to_owned(),
        account: AccountId::parse(ACCOUNT).unwrap(),
        access_key_id: keys.id.to_owned(),
        secret_access_key: Secret::new(keys.secret),
        policy: may.to_string(),
    };
    stack.aws.iam().create_user(user).unwrap();
}

/// Has the role trust Sealift with the ExternalId.
pub(crate) fn let_in(stack: &Stack, external_id: &str) {
    let ids = [ExternalId::parse(external_id).unwrap()];
    let trusts = trust::for_audit_destination(&stack.principal, &ids).unwrap();
    let role = RoleArn::parse(ROLE).unwrap();
    let changed = stack
        .aws
        .iam()
        .update_trust_policy(&role, &trusts.to_string());
    changed.unwrap();
}

/// Has the customer's application put an event on the bus, and lets some minutes pass.
pub(crate) async fn put(stack: &Stack, id: &str) {
    let detail = json!({
        "id": id, "created": stack.now().to_string(), "org_id": "acme",
        "event_type": "project.updated", "event_details": {},
    });
    let entry = Entry {
        source: "platform.audit".to_owned(),
        detail_type: "project.updated".to_owned(),
        detail: detail.to_string(),
        time: None,
        resources: Vec::new(),
    };
    let taken = stack.bus.put_events(&stack.bus_name, &[entry]).unwrap();
    assert!(taken.iter().all(Result::is_ok), "{taken:?}");
    pass(stack).await;
}

/// Lets some minutes pass.
pub(crate) async fn pass(stack: &Stack) {
    let then = stack.now().checked_add(Duration::from_mins(3)).unwrap();
    stack.bus.run_until(then).await.unwrap();
}

pub(crate) async fn stop(stack: Stack) {
    stack.aws.shutdown().await;
    stack.api.shutdown().await;
}

/// The vault's files, and that nobody else may read them.
pub(crate) fn vault(data: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let folder = data.join("vault");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files = super::search::files(&folder);
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    files
}
