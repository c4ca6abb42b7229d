//! Bytes through a TCP connection to oneself.

use anyhow::Result;
use esker_env::{Env, TaskPlacement};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// Sends from one shard to another for a while.
pub(crate) async fn stream(env: &Env, bytes: usize, seconds: f64) -> Result<Value> {
    let listener = env.net.bind("127.0.0.1:0").await?;
    let address = listener.local_addr().to_string();
    let (done, received) = oneshot::channel();
    let reading = async move {
        let mut total = 0_u64;
        if let Ok(incoming) = listener.accept().await
            && let Ok(mut stream) = incoming.open()
        {
            let mut buffer = vec![0; bytes];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                total += u64::try_from(read).unwrap_or_default();
            }
        }
        let _gone = done.send(total);
    };
    env.spawner.spawn(TaskPlacement::Shard(1), "read", Box::pin(reading));
    let (net, clock) = (Arc::clone(&env.net), Arc::clone(&env.clock));
    let (finished, finish) = oneshot::channel();
    let writing = async move {
        let begin = clock.now();
        let end = begin.plus(Duration::from_secs_f64(seconds));
        if let Ok(mut stream) = net.connect(&address).await {
            let buffer = vec![7; bytes];
            while clock.now() < end && stream.write_all(&buffer).await.is_ok() {}
        }
        let _gone = finished.send(clock.now().since(begin));
    };
    env.spawner.spawn(TaskPlacement::Shard(0), "write", Box::pin(writing));
    let (took, total) = (finish.await?, received.await?);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    Ok(json!({ "bytes": bytes, "mb_per_second": total as f64 / took.as_secs_f64() / 1e6 }))
}
