use super::*;
use esker_record::{BatchBuilder, Times};
use esker_types::{ProducerEpoch, ProducerId};

fn open() -> PartitionLog {
    let mut log = PartitionLog::open(LogState {
        leader_epoch: LeaderEpoch(3),
        log_start: Offset(10),
        tiered_end: Offset(20),
        epochs: vec![
            (LeaderEpoch(0), Offset(0)),
            (LeaderEpoch(2), Offset(15)),
            (LeaderEpoch(3), Offset(20)),
        ],
    });
    log.load_producers(ProducerTable::default(), std::iter::empty(), Timestamp(9));
    log
}

fn batch(records: usize) -> BytesMut {
    let mut builder = BatchBuilder::new(Offset(0));
    for _ in 0..records {
        builder.append(Timestamp(5), None, Some(b"value"), &[]);
    }
    BytesMut::from(&builder.build()[..])
}

fn sequenced(epoch: i16, first: i32, records: usize) -> BytesMut {
    let mut builder =
        BatchBuilder::new(Offset(0)).producer(ProducerId(7), ProducerEpoch(epoch), first);
    for _ in 0..records {
        builder.append(Timestamp(5), None, Some(b"value"), &[]);
    }
    BytesMut::from(&builder.build()[..])
}

fn append(log: &mut PartitionLog, batch: BytesMut) -> Result<Appended, AppendError> {
    log.append(batch, TimestampType::CreateTime, Times::Proved, Timestamp(9))
}

#[test]
fn appended_batches_get_dense_offsets_and_show_when_committed() {
    let mut log = open();
    let Appended::New { base, end, bytes, .. } = append(&mut log, batch(3)).unwrap() else {
        panic!()
    };
    assert_eq!((base, end), (Offset(20), Offset(23)));
    let view = BatchView::parse(&bytes).unwrap();
    assert_eq!((view.base_offset(), view.partition_leader_epoch()), (base, LeaderEpoch(3)));
    assert!(view.verify_crc().is_ok());

    let nothing = log.read(Offset(20), 1000, true).unwrap();
    assert!(matches!(nothing, TailRead::Batches(batches) if batches.is_empty()));
    assert!(matches!(log.read(Offset(21), 1000, true), Err(ReadError::OffsetOutOfRange(_))));
    assert!(log.advance_high_watermark(end));
    assert!(!log.advance_high_watermark(Offset(21)), "it never moves back");
    let middle = log.read(Offset(21), 0, true).unwrap();
    assert!(matches!(middle, TailRead::Batches(batches) if batches[0].base == Offset(20)));
    let too_large = log.read(Offset(21), 0, false).unwrap();
    assert!(matches!(too_large, TailRead::Batches(batches) if batches.is_empty()));
    assert!(matches!(log.read(Offset(15), 1000, true), Ok(TailRead::Tiered)));
    assert!(matches!(log.read(Offset(9), 1000, true), Err(ReadError::OffsetOutOfRange(_))));
}

#[test]
fn producers_that_are_loaded_a_second_time_are_not_forgotten() {
    let mut log = open();
    assert!(matches!(append(&mut log, sequenced(0, 0, 2)), Ok(Appended::New { .. })));
    log.load_producers(ProducerTable::default(), std::iter::empty(), Timestamp(9));
    assert!(matches!(append(&mut log, sequenced(0, 0, 2)), Ok(Appended::Duplicate(_))));
    assert!(matches!(append(&mut log, sequenced(0, 2, 1)), Ok(Appended::New { .. })));
}

#[test]
fn repeats_are_recognised_and_gaps_refused() {
    let mut log = open();
    for first in [0, 2, 4, 6, 8, 10] {
        assert!(matches!(append(&mut log, sequenced(0, first, 2)), Ok(Appended::New { .. })));
    }
    let Ok(Appended::Duplicate(known)) = append(&mut log, sequenced(0, 4, 2)) else { panic!() };
    assert_eq!(known.base_offset, Offset(24));
    let out_of_order = |got, last| {
        Err::<(), _>(AppendError::Producer(ProducerError::OutOfOrderSequence { got, last }))
    };
    // Older than the last five, a gap, an overlap, and a new epoch that does not begin at zero.
    for (epoch, first, last) in [(0, 0, 11), (0, 13, 11), (0, 11, 11), (1, 1, -1)] {
        let result = append(&mut log, sequenced(epoch, first, 2)).map(drop);
        assert_eq!(result, out_of_order(first, last));
    }
    assert!(append(&mut log, sequenced(1, 0, 2)).is_ok());
    let fenced = append(&mut log, sequenced(0, 12, 2)).map(drop);
    assert!(matches!(
        fenced,
        Err(AppendError::Producer(ProducerError::InvalidProducerEpoch { .. }))
    ));
    assert_eq!(log.position().log_end, Offset(34));
}

/// Whether each of six batches of one producer, sent again, is known as one that is in the log.
fn known_again(log: &mut PartitionLog) -> Vec<bool> {
    let again = |log: &mut PartitionLog, first| {
        let outcome = append(log, sequenced(0, first, 2));
        assert!(!matches!(outcome, Ok(Appended::New { .. })), "{first} was taken twice");
        outcome.is_ok()
    };
    [0, 2, 4, 6, 8, 10].into_iter().map(|first| again(log, first)).collect()
}

#[test]
fn the_last_five_batches_of_a_producer_are_known_and_the_one_before_them_is_not() {
    let mut log = open();
    for first in [0, 2, 4, 6, 8, 10] {
        assert!(matches!(append(&mut log, sequenced(0, first, 2)), Ok(Appended::New { .. })));
    }
    let last_five = [false, true, true, true, true, true];
    assert_eq!(known_again(&mut log), last_five);
    // As objects keep it, in two stretches that meet anywhere, or overlap.
    let all = log.producers().unwrap().clone();
    log.advance_high_watermark(Offset(32));
    let tail: Vec<_> = log.tail_from(Offset(20)).cloned().collect();
    let noted = |from: i64| {
        let mut table = ProducerTable::default();
        for batch in tail.iter().filter(|batch| batch.base >= Offset(from)) {
            table.note(&BatchView::parse(batch.bytes().unwrap()).unwrap(), Timestamp(9));
        }
        table
    };
    for meeting in [22, 24, 26, 28, 30] {
        for later in [meeting - 2, meeting] {
            let mut table = noted(20).until(Offset(meeting));
            table.merge(noted(later));
            let mut log = open();
            *log.producers_mut().unwrap() = table;
            assert_eq!(known_again(&mut log), last_five, "{later} to {meeting}");
        }
    }
    let mut again = open();
    *again.producers_mut().unwrap() = all;
    assert_eq!(known_again(&mut again), last_five);
}

fn refuse(log: &mut PartitionLog, batch: &[u8]) {
    log.refuse(&BatchView::parse(batch).unwrap());
}

#[test]
fn a_producer_whose_first_batch_was_refused_begins_with_it() {
    let mut log = open();
    refuse(&mut log, &sequenced(0, 0, 2));
    refuse(&mut log, &sequenced(0, 2, 1));
    let gap = AppendError::Producer(ProducerError::OutOfOrderSequence { got: 2, last: -1 });
    assert_eq!(append(&mut log, sequenced(0, 2, 1)).unwrap_err(), gap);
    assert!(matches!(append(&mut log, sequenced(0, 0, 2)), Ok(Appended::New { .. })));
    assert!(matches!(append(&mut log, sequenced(0, 2, 1)), Ok(Appended::New { .. })));
    // It is known now, and continues where it is.
    refuse(&mut log, &sequenced(0, 3, 1));
    assert!(matches!(append(&mut log, sequenced(0, 3, 1)), Ok(Appended::New { .. })));
}

#[test]
fn a_producer_that_gave_up_what_was_refused_begins_with_a_new_epoch() {
    let mut log = open();
    refuse(&mut log, &sequenced(0, 0, 2));
    assert!(matches!(append(&mut log, sequenced(1, 0, 1)), Ok(Appended::New { .. })));
    assert!(matches!(append(&mut log, sequenced(1, 1, 1)), Ok(Appended::New { .. })));
}

#[test]
fn a_producer_of_whom_nothing_is_known_or_was_refused_may_begin_anywhere() {
    let mut log = open();
    assert!(matches!(append(&mut log, sequenced(0, 40, 2)), Ok(Appended::New { .. })));
}

#[test]
fn a_batch_that_came_before_the_producers_were_loaded_is_not_overtaken() {
    let state = LogState {
        leader_epoch: LeaderEpoch(0),
        log_start: Offset(0),
        tiered_end: Offset(0),
        epochs: vec![(LeaderEpoch(0), Offset(0))],
    };
    let mut log = PartitionLog::open(state);
    let early = append(&mut log, sequenced(0, 0, 2));
    assert_eq!(early.unwrap_err(), AppendError::ProducersNotLoaded);
    log.load_producers(ProducerTable::default(), std::iter::empty(), Timestamp(9));
    assert!(matches!(append(&mut log, sequenced(0, 2, 1)), Err(AppendError::Producer(_))));
    assert!(matches!(append(&mut log, sequenced(0, 0, 2)), Ok(Appended::New { .. })));
}

#[test]
#[should_panic = "1 bytes behind a batch"]
fn nothing_that_was_not_checked_is_appended_with_a_batch() {
    let mut longer = batch(1);
    longer.extend_from_slice(b"x");
    let _appended = append(&mut open(), longer);
}

#[test]
fn sequence_numbers_wrap() {
    let mut log = open();
    assert!(append(&mut log, sequenced(0, i32::MAX - 1, 2)).is_ok());
    assert!(append(&mut log, sequenced(0, 0, 2)).is_ok());
}

#[test]
fn the_state_of_producers_is_the_same_live_and_rebuilt() {
    let mut log = open();
    let mut parts = [ProducerTable::default(), ProducerTable::default()];
    for (place, first) in [0, 2, 4, 6, 8, 10, 12].into_iter().enumerate() {
        let Ok(Appended::New { bytes, .. }) = append(&mut log, sequenced(0, first, 2)) else {
            panic!()
        };
        parts[usize::from(place > 2)].note(&BatchView::parse(&bytes).unwrap(), Timestamp(9));
    }
    let [earlier, later] = parts;
    let mut both = earlier.clone();
    both.merge(later);
    assert_eq!(Some(&both), log.producers());
    // What is known already is not noted again.
    let mut overlapped = earlier;
    overlapped.merge(both.clone());
    assert_eq!(overlapped, both);
}

#[test]
fn epochs_end_where_the_next_begins() {
    let mut log = open();
    append(&mut log, batch(3)).unwrap();
    for (asked, epoch, end) in [(0, 0, 15), (1, 0, 15), (2, 2, 20), (3, 3, 23), (4, -1, -1)] {
        let expected = EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end) };
        assert_eq!(log.end_of_epoch(LeaderEpoch(asked)), expected, "asked for {asked}");
    }
    assert_eq!(log.epoch_at(Offset(14)), LeaderEpoch(0));
    assert_eq!(log.epoch_at(Offset(22)), LeaderEpoch(3));
}

#[test]
fn tiered_batches_stay_until_their_memory_is_wanted() {
    let mut log = open();
    for _ in 0..4 {
        append(&mut log, batch(5)).unwrap();
    }
    log.advance_high_watermark(Offset(40));
    log.set_tiered_end(Offset(30));
    log.drop_tail_below(Offset(25));
    assert_eq!(log.tail_start(), Offset(25));
    log.drop_tail_below(Offset(40));
    assert_eq!(log.tail_start(), Offset(30), "what objects do not hold stays");
    let journal = BatchLocation::Journal {
        journal: esker_types::JournalId(1),
        seq: esker_types::Seq(1),
        frame: 0,
    };
    assert!(log.move_to_journal(Offset(30), journal.clone()) > 0);
    assert_eq!(log.move_to_journal(Offset(30), journal.clone()), 0);
    assert_eq!(log.move_to_journal(Offset(31), journal), 0);
}
