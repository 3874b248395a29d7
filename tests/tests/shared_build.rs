//! All functions are built on one build of the SDK.
//!
//! `sam build` builds function by function in one target directory. What two functions use with different features is
//! built twice, and with it all that is built on it: a feature of a small crate can so double what a deployment takes.
//! `shared/aws/Cargo.toml` asks for such features on behalf of all.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The crates that a package is built of, each with the features that it is built with.
fn built(manifest: &Path) -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges=normal,build"])
        .args(["--prefix=none", "--no-dedupe", "--format={p}\t{f}"])
        .arg("--manifest-path")
        .arg(manifest)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", manifest.display());
    let lines = String::from_utf8(output.stdout).unwrap();
    let crates = lines.lines().filter_map(|line| line.split_once('\t'));
    crates
        .map(|(name, features)| (name.to_owned(), features.to_owned()))
        .collect()
}

/// The crates that something is built of.
fn below(manifest: &Path, what: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges=normal,build"])
        .args([
            "--prefix=none",
            "--no-dedupe",
            "--format={p}",
            "--package",
            what,
        ])
        .arg("--manifest-path")
        .arg(manifest)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn functions_differ_in_no_feature_of_what_the_sdk_is_built_of() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders = std::fs::read_dir(root.join("functions")).unwrap();
    let mut functions: Vec<_> = folders.map(|entry| entry.unwrap().path()).collect();
    functions.push(root.join("benches/bare-client"));
    let one = root.join("functions/audit-writer/Cargo.toml");
    let sdk = below(&one, "aws-sdk-s3");
    assert!(sdk.len() > 100, "the SDK is built of {} crates", sdk.len());
    let mut seen: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for function in &functions {
        let name = function.file_name().unwrap().to_string_lossy().into_owned();
        for (krate, features) in built(&function.join("Cargo.toml")) {
            let with = seen.entry(krate).or_default().entry(features).or_default();
            with.insert(name.clone());
        }
    }
    seen.retain(|krate, with| with.len() > 1 && sdk.contains(krate));
    assert!(
        seen.is_empty(),
        "these crates are built several times, with other features each time: {seen:#?}\n\
         ask for the features in shared/aws/Cargo.toml"
    );
}
