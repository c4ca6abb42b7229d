//! Finding out what a bucket is capable of, for `esker doctor --bucket`.
//!
//! The probe writes below `probe/` of the prefix and removes what it wrote. It asks everything once, without
//! repetition: what fails here now and then fails in production now and then.

mod checks;

use crate::client::{ClientError, connect};
use checks::Probe;
use esker_bucket::BucketConfig;
use esker_env::Env;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProbeReport {
    /// The bucket.
    pub url: String,
    /// The store's address, if it is not the cloud's own.
    pub endpoint: Option<String>,
    /// In the order in which they were made.
    pub checks: Vec<Check>,
    /// Empty when the bucket could not be used at all.
    pub latencies: Vec<Latency>,
}

/// One capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// What was tried, in words with hyphens.
    pub name: String,
    /// How it went.
    pub outcome: Outcome,
    /// Whether Esker can do without.
    pub need: Need,
    /// What was seen.
    pub detail: String,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Otherwise.
    Failed,
    /// It could not be tried.
    Skipped,
}

/// Whether Esker can do without a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// No.
    Required,
    /// Yes, at a price that the detail names.
    Useful,
    /// It is of no use to Esker; good to know.
    Informational,
}

/// How long one kind of request takes, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Latency {
    /// The kind of request.
    pub name: String,
    /// Requests made.
    pub count: usize,
    /// Half took no longer.
    pub median_us: u64,
    /// The slowest.
    pub max_us: u64,
}

impl ProbeReport {
    /// Whether every required capability is there.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.checks
            .iter()
            .all(|check| check.need != Need::Required || check.outcome == Outcome::Passed)
    }
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", self.url, self.endpoint.as_deref().unwrap_or("the cloud"))?;
        for check in &self.checks {
            let outcome = match (check.outcome, check.need) {
                (Outcome::Passed, _) => "ok",
                (Outcome::Failed, Need::Required) => "FAILED",
                (Outcome::Failed, Need::Useful | Need::Informational) => "no",
                (Outcome::Skipped, _) => "-",
            };
            writeln!(f, "{outcome:>8}  {:<28} {}", check.name, check.detail)?;
        }
        for latency in &self.latencies {
            let Latency { name, count, median_us, max_us } = latency;
            let [median_ms, max_ms] = [median_us, max_us].map(|us| *us as f64 / 1000.0);
            writeln!(
                f,
                "          {name:<28} median {median_ms:.1} ms, max {max_ms:.1} ms of {count}"
            )?;
        }
        f.write_str(if self.is_usable() { "usable" } else { "not usable" })
    }
}

/// Probes the bucket of `config`.
///
/// # Errors
/// When it is not reached by the S3 protocol. All else is in the report.
pub async fn probe(env: &Env, config: &BucketConfig) -> Result<ProbeReport, ClientError> {
    let s3 = connect(config).await?;
    let mut probe = Probe::new(env, s3);
    probe.run(config).await;
    let (checks, latencies) = probe.finish();
    Ok(ProbeReport {
        url: config.url.to_string(),
        endpoint: config.endpoint.clone(),
        checks,
        latencies,
    })
}
