//! What every bucket must do, as functions for the tests of whoever implements or wraps one.
//!
//! Each function panics where the bucket breaks its contract. They use keys below `conformance/`, which must be
//! empty, and remove what they made.

use bytes::Bytes;
use esker_env::{Bucket, BucketErrorKind, ObjectKey};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(&format!("conformance/{name}"))
}

/// `len` bytes that differ from their neighbours and from those of another `seed`.
fn bytes(len: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut content: Vec<u8> =
        std::iter::repeat_with(next).take(len.div_ceil(8)).flat_map(u64::to_le_bytes).collect();
    content.truncate(len);
    Bytes::from(content)
}

async fn put(bucket: &dyn Bucket, name: &str, body: Vec<Bytes>) {
    bucket.put(&key(name), body).await.unwrap_or_else(|error| panic!("put fails: {error}"));
}

async fn get(bucket: &dyn Bucket, name: &str, range: std::ops::Range<u64>) -> Bytes {
    let got = bucket.get_range(&key(name), range).await;
    got.unwrap_or_else(|error| panic!("get fails: {error}"))
}

/// Runs everything; `large_bytes` above 64 MiB makes the large put go up in parts.
pub async fn all(bucket: &dyn Bucket, large_bytes: usize) {
    a_body_is_the_sum_of_its_parts(bucket).await;
    ranges_are_exact(bucket).await;
    absent_objects_are_not_found(bucket).await;
    deletion_answers_for_each_key(bucket).await;
    listings_are_ordered_and_paged(bucket).await;
    a_large_body_is_whole(bucket, large_bytes).await;
}

/// Parts of a put follow each other, empty ones too, and an object may be empty or replaced.
pub async fn a_body_is_the_sum_of_its_parts(bucket: &dyn Bucket) {
    let (first, second) = (bytes(70_000, 1), bytes(3, 2));
    put(bucket, "parts", vec![first.clone(), Bytes::new(), second.clone()]).await;
    let whole = [&first[..], &second[..]].concat();
    assert_eq!(bucket.head(&key("parts")).await.expect("it was put"), 70_003);
    assert_eq!(get(bucket, "parts", 0..70_003).await, whole);
    put(bucket, "parts", vec![second.clone()]).await;
    assert_eq!(get(bucket, "parts", 0..3).await, second);
    put(bucket, "parts", Vec::new()).await;
    assert_eq!(bucket.head(&key("parts")).await.expect("it was put"), 0);
    clean(bucket, &["parts"]).await;
}

/// A range is answered exactly or not at all.
pub async fn ranges_are_exact(bucket: &dyn Bucket) {
    let content = bytes(10_000, 3);
    put(bucket, "ranges", vec![content.clone()]).await;
    for (start, end) in [(0, 1), (0, 10_000), (17, 4_000), (9_999, 10_000), (5, 5)] {
        assert_eq!(
            get(bucket, "ranges", start as u64..end as u64).await,
            content.slice(start..end)
        );
    }
    for range in [0..10_001, 9_000..20_000, 10_000..10_001, 20_000..20_010] {
        let error = bucket.get_range(&key("ranges"), range.clone()).await;
        let error = error.expect_err("the object ends before");
        assert_eq!(error.kind, BucketErrorKind::Invalid, "{range:?}: {error}");
    }
    clean(bucket, &["ranges"]).await;
}

/// Reading what is not there says so.
pub async fn absent_objects_are_not_found(bucket: &dyn Bucket) {
    let error = bucket.head(&key("absent")).await.expect_err("there is no such object");
    assert_eq!((error.kind, error.operation), (BucketErrorKind::NotFound, "head"), "{error}");
    let error = bucket.get_range(&key("absent"), 0..10).await.expect_err("no such object");
    assert_eq!((error.kind, error.operation), (BucketErrorKind::NotFound, "get"), "{error}");
    assert_eq!(error.key, "conformance/absent");
}

/// One result for each key, in order; absent keys count as deleted.
pub async fn deletion_answers_for_each_key(bucket: &dyn Bucket) {
    assert!(bucket.delete(Vec::new()).await.is_empty());
    for name in ["delete/a", "delete/b", "delete/c"] {
        put(bucket, name, vec![bytes(10, 4)]).await;
    }
    let keys = ["delete/a", "delete/never-was", "delete/c"].map(key).to_vec();
    let results = bucket.delete(keys.clone()).await;
    assert!(results.len() == 3 && results.iter().all(Result::is_ok), "{results:?}");
    for key in keys {
        assert!(bucket.head(&key).await.is_err(), "{key} was deleted");
    }
    assert_eq!(bucket.head(&key("delete/b")).await.expect("it was not deleted"), 10);
    clean(bucket, &["delete/b"]).await;
}

/// Keys ascend as text, prefixes may end anywhere, and pages join without gaps.
pub async fn listings_are_ordered_and_paged(bucket: &dyn Bucket) {
    let names = ["list/a-b", "list/a.b", "list/a/b", "list/a/c/d", "list/ab", "list/b"];
    for (place, name) in names.iter().enumerate() {
        put(bucket, name, vec![bytes(place, 5)]).await;
    }
    let list = async |prefix: &str, after: Option<&str>| {
        let prefix = format!("conformance/{prefix}");
        let after = after.map(key);
        let mut found = Vec::new();
        let mut page = bucket.list(&prefix, after.as_ref()).await.expect("listing works");
        while page.more {
            let last =
                page.objects.last().expect("a page with more after it is not empty").0.clone();
            found.append(&mut page.objects);
            page = bucket.list(&prefix, Some(&last)).await.expect("listing works");
        }
        found.append(&mut page.objects);
        found
            .into_iter()
            .map(|(key, len)| (key.as_str().trim_start_matches("conformance/").to_owned(), len))
            .collect::<Vec<_>>()
    };
    let expected: Vec<_> = (0..).zip(names).map(|(len, name)| (name.to_owned(), len)).collect();
    assert_eq!(list("list/", None).await, expected);
    assert_eq!(list("list/a/", None).await, expected[2..4]);
    assert_eq!(list("list/a", None).await, expected[..5]);
    assert_eq!(list("list/", Some("list/a/b")).await, expected[3..]);
    assert_eq!(list("list/", Some("list/a/bb")).await, expected[3..]);
    assert_eq!(list("list/", Some("list/b")).await, []);
    assert_eq!(list("list/x", None).await, []);
    clean(bucket, &names).await;

    let many: Vec<String> = (0..1005).map(|number| format!("many/{number:04}")).collect();
    for name in &many {
        put(bucket, name, vec![Bytes::from_static(b"x")]).await;
    }
    let found: Vec<_> = list("many/", None).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, many);
    clean(bucket, &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(list("many/", None).await, []);
}

/// A body of `len` bytes in uneven parts arrives as it was.
pub async fn a_large_body_is_whole(bucket: &dyn Bucket, len: usize) {
    let content = bytes(len, 6);
    let cut = len / 3;
    put(bucket, "large", vec![content.slice(..cut), content.slice(cut..)]).await;
    assert_eq!(bucket.head(&key("large")).await.expect("it was put"), len as u64);
    let step = 5 << 20;
    for start in (0..len).step_by(step) {
        let end = (start + step).min(len);
        let got = get(bucket, "large", start as u64..end as u64).await;
        assert!(got == content.slice(start..end), "bytes {start}..{end} differ");
    }
    clean(bucket, &["large"]).await;
}

async fn clean(bucket: &dyn Bucket, names: &[&str]) {
    let results = bucket.delete(names.iter().map(|name| key(name)).collect()).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}
