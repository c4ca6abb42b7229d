//! The engine over real files, a bucket in memory and metadata that outlives it.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod failing_disk;
mod machine;
mod producers;

use crate::machine::*;
use bytes::BytesMut;
use esker_engine::{Ack, AppendError, ReadError, Verified};
use esker_env::Bucket;
use esker_meta::{Command, State};
use esker_meta_client::{MetaClient, SoloMeta};
use esker_record::{BatchBuilder, Times, batches};
use esker_types::{ByteCount, Offset, Timestamp};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[test]
fn what_was_acknowledged_survives_restarts_hot_and_cold() {
    let machine = Machine::new();
    for round in 0..4 {
        machine.run(async |engine| {
            let partition = partition(engine, 0);
            assert_eq!(
                read(engine, &partition, 0).await,
                numbers(0..round * 10),
                "after a restart"
            );
            for first in [0, 5] {
                let start = round * 10 + first;
                let base = append(engine, &partition, batch(start..start + 5, 0)).await;
                assert_eq!(base, Offset(start));
            }
            assert_eq!(read(engine, &partition, 0).await, numbers(0..round * 10 + 10));
            // Every other round leaves its records in the log only.
            if round % 2 == 0 {
                engine.flush_all(None).await;
                assert_eq!(engine.flush_status().unflushed_bytes, 0);
                assert_eq!(read(engine, &partition, 3).await, numbers(3..round * 10 + 10));
            }
        });
    }
    assert!(machine.meta.image().check().is_ok());
}

#[test]
fn a_stop_whose_last_sync_fails_comes_to_an_end() {
    let machine = Machine::new();
    machine.run(async |engine| {
        append(engine, &partition(engine, 0), batch(0..5, 0)).await;
        machine.syncs_fail.store(true, Ordering::Relaxed);
        let clock = &engine.env().clock;
        let stopped = esker_env::timeout(&**clock, Duration::from_secs(30), engine.stop()).await;
        assert!(stopped.is_ok(), "it waits for a log that has failed");
        assert!(engine.is_failed());
    });
}

#[test]
fn a_batch_that_does_not_fit_is_not_passed_over() {
    let machine = Machine::new();
    machine.run(async |engine| {
        for values in [0..100, 100..101] {
            append(engine, &partition(engine, 0), batch(values, 0)).await;
            engine.flush_all(None).await;
        }
    });
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        let first = engine.read(&partition, Offset(0), 100, true).await.unwrap();
        assert!(first.bytes > 200, "the first one of an answer fits always");
        for from in [0, 50, 99] {
            let more = engine.read(&partition, Offset(from), 200, false).await.unwrap();
            assert_eq!(more.bytes, 0, "from {from}");
        }
        let last = engine.read(&partition, Offset(100), 200, false).await.unwrap();
        assert!((1..=200).contains(&last.bytes));
    });
}

#[test]
fn what_does_not_fit_a_file_of_the_log_is_refused_and_nothing_else_is() {
    let mut machine = Machine::new();
    machine.adjust = |options| {
        options.wal_segment = ByteCount::kib(64);
        options.wal_capacity = ByteCount::mib(4);
    };
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        let large = |bytes: usize| {
            let mut builder = BatchBuilder::new(Offset(0));
            builder.append(Timestamp(1), None, Some(&vec![7; bytes]), &[]);
            BytesMut::from(&builder.build()[..])
        };
        let refused = engine.append(&partition, large(60_000), Times::Proved, None).unwrap_err();
        let AppendError::TooLarge { size, max } = refused else { panic!("{refused}") };
        assert!(size > 60_000 && (20_000..32_768).contains(&max), "{refused}");
        let rest = size - 60_000;
        let beyond =
            engine.append(&partition, large(max - rest + 1), Times::Proved, None).unwrap_err();
        assert_eq!(beyond, AppendError::TooLarge { size: max + 1, max });
        // The longest, and many short ones that together are longer than a file.
        let ack = Ack::new();
        engine.append(&partition, large(max - rest), Times::Proved, Some(&ack)).unwrap();
        for value in 0..2000 {
            engine
                .append(&partition, batch(value..value + 1, 0), Times::Proved, Some(&ack))
                .unwrap();
        }
        ack.arm();
        assert!(ack.wait().await);
        assert_eq!(partition.position().high_watermark, Offset(2001));
    });
}

#[test]
fn readers_of_neighbouring_parts_share_their_requests_over_the_ends_of_objects() {
    const ROUNDS: i64 = 3;
    const BATCHES: i64 = 100;
    let mut machine = Machine::new();
    machine.adjust = |options| {
        options.tail_memory = ByteCount(0);
        options.wal_segment = ByteCount::mib(16);
        options.wal_capacity = ByteCount::mib(64);
    };
    machine.run(async |engine| {
        let mut bytes = 0;
        for round in 0..ROUNDS {
            let ack = Ack::new();
            for number in 0..BATCHES {
                let first = (round * BATCHES + number) * 1000;
                for index in 0..2 {
                    let batch = batch(first..first + 1000, 0);
                    bytes += batch.len();
                    engine
                        .append(&partition(engine, index), batch, Times::Proved, Some(&ack))
                        .unwrap();
                }
            }
            ack.arm();
            assert!(ack.wait().await);
            engine.flush_all(None).await;
        }
        let objects: Vec<_> = machine.meta.image().objects.values().map(|row| row.len).collect();
        assert_eq!(objects.len(), 3);
        let mut next = [Offset(0); 2];
        while next[0] < Offset(ROUNDS * BATCHES * 1000) {
            for (index, next) in next.iter_mut().enumerate() {
                let partition = partition(engine, index);
                let fetched = engine.read(&partition, *next, 100_000, true).await.unwrap();
                for batch in fetched.batches.iter().flat_map(|bytes| batches(bytes)) {
                    let batch = batch.unwrap();
                    assert_eq!(batch.base_offset(), *next);
                    *next = batch.next_offset();
                }
            }
        }
        assert_eq!(next[0], next[1]);
        let totals = engine.objects().stats().totals();
        // A footer of each object, and its bytes in as few requests as their length allows.
        let longest = engine.objects().request_bytes_max();
        let fewest: u64 = objects.iter().map(|len| 1 + len.div_ceil(longest)).sum();
        assert!(totals.gets <= fewest + 2, "{} requests, not {fewest}: {totals:?}", totals.gets);
        let chunks: u64 = objects.iter().map(|len| len.div_ceil(esker_cache::CHUNK_BYTES)).sum();
        assert_eq!((totals.chunks_fetched, totals.ahead_lost), (chunks, 0), "{totals:?}");
        let most = u64::try_from(bytes).unwrap() * 11 / 10;
        assert!(totals.get_bytes <= most, "{} bytes for {bytes}", totals.get_bytes);
    });
}

#[test]
fn each_restart_begins_a_leader_epoch_at_the_log_end() {
    let machine = Machine::new();
    machine.run(async |engine| {
        append(engine, &partition(engine, 0), batch(0..5, 0)).await;
    });
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        assert_eq!(partition.position().leader_epoch.get(), 1);
        append(engine, &partition, batch(5..6, 0)).await;
        let end = partition.end_of_epoch(esker_types::LeaderEpoch(0));
        assert_eq!(end.end, Offset(5));
        assert_eq!(partition.epoch_at(Offset(4)).get(), 0);
        assert_eq!(partition.epoch_at(Offset(5)).get(), 1);
    });
}

#[test]
fn a_bucket_out_of_reach_fills_the_log_then_stops_appends_and_drains_by_itself() {
    let mut machine = Machine::new();
    machine.adjust = |options| {
        options.tail_memory = ByteCount::kib(64);
        options.flush_bytes = ByteCount::kib(256);
    };
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        machine.bucket.down.store(true, Ordering::SeqCst);
        let mut written = 0;
        loop {
            let ack = Ack::new();
            match engine.append(
                &partition,
                batch(written..written + 1000, 0),
                Times::Proved,
                Some(&ack),
            ) {
                Ok(_) => written += 1000,
                Err(AppendError::Full) => break,
                Err(other) => panic!("{other}"),
            }
            ack.arm();
            let limit = Duration::from_secs(5);
            // The append that finds the log full is not acknowledged until there is room again.
            if esker_env::timeout(&*engine.env().clock, limit, ack.wait()).await.is_err() {
                break;
            }
            assert!(written < 10_000_000, "the log never filled up");
        }
        assert!(engine.pressure() > 0.5);
        assert!(engine.flush_status().tail_memory_bytes <= 64 << 10, "memory stays bounded");
        assert_eq!(read(engine, &partition, 500).await[..3], [500, 501, 502], "read from the log");

        machine.bucket.down.store(false, Ordering::SeqCst);
        engine.flush_all(None).await;
        while engine
            .append(&partition, batch(written..written + 1, 0), Times::Proved, None)
            .is_err()
        {
            engine.env().clock.sleep(Duration::from_millis(10)).await;
        }
        engine.flush_all(None).await;
        assert_eq!(read(engine, &partition, 0).await, numbers(0..written + 1));
    });
    assert!(machine.meta.image().check().is_ok());
}

#[test]
fn a_flush_of_what_has_left_the_memory_reads_each_entry_once_for_all_partitions() {
    let mut machine = Machine::new();
    machine.adjust = |options| options.tail_memory = ByteCount(0);
    machine.run(async |engine| {
        let records = engine.wal().stats().records;
        for round in 0..20 {
            let ack = Ack::new();
            for batch_of_round in 0..10 {
                let first = (round * 10 + batch_of_round) * 10;
                for index in 0..2 {
                    let batch = batch(first..first + 10, 0);
                    engine
                        .append(&partition(engine, index), batch, Times::Proved, Some(&ack))
                        .unwrap();
                }
            }
            ack.arm();
            assert!(ack.wait().await);
        }
        let records = engine.wal().stats().records - records;
        assert_eq!(engine.wal().stats().entries_read, 0);
        engine.flush_all(None).await;
        let entries = engine.wal().stats().entries_read;
        assert!((1..=records).contains(&entries), "{entries} reads of {records} entries");
        for index in 0..2 {
            assert_eq!(read(engine, &partition(engine, index), 0).await, numbers(0..2000));
        }
    });
}

#[test]
fn what_a_transfer_damages_is_read_again_and_never_cached() {
    let machine = Machine::new();
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        append(engine, &partition, batch(0..50, 0)).await;
        engine.flush_all(None).await;
    });
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        for garbled in [1, 2, 3] {
            engine.clear_cache().await;
            // The first read is the footer's, the next ones are the block's.
            machine.bucket.garbled.store(garbled, Ordering::SeqCst);
            let outcome = engine.read(&partition, Offset(0), 1 << 20, true).await;
            machine.bucket.garbled.store(0, Ordering::SeqCst);
            assert_eq!(outcome.is_ok(), garbled == 1, "damaged {garbled} times in a row");
            // What was damaged twice in a row was an error, and is none when it is asked for again.
            assert_eq!(read(engine, &partition, 0).await, numbers(0..50));
        }
    });
}

#[test]
fn a_flush_that_finds_too_many_extents_has_them_merged() {
    let machine = Machine::new();
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        let flushes = 2 * i64::try_from(esker_meta::Partition::EXTENTS_MAX).unwrap() + 5;
        for round in 0..flushes {
            append(engine, &partition, batch(round..round + 1, 0)).await;
            // Housekeeping's own turn is far away.
            engine.flush_all(None).await;
        }
        assert_eq!(read(engine, &partition, 0).await, numbers(0..flushes));
    });
    assert!(machine.meta.image().check().is_ok());
}

#[test]
fn a_small_extent_before_many_large_ones_does_not_keep_them_in_the_metadata() {
    let mut machine = Machine::new();
    machine.run(async |engine| {
        for index in 0..2 {
            append(engine, &partition(engine, index), batch(0..1, 0)).await;
        }
        engine.flush_all(None).await;
    });
    // Whatever comes now is large, and alone in its object.
    machine.adjust = |options| options.segment_bytes_min = ByteCount(1);
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        let flushes = 2 * i64::try_from(esker_meta::Partition::EXTENTS_MAX).unwrap() + 5;
        for round in 1..=flushes {
            append(engine, &partition, batch(round..round + 1, 0)).await;
            engine.flush_all(None).await;
        }
        assert_eq!(read(engine, &partition, 0).await, numbers(0..flushes + 1));
    });
    assert!(machine.meta.image().check().is_ok());
}

#[test]
fn a_damaged_block_ends_in_refusals_for_its_partition_and_stops_no_other() {
    let mut machine = Machine::new();
    machine.run(async |engine| {
        for index in 0..2 {
            append(engine, &partition(engine, index), batch(0..100, 0)).await;
        }
        engine.flush_all(None).await;
        machine.damage_the_object(100).await;
    });
    // Whatever comes now is large, and can leave the metadata when what is before it has.
    machine.adjust = |options| options.segment_bytes_min = ByteCount(1);
    machine.run(async |engine| {
        let partitions = [partition(engine, 0), partition(engine, 1)];
        let most = 2 * i64::try_from(esker_meta::Partition::EXTENTS_MAX).unwrap();
        let mut refused = 0;
        for round in 100..100 + most + 20 {
            append(engine, &partitions[1], batch(round..round + 1, 0)).await;
            match engine.append(&partitions[0], batch(round..round + 1, 0), Times::Proved, None) {
                Ok(_) => assert_eq!(refused, 0, "once refused, it stays so"),
                Err(error) => {
                    assert_eq!(error, AppendError::ExtentLimitReached);
                    refused += 1;
                }
            }
            engine.flush_all(None).await;
            if round % 10 == 0 {
                engine.run_maintenance_once().await;
            }
        }
        assert!((20..=40).contains(&refused), "{refused}");
        let end = 100 + most + 20;
        assert_eq!(read(engine, &partitions[1], 0).await, numbers(0..end));
        let damaged = engine.read(&partitions[0], Offset(0), 1 << 20, true).await;
        assert!(matches!(&damaged, Err(error) if error.is_damage()), "{damaged:?}");
        let rest = read(engine, &partitions[0], 100).await;
        assert_eq!(rest, numbers(100..end - refused));
    });
    assert!(machine.meta.image().check().is_ok());
}

#[test]
fn small_extents_are_merged_and_their_objects_deleted() {
    let mut machine = Machine::new();
    machine.adjust = |options| options.merge_extents = 4;
    machine.run(async |engine| {
        let partitions = [partition(engine, 0), partition(engine, 1)];
        for round in 0..6 {
            for partition in &partitions {
                append(engine, partition, batch(round * 5..round * 5 + 5, 0)).await;
            }
            engine.flush_all(None).await;
        }
        let before = engine.meta().image();
        assert_eq!(before.objects.len(), 6, "one object a flush");
        engine.run_maintenance_once().await;
        let after = engine.meta().image();
        assert_eq!(after.objects.len(), 2, "one object a partition");
        engine.clear_cache().await;
        for partition in &partitions {
            assert_eq!(after.partitions[&partition.id].extents.len(), 1);
            assert_eq!(read(engine, partition, 0).await, numbers(0..30));
        }
        engine.run_maintenance_once().await;
        let listed = machine.bucket.list("d", None).await.unwrap();
        assert_eq!(listed.objects.len(), 2, "what nothing refers to is deleted");
        assert!(engine.meta().image().garbage.is_empty());
    });
}

#[test]
fn what_is_merged_and_deleted_during_a_verification_is_not_damage() {
    let mut machine = Machine::new();
    machine.adjust = |options| options.merge_extents = 4;
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        for round in 0..6 {
            append(engine, &partition, batch(round * 5..round * 5 + 5, 0)).await;
            engine.flush_all(None).await;
        }
        let verify = async || {
            let mut told = Vec::new();
            engine.verify(|verified| told.push(verified)).await;
            told.pop().unwrap()
        };
        machine.bucket.held.store(1, Ordering::SeqCst);
        let meanwhile = async {
            machine.bucket.holds.notified().await;
            engine.run_maintenance_once().await;
            engine.run_maintenance_once().await;
            machine.bucket.lets_go.notify_one();
        };
        let (done, ()) = futures_util::future::join(verify(), meanwhile).await;
        assert!(matches!(done, Verified::Done { objects: 6, damaged: 0, .. }), "{done:?}");
        let kept = machine.bucket.list("d", None).await.unwrap().objects;
        assert_eq!(kept.len(), 1, "the six are one now");
        // What is named and gone is.
        machine.bucket.delete(kept.into_iter().map(|(key, _)| key).collect()).await;
        let done = verify().await;
        assert!(matches!(done, Verified::Done { objects: 1, damaged: 1, .. }), "{done:?}");
    });
}

#[test]
fn what_is_merged_and_deleted_during_a_read_is_read_where_it_went() {
    let mut machine = Machine::new();
    machine.adjust = |options| options.merge_extents = 4;
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        for round in 0..6 {
            append(engine, &partition, batch(round * 5..round * 5 + 5, 0)).await;
            engine.flush_all(None).await;
        }
    });
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        // The footers, so that it is a block that the read waits for.
        engine.load_producers(&partition).await.unwrap();
        machine.bucket.held.store(1, Ordering::SeqCst);
        let meanwhile = async {
            machine.bucket.holds.notified().await;
            engine.run_maintenance_once().await;
            engine.run_maintenance_once().await;
            machine.bucket.lets_go.notify_one();
        };
        let (values, ()) = futures_util::future::join(read(engine, &partition, 0), meanwhile).await;
        assert_eq!(values, numbers(0..30));
        let kept = machine.bucket.list("d", None).await.unwrap().objects;
        assert_eq!(kept.len(), 1, "the six are one now");
        // What is named and gone is an error.
        machine.bucket.delete(kept.into_iter().map(|(key, _)| key).collect()).await;
        engine.clear_cache().await;
        let gone = engine.read(&partition, Offset(0), 1 << 20, true).await;
        assert!(matches!(&gone, Err(error) if error.is_damage()), "{gone:?}");
    });
}

#[test]
fn what_failed_attempts_have_put_is_deleted_while_the_broker_runs() {
    let mut machine = Machine::new();
    machine.adjust = |options| options.merge_extents = 4;
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        let held = async || machine.bucket.list("d", None).await.unwrap().objects.len();
        machine.bucket.answers_lost.store(2, Ordering::SeqCst);
        for round in 0..4 {
            append(engine, &partition, batch(round * 5..round * 5 + 5, 0)).await;
            engine.flush_all(None).await;
        }
        assert_eq!(held().await, 6, "two flushes were tried again");
        // A merge whose answer is lost, too.
        machine.bucket.answers_lost.store(1, Ordering::SeqCst);
        engine.run_maintenance_once().await;
        assert_eq!(engine.meta().image().objects.len(), 4, "the merge was put off");
        engine.run_maintenance_once().await;
        engine.run_maintenance_once().await;
        assert_eq!(engine.meta().image().objects.len(), 1);
        assert!(engine.meta().image().garbage.is_empty());
        assert_eq!(held().await, 1);
        engine.clear_cache().await;
        assert_eq!(read(engine, &partition, 0).await, numbers(0..20));
    });
}

#[test]
fn trims_and_retention_raise_the_log_start_for_good() {
    let mut machine = Machine::new();
    machine.settings.retention = Some(Duration::from_hours(1));
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        let now = engine.env().clock.wall().get();
        append(engine, &partition, batch(0..10, now - 7_200_000)).await;
        engine.flush_all(None).await;
        append(engine, &partition, batch(10..20, now)).await;
        engine.flush_all(None).await;
        engine.run_maintenance_once().await;
        assert_eq!(partition.position().log_start, Offset(10), "expired");
        let gone = engine.read(&partition, Offset(9), 1000, true).await;
        assert!(matches!(gone, Err(ReadError::OffsetOutOfRange(_))));
        // A trim into what is only in the log.
        append(engine, &partition, batch(20..30, now)).await;
        engine.set_log_starts(vec![(partition.id, Offset(25))]).await.unwrap();
        assert_eq!(read(engine, &partition, 25).await, numbers(25..30));
    });
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        assert_eq!(partition.position().log_start, Offset(25));
        assert_eq!(read(engine, &partition, 25).await, numbers(25..30));
        engine.flush_all(None).await;
        assert_eq!(read(engine, &partition, 25).await, numbers(25..30));
    });
    assert!(machine.meta.image().check().is_ok());
}

/// Records that nobody has proved the time of age from when they were taken; merges, manifests and restarts do not forget.
#[test]
fn retention_takes_nothing_by_times_that_nobody_proved() {
    let mut machine = Machine::new();
    machine.adjust = |options| {
        options.merge_extents = 4;
        options.extents_inline = 1;
    };
    machine.settings.retention = Some(Duration::from_hours(1));
    for round in 0..6 {
        machine.run(async |engine| {
            let partition = partition(engine, 0);
            let append = async |batch, times| {
                let ack = Ack::new();
                engine.append(&partition, batch, times, Some(&ack)).unwrap();
                ack.arm();
                assert!(ack.wait().await);
            };
            append(timeless(round * 20..round * 20 + 10), Times::Proved).await;
            append(batch(round * 20 + 10..round * 20 + 20, 5), Times::Claimed).await;
            // In every other round a restart finds them in the log.
            if round % 2 == 0 {
                engine.flush_all(None).await;
                engine.run_maintenance_once().await;
            }
        });
    }
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        engine.flush_all(None).await;
        engine.run_maintenance_once().await;
        engine.run_maintenance_once().await;
        assert_eq!(partition.position().log_start, Offset(0));
        assert_eq!(read(engine, &partition, 0).await, numbers(0..120));
        let wanted = Timestamp(i64::MAX);
        assert_eq!(engine.offset_for_timestamp(&partition, wanted).await.unwrap(), None);
        let latest = engine.latest_timestamp(&partition).await.unwrap().unwrap();
        assert_eq!((latest.offset, latest.timestamp), (Offset(119), Timestamp(124)));
    });
}

/// What an older program wrote says the producers' times of its records.
#[test]
fn objects_from_before_times_were_proved_age_from_when_proving_began() {
    let mut machine = Machine::new();
    machine.settings.retention = Some(Duration::from_hours(1));
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        append(engine, &partition, batch(0..10, 5)).await;
        engine.flush_all(None).await;
    });
    let mut state = State::clone(&machine.meta.image());
    assert_eq!(state.times_proved.len(), 1);
    state.times_proved.clear();
    let clock = Arc::new(esker_env::real::SystemClock::new());
    machine.meta = Arc::new(SoloMeta::of(clock, state));
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        append(engine, &partition, batch(10..20, 5)).await;
        engine.flush_all(None).await;
        engine.run_maintenance_once().await;
        assert_eq!(partition.position().log_start, Offset(0));
        assert_eq!(read(engine, &partition, 0).await, numbers(0..20));
    });
}

#[test]
fn the_latest_timestamp_is_found_wherever_it_is() {
    let machine = Machine::new();
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        assert_eq!(engine.latest_timestamp(&partition).await.unwrap(), None);
        append(engine, &partition, timeless(0..5)).await;
        engine.flush_all(None).await;
        append(engine, &partition, timeless(5..10)).await;
        assert_eq!(engine.latest_timestamp(&partition).await.unwrap(), None);
        // Two records with the largest one, in different tiers: the first one is meant.
        append(engine, &partition, batch(10..20, 1000)).await;
        engine.flush_all(None).await;
        append(engine, &partition, batch(19..20, 1000)).await;
        append(engine, &partition, batch(0..3, 0)).await;
        let found = engine.latest_timestamp(&partition).await.unwrap().unwrap();
        assert_eq!((found.offset, found.timestamp), (Offset(19), Timestamp(1019)));
        engine.set_log_starts(vec![(partition.id, Offset(20))]).await.unwrap();
        let found = engine.latest_timestamp(&partition).await.unwrap().unwrap();
        assert_eq!((found.offset, found.timestamp), (Offset(20), Timestamp(1019)));
        engine.set_log_starts(vec![(partition.id, Offset(21))]).await.unwrap();
        let found = engine.latest_timestamp(&partition).await.unwrap().unwrap();
        assert_eq!((found.offset, found.timestamp), (Offset(23), Timestamp(2)));
    });
}

#[test]
fn timestamps_are_found_in_every_tier() {
    let machine = Machine::new();
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        for (round, first) in [0, 10, 20].into_iter().enumerate() {
            append(engine, &partition, batch(first..first + 10, 1000)).await;
            if round < 2 {
                engine.flush_all(None).await;
            }
        }
        for wanted in [0, 1000, 1005, 1010, 1019, 1025, 1029] {
            let found = engine.offset_for_timestamp(&partition, Timestamp(wanted)).await.unwrap();
            let expected = (wanted - 1000).max(0);
            assert_eq!(found.map(|f| f.offset), Some(Offset(expected)), "at {wanted}");
        }
        let beyond = engine.offset_for_timestamp(&partition, Timestamp(1030)).await.unwrap();
        assert_eq!(beyond, None);
        let latest = engine.latest_timestamp(&partition).await.unwrap().unwrap();
        assert_eq!((latest.offset, latest.timestamp), (Offset(29), Timestamp(1029)));
    });
}

#[test]
fn a_batch_that_cannot_be_opened_blocks_no_search() {
    let machine = Machine::new();
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        append(engine, &partition, batch(0..10, 1000)).await;
        append(engine, &partition, unopenable(10..20, 1000)).await;
        append(engine, &partition, batch(20..30, 1000)).await;
        append(engine, &partition, unopenable(30..40, 1000)).await;
        for tier in ["log", "bucket"] {
            // Before, inside of, and behind; the last of all is in a batch of which only the header can be read.
            for (wanted, expected) in [(1005, 5), (1010, 10), (1015, 10), (1020, 20), (1035, 30)] {
                let found =
                    engine.offset_for_timestamp(&partition, Timestamp(wanted)).await.unwrap();
                assert_eq!(found.map(|f| f.offset), Some(Offset(expected)), "{tier}, at {wanted}");
            }
            let beyond = engine.offset_for_timestamp(&partition, Timestamp(1040)).await.unwrap();
            assert_eq!(beyond, None, "{tier}");
            let latest = engine.latest_timestamp(&partition).await.unwrap().unwrap();
            assert_eq!((latest.offset, latest.timestamp), (Offset(30), Timestamp(1039)), "{tier}");
            engine.flush_all(None).await;
        }
    });
}

#[test]
fn a_deleted_topic_leaves_nothing_behind() {
    let machine = Machine::new();
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        append(engine, &partition, batch(0..10, 0)).await;
        engine.flush_all(None).await;
        append(engine, &partition, batch(10..20, 0)).await;
        engine.meta().propose(Command::DeleteTopic { topic: TOPIC }).await.unwrap();
        engine.refresh();
        let refused = engine.append(&partition, batch(0..1, 0), Times::Proved, None);
        assert_eq!(refused, Err(AppendError::NotLeader));
        engine.flush_all(None).await;
        engine.run_maintenance_once().await;
        engine.run_maintenance_once().await;
        let listed = machine.bucket.list("d", None).await.unwrap();
        assert_eq!(listed.objects, vec![]);
        assert_eq!(engine.flush_status().unflushed_bytes, 0);
    });
}

#[test]
fn metadata_and_a_log_that_are_not_of_one_time_are_refused() {
    let mut machine = Machine::new();
    let copies = tempfile::tempdir().unwrap();
    let [running, stopped, newest] =
        ["running", "stopped", "newest"].map(|name| copies.path().join(name));
    let before = machine.run(async |engine| {
        let partition = partition(engine, 0);
        append(engine, &partition, batch(0..10, 0)).await;
        copy_dir(&machine.wal(), &running);
        let before = engine.meta().image();
        append(engine, &partition, batch(10..20, 0)).await;
        engine.flush_all(None).await;
        before
    });
    copy_dir(&machine.wal(), &stopped);
    let refused = machine.refuses(&running);
    assert!(refused.contains("ends at its entry 1, and 2 were acknowledged"), "{refused}");

    let clock = Arc::new(esker_env::real::SystemClock::new());
    let old = Arc::new(SoloMeta::of(clock, State::clone(&before)));
    let now = std::mem::replace(&mut machine.meta, old);
    let refused = machine.refuses(&stopped);
    assert!(refused.contains("has given up 2 entries, and the metadata knows of 0"), "{refused}");
    machine.meta = now;

    machine.run(async |engine| {
        append(engine, &partition(engine, 0), batch(20..30, 0)).await;
    });
    copy_dir(&machine.wal(), &newest);
    let refused = machine.refuses(&stopped);
    assert!(refused.contains("holds nothing, although it was written"), "{refused}");
    std::fs::remove_dir_all(machine.wal()).unwrap();
    copy_dir(&newest, &machine.wal());
    machine.run(async |engine| {
        assert_eq!(read(engine, &partition(engine, 0), 0).await, numbers(0..30));
    });
}
