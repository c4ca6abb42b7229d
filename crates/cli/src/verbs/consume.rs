//! `esker topic consume`.

use super::topic::matching;
use super::{find_places, now, partitions_of};
use crate::args::ConsumeArgs;
use crate::failure::{Exit, Failure};
use crate::format::{PrintFormat, Printable, base64};
use crate::offset_spec::{OffsetSpec, Place};
use crate::ui::Ui;
use esker_client::{
    At, Client, ClientError, Consumer, ConsumerOptions, GroupMember, GroupOptions, Position,
    Received,
};
use esker_env::Clock;
use esker_record::TimestampType;
use futures_util::future::{Either, select};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long a reader that ends waits for its last commit, and for its good-bye.
const PARTING: Duration = Duration::from_secs(2);

pub(super) async fn run(client: &Client, ui: Ui, args: &ConsumeArgs) -> Result<(), Failure> {
    let mut printer = Printer::new(ui, args)?;
    let topics = topics(client, args).await?;
    let spec = OffsetSpec::parse(&args.offset, now(client)).map_err(Failure::usage)?;
    let options = ConsumerOptions {
        read_committed: args.read_committed,
        control_records: args.print_control_records,
        rack: args.rack.clone(),
        ..ConsumerOptions::default()
    };
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(|error| Failure::new(Exit::Error, format!("listen for signals: {error}")))?;
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| Failure::new(Exit::Error, format!("listen for signals: {error}")))?;
    let stopped = async {
        select(std::pin::pin!(interrupt.recv()), std::pin::pin!(terminate.recv())).await;
    };
    let stopped = std::pin::pin!(stopped);
    match &args.group {
        Some(group) => {
            let member = member(client, group, topics, spec, options)?;
            read_group(&*client.env().clock, member, &mut printer, stopped).await
        }
        None => {
            let positions = positions(client, &topics, args, spec).await?;
            let consumer = Consumer::new(client.clone(), options, positions);
            match select(std::pin::pin!(read(consumer, &mut printer)), stopped).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => Ok(()),
            }
        }
    }
}

async fn topics(client: &Client, args: &ConsumeArgs) -> Result<Vec<String>, Failure> {
    if !args.regex {
        return Ok(args.topics.clone());
    }
    let patterns: Vec<_> = args.topics.iter().map(String::as_str).collect();
    let found = matching(client, &patterns, false).await?;
    if found.is_empty() {
        let what = format!("no topic matches {}", args.topics.join(", "));
        return Err(Failure::new(Exit::NotFound, what));
    }
    Ok(found.into_iter().map(|topic| topic.name).collect())
}

async fn positions(
    client: &Client,
    topics: &[String],
    args: &ConsumeArgs,
    spec: OffsetSpec,
) -> Result<Vec<Position>, Failure> {
    let mut partitions = Vec::new();
    for topic in topics {
        partitions.extend(partitions_of(client, topic, &args.partitions).await?);
    }
    let find = async |place| find_places(client, &partitions, place, args.read_committed).await;
    let from = find(spec.from).await?;
    let starts = find(Place::Start(0)).await?;
    let to = match spec.to {
        None => BTreeMap::new(),
        Some(place) => find(place).await?,
    };
    Ok(from
        .into_iter()
        .map(|(row, offset)| Position {
            topic: row.0.as_str().into(),
            partition: row.1,
            // What was deleted is not waited for.
            offset: offset.max(starts[&row]),
            end: to.get(&row).copied(),
        })
        .collect())
}

fn member(
    client: &Client,
    group: &str,
    topics: Vec<String>,
    spec: OffsetSpec,
    consumer: ConsumerOptions,
) -> Result<GroupMember, Failure> {
    let reset = match spec {
        OffsetSpec { from: Place::Start(0), to: None } => At::Start,
        OffsetSpec { from: Place::End(0), to: None } => At::End,
        OffsetSpec { from: Place::Time(millis), to: None } => At::Timestamp(millis),
        _ => {
            let failure = Failure::usage(
                "in a group, --offset says where partitions begin that have no offset yet: \
                 start, end or @TIME",
            );
            return Err(failure.hint("`esker group seek` moves a group"));
        }
    };
    let options = GroupOptions { reset, consumer, ..GroupOptions::default() };
    Ok(GroupMember::new(client.clone(), group.to_owned(), topics, options))
}

async fn read(mut consumer: Consumer, printer: &mut Printer) -> Result<(), Failure> {
    while !printer.is_done() {
        let Some(records) = consumer.next().await? else { break };
        printer.print(&records)?;
    }
    Ok(())
}

/// Reads as a member, commits what was printed, and leaves. Whoever is told to stop waits for a broker that is gone only a
/// little: the group drops this member anyway when its session ends.
async fn read_group(
    clock: &dyn Clock,
    mut member: GroupMember,
    printer: &mut Printer,
    mut stopped: impl Future<Output = ()> + Unpin,
) -> Result<(), Failure> {
    let outcome = loop {
        if printer.is_done() {
            break Ok(());
        }
        let records = match select(std::pin::pin!(member.next()), &mut stopped).await {
            Either::Left((Ok(records), _)) => records,
            Either::Left((Err(error), _)) => break Err(error.into()),
            Either::Right(_) => break Ok(()),
        };
        let printed = match printer.print(&records) {
            Ok(printed) => printed,
            Err(failure) => break Err(failure),
        };
        let mut offsets = BTreeMap::new();
        for record in &records[..printed] {
            offsets.insert((record.topic.to_string(), record.partition), record.offset + 1);
        }
        let (committed, is_stopped) = {
            let committing = std::pin::pin!(member.commit(&offsets));
            match select(committing, &mut stopped).await {
                Either::Left((committed, _)) => (committed.err().map(|e| e.to_string()), false),
                Either::Right(((), rest)) => (problem_of(clock, rest).await, true),
            }
        };
        if let Some(problem) = committed {
            printer.ui.note(&format!("what was printed is not committed: {problem}"));
        }
        if is_stopped {
            break Ok(());
        }
    };
    // The records are read and the offsets committed: who cannot say good-bye has not failed.
    if let Some(problem) = problem_of(clock, member.leave()).await {
        printer.ui.note(&format!("the group waits for this member's session to end: {problem}"));
    }
    outcome
}

/// Why `work` did not succeed within [`PARTING`].
async fn problem_of(
    clock: &dyn Clock,
    work: impl Future<Output = Result<(), ClientError>>,
) -> Option<String> {
    match select(std::pin::pin!(work), clock.sleep(PARTING)).await {
        Either::Left((outcome, _)) => outcome.err().map(|error| error.to_string()),
        Either::Right(_) => Some("the broker does not answer".to_owned()),
    }
}

enum Form {
    Json { pretty: bool, meta_only: bool },
    Verbs(PrintFormat),
}

struct Printer {
    ui: Ui,
    form: Form,
    left: Option<u64>,
    printed: i64,
}

impl Printer {
    fn new(ui: Ui, args: &ConsumeArgs) -> Result<Self, Failure> {
        let meta_only = args.meta_only;
        let form = match args.format.as_str() {
            "json" => Form::Json { pretty: true, meta_only },
            "jsonl" => Form::Json { pretty: false, meta_only },
            _ if meta_only => {
                return Err(Failure::usage("--meta-only goes with the json formats"));
            }
            verbs => Form::Verbs(PrintFormat::parse(verbs).map_err(Failure::usage)?),
        };
        Ok(Self { ui, form, left: args.num, printed: 0 })
    }

    fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    /// Prints records, as many as are wanted. Returns how many.
    fn print(&mut self, records: &[Received]) -> Result<usize, Failure> {
        let mut out = Vec::new();
        let mut count = 0;
        for record in records {
            if self.is_done() {
                break;
            }
            self.printed += 1;
            count += 1;
            self.left = self.left.map(|left| left - 1);
            match &self.form {
                Form::Json { pretty, meta_only } => {
                    let value = to_json(record, *meta_only);
                    let text = if *pretty {
                        serde_json::to_string_pretty(&value)
                    } else {
                        serde_json::to_string(&value)
                    };
                    out.extend(text.expect("a record is plain data").bytes());
                    out.push(b'\n');
                }
                Form::Verbs(format) => {
                    let printable = Printable {
                        record,
                        iteration: self.printed,
                        log_start: -1,
                        last_stable: -1,
                        high_watermark: -1,
                    };
                    format.write(&printable, &mut out);
                }
            }
        }
        self.ui.write(&out)?;
        Ok(count)
    }
}

/// A record as JSON. Bytes that are no text stand in base64 under a name of their own.
fn to_json(record: &Received, meta_only: bool) -> Value {
    let mut object = Map::new();
    object.insert("topic".to_owned(), json!(&*record.topic));
    let put = |object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>| {
        if meta_only {
            if let Some(bytes) = bytes {
                object.insert(format!("{name}_size"), json!(bytes.len()));
            }
            return;
        }
        match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
            None => object.insert(name.to_owned(), Value::Null),
            Some((Ok(text), _)) => object.insert(name.to_owned(), json!(text)),
            Some((Err(_), bytes)) => {
                object.insert(format!("{name}_base64"), json!(base64(bytes, true)))
            }
        };
    };
    put(&mut object, "key", record.key.as_deref());
    put(&mut object, "value", record.value.as_deref());
    if !record.headers.is_empty() {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| {
                let mut header = Map::new();
                header.insert("key".to_owned(), json!(String::from_utf8_lossy(key)));
                put(&mut header, "value", value.as_deref());
                Value::Object(header)
            })
            .collect();
        object.insert("headers".to_owned(), Value::Array(headers));
    }
    object.insert("timestamp".to_owned(), json!(record.timestamp));
    if record.timestamp_type == TimestampType::LogAppendTime {
        object.insert("timestamp_type".to_owned(), json!("LogAppendTime"));
    }
    if record.is_control {
        object.insert("control".to_owned(), json!(true));
    }
    object.insert("partition".to_owned(), json!(record.partition));
    object.insert("offset".to_owned(), json!(record.offset));
    Value::Object(object)
}
