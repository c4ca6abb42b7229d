//! Every backend keeps the contract.
//!
//! An S3 server is tested where `ESKER_TEST_S3_ENDPOINT` names one, with the credentials and the bucket of
//! `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `ESKER_TEST_S3_BUCKET` (`esker-test`).

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use esker_bucket::{BucketConfig, BucketUrl, Checksum, MemoryBucket, conformance, open};
use esker_env::{Env, real::Runtimes};

/// Above the limit of a single put.
const LARGE: usize = (70 << 20) + 12_345;

fn run(config: &BucketConfig, large_bytes: usize) {
    let runtimes = Runtimes::start(1, 2).unwrap();
    let bucket = open(&Env::real(&runtimes), config).unwrap();
    runtimes.block_on(conformance::all(&*bucket, large_bytes));
}

#[test]
fn memory() {
    let runtimes = Runtimes::start(1, 1).unwrap();
    runtimes.block_on(conformance::all(&MemoryBucket::new(), 1 << 20));
}

#[test]
fn a_directory() {
    let dir = tempfile::tempdir().unwrap();
    run(&BucketConfig::new(BucketUrl::File(dir.path().join("not/there/yet"))), LARGE);
}

/// The server that the environment names, and a prefix that no other run uses.
fn server(test: &str) -> Option<BucketConfig> {
    let Ok(endpoint) = std::env::var("ESKER_TEST_S3_ENDPOINT") else {
        println!("skipped `{test}`: ESKER_TEST_S3_ENDPOINT is not set");
        return None;
    };
    let bucket = std::env::var("ESKER_TEST_S3_BUCKET").unwrap_or_else(|_| "esker-test".to_owned());
    let url = format!("s3://{bucket}/{test}-{}", std::process::id()).parse().unwrap();
    let mut config = BucketConfig::from_vars(url, |name| std::env::var(name).ok()).unwrap();
    config.endpoint = Some(endpoint);
    Some(config)
}

#[test]
fn a_server() {
    if let Some(config) = server("default") {
        run(&config, LARGE);
    }
}

#[test]
fn a_server_with_signed_bodies_and_single_deletion() {
    if let Some(config) = server("signed") {
        let checksum = Some(Checksum::Sha256);
        run(
            &BucketConfig { unsigned_payload: false, checksum, single_delete: true, ..config },
            1 << 20,
        );
    }
}

#[test]
fn a_missing_bucket_is_named() {
    let Some(mut config) = server("missing") else { return };
    config.url = "s3://esker-no-such-bucket".parse().unwrap();
    let runtimes = Runtimes::start(1, 1).unwrap();
    let bucket = open(&Env::real(&runtimes), &config).unwrap();
    let key = esker_env::ObjectKey::new("x");
    let error = runtimes.block_on(bucket.put(&key, vec![])).unwrap_err();
    assert_eq!(error.kind, esker_env::BucketErrorKind::Invalid, "{error}");
    let error = runtimes.block_on(bucket.list("", None)).unwrap_err();
    assert_eq!(error.kind, esker_env::BucketErrorKind::Invalid, "{error}");
    let error = runtimes.block_on(bucket.get_range(&key, 0..1)).unwrap_err();
    assert_eq!(error.kind, esker_env::BucketErrorKind::Invalid, "{error}");
}
