//! Produce: validate, append, answer when committed.
//!
//! Batches are cut out of the request's frame and appended where they lie: no byte is copied between the socket and the
//! write-ahead log.

use crate::access::{Access, Operation, Resource};
use crate::bounds;
use crate::broker::Broker;
use crate::call::{PendingResponse, Response, encode};
use crate::client_info::ClientInfo;
use crate::error_code;
use crate::leader_hint;
use crate::lookup::{find_partition, find_topic};
use crate::protocol_violation::ProtocolViolation;
use bytes::BytesMut;
use esker_engine::{Ack, AppendResult, Partition, TopicEntry};
use esker_meta::State;
use esker_record::{
    BatchError, BatchMut, BatchView, ProduceLimits, RecordFault, RecordsRefused, Times,
    TimestampType, needs_records, produced_batch, validate_produced, validate_records,
};
use esker_types::{Bug, Timestamp, is_internal_topic, planted};
use esker_wire::api::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use esker_wire::{ApiKey, ErrorCode, Message, RequestHeader, Uuid, decode_request_header};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Write, Resource::Topic);

/// First version that names topics by id.
const BY_ID: i16 = 13;
/// First version that can say who leads.
const TELLS_LEADER: i16 = 10;
/// Shortest wait for a commit, whatever the request says. Its timeout is for copies on other brokers, which Kafka waits for
/// after its own append; here the append itself is what takes the time of a sync. A client that is told of a timeout sends
/// again what is stored already.
const COMMIT_PATIENCE_MIN: Duration = Duration::from_secs(5);

/// The request, taken out of its frame.
struct Plan {
    version: i16,
    correlation_id: i32,
    acks: i16,
    timeout: Duration,
    /// Whether the request names a transaction.
    transactional: bool,
    topics: Vec<PlannedTopic>,
}

struct PlannedTopic {
    /// The topic, or what is wrong with it.
    topic: Result<Arc<TopicEntry>, ErrorCode>,
    name: String,
    id: Uuid,
    partitions: Vec<PlannedPartition>,
}

struct PlannedPartition {
    index: i32,
    /// Where its batches lie in the frame.
    range: Range<usize>,
    records: BytesMut,
    outcome: Outcome,
}

/// What happened to a partition's batch.
enum Outcome {
    Waiting,
    Appended(AppendResult),
    Refused { code: ErrorCode, message: Option<String>, faults: Vec<RecordFault> },
}

impl Outcome {
    fn refused(code: ErrorCode) -> Self {
        Self::Refused { code, message: None, faults: Vec::new() }
    }

    fn refused_because(code: ErrorCode, reason: &dyn std::fmt::Display) -> Self {
        Self::Refused { code, message: Some(reason.to_string()), faults: Vec::new() }
    }
}

/// Takes up a produce request.
pub(crate) fn start(
    broker: &Arc<Broker>,
    client: &Arc<ClientInfo>,
    frame: BytesMut,
) -> PendingResponse {
    let mut plan = match plan(broker, frame) {
        Ok(plan) => plan,
        Err(violation) => return PendingResponse::Ready(Some(Response::Close(violation))),
    };
    let cold: Vec<_> = plan.partitions_without_producers().collect();
    if cold.is_empty() {
        return append(broker, client.shard, plan);
    }
    // The first idempotent batch of a partition since the start: its producers are in objects.
    let (broker, shard) = (Arc::clone(broker), client.shard);
    PendingResponse::Running(Box::pin(async move {
        for partition in cold {
            if let Err(error) = broker.engine().load_producers(&partition).await {
                plan.refuse_partition(&partition, &error);
            }
        }
        let mut slot = append(&broker, shard, plan);
        std::future::poll_fn(|context| slot.poll(context)).await
    }))
}

/// Decodes the request and cuts its batches out of the frame.
fn plan(broker: &Arc<Broker>, mut frame: BytesMut) -> Result<Plan, ProtocolViolation> {
    let mut plan = {
        let (header, mut body) =
            decode_request_header(&frame).map_err(ProtocolViolation::Header)?;
        let (api, version) = (header.api_key, header.api_version);
        if !api.supports(version) {
            return Err(ProtocolViolation::Unsupported { api, version });
        }
        let request = ProduceRequest::decode(&mut body, version)
            .map_err(|error| ProtocolViolation::Body { api, error })?;
        bounds::check(body.elements())?;
        let topics = broker.engine().topics();
        let start = frame.as_ptr() as usize;
        let planned = request.topic_data.iter().map(|topic| PlannedTopic {
            topic: find_topic(&topics, version >= BY_ID, topic.name, topic.topic_id).cloned(),
            name: topic.name.to_owned(),
            id: topic.topic_id,
            partitions: topic
                .partition_data
                .iter()
                .map(|partition| {
                    let records = partition.records.as_ref().and_then(|r| r.as_slice());
                    let range = records.map_or(0..0, |records| {
                        let begin = records.as_ptr() as usize - start;
                        begin..begin + records.len()
                    });
                    PlannedPartition {
                        index: partition.index,
                        range,
                        records: BytesMut::new(),
                        outcome: Outcome::Waiting,
                    }
                })
                .collect(),
        });
        Plan {
            version,
            correlation_id: header.correlation_id,
            acks: request.acks,
            transactional: request.transactional_id.is_some(),
            timeout: Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or_default()),
            topics: planned.collect(),
        }
    };
    // From the back, so that the front keeps its positions.
    let partitions = plan.topics.iter_mut().rev().flat_map(|t| t.partitions.iter_mut().rev());
    for partition in partitions {
        if !partition.range.is_empty() {
            frame.truncate(partition.range.end);
            partition.records = frame.split_off(partition.range.start);
        }
    }
    Ok(plan)
}

impl Plan {
    /// Whether some of it belongs to another leader, and the answer can say so.
    fn came_to_another_leader(&self) -> bool {
        let is_misdirected = |part: &PlannedPartition| {
            matches!(part.outcome, Outcome::Refused { code: ErrorCode::NotLeaderOrFollower, .. })
        };
        let mut parts = self.topics.iter().flat_map(|planned| &planned.partitions);
        self.version >= TELLS_LEADER && parts.any(is_misdirected)
    }

    fn partitions_without_producers(&self) -> impl Iterator<Item = Arc<Partition>> {
        self.topics.iter().flat_map(|planned| {
            planned.partitions.iter().filter_map(|part| {
                let idempotent =
                    BatchView::parse(&part.records).is_ok_and(|batch| batch.has_producer_id());
                let partition = find_partition(planned.topic.as_ref().ok()?, part.index).ok()?;
                (idempotent && !partition.knows_producers()).then(|| Arc::clone(partition))
            })
        })
    }

    /// Transactions are not served. As in Kafka, transactional records without a transactional id end the whole request;
    /// with one they are of a transaction that nobody has begun.
    fn refuse_transactions(&mut self) {
        let of_transaction = |part: &PlannedPartition| {
            BatchView::parse(&part.records).is_ok_and(|batch| batch.is_transactional())
        };
        let parts = || self.topics.iter().flat_map(|planned| &planned.partitions);
        if !parts().any(of_transaction) {
            return;
        }
        let (code, all) = if self.transactional {
            (ErrorCode::InvalidProducerIdMapping, false)
        } else {
            (ErrorCode::TransactionalIdAuthorizationFailed, true)
        };
        for part in self.topics.iter_mut().flat_map(|planned| &mut planned.partitions) {
            if all || of_transaction(part) {
                part.outcome = Outcome::refused(code);
            }
        }
    }

    fn refuse_partition(&mut self, partition: &Partition, error: &esker_engine::ReadError) {
        let version = self.version;
        for planned in &mut self.topics {
            let Ok(topic) = &planned.topic else { continue };
            let here = |part: &&mut PlannedPartition| {
                topic.id == partition.topic && part.index == partition.index.get()
            };
            for part in planned.partitions.iter_mut().filter(here) {
                if let Ok(batch) = judge(&part.records, version, &topic.settings.limits) {
                    partition.refuse(&batch);
                }
                part.outcome = Outcome::refused_because(error_code::of_read(error), error);
            }
        }
    }
}

/// Appends what can be appended; answers at once, or when it is committed.
fn append(broker: &Arc<Broker>, shard: usize, mut plan: Plan) -> PendingResponse {
    let known_acks = (-1..=1).contains(&plan.acks);
    plan.refuse_transactions();
    let ack = (plan.acks != 0).then(|| Ack::on_shard(shard));
    let now = broker.env().clock.wall();
    for planned in &mut plan.topics {
        for part in &mut planned.partitions {
            if !matches!(part.outcome, Outcome::Waiting) {
                continue;
            }
            part.outcome = match &planned.topic {
                Err(code) => Outcome::refused(*code),
                Ok(topic) if !known_acks => {
                    let found = find_partition(topic, part.index).map(drop);
                    Outcome::refused(found.err().unwrap_or(ErrorCode::InvalidRequiredAcks))
                }
                Ok(topic) => {
                    let records = std::mem::take(&mut part.records);
                    let index = part.index;
                    append_one(broker, topic, index, records, plan.version, now, ack.as_ref())
                }
            };
        }
    }
    let Some(ack) = ack else {
        // Nobody waits for an answer; a client that is told nothing learns of trouble by losing its connection.
        let trouble = plan.topics.iter().flat_map(|t| &t.partitions).find_map(|part| {
            let Outcome::Refused { code, .. } = &part.outcome else { return None };
            Some(Response::Close(ProtocolViolation::RefusedWithoutAcks(*code)))
        });
        return PendingResponse::Ready(Some(trouble.unwrap_or(Response::Nothing)));
    };
    ack.arm();
    let throttle = throttle(broker);
    let timeout = plan.timeout.max(COMMIT_PATIENCE_MIN);
    let broker_then = Arc::clone(broker);
    let finish = Box::new(move |committed| finish(&broker_then, &plan, committed, throttle));
    if let Some(outcome) = ack.outcome() {
        return PendingResponse::Ready(Some(finish(outcome)));
    }
    let deadline = broker.env().clock.sleep(timeout);
    PendingResponse::Produced { ack, finish: Some(finish), deadline }
}

fn append_one(
    broker: &Arc<Broker>,
    topic: &TopicEntry,
    index: i32,
    mut records: BytesMut,
    version: i16,
    now: Timestamp,
    ack: Option<&Arc<Ack>>,
) -> Outcome {
    if is_internal_topic(topic.name.as_str()) {
        return Outcome::refused(ErrorCode::InvalidTopicException);
    }
    let partition = match find_partition(topic, index) {
        Ok(partition) => partition,
        Err(code) => return Outcome::refused(code),
    };
    let limits = topic.settings.limits;
    let batch = match judge(&records, version, &limits) {
        Err(error) => return Outcome::refused_because(error_code::of_batch(&error), &error),
        Ok(batch) => batch,
    };
    let proved = match needs_records(&batch, &limits, now) {
        true => match validate_records(&batch, &limits, now) {
            Ok(largest) => Some(largest),
            Err(refused) => return refused_records(refused),
        },
        false => None,
    };
    // The beginning of another batch may stand behind it, and is no part of what was checked.
    let len = batch.len();
    if !planted(Bug::RestNotCutOff) {
        records.truncate(len);
    }
    let stamped = limits.timestamp_type == TimestampType::LogAppendTime;
    if let Some(largest) = proved.filter(|_| !stamped && !planted(Bug::ClaimedTimesBelieved)) {
        BatchMut::parse(&mut records).expect("a judged batch parses").set_create_time(largest);
    }
    let times = if proved.is_some() { Times::Proved } else { Times::Claimed };
    match broker.engine().append(partition, records, times, ack) {
        Ok(result) => Outcome::Appended(result),
        Err(error) => Outcome::refused_because(error_code::of_append(&error), &error),
    }
}

/// The batch at the start of `records`, by everything that can be told without looking at records.
fn judge<'a>(
    records: &'a [u8],
    version: i16,
    limits: &ProduceLimits,
) -> Result<BatchView<'a>, BatchError> {
    let batch = produced_batch(records, version)?;
    validate_produced(&batch, limits)?;
    Ok(batch)
}

fn refused_records(refused: RecordsRefused) -> Outcome {
    let kind = refused.kind();
    match refused {
        RecordsRefused::Batch(error) => {
            Outcome::refused_because(error_code::of_batch(&error), &error)
        }
        RecordsRefused::Records(faults) => Outcome::Refused {
            code: kind.map_or(ErrorCode::InvalidRecord, error_code::of_record_fault),
            message: Some("one or more records have been rejected".to_owned()),
            faults,
        },
    }
}

/// Slows producers down as the write-ahead log fills: up to a second for each request.
fn throttle(broker: &Broker) -> Duration {
    Duration::from_secs(1).mul_f64(broker.engine().pressure())
}

fn finish(broker: &Broker, plan: &Plan, committed: bool, throttle: Duration) -> Response {
    // Appended and not committed: the log failed, or it did not get to it in time. The client asks again.
    let undone = if broker.engine().is_failed() {
        ErrorCode::KafkaStorageError
    } else {
        ErrorCode::RequestTimedOut
    };
    let state = plan.came_to_another_leader().then(|| broker.engine().meta().image());
    let state = state.as_deref();
    let responses: Vec<_> = plan
        .topics
        .iter()
        .filter(|planned| !planned.partitions.is_empty())
        .map(|planned| TopicProduceResponse {
            name: &planned.name,
            topic_id: planned.id,
            partition_responses: planned
                .partitions
                .iter()
                .map(|part| answer_part(state, planned, part, committed, undone))
                .collect(),
        })
        .collect();
    let answers = responses.iter().flat_map(|topic| topic.partition_responses.iter());
    let leaders = answers.map(|part| part.current_leader.leader_id);
    let endpoints = state.map(|state| leader_hint::endpoints(broker, state, leaders));
    let endpoints = endpoints.into_iter().flatten().map(|(node_id, port, row)| NodeEndpoint {
        node_id,
        host: &row.host,
        port,
        rack: row.rack.as_deref(),
    });
    let node_endpoints = endpoints.collect();
    let response =
        ProduceResponse { responses: responses.into(), node_endpoints, ..Default::default() };
    let header = RequestHeader {
        api_key: ApiKey::Produce,
        api_version: plan.version,
        correlation_id: plan.correlation_id,
        client_id: None,
    };
    Response::from(encode(&header, response, throttle))
}

fn answer_part<'a>(
    state: Option<&State>,
    planned: &'a PlannedTopic,
    part: &'a PlannedPartition,
    committed: bool,
    undone: ErrorCode,
) -> PartitionProduceResponse<'a> {
    let blank = PartitionProduceResponse {
        index: part.index,
        base_offset: -1,
        error_message: None,
        ..Default::default()
    };
    match &part.outcome {
        Outcome::Appended(result) if committed => PartitionProduceResponse {
            base_offset: result.base.get(),
            log_append_time_ms: result.log_append_time.get(),
            log_start_offset: result.log_start.get(),
            ..blank
        },
        Outcome::Appended(_) | Outcome::Waiting => {
            PartitionProduceResponse { error_code: undone.code(), ..blank }
        }
        Outcome::Refused { code, message, faults } => PartitionProduceResponse {
            error_code: code.code(),
            error_message: message.as_deref(),
            record_errors: faults
                .iter()
                .map(|fault| BatchIndexAndErrorMessage {
                    batch_index: fault.index,
                    batch_index_error_message: Some(&fault.message),
                })
                .collect(),
            current_leader: current_leader(state, planned, part, *code).unwrap_or_default(),
            ..blank
        },
    }
}

/// Tells a client that came to the wrong broker where to go.
fn current_leader(
    state: Option<&State>,
    planned: &PlannedTopic,
    part: &PlannedPartition,
    code: ErrorCode,
) -> Option<LeaderIdAndEpoch> {
    if code != ErrorCode::NotLeaderOrFollower {
        return None;
    }
    let row = leader_hint::row_of(state?, planned.topic.as_ref().ok()?.id, part.index)?;
    Some(LeaderIdAndEpoch { leader_id: row.leader.get(), leader_epoch: row.leader_epoch.get() })
}
