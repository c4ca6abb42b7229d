//! What is known of producers, across restarts, flushes, trims and damage.

use crate::machine::*;
use esker_engine::{AppendError, Engine};
use esker_record::Times;
use esker_types::Offset;

#[test]
fn producers_are_remembered_across_restart_and_flush() {
    let machine = Machine::new();
    for flushed in [false, true, true] {
        machine.run(async |engine| {
            let partition = partition(engine, 0);
            if !partition.knows_producers() {
                let cold = engine.append(&partition, sequenced(0, 5), Times::Proved, None);
                assert_eq!(cold, Err(AppendError::ProducersNotLoaded));
                engine.load_producers(&partition).await.unwrap();
            }
            assert_eq!(append(engine, &partition, sequenced(0, 5)).await, Offset(0));
            let end = partition.position().log_end;
            assert_eq!(append(engine, &partition, sequenced(0, 5)).await, Offset(0), "a repeat");
            assert_eq!(partition.position().log_end, end);
            let gap = engine.append(&partition, sequenced(99, 1), Times::Proved, None);
            assert!(matches!(gap, Err(AppendError::Producer(_))));
            if flushed {
                engine.flush_all(None).await;
            }
        });
    }
}

#[test]
fn a_repeat_of_what_is_trimmed_is_known_across_restarts() {
    let machine = Machine::new();
    let objects = |engine: &Engine| engine.meta().image().objects.len();
    machine.run(async |engine| {
        let partitions = [partition(engine, 0), partition(engine, 1)];
        for partition in &partitions {
            engine.load_producers(partition).await.unwrap();
            append(engine, partition, sequenced(0, 10)).await;
        }
        engine.flush_all(None).await;
        // What is trimmed before it is flushed is told as well.
        append(engine, &partitions[0], sequenced(10, 10)).await;
        let trims = vec![(partitions[0].id, Offset(20)), (partitions[1].id, Offset(10))];
        engine.set_log_starts(trims).await.unwrap();
        engine.flush_all(None).await;
        assert_eq!(objects(engine), 2, "extents that alone tell the producers stay");
        engine.run_maintenance_once().await;
        assert_eq!(objects(engine), 1, "one object for both partitions");
    });
    for round in 0..3 {
        machine.run(async |engine| {
            let partitions = [partition(engine, 0), partition(engine, 1)];
            for (partition, last) in partitions.iter().zip([10, 0]) {
                engine.load_producers(partition).await.unwrap();
                let again = append(engine, partition, sequenced(last, 10)).await;
                assert_eq!(again, Offset(i64::from(last)), "a repeat, start {round}");
                let gap = engine.append(partition, sequenced(99, 1), Times::Proved, None);
                assert!(matches!(gap, Err(AppendError::Producer(_))));
                // Others write meanwhile, and what they wrote is trimmed, too.
                let end = append(engine, partition, batch(0..20, 0)).await.plus(20);
                engine.flush_all(None).await;
                engine.set_log_starts(vec![(partition.id, end)]).await.unwrap();
            }
            engine.run_maintenance_once().await;
            assert_eq!(
                objects(engine),
                1,
                "still the same: others without a producer id tell nothing"
            );
            let image = engine.meta().image();
            assert!(image.partitions.values().all(|row| row.extents.is_empty()));
        });
    }
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        engine.load_producers(&partition).await.unwrap();
        append(engine, &partition, sequenced(20, 10)).await;
        // After sixteen flushes an extent says everything, and the object has had its day.
        for round in 0..16 {
            append(engine, &partition, batch(round..round + 1, 0)).await;
            engine.flush_all(None).await;
        }
        let image = engine.meta().image();
        assert!(!image.producers.contains_key(&partition.id));
        assert!(image.check().is_ok());
    });
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        engine.load_producers(&partition).await.unwrap();
        assert_eq!(append(engine, &partition, sequenced(20, 10)).await, Offset(80), "a repeat");
    });
}

#[test]
fn producers_in_a_damaged_object_that_is_trimmed_are_forgotten_and_hold_nothing_up() {
    let machine = Machine::new();
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        engine.load_producers(&partition).await.unwrap();
        append(engine, &partition, sequenced(0, 10)).await;
        engine.flush_all(None).await;
        machine.damage_the_object(-40).await;
    });
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        assert!(engine.load_producers(&partition).await.is_err());
        engine.run_maintenance_once().await;
        assert!(
            engine.load_producers(&partition).await.is_err(),
            "its records may be repaired yet"
        );
        engine.set_log_starts(vec![(partition.id, Offset(10))]).await.unwrap();
        engine.run_maintenance_once().await;
        engine.load_producers(&partition).await.unwrap();
        assert_eq!(append(engine, &partition, sequenced(0, 10)).await, Offset(10), "new");
        assert!(engine.meta().image().objects.is_empty());
    });
}

#[test]
fn a_damaged_footer_stops_no_flush_and_producers_are_remembered() {
    let machine = Machine::new();
    machine.run(async |engine| {
        let partitions = [partition(engine, 0), partition(engine, 1)];
        engine.load_producers(&partitions[0]).await.unwrap();
        append(engine, &partitions[0], sequenced(0, 10)).await;
        engine.flush_all(None).await;
        machine.damage_the_object(-40).await;
        engine.clear_cache().await;
        for round in 0..40 {
            append(engine, &partitions[0], batch(round..round + 1, 0)).await;
            append(engine, &partitions[1], batch(round..round + 1, 0)).await;
            engine.flush_all(None).await;
        }
        let again = append(engine, &partitions[0], sequenced(0, 10)).await;
        assert_eq!(again, Offset(0), "known as a repetition");
    });
    machine.run(async |engine| {
        let partition = partition(engine, 0);
        engine.load_producers(&partition).await.unwrap();
        assert_eq!(append(engine, &partition, sequenced(0, 10)).await, Offset(0));
        assert_eq!(append(engine, &partition, sequenced(10, 5)).await, Offset(50));
    });
}
