//! Every setting of brokers and topics by Kafka's names.

/// Where a value comes from: `DescribeConfigs`' config source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Set on the topic.
    DynamicTopic,
    /// Nobody set it.
    Default,
}

impl Source {
    /// Kafka's number for it.
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            Self::DynamicTopic => 1,
            Self::Default => 5,
        }
    }
}
