//! One bucket prefix, one cluster.
//!
//! Two clusters below one prefix would number their objects alike and delete each other's. The marker is written
//! by the first and refuses the second. It guards against a person's mistake, not against a race: two clusters
//! formed on an empty prefix within the same second may both pass [`claim`]; each start checks again.

use esker_env::{Bucket, BucketError, BucketErrorKind, ObjectKey};
use esker_types::{BrokerId, ClusterId};
use serde::{Deserialize, Serialize};

/// Key of the marker.
const KEY: &str = "cluster.json";
/// A longer one is not ours.
const LEN_MAX: u64 = 4096;

/// Whose prefix it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// Nobody's yet.
    Fresh,
    /// This cluster's.
    Ours,
    /// Another cluster's.
    Foreign(ClusterId),
    /// Something is there that this version cannot read: not ours to overwrite.
    Unreadable(String),
}

/// Why a prefix could not be claimed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClaimError {
    /// It belongs to another cluster.
    #[error(
        "the bucket belongs to cluster `{theirs}`, this is cluster `{ours}`: give each cluster a \
         prefix of its own, as in `s3://bucket/{ours}`"
    )]
    Foreign {
        /// Whose it is.
        theirs: ClusterId,
        /// Who asked.
        ours: ClusterId,
    },
    /// What marks it cannot be read.
    #[error(
        "the bucket's `cluster.json` does not read ({problem}): it was written by a newer version or \
         by something else; give this cluster a prefix of its own"
    )]
    Unreadable {
        /// What is wrong with it.
        problem: String,
    },
    /// The bucket failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

#[derive(Serialize, Deserialize)]
struct Content {
    format: u32,
    cluster: ClusterId,
}

/// Reads the marker.
///
/// # Errors
/// The bucket's.
pub async fn check_marker(bucket: &dyn Bucket, cluster: ClusterId) -> Result<Marker, BucketError> {
    let key = ObjectKey::new(KEY);
    let len = match bucket.head(&key).await {
        Err(error) if error.kind == BucketErrorKind::NotFound => return Ok(Marker::Fresh),
        len => len?,
    };
    if len > LEN_MAX {
        return Ok(Marker::Unreadable(format!("it has {len} bytes")));
    }
    let bytes = bucket.get_range(&key, 0..len).await?;
    Ok(match serde_json::from_slice::<Content>(&bytes) {
        Err(error) => Marker::Unreadable(error.to_string()),
        Ok(content) if content.format != 1 => {
            Marker::Unreadable(format!("format {}", content.format))
        }
        Ok(content) if content.cluster == cluster => Marker::Ours,
        Ok(content) => Marker::Foreign(content.cluster),
    })
}

/// Writes the marker, whatever is there.
///
/// # Errors
/// The bucket's.
pub async fn write_marker(bucket: &dyn Bucket, cluster: ClusterId) -> Result<(), BucketError> {
    let content = serde_json::to_vec(&Content { format: 1, cluster });
    let content = content.expect("a number and an id have a text form");
    bucket.put(&ObjectKey::new(KEY), vec![content.into()]).await
}

/// Makes sure that the prefix is this cluster's, marking it if it is nobody's. Called at every start.
///
/// # Errors
/// When it is another's, or the bucket fails.
pub async fn claim(bucket: &dyn Bucket, ours: ClusterId) -> Result<(), ClaimError> {
    if check_marker(bucket, ours).await? == Marker::Fresh {
        write_marker(bucket, ours).await?;
    }
    match check_marker(bucket, ours).await? {
        Marker::Ours => Ok(()),
        Marker::Foreign(theirs) => Err(ClaimError::Foreign { theirs, ours }),
        Marker::Unreadable(problem) => Err(ClaimError::Unreadable { problem }),
        Marker::Fresh => {
            Err(ClaimError::Unreadable { problem: "it is absent after it was written".to_owned() })
        }
    }
}

/// How many starts of a broker the bucket has seen. One that knows of more than the broker's data directory tells that
/// the directory is an old copy.
///
/// # Errors
/// The bucket's.
pub async fn starts(bucket: &dyn Bucket, broker: BrokerId) -> Result<u64, BucketError> {
    let key = starts_key(broker);
    let len = match bucket.head(&key).await {
        Err(error) if error.kind == BucketErrorKind::NotFound => return Ok(0),
        len => len?.min(LEN_MAX),
    };
    let bytes = bucket.get_range(&key, 0..len).await?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    // What does not read is not ours to judge, nor to overwrite: no directory has seen so many.
    Ok(text.trim().parse().unwrap_or(u64::MAX))
}

/// Tells the bucket how many starts there were. Called after the data directory knows.
///
/// # Errors
/// The bucket's.
pub async fn set_starts(
    bucket: &dyn Bucket,
    broker: BrokerId,
    starts: u64,
) -> Result<(), BucketError> {
    bucket.put(&starts_key(broker), vec![starts.to_string().into()]).await
}

fn starts_key(broker: BrokerId) -> ObjectKey {
    ObjectKey::new(&format!("starts-{broker}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryBucket;
    use bytes::Bytes;
    use futures_util::FutureExt;

    fn cluster(id: u128) -> ClusterId {
        ClusterId(serde_json::from_value(serde_json::json!(format!("{id:032x}"))).unwrap())
    }

    #[test]
    fn a_prefix_belongs_to_its_first_cluster() {
        let bucket = MemoryBucket::new();
        let claim = |id| claim(&bucket, cluster(id)).now_or_never().unwrap();
        claim(1).unwrap();
        claim(1).unwrap();
        let refusal = claim(2).unwrap_err().to_string();
        assert!(refusal.contains(&cluster(1).to_string()), "{refusal}");
        assert!(refusal.contains(&format!("s3://bucket/{}", cluster(2))), "{refusal}");
        claim(1).unwrap();
    }

    #[test]
    fn starts_are_counted_for_each_broker() {
        let bucket = MemoryBucket::new();
        let seen = |id| starts(&bucket, BrokerId(id)).now_or_never().unwrap().unwrap();
        assert_eq!(seen(1), 0);
        set_starts(&bucket, BrokerId(1), 7).now_or_never().unwrap().unwrap();
        assert_eq!((seen(1), seen(2)), (7, 0));
        let garbage = vec![Bytes::from_static(b"seven")];
        bucket.put(&starts_key(BrokerId(2)), garbage).now_or_never().unwrap().unwrap();
        assert_eq!(seen(2), u64::MAX);
    }

    #[test]
    fn an_unreadable_marker_is_left_alone() {
        for content in ["", "{", r#"{"format":2,"cluster":"00000000-0000-0000-0000-000000000001"}"#]
        {
            let bucket = MemoryBucket::new();
            let key = ObjectKey::new(KEY);
            bucket.put(&key, vec![Bytes::from(content)]).now_or_never().unwrap().unwrap();
            let refusal = claim(&bucket, cluster(1)).now_or_never().unwrap().unwrap_err();
            assert!(matches!(refusal, ClaimError::Unreadable { .. }), "{refusal}");
            let len = bucket.head(&key).now_or_never().unwrap().unwrap();
            assert_eq!(len, content.len() as u64);
        }
    }
}
