//! A store that misbehaves: what the caller learns, how often it is asked, what it costs.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use esker_bucket::{BucketConfig, open};
use esker_env::real::Runtimes;
use esker_env::{Bucket, BucketErrorKind, ByteStream, Env, ObjectKey, TaskPlacement};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What the store does with one request.
#[derive(Debug, Clone)]
enum Answer {
    /// Status line, headers and body as they are.
    Say(String),
    /// Takes the request and closes the connection.
    Hang,
    /// Takes the request and says nothing.
    Silence,
}

fn say(status: &str, headers: &str, body: &str) -> Answer {
    Answer::Say(format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn error(status: &str, code: &str) -> Answer {
    say(status, "", &format!("<Error><Code>{code}</Code><Message>because</Message></Error>"))
}

fn part(range: &str, body: &str) -> Answer {
    let headers = format!(
        "content-range: bytes {range}/100\r\netag: \"x\"\r\nlast-modified: Sat, 01 Jan 2000 00:00:00 GMT\r\n"
    );
    say("206 Partial Content", &headers, body)
}

/// Requests that reached the store: their first lines.
type Seen = Arc<parking_lot::Mutex<Vec<String>>>;

/// Starts a store that answers requests from `script` in order, the last one for ever.
async fn store(env: &Env, script: Vec<Answer>) -> (Arc<dyn Bucket>, Seen) {
    let listener = env.net.bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let seen = Seen::default();
    let place = Arc::new(AtomicUsize::new(0));
    let script = Arc::new(script);
    let accept = {
        let (env, seen) = (env.clone(), Arc::clone(&seen));
        async move {
            while let Ok(incoming) = listener.accept().await {
                let (script, place, seen) =
                    (Arc::clone(&script), Arc::clone(&place), Arc::clone(&seen));
                let serve = serve(incoming.open().unwrap(), script, place, seen);
                env.spawner.spawn(TaskPlacement::Background, "store", Box::pin(serve));
            }
        }
    };
    env.spawner.spawn(TaskPlacement::Background, "store", Box::pin(accept));
    let mut config = BucketConfig::new("s3://logs/prefix".parse().unwrap());
    config.endpoint = Some(format!("http://{address}"));
    config.access_key = Some("key".to_owned());
    config.secret_key = Some("secret".to_owned());
    config.request_timeout = Duration::from_millis(300);
    (open(env, &config).unwrap(), seen)
}

async fn serve(
    mut stream: Box<dyn ByteStream>,
    script: Arc<Vec<Answer>>,
    place: Arc<AtomicUsize>,
    seen: Seen,
) {
    let mut buffer = Vec::new();
    while let Some(line) = request(&mut stream, &mut buffer).await {
        seen.lock().push(line);
        let at = place.fetch_add(1, Ordering::SeqCst).min(script.len() - 1);
        match &script[at] {
            Answer::Say(text) => {
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Answer::Hang => return,
            Answer::Silence => std::future::pending().await,
        }
    }
}

/// Reads one request, body and all, and returns its first line.
async fn request(stream: &mut Box<dyn ByteStream>, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(head_end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
            let len = head
                .lines()
                .filter_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned)
                })
                .map(|len| len.trim().parse::<usize>().unwrap())
                .next()
                .unwrap_or(0);
            if buffer.len() >= head_end + 4 + len {
                buffer.drain(..head_end + 4 + len);
                return head.lines().next().map(str::to_owned);
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(count @ 1..) => buffer.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
}

fn run<T>(body: impl AsyncFnOnce(Env) -> T) -> T {
    let runtimes = Runtimes::start(1, 2).unwrap();
    let env = Env::real(&runtimes);
    runtimes.block_on(body(env))
}

fn key() -> ObjectKey {
    ObjectKey::new("d/00/1")
}

#[test]
fn a_busy_store_is_asked_three_times_and_then_given_up() {
    run(async |env| {
        let (bucket, seen) = store(&env, vec![error("503 Slow Down", "SlowDown")]).await;
        let failure = bucket.put(&key(), vec![Bytes::from_static(b"x")]).await.unwrap_err();
        assert_eq!(failure.kind, BucketErrorKind::Retry, "{failure}");
        assert_eq!(failure.to_string(), "put `d/00/1`: 503 SlowDown: because");
        assert_eq!(*seen.lock(), ["PUT /logs/prefix/d/00/1 HTTP/1.1"; 3]);
    });
}

#[test]
fn a_put_that_was_applied_and_not_answered_succeeds_by_repetition() {
    run(async |env| {
        let applied = say("200 OK", "etag: \"x\"\r\n", "");
        let (bucket, seen) = store(&env, vec![Answer::Hang, applied]).await;
        bucket.put(&key(), vec![Bytes::from_static(b"x")]).await.unwrap();
        assert_eq!(seen.lock().len(), 2);
    });
}

#[test]
fn a_store_that_never_answers_is_given_up_in_time() {
    run(async |env| {
        let (bucket, seen) = store(&env, vec![Answer::Silence]).await;
        let began = env.clock.now();
        let failure = bucket.get_range(&key(), 0..10).await.unwrap_err();
        assert_eq!(failure.kind, BucketErrorKind::Retry, "{failure}");
        assert_eq!(seen.lock().len(), 3);
        let took = env.clock.now().since(began);
        assert!(took < Duration::from_secs(9), "{took:?} for three attempts of 300 ms");
    });
}

#[test]
fn an_answer_that_is_cut_is_fetched_to_its_end() {
    run(async |env| {
        // Ten bytes announced, four sent: the rest is asked for, and only the rest.
        let Answer::Say(cut) = part("0-9", "0123456789") else { unreachable!() };
        let cut = Answer::Say(cut.strip_suffix("456789").unwrap().to_owned());
        let (bucket, seen) = store(&env, vec![cut, part("4-9", "456789")]).await;
        // The connection stays open, so the end is noticed by the timeout of the request.
        let body = bucket.get_range(&key(), 0..10).await.unwrap();
        assert_eq!(body, "0123456789");
        assert_eq!(seen.lock().len(), 2);
    });
}

#[test]
fn an_answer_to_another_question_is_refused() {
    run(async |env| {
        for answer in [
            part("0-4", "01234"),
            part("5-14", "0123456789"),
            // The range is right, the body is shorter.
            part("0-9", "0123"),
            part("0-9", "0123456789abcdef"),
            say("200 OK", "last-modified: Sat, 01 Jan 2000 00:00:00 GMT\r\n", "0123456789"),
            say("206 Partial Content", "content-range: nonsense\r\n", "0123456789"),
        ] {
            let (bucket, _) = store(&env, vec![answer.clone()]).await;
            let failure = bucket.get_range(&key(), 0..10).await;
            assert!(failure.is_err(), "{answer:?}: {failure:?}");
        }
    });
}

#[test]
fn a_body_without_end_is_not_read_to_its_end() {
    run(async |env| {
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let headers = "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-9/100\r\netag: \"x\"\r\nlast-modified: Sat, 01 Jan 2000 00:00:00 GMT\r\ntransfer-encoding: chunked\r\ncontent-length: 10\r\n\r\n";
        let endless = Answer::Say(format!("{headers}{}", chunk.repeat(1000)));
        let (bucket, _) = store(&env, vec![endless]).await;
        let failure = bucket.get_range(&key(), 0..10).await.unwrap_err();
        assert_eq!(failure.kind, BucketErrorKind::Retry, "{failure}");
    });
}

#[test]
fn a_deletion_tells_the_fate_of_each_key() {
    run(async |env| {
        let answer = "<DeleteResult><Deleted><Key>prefix/a</Key></Deleted>\
            <Error><Key>prefix/b</Key><Code>AccessDenied</Code><Message>no</Message></Error>\
            <Error><Key>prefix/c</Key><Code>InternalFailure</Code><Message>later</Message></Error>\
            </DeleteResult>";
        let (bucket, seen) = store(&env, vec![say("200 OK", "", answer)]).await;
        let keys = ["a", "b", "c"].map(ObjectKey::new).to_vec();
        let results = bucket.delete(keys).await;
        let kinds: Vec<_> =
            results.iter().map(|result| result.as_ref().err().map(|error| error.kind)).collect();
        let (denied, retry) = (BucketErrorKind::Denied, BucketErrorKind::Retry);
        assert_eq!(kinds, [None, Some(denied), Some(retry)]);
        assert_eq!(results[1].as_ref().unwrap_err().key, "b");
        assert_eq!(seen.lock().len(), 1);
    });
}

#[test]
fn without_bulk_deletion_keys_are_deleted_one_by_one() {
    run(async |env| {
        // The client library asks three times whatever the store says.
        let script = vec![
            error("501 Not Implemented", "NotImplemented"),
            error("501 Not Implemented", "NotImplemented"),
            error("501 Not Implemented", "NotImplemented"),
            say("204 No Content", "", ""),
            error("404 Not Found", "NoSuchKey"),
            say("204 No Content", "", ""),
        ];
        let (bucket, seen) = store(&env, script).await;
        let keys = || ["a", "b"].map(ObjectKey::new).to_vec();
        assert!(bucket.delete(keys()).await.iter().all(Result::is_ok));
        assert!(bucket.delete(keys()).await.iter().all(Result::is_ok));
        let mut lines: Vec<_> =
            seen.lock().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        lines.dedup();
        assert_eq!(lines, ["POST", "DELETE"]);
        assert_eq!(seen.lock().len(), 3 + 2 + 2);
    });
}

#[test]
fn an_answer_about_a_key_nobody_asked_for_kills_nothing() {
    run(async |env| {
        let answer = "<DeleteResult><Error><Key>other</Key><Code>X</Code><Message>y</Message></Error></DeleteResult>";
        let (bucket, _) = store(&env, vec![say("200 OK", "", answer)]).await;
        let results = bucket.delete(vec![ObjectKey::new("a")]).await;
        assert_eq!(results[0].as_ref().unwrap_err().kind, BucketErrorKind::Retry);
    });
}

#[test]
fn refusals_are_told_apart() {
    run(async |env| {
        for (answer, kind) in [
            (error("403 Forbidden", "InvalidAccessKeyId"), BucketErrorKind::Denied),
            (error("404 Not Found", "NoSuchKey"), BucketErrorKind::NotFound),
            (error("404 Not Found", "NoSuchBucket"), BucketErrorKind::Invalid),
            (error("416 Range Not Satisfiable", "InvalidRange"), BucketErrorKind::Invalid),
            (say("301 Moved Permanently", "", ""), BucketErrorKind::Invalid),
            (Answer::Say("nonsense\r\n\r\n".to_owned()), BucketErrorKind::Retry),
        ] {
            let (bucket, _) = store(&env, vec![answer.clone()]).await;
            let failure = bucket.get_range(&key(), 0..10).await.unwrap_err();
            assert_eq!(failure.kind, kind, "{answer:?}: {failure}");
        }
    });
}
