//! DescribeCluster.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use esker_wire::ErrorCode;
use esker_wire::api::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Cluster);

/// "Tell me about brokers", as against controllers.
const BROKERS: i8 = 1;
/// Every operation on a cluster, as a bit set: without an authorizer all are allowed.
const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

pub(crate) async fn handle(call: &Call<'_>, request: DescribeClusterRequest) -> Outcome {
    if request.endpoint_type != BROKERS {
        let code = if request.endpoint_type == 2 {
            ErrorCode::MismatchedEndpointType
        } else {
            ErrorCode::UnsupportedEndpointType
        };
        return call.answer(DescribeClusterResponse {
            error_code: code.code(),
            error_message: Some("The request was sent to a broker's listener."),
            ..Default::default()
        });
    }
    let broker = call.broker;
    let state = broker.engine().meta().image();
    let cluster_id = state.cluster.to_string();
    let fenced = |row: &esker_meta::Broker| !row.is_alive();
    let brokers =
        state.brokers.iter().filter(|(_, row)| request.include_fenced_brokers || !fenced(row)).map(
            |(id, row)| DescribeClusterBroker {
                broker_id: id.get(),
                host: &row.host,
                port: if id.get() == broker.id() {
                    broker.advertised_port()
                } else {
                    i32::from(row.port)
                },
                rack: row.rack.as_deref(),
                is_fenced: fenced(row),
            },
        );
    call.answer(DescribeClusterResponse {
        cluster_id: &cluster_id,
        controller_id: broker.id(),
        brokers: brokers.collect(),
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            CLUSTER_OPERATIONS
        } else {
            i32::MIN
        },
        ..Default::default()
    })
}
