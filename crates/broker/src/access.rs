//! What a request needs to be allowed: an operation on a kind of resource, in Kafka's words.

use esker_wire::ErrorCode;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    Write,
    Create,
    Delete,
    Alter,
    Describe,
    DescribeConfigs,
    AlterConfigs,
    IdempotentWrite,
}

/// What it is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Cluster,
    Topic,
    Group,
    TransactionalId,
}

/// What an API needs. Each handler names its own, as `ACCESS`; the table of APIs asks for it, so that none is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever can connect may ask.
    Anyone,
    /// The operation on each resource that the request names; on the cluster as a whole where the resource is that.
    Needs(Operation, Resource),
}

impl Access {
    /// How a refusal is told.
    pub(crate) const fn refusal(self) -> ErrorCode {
        match self {
            Self::Anyone => ErrorCode::None,
            Self::Needs(_, Resource::Cluster) => ErrorCode::ClusterAuthorizationFailed,
            Self::Needs(_, Resource::Topic) => ErrorCode::TopicAuthorizationFailed,
            Self::Needs(_, Resource::Group) => ErrorCode::GroupAuthorizationFailed,
            Self::Needs(_, Resource::TransactionalId) => {
                ErrorCode::TransactionalIdAuthorizationFailed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_resource_has_its_refusal() {
        let refusal = |resource| Access::Needs(Operation::Read, resource).refusal();
        assert_eq!(refusal(Resource::Topic), ErrorCode::TopicAuthorizationFailed);
        assert_eq!(refusal(Resource::Group), ErrorCode::GroupAuthorizationFailed);
        assert_eq!(refusal(Resource::Cluster), ErrorCode::ClusterAuthorizationFailed);
        let transactional = ErrorCode::TransactionalIdAuthorizationFailed;
        assert_eq!(refusal(Resource::TransactionalId), transactional);
        assert_eq!(Access::Anyone.refusal(), ErrorCode::None);
    }
}
