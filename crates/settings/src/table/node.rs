//! The node itself: identity, listeners, connections, topics that are made without settings.

use super::why::{
    ALONE, CLASS, CONNECTIONS, CONTROL, LEASE, METRICS, NODE_ID, PEERS, PURGATORY, QUOTA, SOCKETS,
    TELEMETRY, THREADS,
};

settings! { NODE
    "node.id": Int = Some("1"), AtLeast(0), ReadOnly, Honoured;
        "Number of this node, unique in the cluster and for ever."
    "broker.id": Int = Some("-1"), Any, ReadOnly, Accepted(NODE_ID);
        "Older name of `node.id`."
    "process.roles": List = Some("broker,controller"), SomeOf(&["broker", "controller"]), ReadOnly, Honoured;
        "What this process does: `broker`, `controller` or both."
    "broker.rack": Text = None, Any, ReadOnly, Honoured;
        "Where the broker stands; copies of a journal are kept on different racks where there are several."
    "broker.heartbeat.interval.ms": Int = Some("200"), Any, ReadOnly, Honoured;
        "How often the leader of the metadata quorum asks each broker for a sign of life."
    "broker.session.timeout.ms": Int = Some("1500"), Any, ReadOnly, Honoured;
        "Silence after which a broker counts as dead, and others take over what it leads. One whose machine says that nobody listens any more counts as dead at once."
    "initial.broker.registration.timeout.ms": Int = Some("60000"), Any, ReadOnly, Accepted(LEASE);
        "How long a starting broker tries to register."
    "controlled.shutdown.enable": Boolean = Some("true"), Any, ReadOnly, Accepted(ALONE);
        "Whether a stopping broker hands its partitions over first."
    "listeners": List = Some("PLAINTEXT://:9092"), NonEmpty, ReadOnly, Honoured;
        "Where clients connect, as `NAME://HOST:PORT`. Names are protocols or are mapped to one by `listener.security.protocol.map`."
    "advertised.listeners": List = None, NonEmpty, ReadOnly, Honoured;
        "What clients are told to connect to; like `listeners` if unset."
    "listener.security.protocol.map": Text = Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"), Any, ReadOnly, Honoured;
        "Protocol of each listener's name."
    "inter.broker.listener.name": Text = None, Any, ReadOnly, Accepted(PEERS);
        "Listener that brokers use among themselves."
    "security.inter.broker.protocol": Text = Some("PLAINTEXT"), OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly, Accepted(PEERS);
        "Protocol that brokers use among themselves."
    "controller.listener.names": List = Some("CONTROLLER"), NonEmpty, ReadOnly, Accepted(CONTROL);
        "Listeners of the controller."
    "early.start.listeners": List = None, Any, ReadOnly, Accepted(CONTROL);
        "Listeners that open before the broker is ready."
    "connections.max.idle.ms": Long = Some("600000"), Any, ReadOnly, Honoured;
        "A connection without requests for this long is closed; -1 keeps it."
    "max.connections": Int = Some("2147483647"), AtLeast(0), ClusterWide, Honoured;
        "Connections that the broker serves at a time."
    "max.connections.per.ip": Int = Some("2147483647"), AtLeast(0), ClusterWide, Refused(CONNECTIONS);
        "Connections from one address."
    "max.connections.per.ip.overrides": Text = Some(""), Any, ClusterWide, Refused(CONNECTIONS);
        "Exceptions from `max.connections.per.ip`, as `HOST:COUNT`."
    "max.connection.creation.rate": Int = Some("2147483647"), AtLeast(0), ClusterWide, Refused(CONNECTIONS);
        "New connections a second."
    "socket.listen.backlog.size": Int = Some("50"), AtLeast(1), ReadOnly, Accepted(SOCKETS);
        "Connections that may wait to be accepted."
    "socket.receive.buffer.bytes": Int = Some("102400"), Any, ReadOnly, Accepted(SOCKETS);
        "Receive buffer of a connection in the kernel."
    "socket.send.buffer.bytes": Int = Some("102400"), Any, ReadOnly, Accepted(SOCKETS);
        "Send buffer of a connection in the kernel."
    "socket.connection.setup.timeout.ms": Long = Some("10000"), Any, ReadOnly, Accepted(PEERS);
        "How long the first attempt to connect to another node may take."
    "socket.connection.setup.timeout.max.ms": Long = Some("30000"), Any, ReadOnly, Accepted(PEERS);
        "How long a later attempt to connect to another node may take."
    "socket.request.max.bytes": Int = Some("104857600"), AtLeast(1), ReadOnly, Honoured;
        "Largest request that is read; the connection of a larger one is closed."
    "queued.max.requests": Int = Some("500"), AtLeast(1), ReadOnly, Accepted(THREADS);
        "Requests that may wait for a thread."
    "queued.max.request.bytes": Long = Some("536870912"), Any, ReadOnly, Honoured;
        "Memory for requests that are being received or answered; connections wait when it is used up. -1 sets no limit of its own."
    "request.timeout.ms": Int = Some("30000"), Any, ReadOnly, Accepted(PEERS);
        "How long a request to another node may take."
    "num.network.threads": Int = Some("3"), AtLeast(1), ClusterWide, Accepted(THREADS);
        "Threads that read and write connections."
    "num.io.threads": Int = Some("8"), AtLeast(1), ClusterWide, Accepted(THREADS);
        "Threads that carry out requests."
    "background.threads": Int = Some("10"), AtLeast(1), ClusterWide, Accepted(THREADS);
        "Threads for work in the background."
    "fetch.max.bytes": Int = Some("57671680"), AtLeast(1024), ReadOnly, Honoured;
        "Most bytes of one fetch response, whatever the client allows. The first batch is sent even if it is larger."
    "max.incremental.fetch.session.cache.slots": Int = Some("1000"), AtLeast(0), ReadOnly, Honoured;
        "Fetch sessions that are remembered; beyond it clients send full fetches."
    "fetch.purgatory.purge.interval.requests": Int = Some("1000"), Any, ReadOnly, Accepted(PURGATORY);
        "Requests between two purges of waiting fetches."
    "producer.purgatory.purge.interval.requests": Int = Some("1000"), Any, ReadOnly, Accepted(PURGATORY);
        "Requests between two purges of waiting produces."
    "delete.records.purgatory.purge.interval.requests": Int = Some("1"), Any, ReadOnly, Accepted(PURGATORY);
        "Requests between two purges of waiting deletions."
    "share.fetch.purgatory.purge.interval.requests": Int = Some("1000"), Any, ReadOnly, Accepted(PURGATORY);
        "Requests between two purges of waiting share fetches."
    "max.request.partition.size.limit": Int = Some("2000"), AtLeast(1), ReadOnly, Honoured;
        "Most partitions in one answer to DescribeTopicPartitions."
    "auto.create.topics.enable": Boolean = Some("true"), Any, ReadOnly, Honoured;
        "Whether a topic is made when a client asks for one that does not exist."
    "num.partitions": Int = Some("1"), AtLeast(1), ReadOnly, Honoured;
        "Partitions of a topic that is made without a number."
    "default.replication.factor": Int = Some("1"), Any, ReadOnly, Honoured;
        "Replication factor of a topic that is made without one."
    "delete.topic.enable": Boolean = Some("true"), Any, ReadOnly, Honoured;
        "Whether topics may be deleted."
    "create.topic.policy.class.name": Class = None, Any, ReadOnly, Refused(CLASS);
        "Class that judges new topics."
    "alter.config.policy.class.name": Class = None, Any, ReadOnly, Refused(CLASS);
        "Class that judges changed settings."
    "config.providers": List = Some(""), Any, ClusterWide, Refused(CLASS);
        "Classes that fill placeholders in values."
    "telemetry.max.bytes": Int = Some("1048576"), AtLeast(1), ReadOnly, Coming(TELEMETRY);
        "Largest report of a client's metrics."
    "metric.reporters": List = Some("org.apache.kafka.common.metrics.JmxReporter"), Any, ClusterWide, Accepted(METRICS);
        "Classes that receive metrics."
    "metrics.num.samples": Int = Some("2"), AtLeast(1), ReadOnly, Accepted(METRICS);
        "Samples that a metric keeps."
    "metrics.recording.level": Text = Some("INFO"), Any, ReadOnly, Accepted(METRICS);
        "How much is measured."
    "metrics.sample.window.ms": Long = Some("30000"), AtLeast(1), ReadOnly, Accepted(METRICS);
        "Length of a metric's sample."
    "kafka.metrics.reporters": List = Some(""), Any, ReadOnly, Accepted(METRICS);
        "Classes that receive the older metrics."
    "kafka.metrics.polling.interval.secs": Int = Some("10"), AtLeast(1), ReadOnly, Accepted(METRICS);
        "How often the older metrics are polled."
    "quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly, Coming(QUOTA);
        "Windows over which a client's quota is measured."
    "quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly, Coming(QUOTA);
        "Length of such a window."
    "controller.quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly, Coming(QUOTA);
        "Windows over which changes of topics are measured."
    "controller.quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly, Coming(QUOTA);
        "Length of such a window."
    "client.quota.callback.class": Class = None, Any, ReadOnly, Refused(CLASS);
        "Class that decides quotas."
}
