//! Reading a bucket as fast as it gives.

use anyhow::{Result, ensure};
use esker_bucket::{BucketConfig, BucketUrl};
use esker_env::{AlignedBuffer, Blocking, BoxFuture, Bucket, Env, ObjectKey, Open};
use futures_util::stream::{StreamExt, iter};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Reads every data object once, `depth` ranges of `bytes` at a time.
pub(crate) async fn parallel(env: &Env, url: &str, depth: usize, bytes: u64) -> Result<Value> {
    ensure!(bytes > 0 && depth > 0, "something has to be asked for");
    let url: BucketUrl = url.parse().map_err(anyhow::Error::msg)?;
    // What a disk can do is not what our way with it allows.
    let directory = match &url {
        BucketUrl::File(root) => Some(root.clone()),
        _ => None,
    };
    let config = BucketConfig::from_vars(url, |name| std::env::var(name).ok())?;
    let bucket = esker_bucket::open(env, &config)?;
    let mut ranges: Vec<(ObjectKey, Range<u64>)> = Vec::new();
    let mut after: Option<ObjectKey> = None;
    loop {
        let page = bucket.list("", after.as_ref()).await?;
        for (key, len) in &page.objects {
            let starts = (0..*len).step_by(usize::try_from(bytes)?);
            ranges.extend(starts.map(|at| (key.clone(), at..(at + bytes).min(*len))));
        }
        after = page.objects.last().map(|(key, _)| key.clone());
        if !page.more || after.is_none() {
            break;
        }
    }
    let begin = env.clock.now();
    let gets = ranges.len();
    let read = iter(ranges).map(|(key, range)| {
        let bucket: Arc<dyn Bucket> = Arc::clone(&bucket);
        let file =
            directory.as_ref().map(|root| read_file(env, root.join(key.as_str()), range.clone()));
        async move {
            match file {
                Some(read) => read.await,
                None => Ok(bucket.get_range(&key, range).await?.len()),
            }
        }
    });
    let lens: Vec<Result<usize>> = read.buffer_unordered(depth).collect().await;
    let took = env.clock.now().since(begin).as_secs_f64();
    let mut total = 0;
    for len in lens {
        total += len?;
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    Ok(json!({
        "gets": gets,
        "bytes": total,
        "mb_per_second": total as f64 / took / 1e6,
    }))
}

/// Reads a range of a file past the page cache.
fn read_file(env: &Env, path: PathBuf, range: Range<u64>) -> BoxFuture<'static, Result<usize>> {
    let disk = Arc::clone(&env.disk);
    let read = move || {
        let file = disk.open(&path, Open::WriteDirect)?;
        let len = usize::try_from(range.end - range.start)?;
        let mut buffer = AlignedBuffer::with_capacity(len);
        let whole = buffer.capacity();
        let mut filled = 0;
        while filled < len {
            let position = range.start + u64::try_from(filled)?;
            let read = file.read_at(&mut buffer.bytes_mut(whole)[filled..], position)?;
            ensure!(read > 0, "{} is shorter than it was", path.display());
            filled += read;
        }
        Ok(len)
    };
    env.spawner.blocking(read)
}
