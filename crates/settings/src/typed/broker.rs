//! A broker's settings.

use super::Contradiction;
use super::listener::{Listener, listeners, protocols};
use crate::resolve::BrokerSettings;
use crate::value::Value;
use esker_types::ByteCount;
use std::time::Duration;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// It serves clients.
    pub broker: bool,
    /// It votes on the metadata.
    pub controller: bool,
}

/// Settings of the group coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCoordinator {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub size_max: i32,
    /// `esker.group.join.timeout.ms`.
    pub join_timeout: Duration,
    /// `offsets.retention.minutes`.
    pub offsets_retention_minutes: i32,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: i32,
    /// `offsets.topic.num.partitions`.
    pub offsets_partitions: i32,
    /// `offsets.topic.segment.bytes`.
    pub offsets_segment_bytes: i32,
}

/// Checksums that a store verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketChecksum {
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-256.
    Sha256,
}

/// How the bucket is reached, `esker.bucket.*`. Printing it for a person shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Bucket {
    /// `url`; `None` leaves it to the command line.
    pub url: Option<String>,
    /// `endpoint`.
    pub endpoint: Option<String>,
    /// `region`.
    pub region: Option<String>,
    /// `access.key.id`.
    pub access_key: Option<String>,
    /// `secret.access.key`.
    pub secret_key: Option<String>,
    /// `session.token`.
    pub session_token: Option<String>,
    /// `path.style`; `None` lets the endpoint decide.
    pub path_style: Option<bool>,
    /// `allow.http`.
    pub allow_http: bool,
    /// `unsigned.payload`.
    pub unsigned_payload: bool,
    /// `checksum`.
    pub checksum: Option<BucketChecksum>,
    /// `single.delete`.
    pub single_delete: bool,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `connect.timeout.ms`.
    pub connect_timeout: Duration,
    /// `retries`.
    pub retries: usize,
    /// `retry.timeout.ms`.
    pub retry_timeout: Duration,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket")
            .field("url", &self.url)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// A broker's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// `node.id`.
    pub node_id: i32,
    /// `process.roles`.
    pub roles: Roles,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `log.dirs`, else `log.dir`; `None` leaves it to the command line.
    pub data_dir: Option<String>,
    /// `listeners`: at least one.
    pub listeners: Vec<Listener>,
    /// `advertised.listeners`; empty to advertise `listeners`.
    pub advertised: Vec<Listener>,
    /// `esker.admin.listener`.
    pub admin_listener: String,
    /// `controller.quorum.voters`: `ID@HOST:PORT` each.
    pub voters: Vec<String>,
    /// `esker.peer.listener`.
    pub peer_listener: Option<String>,
    /// `esker.peer.advertised`.
    pub peer_advertised: Option<String>,
    /// `esker.journal.copies`.
    pub journal_copies: u8,
    /// `esker.journal.acks`.
    pub journal_acks: u8,
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_every: Duration,
    /// `broker.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `leader.imbalance.check.interval.seconds`, unless `auto.leader.rebalance.enable` is off.
    pub balance_every: Option<Duration>,
    /// `esker.otlp.http.listener`; empty for none.
    pub otlp_http_listener: Option<String>,
    /// `esker.traces.index.interval.ms`.
    pub traces_index_every: Duration,
    /// `esker.cluster.secret`.
    pub cluster_secret: Option<String>,
    /// `esker.cluster.secret.file`.
    pub cluster_secret_file: Option<String>,
    /// `esker.quorum.election.timeout.ms`.
    pub election_timeout: Duration,
    /// `esker.stop.patience.ms`.
    pub stop_patience: Duration,
    /// `esker.metadata.snapshot.entries`.
    pub metadata_snapshot_entries: u64,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub metadata_snapshot_bytes: u64,

    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `queued.max.request.bytes`; `None` sets no limit.
    pub request_memory: Option<usize>,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: usize,
    /// `connections.max.idle.ms`; `None` keeps idle connections.
    pub connection_idle_max: Option<Duration>,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: usize,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `num.partitions`.
    pub partitions_default: i32,
    /// `default.replication.factor`.
    pub replication_factor_default: i16,
    /// `max.request.partition.size.limit`.
    pub describe_partitions_max: i32,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `esker.partitions.max`.
    pub partitions_max: i32,
    /// `esker.decompressed.max.bytes`.
    pub decompressed_bytes_max: ByteCount,

    /// `esker.wal.capacity.bytes`.
    pub wal_capacity: ByteCount,
    /// `esker.wal.segment.bytes`.
    pub wal_segment: ByteCount,
    /// `esker.wal.prefill`.
    pub wal_prefill: bool,
    /// `esker.tail.memory.bytes`.
    pub tail_memory: ByteCount,
    /// `esker.throttle.percent`.
    pub throttle_percent: u8,
    /// `esker.flush.bytes`.
    pub flush_bytes: ByteCount,
    /// `esker.flush.ms`.
    pub flush_age: Duration,
    /// `esker.segment.min.bytes`.
    pub segment_bytes_min: ByteCount,
    /// `esker.segment.max.bytes`.
    pub segment_bytes_max: ByteCount,
    /// `esker.uncommitted.max.bytes`.
    pub uncommitted_max: ByteCount,
    /// `esker.background.memory.bytes`.
    pub background_memory: ByteCount,
    /// `esker.merge.extents`.
    pub merge_extents: usize,
    /// `esker.gc.grace.ms`.
    pub garbage_grace: Duration,
    /// `esker.housekeeping.interval.ms`, or `log.retention.check.interval.ms` where that is set and shorter.
    pub housekeeping_every: Duration,
    /// `producer.id.expiration.ms`.
    pub producer_expiry: Duration,
    /// `esker.cache.memory.bytes`.
    pub cache_memory: ByteCount,
    /// `esker.cache.disk.bytes`; `None` lets the kind of bucket decide.
    pub cache_disk: Option<ByteCount>,

    /// The group coordinator.
    pub groups: GroupCoordinator,
    /// The bucket.
    pub bucket: Bucket,
}

/// Segments that a write-ahead log needs at least.
const WAL_SEGMENTS_MIN: u64 = 4;

impl Broker {
    pub(crate) fn new(settings: &BrokerSettings) -> Result<Self, Contradiction> {
        let read = Reader(settings);
        let protocols = protocols(&read.list("listener.security.protocol.map"))?;
        let of = |name: &str| listeners(name, &read.list(name), &protocols);
        let roles = read.list("process.roles");
        let role = |name: &str| roles.iter().any(|role| role == name);
        let broker = Self {
            node_id: read.int("node.id"),
            roles: Roles { broker: role("broker"), controller: role("controller") },
            rack: read.text("broker.rack"),
            data_dir: data_dir(&read)?,
            listeners: of("listeners")?,
            advertised: of("advertised.listeners")?,
            admin_listener: read.text("esker.admin.listener").expect("it has a default"),
            voters: read.list("controller.quorum.voters"),
            peer_listener: read.text("esker.peer.listener"),
            peer_advertised: read.text("esker.peer.advertised"),
            journal_copies: u8::try_from(read.int("esker.journal.copies"))
                .expect("the rule bounds it"),
            journal_acks: u8::try_from(read.int("esker.journal.acks")).expect("the rule bounds it"),
            heartbeat_every: read.positive_millis("broker.heartbeat.interval.ms"),
            session_timeout: read.positive_millis("broker.session.timeout.ms"),
            balance_every: read
                .flag("auto.leader.rebalance.enable")
                .then(|| read.seconds("leader.imbalance.check.interval.seconds")),
            otlp_http_listener: read.text("esker.otlp.http.listener"),
            traces_index_every: read.duration("esker.traces.index.interval.ms"),
            cluster_secret: read.text("esker.cluster.secret"),
            cluster_secret_file: read.text("esker.cluster.secret.file"),
            election_timeout: read.duration("esker.quorum.election.timeout.ms"),
            stop_patience: read.duration("esker.stop.patience.ms"),
            metadata_snapshot_entries: read.bytes("esker.metadata.snapshot.entries").get(),
            metadata_snapshot_bytes: read
                .bytes("metadata.log.max.record.bytes.between.snapshots")
                .get(),

            request_bytes_max: read.count("socket.request.max.bytes"),
            request_memory: usize::try_from(read.long("queued.max.request.bytes")).ok(),
            fetch_bytes_max: read.count("fetch.max.bytes"),
            connection_idle_max: u64::try_from(read.long("connections.max.idle.ms"))
                .ok()
                .map(Duration::from_millis),
            fetch_sessions_max: read.count("max.incremental.fetch.session.cache.slots"),
            auto_create_topics: read.flag("auto.create.topics.enable"),
            partitions_default: read.int("num.partitions"),
            replication_factor_default: i16::try_from(read.int("default.replication.factor"))
                .map_err(|_| {
                    Contradiction("`default.replication.factor` is more than 32767".to_owned())
                })?,
            describe_partitions_max: read.int("max.request.partition.size.limit"),
            delete_topics: read.flag("delete.topic.enable"),
            partitions_max: read.int("esker.partitions.max"),
            decompressed_bytes_max: read.bytes("esker.decompressed.max.bytes"),

            wal_capacity: read.bytes("esker.wal.capacity.bytes"),
            wal_segment: read.bytes("esker.wal.segment.bytes"),
            wal_prefill: read.flag("esker.wal.prefill"),
            tail_memory: read.bytes("esker.tail.memory.bytes"),
            throttle_percent: u8::try_from(read.int("esker.throttle.percent"))
                .expect("the rule allows 1 to 100"),
            flush_bytes: read.bytes("esker.flush.bytes"),
            flush_age: read.duration("esker.flush.ms"),
            segment_bytes_min: read.bytes("esker.segment.min.bytes"),
            segment_bytes_max: read.bytes("esker.segment.max.bytes"),
            uncommitted_max: read.bytes("esker.uncommitted.max.bytes"),
            background_memory: read.bytes("esker.background.memory.bytes"),
            merge_extents: read.count("esker.merge.extents"),
            garbage_grace: read.duration("esker.gc.grace.ms"),
            housekeeping_every: housekeeping_every(&read),
            producer_expiry: read.duration("producer.id.expiration.ms"),
            cache_memory: read.bytes("esker.cache.memory.bytes"),
            cache_disk: read
                .0
                .value("esker.cache.disk.bytes")
                .map(|_| read.bytes("esker.cache.disk.bytes")),

            groups: GroupCoordinator {
                session_timeout_min_ms: read.int("group.min.session.timeout.ms"),
                session_timeout_max_ms: read.int("group.max.session.timeout.ms"),
                initial_rebalance_delay_ms: read.int("group.initial.rebalance.delay.ms"),
                size_max: read.int("group.max.size"),
                join_timeout: read.duration("esker.group.join.timeout.ms"),
                offsets_retention_minutes: read.int("offsets.retention.minutes"),
                offsets_retention_check_interval_ms: read
                    .long("offsets.retention.check.interval.ms"),
                offset_metadata_bytes_max: read.int("offset.metadata.max.bytes"),
                offsets_partitions: read.int("offsets.topic.num.partitions"),
                offsets_segment_bytes: read.int("offsets.topic.segment.bytes"),
            },
            bucket: bucket(&read),
        };
        broker.check()?;
        Ok(broker)
    }

    /// What settings say about each other.
    fn check(&self) -> Result<(), Contradiction> {
        let must = |holds: bool, what: &str| {
            if holds { Ok(()) } else { Err(Contradiction(what.to_owned())) }
        };
        must(
            self.wal_capacity.get() / self.wal_segment.get() >= WAL_SEGMENTS_MIN,
            "`esker.wal.capacity.bytes` must have room for four of `esker.wal.segment.bytes`",
        )?;
        must(
            self.wal_segment.get().is_multiple_of(4096),
            "`esker.wal.segment.bytes` must be a multiple of 4096",
        )?;
        must(
            self.journal_acks <= self.journal_copies,
            "`esker.journal.acks` must not be above `esker.journal.copies`",
        )?;
        must(
            self.heartbeat_every < self.session_timeout,
            "`broker.heartbeat.interval.ms` must be below `broker.session.timeout.ms`",
        )?;
        must(
            self.groups.session_timeout_min_ms <= self.groups.session_timeout_max_ms,
            "`group.min.session.timeout.ms` must not be above `group.max.session.timeout.ms`",
        )?;
        must(
            self.groups.offsets_partitions <= self.partitions_max,
            "`offsets.topic.num.partitions` must not be above `esker.partitions.max`",
        )?;
        must(
            self.segment_bytes_min <= self.segment_bytes_max,
            "`esker.segment.min.bytes` must not be above `esker.segment.max.bytes`",
        )?;
        must(
            self.background_memory > self.flush_bytes,
            "`esker.background.memory.bytes` must be above `esker.flush.bytes`",
        )?;
        let unknown = self
            .advertised
            .iter()
            .find(|one| self.listeners.iter().all(|other| other.name != one.name));
        match unknown {
            None => Ok(()),
            Some(one) => Err(Contradiction(format!(
                "`advertised.listeners` has `{}`, which `listeners` lacks",
                one.name
            ))),
        }
    }
}

fn data_dir(read: &Reader<'_>) -> Result<Option<String>, Contradiction> {
    let mut dirs = read.list("log.dirs");
    if dirs.is_empty() {
        dirs = read.list("log.dir");
    }
    if dirs.len() > 1 {
        let what = "`log.dirs` names several directories: a broker has one";
        return Err(Contradiction(what.to_owned()));
    }
    Ok(dirs.pop())
}

fn housekeeping_every(read: &Reader<'_>) -> Duration {
    let every = read.duration("esker.housekeeping.interval.ms");
    let check = "log.retention.check.interval.ms";
    if read.0.is_set(check) { every.min(read.duration(check)) } else { every }
}

fn bucket(read: &Reader<'_>) -> Bucket {
    Bucket {
        url: read.text("esker.bucket.url"),
        endpoint: read.text("esker.bucket.endpoint"),
        region: read.text("esker.bucket.region"),
        access_key: read.text("esker.bucket.access.key.id"),
        secret_key: read.text("esker.bucket.secret.access.key"),
        session_token: read.text("esker.bucket.session.token"),
        path_style: read.0.value("esker.bucket.path.style").and_then(|value| value.as_bool()),
        allow_http: read.flag("esker.bucket.allow.http"),
        unsigned_payload: read.flag("esker.bucket.unsigned.payload"),
        checksum: match read.text("esker.bucket.checksum").as_deref() {
            Some("crc64nvme") => Some(BucketChecksum::Crc64Nvme),
            Some("sha256") => Some(BucketChecksum::Sha256),
            _ => None,
        },
        single_delete: read.flag("esker.bucket.single.delete"),
        request_timeout: read.duration("esker.bucket.request.timeout.ms"),
        connect_timeout: read.duration("esker.bucket.connect.timeout.ms"),
        retries: read.count("esker.bucket.retries"),
        retry_timeout: read.duration("esker.bucket.retry.timeout.ms"),
    }
}

/// Reads values of a kind that the table says they have.
struct Reader<'a>(&'a BrokerSettings);

impl Reader<'_> {
    fn long(&self, name: &str) -> i64 {
        let value = self.0.value(name).and_then(|value| value.as_i64());
        value.expect("a number with a default")
    }

    fn int(&self, name: &str) -> i32 {
        i32::try_from(self.long(name)).expect("the kind is `int`")
    }

    /// A number that its rule keeps from being negative.
    fn count(&self, name: &str) -> usize {
        usize::try_from(self.long(name)).expect("the rule allows no negative number")
    }

    fn bytes(&self, name: &str) -> ByteCount {
        ByteCount(u64::try_from(self.long(name)).expect("the rule allows no negative number"))
    }

    fn duration(&self, name: &str) -> Duration {
        Duration::from_millis(self.bytes(name).get())
    }

    /// A time that Kafka lets be anything.
    fn positive_millis(&self, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.int(name)).unwrap_or_default().max(1))
    }

    fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.bytes(name).get())
    }

    fn flag(&self, name: &str) -> bool {
        let value = self.0.value(name).and_then(|value| value.as_bool());
        value.expect("a boolean with a default")
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.0.value(name) {
            Some(Value::Text(text)) => Some(text).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.0.value(name) {
            Some(Value::List(list)) => list,
            // Kafka keeps some of its lists as texts.
            Some(Value::Text(text)) => {
                let elements = text.split(',').map(|element| element.trim().to_owned());
                elements.filter(|element| !element.is_empty()).collect()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Level;
    use crate::typed::Protocol;

    fn broker(values: &[(&str, &str)]) -> Result<Broker, Contradiction> {
        let mut settings = BrokerSettings::default();
        for (name, text) in values {
            settings.set(Level::Static, name, text).unwrap();
        }
        settings.broker()
    }

    #[test]
    fn defaults_start_a_broker() {
        let broker = broker(&[]).unwrap();
        assert_eq!(broker.node_id, 1);
        assert_eq!(broker.roles, Roles { broker: true, controller: true });
        let listener = Listener {
            name: "PLAINTEXT".to_owned(),
            protocol: Protocol::Plaintext,
            host: String::new(),
            port: 9092,
        };
        assert_eq!((broker.listeners, broker.advertised), (vec![listener], vec![]));
        assert_eq!(broker.connection_idle_max, Some(Duration::from_mins(10)));
        assert_eq!(broker.wal_capacity, ByteCount::gib(2));
        assert_eq!(broker.groups.initial_rebalance_delay_ms, 3000);
        assert_eq!(broker.bucket.checksum, Some(BucketChecksum::Crc64Nvme));
        assert_eq!((broker.data_dir, broker.bucket.path_style), (None, None));
    }

    #[test]
    fn a_profile_of_kafkas_names_is_read() {
        let broker = broker(&[
            ("listeners", "CLIENT://127.0.0.1:0, OTHER://[::1]:9095"),
            ("advertised.listeners", "CLIENT://localhost:9092"),
            ("listener.security.protocol.map", "CLIENT:PLAINTEXT,OTHER:plaintext"),
            ("log.dirs", "/data"),
            ("connections.max.idle.ms", "-1"),
            ("queued.max.request.bytes", "-1"),
            ("group.initial.rebalance.delay.ms", "0"),
            ("esker.flush.ms", "5s"),
            ("log.retention.check.interval.ms", "9000"),
            ("esker.wal.capacity.bytes", "512MiB"),
            ("esker.bucket.secret.access.key", "hush"),
        ])
        .unwrap();
        let hosts: Vec<_> = broker.listeners.iter().map(|one| (&*one.host, one.port)).collect();
        assert_eq!(hosts, [("127.0.0.1", 0), ("::1", 9095)]);
        assert_eq!(broker.advertised[0].host, "localhost");
        assert_eq!((broker.connection_idle_max, broker.request_memory), (None, None));
        assert_eq!(broker.data_dir.as_deref(), Some("/data"));
        assert_eq!(broker.flush_age, Duration::from_secs(5));
        assert_eq!(broker.housekeeping_every, Duration::from_secs(9));
        assert_eq!(broker.wal_capacity, ByteCount::mib(512));
        assert!(!format!("{broker:?}").contains("hush"));
    }

    #[test]
    fn contradictions_are_named() {
        for (values, what) in [
            (&[("listeners", "SSL://:9093")][..], "SSL is not served yet"),
            (&[("listeners", "ME://:9093")], "no protocol for this name"),
            (&[("listeners", "PLAINTEXT://:99999")], "no number up to 65535"),
            (&[("listeners", "PLAINTEXT://::1:9")], "goes into brackets"),
            (&[("listeners", "PLAINTEXT://a:1,plaintext://b:2")], "given twice"),
            (&[("listener.security.protocol.map", "A:B")], "expected LISTENER:PROTOCOL"),
            (&[("log.dirs", "/a,/b")], "a broker has one"),
            (&[("esker.wal.capacity.bytes", "128MiB")], "room for four"),
            (&[("esker.wal.segment.bytes", "65537")], "multiple of 4096"),
            (&[("group.min.session.timeout.ms", "1900000")], "`group.max.session.timeout.ms`"),
            (&[("offsets.topic.num.partitions", "100001")], "`esker.partitions.max`"),
            (&[("esker.segment.min.bytes", "1GiB")], "`esker.segment.max.bytes`"),
            (
                &[
                    ("listener.security.protocol.map", "A:PLAINTEXT,B:PLAINTEXT"),
                    ("listeners", "A://:1"),
                    ("advertised.listeners", "B://b:1"),
                ],
                "which `listeners` lacks",
            ),
        ] {
            let error = broker(values).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
