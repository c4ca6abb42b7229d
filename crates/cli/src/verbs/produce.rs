//! `esker topic produce`.

use crate::args::ProduceArgs;
use crate::failure::{Exit, Failure};
use crate::format::{ParseFormat, PrintFormat, Printable, ReadError};
use crate::ui::Ui;
use bytes::Bytes;
use esker_client::{Acks, Client, Delivery, Outgoing, Producer, ProducerOptions, Received};
use esker_env::{Spawner, timeout};
use esker_record::{Codec, TimestampType};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Bytes that are read from standard input at a time.
const CHUNK: usize = 64 << 10;
/// Longest record that is read.
const RECORD_BYTES_MAX: usize = 64 << 20;
/// How long records are gathered before they are sent.
const LINGER: Duration = Duration::from_millis(50);

pub(super) async fn run(client: &Client, ui: Ui, args: &ProduceArgs) -> Result<(), Failure> {
    let work = Work::new(ui, args)?;
    let mut producer = Producer::new(client.clone(), options(args)?)?;
    let mut chunks = standard_input(&*client.env().spawner);
    let (mut input, mut end) = (Vec::new(), false);
    while !end || !input.is_empty() {
        let used = work.take(&mut producer, &input, end).await?;
        input.drain(..used);
        if input.len() > RECORD_BYTES_MAX {
            let what = format!("a record is longer than {RECORD_BYTES_MAX} bytes");
            return Err(Failure::new(Exit::Error, what));
        }
        if end {
            break;
        }
        // What was typed is sent when no more comes for a moment.
        let next = match timeout(&*client.env().clock, LINGER, chunks.recv()).await {
            Ok(next) => next,
            Err(_) => {
                work.report(&producer.flush().await?)?;
                chunks.recv().await
            }
        };
        match next {
            Some(Ok(chunk)) => input.extend_from_slice(&chunk),
            Some(Err(error)) => {
                return Err(Failure::new(Exit::Error, format!("read standard input: {error}")));
            }
            None => end = true,
        }
    }
    work.report(&producer.flush().await?)
}

/// Reads standard input on a thread where it may block.
fn standard_input(spawner: &dyn Spawner) -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (chunks, received) = mpsc::channel(4);
    spawner.spawn_blocking(Box::new(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match input.read(&mut chunk) {
                Ok(0) => return,
                Ok(len) => {
                    chunk.truncate(len);
                    Ok(chunk)
                }
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if chunks.blocking_send(read).is_err() || failed {
                return;
            }
        }
    }));
    received
}

/// The codec of an option.
pub(crate) fn codec(name: &str) -> Result<Codec, Failure> {
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    let found = codecs.into_iter().find(|codec| codec.name() == name);
    found.ok_or_else(|| {
        Failure::usage(format!("`{name}` is no codec: none, gzip, snappy, lz4, zstd"))
    })
}

fn options(args: &ProduceArgs) -> Result<ProducerOptions, Failure> {
    let codec = codec(&args.compression)?;
    let acks = match args.acks.as_str() {
        "all" | "-1" => Acks::All,
        "1" | "leader" => Acks::Leader,
        "0" | "none" => Acks::None,
        other => return Err(Failure::usage(format!("`{other}` are no acks: all, 1, 0"))),
    };
    Ok(ProducerOptions {
        acks,
        codec,
        idempotent: args.idempotent,
        create_topics: args.allow_auto_topic_creation,
        ..ProducerOptions::default()
    })
}

/// What is done with each record.
struct Work {
    ui: Ui,
    format: ParseFormat,
    output: PrintFormat,
    topic: String,
    partition: Option<i32>,
    key: Option<Bytes>,
    headers: Vec<(Bytes, Option<Bytes>)>,
    tombstone: bool,
}

impl Work {
    fn new(ui: Ui, args: &ProduceArgs) -> Result<Self, Failure> {
        let format = ParseFormat::parse(&args.format).map_err(Failure::usage)?;
        if args.topic.is_none() && !args.format.contains("%t") {
            let failure = Failure::usage("no topic is given");
            return Err(failure.hint("name it, or read it with %t in --format"));
        }
        let headers = args
            .headers
            .iter()
            .map(|text| match text.split_once(':') {
                Some((key, value)) => {
                    Ok((Bytes::from(key.to_owned()), Some(Bytes::from(value.to_owned()))))
                }
                None => Err(Failure::usage(format!("`{text}` is no header: write KEY:VALUE"))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            ui,
            format,
            output: PrintFormat::parse(&args.output_format).map_err(Failure::usage)?,
            topic: args.topic.clone().unwrap_or_default(),
            partition: (args.partition >= 0).then_some(args.partition),
            key: args.key.clone().map(Bytes::from),
            headers,
            tombstone: args.tombstone,
        })
    }

    /// Sends the records that are whole in `input`. Returns their length.
    async fn take(
        &self,
        producer: &mut Producer,
        input: &[u8],
        end: bool,
    ) -> Result<usize, Failure> {
        let mut used = 0;
        while used < input.len() {
            let (record, len) = match self.format.read(&input[used..], end) {
                Ok(found) => found,
                Err(ReadError::Incomplete) if !end => break,
                Err(ReadError::Incomplete) => {
                    let what = "standard input ends within a record".to_owned();
                    return Err(Failure::new(Exit::Error, what));
                }
                Err(ReadError::Wrong(what)) => {
                    let what = format!("standard input does not follow the format: {what}");
                    return Err(Failure::new(Exit::Error, what));
                }
            };
            used += len;
            self.report(&producer.send(&self.complete(record)).await?)?;
        }
        Ok(used)
    }

    /// Adds what every record has.
    fn complete(&self, mut record: Outgoing) -> Outgoing {
        if record.topic.is_empty() {
            record.topic.clone_from(&self.topic);
        }
        record.partition = record.partition.or(self.partition);
        record.key = record.key.or_else(|| self.key.clone());
        record.headers.extend(self.headers.iter().cloned());
        if self.tombstone {
            record.value = record.value.filter(|value| !value.is_empty());
        }
        record
    }

    fn report(&self, delivered: &[Delivery]) -> Result<(), Failure> {
        let mut out = Vec::new();
        for delivery in delivered {
            let record = as_received(delivery);
            let printable = Printable {
                record: &record,
                iteration: i64::try_from(delivery.number).unwrap_or(i64::MAX).saturating_add(1),
                log_start: -1,
                last_stable: -1,
                high_watermark: -1,
            };
            self.output.write(&printable, &mut out);
        }
        if out.is_empty() { Ok(()) } else { self.ui.write(&out) }
    }
}

/// A delivery in the form that formats print.
fn as_received(delivery: &Delivery) -> Received {
    Received {
        topic: Arc::clone(&delivery.topic),
        partition: delivery.partition,
        offset: delivery.offset,
        timestamp: -1,
        timestamp_type: TimestampType::CreateTime,
        leader_epoch: -1,
        key: None,
        value: None,
        headers: Vec::new(),
        codec: Codec::None,
        is_control: false,
        is_transactional: false,
        producer_id: -1,
        producer_epoch: -1,
    }
}
