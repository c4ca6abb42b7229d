//! The generator against a broker that says yes to everything.

use esker_client::{Client, ClientOptions};
use esker_env::Env;
use esker_env::real::Runtimes;
use esker_load::{ConsumeOptions, NullBroker, ProduceOptions, Target, consume, produce};
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: i32 = 6;

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn with_target<T>(test: impl AsyncFnOnce(&Client, &Target) -> T) -> T {
    let runtimes = Runtimes::start(1, 1).unwrap();
    let env = Env::real(&runtimes);
    runtimes.block_on(async {
        let broker = NullBroker::start(&env, "127.0.0.1:0", PARTITIONS).await.unwrap();
        let brokers = vec![broker.address().to_string()];
        let client = Client::new(env, ClientOptions { brokers, ..ClientOptions::default() });
        let target = Target::find(&client, "t").await.unwrap();
        let outcome = test(&client, &target).await;
        assert!(Arc::strong_count(&broker) > 1, "the broker serves to the end");
        outcome
    })
}

#[test]
fn everything_that_was_sent_is_answered() {
    let options = ProduceOptions {
        record_bytes: 100,
        batch_records: 10,
        batches: 4,
        connections: 3,
        in_flight: 2,
        bytes: 3 * 400_000,
        ..ProduceOptions::default()
    };
    let report = with_target(async |_, target| produce(target, &options).await.unwrap());
    // 40 records of 100 bytes a request, 100 requests a connection.
    assert_eq!((report.requests, report.records, report.bytes), (300, 12_000, 1_200_000));
    assert_eq!((report.errors, report.first_error), (0, None));
    assert_eq!(report.request_latency.unwrap().count, 300);
}

#[test]
fn a_rate_is_kept_however_fast_the_broker_is() {
    let options = ProduceOptions {
        record_bytes: 1000,
        batch_records: 1,
        batches: 1,
        connections: 2,
        rate: Some(200_000.0),
        duration: Duration::from_secs(1),
        ..ProduceOptions::default()
    };
    let report = with_target(async |_, target| produce(target, &options).await.unwrap());
    // 200 requests are due in the second; a machine that stands still may lose the last ones.
    assert!((100..=202).contains(&report.requests), "{report:?}");
}

#[test]
fn without_acks_nothing_is_awaited() {
    let options = ProduceOptions { acks: 0, bytes: 4 << 20, ..ProduceOptions::default() };
    let report = with_target(async |_, target| produce(target, &options).await.unwrap());
    assert!(report.bytes >= 4 << 20 && report.request_latency.is_none(), "{report:?}");
}

#[test]
fn readers_count_what_batch_headers_say() {
    let options = ConsumeOptions {
        groups: 2,
        follow: true,
        duration: Duration::from_millis(300),
        fetch_bytes_max: 1 << 20,
        ..ConsumeOptions::default()
    };
    let report =
        with_target(async |client, target| consume(client, target, &options).await.unwrap());
    assert!(report.records > 0 && report.records.is_multiple_of(16), "{report:?}");
    assert!(report.bytes > report.records * 1024, "{report:?}");
    assert_eq!(report.errors, 0);
}
