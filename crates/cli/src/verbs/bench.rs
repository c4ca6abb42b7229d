//! `esker bench`.

use crate::args::{BenchConsumeArgs, BenchLatencyArgs, BenchProduceArgs, BenchVerb, ReportFormat};
use crate::failure::{Exit, Failure};
use crate::ui::{Ui, table};
use crate::verbs::produce;
use esker_client::Client;
use esker_load::{
    ConsumeOptions, LatencyOptions, LoadError, Percentiles, ProduceOptions, Report, Target,
};
use std::time::Duration;

pub(super) async fn run(client: &Client, ui: Ui, verb: BenchVerb) -> Result<(), Failure> {
    let (report, output) = match verb {
        BenchVerb::Produce(args) => (produce(client, &args).await?, args.output),
        BenchVerb::Consume(args) => (consume(client, &args).await?, args.output),
        BenchVerb::Latency(args) => (latency(client, &args).await?, args.output),
    };
    match output {
        ReportFormat::Json => ui.json(&report)?,
        ReportFormat::Table => ui.write(render(&report).as_bytes())?,
    }
    match &report.first_error {
        Some(first) => {
            let what = format!("{} error(s), the first: {first}", report.errors);
            Err(Failure::new(Exit::Error, what))
        }
        None => Ok(()),
    }
}

async fn produce(client: &Client, args: &BenchProduceArgs) -> Result<Report, Failure> {
    let target = Target::find(client, &args.topic).await?;
    let options = ProduceOptions {
        record_bytes: args.size,
        batch_records: args.batch,
        batches: args.batches,
        connections: args.connections,
        in_flight: args.in_flight,
        codec: produce::codec(&args.compression)?,
        acks: acks(&args.acks)?,
        rate: args.rate,
        duration: duration(args.duration)?,
        bytes: args.bytes.unwrap_or(u64::MAX),
    };
    Ok(esker_load::produce(&target, &options).await?)
}

async fn consume(client: &Client, args: &BenchConsumeArgs) -> Result<Report, Failure> {
    let target = Target::find(client, &args.topic).await?;
    let options = ConsumeOptions {
        groups: args.groups,
        connections: args.connections,
        from_end: args.from_end,
        follow: args.follow,
        duration: duration(args.duration)?,
        fetch_bytes_max: args.fetch_bytes,
        partition_bytes_max: args.partition_bytes,
        fetch_bytes_min: args.min_bytes,
        wait_ms: args.wait,
    };
    Ok(esker_load::consume(client, &target, &options).await?)
}

async fn latency(client: &Client, args: &BenchLatencyArgs) -> Result<Report, Failure> {
    let target = Target::find(client, &args.topic).await?;
    let options = LatencyOptions {
        record_bytes: args.size,
        rate: args.rate,
        duration: duration(args.duration)?,
        warm_up: duration(args.warm_up)?,
        in_flight: args.in_flight,
        linger: duration(args.linger)?,
        acks: acks(&args.acks)?,
    };
    Ok(esker_load::latency(client, &target, &options).await?)
}

fn acks(text: &str) -> Result<i16, Failure> {
    match text {
        "all" | "-1" => Ok(-1),
        "1" | "leader" => Ok(1),
        "0" | "none" => Ok(0),
        other => Err(Failure::usage(format!("`{other}` are no acks: all, 1, 0"))),
    }
}

fn duration(seconds: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| Failure::usage(format!("{seconds} seconds are no length of time")))
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Client(error) => error.into(),
            LoadError::Options(what) => Self::usage(what),
            error => Self::new(Exit::Error, error.to_string()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn render(report: &Report) -> String {
    let a_second = |count: u64| count as f64 / report.seconds.max(1e-9);
    let mut text = format!(
        "{} records, {:.1} MB, {} requests in {:.2} s: {:.0} records/s, {:.1} MB/s, {:.0} requests/s\n",
        report.records,
        report.bytes as f64 / 1e6,
        report.requests,
        report.seconds,
        a_second(report.records),
        a_second(report.bytes) / 1e6,
        a_second(report.requests),
    );
    let times = [("request", &report.request_latency), ("end to end", &report.end_to_end_latency)];
    let rows: Vec<_> =
        times.iter().filter_map(|(name, times)| Some((name, times.as_ref()?))).collect();
    if !rows.is_empty() {
        let columns = ["MICROSECONDS", "MEAN", "P50", "P90", "P99", "P99.9", "P99.99", "MAX"];
        text += &table(&columns, rows.into_iter().map(|(name, times)| row(name, times)));
    }
    text
}

fn row(name: &str, times: &Percentiles) -> Vec<String> {
    let Percentiles { mean, p50, p90, p99, p99_9, p99_99, max, .. } = *times;
    let figures = [mean, p50, p90, p99, p99_9, p99_99, max];
    let figures = figures.iter().map(|micros| format!("{micros:.0}"));
    std::iter::once(name.to_owned()).chain(figures).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_well() {
        let times = Percentiles { p50: 250.0, p99: 1000.4, ..Percentiles::default() };
        let report = Report {
            seconds: 2.0,
            records: 2000,
            bytes: 2_048_000,
            requests: 20,
            request_latency: Some(times),
            ..Report::default()
        };
        let text = render(&report);
        assert!(
            text.starts_with(
                "2000 records, 2.0 MB, 20 requests in 2.00 s: 1000 records/s, 1.0 MB/s"
            )
        );
        assert!(text.contains("request       0     250  0    1000"), "{text}");
    }
}
