//! A TCP proxy that is as slow as a network: bytes arrive later, and no more of them a second than the line takes.
//!
//! The kernel's own shaper is not in every kernel.

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use esker_env::{ByteStream, Env, TaskPlacement};
use esker_types::MonoTime;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

const PIECE: usize = 128 << 10;
/// Pieces on their way in one direction of a connection: enough that the delay alone does not limit it.
const PIECES_UNDER_WAY: usize = 512;

/// A line that all connections share.
struct Line {
    bytes_per_second: f64,
    free_at: Mutex<MonoTime>,
}

impl Line {
    /// When the last of `bytes` bytes, which may leave now, has passed.
    fn carry(&self, bytes: usize, now: MonoTime) -> MonoTime {
        #[expect(clippy::cast_precision_loss, reason = "less than a microsecond")]
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        *free_at = (*free_at).max(now).plus(takes);
        *free_at
    }
}

/// Passes connections to `target`: each direction is late by `delay`, what comes back shares one line.
pub(crate) async fn serve(
    env: &Env,
    address: &str,
    target: String,
    delay: Duration,
    bytes_per_second: f64,
) -> Result<()> {
    let listener = env.net.bind(address).await?;
    let line = Arc::new(Line { bytes_per_second, free_at: Mutex::new(env.clock.now()) });
    loop {
        let incoming = listener.accept().await?;
        let (here, line, target) = (env.clone(), Arc::clone(&line), target.clone());
        let pass = async move {
            let (Ok(client), Ok(server)) = (incoming.open(), here.net.connect(&target).await)
            else {
                return;
            };
            let (from_client, to_client) = tokio::io::split(client);
            let (from_server, to_server) = tokio::io::split(server);
            carry(&here, from_client, to_server, delay, None);
            carry(&here, from_server, to_client, delay, Some(line));
        };
        env.spawner.spawn(TaskPlacement::Background, "connection", Box::pin(pass));
    }
}

/// Carries one direction of a connection until either side ends.
fn carry(
    env: &Env,
    mut from: ReadHalf<Box<dyn ByteStream>>,
    mut to: WriteHalf<Box<dyn ByteStream>>,
    delay: Duration,
    line: Option<Arc<Line>>,
) {
    let (send, mut receive) = mpsc::channel::<(MonoTime, Bytes)>(PIECES_UNDER_WAY);
    let clock = Arc::clone(&env.clock);
    let reading = async move {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(PIECE);
            let Ok(1..) = from.read_buf(&mut buffer).await else { return };
            let now = clock.now();
            let passed = line.as_ref().map_or(now, |line| line.carry(buffer.len(), now));
            if send.send((passed.plus(delay), buffer.split().freeze())).await.is_err() {
                return;
            }
        }
    };
    let clock = Arc::clone(&env.clock);
    let writing = async move {
        while let Some((due, piece)) = receive.recv().await {
            if clock.now() < due {
                clock.sleep_until(due).await;
            }
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _gone = to.shutdown().await;
    };
    env.spawner.spawn(TaskPlacement::Background, "read", Box::pin(reading));
    env.spawner.spawn(TaskPlacement::Background, "write", Box::pin(writing));
}
