//! Why a setting has no effect, or may not be set.

pub(super) const NODE_ID: &str = "`node.id` is the number";
pub(super) const LEASE: &str = "a lost broker is noticed by its peers, on a schedule of their own";
pub(super) const ALONE: &str = "one broker has nobody to hand over to";
pub(super) const PEERS: &str = "brokers do not speak Kafka's protocol among themselves";
pub(super) const CONTROL: &str = "the metadata quorum is Esker's own and has its own settings";
pub(super) const CONNECTIONS: &str = "only `max.connections` limits connections; leave it unset";
pub(super) const SOCKETS: &str = "the kernel sizes its buffers and queues itself";
pub(super) const THREADS: &str =
    "one runtime per core carries everything; there is no pool to size";
pub(super) const PURGATORY: &str =
    "a waiting request is woken by what it waits for; none are purged";
pub(super) const TELEMETRY: &str = "clients are not asked for their metrics yet";
pub(super) const METRICS: &str = "metrics are scraped from the admin listener";
pub(super) const QUOTA: &str = "quotas are not served yet";
pub(super) const CLASS: &str = "Java classes cannot be loaded; leave it unset";
pub(super) const ONE_DIR: &str = "a broker has one data directory";
pub(super) const VERBATIM: &str =
    "batches are kept as the producer compressed them; leave it at `producer`";
pub(super) const LEVEL: &str =
    "`compression.type` is always `producer`: nothing is compressed here";
pub(super) const UNLIMITED: &str = "traffic with the bucket has no limit; leave it unset";
pub(super) const GROUP_CODEC: &str = "records of groups are written uncompressed; leave it unset";
pub(super) const COPIES: &str = "its records are copied like those of every topic";
pub(super) const LOADED: &str = "a coordinator reads its log in chunks of the cache";
/// Of a setting under `listener.name.`.
pub(crate) const LISTENER: &str =
    "a listener has no settings of its own; set the common one, without `listener.name.`";
pub(super) const MERGE: &str = "segments are formed by flushes and merges; see `esker.segment.*`";
pub(super) const GRACE: &str = "`esker.gc.grace.ms` says how long a dead object stays";
pub(super) const NO_FILES: &str = "partitions have no files or indexes of their own on the broker";
pub(super) const SYNCED: &str = "a record is synced before it is acknowledged, always";
pub(super) const COMPACTION: &str = "compaction is not served yet";
pub(super) const TIER: &str = "offloading is built in; see `esker.flush.*` and `esker.cache.*`";
pub(super) const ALWAYS_TIERED: &str =
    "every topic lives in the bucket; remove the setting, or keep the default";
pub(super) const QUORUM: &str =
    "records are copied by journals: a quorum of stores has each one before it is acknowledged";
pub(super) const UNSTABLE: &str = "what is not final is not served yet";
pub(super) const GROUP_COMMIT: &str =
    "commits of the write-ahead log gather what arrives meanwhile";
pub(super) const NEW_GROUPS: &str = "only the classic group protocol is served yet";
pub(super) const TXN: &str = "transactions are not served yet";
pub(super) const ACL: &str = "authorization is not served yet; leave it unset";
pub(super) const NO_ACL: &str = "it belongs to authorization, which is not served";
pub(super) const SASL: &str = "authentication is not served yet; leave it unset";
pub(super) const NO_SASL: &str = "it belongs to authentication, which is not served";
pub(super) const TLS: &str = "TLS is not served yet; leave it unset";
pub(super) const NO_TLS: &str = "it belongs to TLS, which is not served";
pub(super) const NOT_YET: &str = "only `replicated` is served yet";
