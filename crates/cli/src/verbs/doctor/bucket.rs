//! `esker doctor --bucket`: what a bucket can do, asked of the bucket itself. No broker is needed.

use super::Finding;
use crate::failure::{Exit, Failure};
use crate::ui::Ui;
use bytes::Bytes;
use esker_bucket::{BucketConfig, BucketUrl};
use esker_bucket_aws::create_bucket_if_missing;
use esker_bucket_aws::probe::{Check, Need, Outcome, probe};
use esker_env::{Bucket, BucketError, Env, ObjectKey};

const RIGHTS: &str =
    "give the credentials the rights to get, put, delete and list below the prefix";
const UNREACHABLE: &str =
    "look at AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

/// Asks the bucket at `url`; makes it first if it is missing and that is wanted.
pub(super) async fn examine(
    env: &Env,
    ui: Ui,
    url: &str,
    create: bool,
) -> Result<Vec<Finding>, Failure> {
    let parsed: BucketUrl =
        url.parse().map_err(|error| Failure::usage(format!("--bucket {url}: {error}")))?;
    let config = BucketConfig::from_vars(parsed, |name| std::env::var(name).ok())
        .map_err(|error| Failure::usage(error.to_string()))?;
    let BucketUrl::S3 { bucket, .. } = &config.url else {
        if create {
            let what = "--create makes buckets of the S3 protocol only";
            return Err(Failure::usage(what).hint("make it with the tool of its provider"));
        }
        return Ok(round_trip(env, &config).await);
    };
    if create {
        let made = create_bucket_if_missing(&config)
            .await
            .map_err(|error| Failure::new(Exit::Error, error.to_string()).hint(UNREACHABLE))?;
        let what = if made { "made" } else { "was there already" };
        ui.note(&format!("bucket `{bucket}` {what}"));
    }
    let progress = ui.progress("asking the bucket", None);
    let report = probe(env, &config).await;
    progress.finish_and_clear();
    let report = report.map_err(|error| Failure::usage(error.to_string()))?;
    let latencies = report.latencies.iter().map(|latency| Finding {
        check: format!("time of {}", latency.name),
        ok: true,
        found: format!(
            "median {:.1} ms, at most {:.1} ms, of {}",
            latency.median_us as f64 / 1000.0,
            latency.max_us as f64 / 1000.0,
            latency.count
        ),
        advice: None,
    });
    Ok(report.checks.iter().map(finding).chain(latencies).collect())
}

fn finding(check: &Check) -> Finding {
    let found = match (check.outcome, check.need) {
        (Outcome::Skipped, _) => format!("not tried: {}", check.detail),
        (Outcome::Failed, Need::Useful) => format!("missing, can do without: {}", check.detail),
        (Outcome::Failed, Need::Informational) => format!("not so here: {}", check.detail),
        (Outcome::Passed, _) | (Outcome::Failed, Need::Required) => check.detail.clone(),
    };
    let ok = check.need != Need::Required || check.outcome == Outcome::Passed;
    let advice = match check.name.as_str() {
        "bucket" => {
            "`esker doctor --bucket URL --create` makes a missing bucket; else look at AWS_ENDPOINT_URL, \
                     AWS_REGION and the credentials"
        }
        "clock" => "set this machine's clock (NTP): stores refuse requests of a wrong time",
        "range-get" | "multipart-put" => {
            "take another store: this one lacks what cannot be done without"
        }
        _ => RIGHTS,
    };
    Finding { check: check.name.clone(), ok, found, advice: Some(advice) }
}

/// What every kind of bucket must do, through the driver that brokers use.
async fn round_trip(env: &Env, config: &BucketConfig) -> Vec<Finding> {
    let advice = match &config.url {
        BucketUrl::File(_) => {
            "name a directory that exists or can be made, and that this user may write"
        }
        _ => RIGHTS,
    };
    let mut findings = Vec::new();
    let mut push = |check: &str, result: Result<String, String>| {
        let ok = result.is_ok();
        let found = result.unwrap_or_else(|why| why);
        findings.push(Finding { check: check.to_owned(), ok, found, advice: Some(advice) });
        ok
    };
    let bucket = match esker_bucket::open(env, config) {
        Ok(bucket) => bucket,
        Err(error) => {
            push("bucket", Err(error.to_string()));
            return findings;
        }
    };
    push("bucket", Ok(config.url.to_string()));
    let key = ObjectKey::new(&format!("probe/{:016x}", env.entropy.next_u64()));
    let content = Bytes::from_iter(env.entropy.next_u64().to_le_bytes().repeat(128));
    let said = |error: BucketError| error.to_string();
    let put = bucket.put(&key, vec![content.clone()]).await;
    if !push("put", put.map(|()| format!("{} bytes", content.len())).map_err(said)) {
        return findings;
    }
    push("range-get", exact_range(&*bucket, &key, &content).await);
    let deleted = bucket.delete(vec![key.clone()]).await.into_iter().collect::<Result<Vec<_>, _>>();
    push("delete", deleted.map(|_| "one object".to_owned()).map_err(said));
    let gone = bucket.head(&key).await.is_err();
    push("deleted", if gone { Ok("is gone".to_owned()) } else { Err("is still there".to_owned()) });
    findings
}

async fn exact_range(
    bucket: &dyn Bucket,
    key: &ObjectKey,
    content: &Bytes,
) -> Result<String, String> {
    let got = bucket.get_range(key, 100..612).await.map_err(|error| error.to_string())?;
    if got == content[100..612] {
        Ok("512 bytes of the middle".to_owned())
    } else {
        Err("other bytes came back than were put".to_owned())
    }
}
