//! From a frame to an answer.

use crate::api;
use crate::broker::Broker;
use crate::connection::ClientInfo;
use bytes::{Bytes, BytesMut};
use esker_engine::Ack;
use esker_env::BoxFuture;
use esker_wire::{
    ApiKey, EncodeError, Message, Reader, Request, RequestHeader, decode_request_header,
    encode_response_frame,
};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What goes back to the client.
pub(crate) enum Answer {
    /// A frame, length included. After it the client is left alone for `throttle`.
    Frame {
        /// Its pieces.
        segments: Vec<Bytes>,
        /// How long nothing more is read from this client.
        throttle: Duration,
    },
    /// Nothing: produce without acknowledgement.
    Nothing,
    /// The connection is closed: the client broke the protocol.
    Close(String),
}

impl Answer {
    pub(crate) fn frame(segments: Vec<Bytes>) -> Self {
        Self::Frame { segments, throttle: Duration::ZERO }
    }
}

/// A request that is being answered.
pub(crate) enum Slot {
    /// The answer is there.
    Ready(Option<Answer>),
    /// Appended; the answer is there when everything is committed.
    Produced {
        /// The wait.
        ack: Arc<Ack>,
        /// Makes the answer; `true` when everything is committed.
        finish: Option<Box<dyn FnOnce(bool) -> Answer + Send>>,
        /// The longest wait.
        deadline: BoxFuture<'static, ()>,
    },
    /// Anything else.
    Running(BoxFuture<'static, Answer>),
}

impl Slot {
    /// Whether the next request has to wait until this one is answered.
    pub(crate) fn is_exclusive(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        match self {
            Self::Ready(answer) => {
                Poll::Ready(answer.take().expect("a slot is dropped when it was ready"))
            }
            Self::Produced { ack, finish, deadline } => {
                let outcome = match std::pin::pin!(ack.wait()).poll(context) {
                    Poll::Ready(committed) => committed,
                    Poll::Pending => {
                        std::task::ready!(deadline.as_mut().poll(context));
                        false
                    }
                };
                let finish = finish.take().expect("a slot is dropped when it was ready");
                Poll::Ready(finish(outcome))
            }
            Self::Running(work) => work.as_mut().poll(context),
        }
    }
}

/// A request as handlers see it.
pub(crate) struct Call<'a> {
    pub(crate) broker: &'a Arc<Broker>,
    pub(crate) client: &'a Arc<ClientInfo>,
    pub(crate) header: RequestHeader<'a>,
}

impl Call<'_> {
    /// The version that the client speaks.
    pub(crate) fn version(&self) -> i16 {
        self.header.api_version
    }
}

impl Call<'_> {
    /// The answer that `response` makes.
    pub(crate) fn answer<'b>(&self, response: &impl Message<'b>) -> Result<Answer, String> {
        encode(&self.header, response)
    }
}

/// Takes up a request. Produce appends before this returns; the rest happens when the slot is polled.
pub(crate) fn start(broker: &Arc<Broker>, client: &Arc<ClientInfo>, frame: BytesMut) -> Slot {
    // Key 0 is Produce: it takes the frame apart instead of borrowing from it.
    if frame.starts_with(&[0, 0]) {
        return api::produce::start(broker, client, frame);
    }
    let (broker, client) = (Arc::clone(broker), Arc::clone(client));
    let frame = frame.freeze();
    Slot::Running(Box::pin(async move {
        match answer(&broker, &client, &frame).await {
            Ok(answer) => answer,
            Err(reason) => Answer::Close(reason),
        }
    }))
}

async fn answer(
    broker: &Arc<Broker>,
    client: &Arc<ClientInfo>,
    frame: &Bytes,
) -> Result<Answer, String> {
    let (header, body) = decode_request_header(frame).map_err(|error| error.to_string())?;
    let call = Call { broker, client, header };
    let key = call.header.api_key;
    if !key.listeners().broker || !key.supports(call.version()) {
        return unsupported(&call);
    }
    // Each handler's future has its own allocation: one future for all would be as large as the largest.
    macro_rules! route {
        ($($key:ident => $module:ident),* $(,)?) => {
            match key {
                $(ApiKey::$key => Box::pin(api::$module::handle(&call, decode(&call, body)?)).await,)*
                _ => unsupported(&call),
            }
        };
    }
    route! {
        ApiVersions => api_versions,
        Metadata => metadata,
        Fetch => fetch,
        ListOffsets => list_offsets,
        OffsetForLeaderEpoch => offset_for_leader_epoch,
        CreateTopics => create_topics,
        DeleteTopics => delete_topics,
        CreatePartitions => create_partitions,
        DeleteRecords => delete_records,
        DescribeConfigs => describe_configs,
        AlterConfigs => alter_configs,
        IncrementalAlterConfigs => incremental_alter_configs,
        DescribeCluster => describe_cluster,
        DescribeTopicPartitions => describe_topic_partitions,
        DescribeLogDirs => describe_log_dirs,
        InitProducerId => init_producer_id,
        FindCoordinator => find_coordinator,
        JoinGroup => join_group,
        SyncGroup => sync_group,
        Heartbeat => heartbeat,
        LeaveGroup => leave_group,
        OffsetCommit => offset_commit,
        OffsetFetch => offset_fetch,
        OffsetDelete => offset_delete,
        ListGroups => list_groups,
        DescribeGroups => describe_groups,
        DeleteGroups => delete_groups,
        ListPartitionReassignments => list_partition_reassignments,
        AlterPartitionReassignments => alter_partition_reassignments,
        ElectLeaders => elect_leaders,
        DescribeQuorum => describe_quorum,
        DescribeClientQuotas => describe_client_quotas,
        DescribeUserScramCredentials => describe_user_scram_credentials,
        DescribeAcls => describe_acls,
        DescribeProducers => describe_producers,
        ListTransactions => list_transactions,
        DescribeTransactions => describe_transactions,
        ListConfigResources => list_config_resources,
        UpdateFeatures => update_features,
        UnregisterBroker => unregister_broker,
        AlterReplicaLogDirs => alter_replica_log_dirs,
        SaslHandshake => sasl_handshake,
        SaslAuthenticate => sasl_authenticate,
    }
}

fn decode<'a, R: Request<'a>>(call: &Call<'_>, mut body: Reader<'a>) -> Result<R, String> {
    R::decode(&mut body, call.version()).map_err(|error| format!("{}: {error}", R::NAME))
}

/// The frame of a response.
pub(crate) fn encode<'a>(
    header: &RequestHeader<'_>,
    response: &impl Message<'a>,
) -> Result<Answer, String> {
    let frame = encode_response_frame(header, response)
        .map_err(|error: EncodeError| format!("cannot answer: {error}"))?;
    Ok(Answer::frame(frame.into_segments()))
}

/// Kafka closes the connection, except where the client asks what is supported.
fn unsupported(call: &Call<'_>) -> Result<Answer, String> {
    let RequestHeader { api_key, api_version, .. } = call.header;
    if api_key != ApiKey::ApiVersions {
        return Err(format!("{} version {api_version} is not supported", api_key.name()));
    }
    let header = RequestHeader { api_version: 0, ..call.header };
    encode(&header, &api::api_versions::of_another_version())
}
