//! The probe against a server that `ESKER_TEST_S3_ENDPOINT` names, and against none.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use esker_bucket::BucketConfig;
use esker_bucket_aws::create_bucket_if_missing;
use esker_bucket_aws::probe::{Outcome, ProbeReport, probe};
use esker_env::{Env, real::Runtimes};

fn server(bucket: &str) -> Option<BucketConfig> {
    let Ok(endpoint) = std::env::var("ESKER_TEST_S3_ENDPOINT") else {
        println!("skipped: ESKER_TEST_S3_ENDPOINT is not set");
        return None;
    };
    let url = format!("s3://{bucket}/probe-test").parse().unwrap();
    let mut config = BucketConfig::from_vars(url, |name| std::env::var(name).ok()).unwrap();
    config.endpoint = Some(endpoint);
    Some(config)
}

fn run<T>(body: impl AsyncFnOnce(Env) -> T) -> T {
    let runtimes = Runtimes::start(1, 1).unwrap();
    let env = Env::real(&runtimes);
    runtimes.block_on(body(env))
}

#[test]
fn a_bucket_is_made_once_and_found_usable() {
    let name = format!("esker-probe-{}", std::process::id());
    let Some(config) = server(&name) else { return };
    run(async |env| {
        let before = probe(&env, &config).await.unwrap();
        assert!(!before.is_usable() && before.checks.len() == 1, "{before}");
        assert!(create_bucket_if_missing(&config).await.unwrap());
        assert!(!create_bucket_if_missing(&config).await.unwrap());
        let report = probe(&env, &config).await.unwrap();
        println!("{report}");
        assert!(report.is_usable(), "{report}");
        let clean = report.checks.last().unwrap();
        assert_eq!((clean.name.as_str(), clean.outcome), ("clean-up", Outcome::Passed), "{report}");
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<ProbeReport>(&text).unwrap(), report);
    });
}

#[test]
fn an_unreachable_store_is_reported_and_not_an_error() {
    let mut config = BucketConfig::new("s3://nowhere/x".parse().unwrap());
    // A port that nobody listens on.
    config.endpoint = Some("http://127.0.0.1:9".to_owned());
    config.access_key = Some("key".to_owned());
    config.secret_key = Some("secret".to_owned());
    run(async |env| {
        let report = probe(&env, &config).await.unwrap();
        assert!(!report.is_usable());
        assert!(report.to_string().contains("FAILED  bucket"), "{report}");
        assert!(report.latencies.is_empty());
    });
    config.url = "gs://other/x".parse().unwrap();
    run(async |env| assert!(probe(&env, &config).await.is_err()));
}
