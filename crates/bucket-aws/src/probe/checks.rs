//! The checks, one after the other.

use super::{Check, Latency, Need, Outcome};
use crate::client::{S3, connect, words};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use esker_bucket::BucketConfig;
use esker_env::Env;
use futures_util::future::join_all;
use std::time::Duration;

const MIB: usize = 1 << 20;
const RACERS: usize = 8;
const RACES: usize = 5;
/// Signed requests are refused by S3 when the clocks differ by more than fifteen minutes.
const SKEW_MAX: Duration = Duration::from_secs(5 * 60);

type Response = aws_sdk_s3::config::http::HttpResponse;
type Found = Result<String, String>;

pub(super) struct Probe {
    env: Env,
    s3: S3,
    /// Below which everything of this run lies.
    dir: String,
    checks: Vec<Check>,
    latencies: Vec<Latency>,
}

fn text<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: SdkError<E, Response>,
) -> String {
    words(&error).1
}

fn status<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &SdkError<E, Response>,
) -> Option<u16> {
    words(error).0
}

fn expect(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

impl Probe {
    pub(super) fn new(env: &Env, s3: S3) -> Self {
        let dir = format!("{}probe/{:016x}/", s3.prefix, env.entropy.next_u64());
        Self { env: env.clone(), s3, dir, checks: Vec::new(), latencies: Vec::new() }
    }

    pub(super) fn finish(self) -> (Vec<Check>, Vec<Latency>) {
        (self.checks, self.latencies)
    }

    pub(super) async fn run(&mut self, config: &BucketConfig) {
        use Need::{Informational, Required, Useful};
        let found = self.bucket_is_there().await;
        let is_there = found.is_ok();
        self.note("bucket", Required, found);
        if !is_there {
            return;
        }
        let found = self.objects_come_back().await;
        self.note("put-get-head", Required, found);
        let found = self.ranges_are_exact().await;
        self.note("range-get", Required, found);
        let found = self.a_suffix_is_found().await;
        self.note("range-get-suffix", Informational, found);
        let found = self.parts_become_an_object().await;
        self.note("multipart-put", Required, found);
        let found = self.an_object_can_be_deleted().await;
        self.note("delete", Required, found);
        let found = self.many_objects_can_be_deleted().await;
        self.note("bulk-delete", Useful, found);
        let found = self.a_listing_starts_anywhere().await;
        self.note("list-start-after", Useful, found);
        let found = self.a_damaged_body_is_refused().await;
        self.note("checksum", Useful, found);
        let found = self.clocks_agree().await;
        self.note("clock", Required, found);
        match self.wrong_credentials_are_refused(config).await {
            Some(found) => self.note("wrong-credentials-refused", Informational, found),
            None => self.skip("wrong-credentials-refused", "this machine has a role, no keys"),
        }
        let found = self.one_of_many_creates().await;
        self.note("conditional-put", Informational, found);
        self.measure().await;
        let found = self.clean().await;
        self.note("clean-up", Useful, found);
    }

    fn note(&mut self, name: &str, need: Need, found: Found) {
        let (outcome, detail) = match found {
            Ok(detail) => (Outcome::Passed, detail),
            Err(detail) => (Outcome::Failed, detail),
        };
        self.checks.push(Check { name: name.to_owned(), outcome, need, detail });
    }

    fn skip(&mut self, name: &str, why: &str) {
        let (outcome, need) = (Outcome::Skipped, Need::Informational);
        self.checks.push(Check { name: name.to_owned(), outcome, need, detail: why.to_owned() });
    }

    fn client(&self) -> &Client {
        &self.s3.client
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.dir)
    }

    fn content(&self, len: usize) -> Bytes {
        let words = std::iter::repeat_with(|| self.env.entropy.next_u64());
        words.take(len.div_ceil(8)).flat_map(u64::to_le_bytes).collect::<Bytes>().slice(..len)
    }

    async fn put(&self, name: &str, body: Bytes) -> Result<(), String> {
        let request = self.client().put_object().bucket(&self.s3.bucket).key(self.key(name));
        request.body(ByteStream::from(body)).send().await.map(drop).map_err(text)
    }

    async fn get(&self, name: &str, range: Option<&str>) -> Result<Bytes, String> {
        let request = self.client().get_object().bucket(&self.s3.bucket).key(self.key(name));
        let answer = request.set_range(range.map(str::to_owned)).send().await.map_err(text)?;
        let body = answer.body.collect().await.map_err(|error| error.to_string())?;
        Ok(body.into_bytes())
    }

    async fn is_absent(&self, name: &str) -> Result<bool, String> {
        let request = self.client().head_object().bucket(&self.s3.bucket).key(self.key(name));
        match request.send().await {
            Ok(_) => Ok(false),
            Err(error) if status(&error) == Some(404) => Ok(true),
            Err(error) => Err(text(error)),
        }
    }

    async fn bucket_is_there(&self) -> Found {
        match self.client().head_bucket().bucket(&self.s3.bucket).send().await {
            Ok(_) => Ok(self.s3.bucket.clone()),
            Err(error) => Err(match status(&error) {
                Some(404) => "there is no such bucket".to_owned(),
                Some(403) => "no access: check the credentials and what they permit".to_owned(),
                Some(301) => "it is in another region: set the region".to_owned(),
                _ => text(error),
            }),
        }
    }

    async fn objects_come_back(&self) -> Found {
        let content = self.content(64 * 1024);
        self.put("object", content.clone()).await?;
        expect(self.get("object", None).await? == content, "what came back differs")?;
        let request = self.client().head_object().bucket(&self.s3.bucket);
        let head = request.key(self.key("object")).send().await.map_err(text)?;
        expect(head.content_length() == Some(64 * 1024), "the length is wrong")?;
        self.put("empty", Bytes::new()).await?;
        expect(self.get("empty", None).await?.is_empty(), "an empty object is not empty")?;
        expect(self.is_absent("absent").await?, "an absent object is there")?;
        Ok("64 KiB, empty, absent".to_owned())
    }

    async fn ranges_are_exact(&self) -> Found {
        let content = self.content(10_000);
        self.put("range", content.clone()).await?;
        for (range, expected) in [
            ("bytes=0-0", content.slice(..1)),
            ("bytes=17-4016", content.slice(17..4017)),
            ("bytes=9999-9999", content.slice(9_999..)),
        ] {
            let got = self.get("range", Some(range)).await?;
            expect(got == expected, &format!("{range} is answered by {} bytes", got.len()))?;
        }
        let request = self.client().get_object().bucket(&self.s3.bucket).key(self.key("range"));
        match request.range("bytes=10000-10001").send().await {
            Ok(_) => Err("a range past the end is answered".to_owned()),
            Err(error) if status(&error) == Some(416) => {
                Ok("first, middle, last, past end".to_owned())
            }
            Err(error) => Err(format!("a range past the end: {}", text(error))),
        }
    }

    async fn a_suffix_is_found(&self) -> Found {
        let whole = self.get("range", None).await?;
        let got = self.get("range", Some("bytes=-100")).await?;
        expect(whole.ends_with(&got) && got.len() == 100, "the answer is another part")?;
        Ok("last 100 bytes".to_owned())
    }

    async fn parts_become_an_object(&self) -> Found {
        let content = self.content(5 * MIB + 1000);
        let (bucket, key) = (&self.s3.bucket, self.key("parts"));
        let created = self.client().create_multipart_upload().bucket(bucket).key(&key);
        let created = created.send().await.map_err(text)?;
        let upload = created.upload_id().ok_or("the store gave no upload id")?.to_owned();
        let outcome = self.put_parts(&upload, &key, &content).await;
        if outcome.is_err() {
            let abort = self.client().abort_multipart_upload().bucket(bucket).key(&key);
            // The first failure is the one to tell.
            let _aborted = abort.upload_id(&upload).send().await;
        }
        outcome?;
        expect(self.get("parts", None).await? == content, "what came back differs")?;
        Ok("two parts".to_owned())
    }

    async fn put_parts(&self, upload: &str, key: &str, content: &Bytes) -> Result<(), String> {
        let bucket = &self.s3.bucket;
        let mut done = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip([content.slice(..5 * MIB), content.slice(5 * MIB..)]) {
            let request = self.client().upload_part().bucket(bucket).key(key).upload_id(upload);
            let request = request.part_number(number).body(ByteStream::from(part));
            let sent = request.send().await.map_err(text)?;
            let part = CompletedPart::builder().part_number(number);
            done = done.parts(part.set_e_tag(sent.e_tag().map(str::to_owned)).build());
        }
        let request = self.client().complete_multipart_upload().bucket(bucket).key(key);
        let request = request.upload_id(upload).multipart_upload(done.build());
        match request.send().await {
            // Some stores phrase a good answer so that it does not read. The object itself will tell.
            Err(error) if !matches!(status(&error), Some(200..300)) => Err(text(error)),
            _ => Ok(()),
        }
    }

    async fn an_object_can_be_deleted(&self) -> Found {
        self.put("doomed", Bytes::from_static(b"x")).await?;
        for _ in 0..2 {
            let request = self.client().delete_object().bucket(&self.s3.bucket);
            match request.key(self.key("doomed")).send().await {
                Err(error) if status(&error) != Some(404) => return Err(text(error)),
                _ => {}
            }
        }
        expect(self.is_absent("doomed").await?, "it is still there")?;
        Ok("twice the same".to_owned())
    }

    async fn many_objects_can_be_deleted(&self) -> Found {
        let names = ["many/a", "many/b", "many/absent"];
        for name in &names[..2] {
            self.put(name, Bytes::from_static(b"x")).await?;
        }
        self.delete(names.map(|name| self.key(name)).to_vec()).await?;
        for name in names {
            expect(self.is_absent(name).await?, "a deleted object is still there")?;
        }
        Ok("two and one that was absent".to_owned())
    }

    /// Deletes keys by one request; each must be answered well.
    async fn delete(&self, keys: Vec<String>) -> Result<(), String> {
        let mut objects = Vec::with_capacity(keys.len());
        for key in keys {
            let object = ObjectIdentifier::builder().key(key).build();
            objects.push(object.map_err(|error| error.to_string())?);
        }
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.map_err(|error| error.to_string())?;
        let request = self.client().delete_objects().bucket(&self.s3.bucket).delete(delete);
        let answer = request.send().await.map_err(text)?;
        match answer.errors().first() {
            None => Ok(()),
            Some(error) => Err(format!(
                "{}: {}",
                error.key().unwrap_or("?"),
                error.message().or_else(|| error.code()).unwrap_or("failed")
            )),
        }
    }

    async fn keys(&self, after: Option<String>) -> Result<Vec<String>, String> {
        let request = self.client().list_objects_v2().bucket(&self.s3.bucket).prefix(&self.dir);
        let page = request.set_start_after(after).send().await.map_err(text)?;
        Ok(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect())
    }

    async fn a_listing_starts_anywhere(&self) -> Found {
        let all = self.keys(None).await?;
        expect(all.is_sorted(), "keys are not in order")?;
        expect(all.contains(&self.key("object")), "an object that was put is not listed")?;
        let place = all.len() / 2;
        let rest = self.keys(Some(all[place].clone())).await?;
        expect(rest == all[place + 1..], "the listing starts elsewhere")?;
        Ok(format!("{} keys in order", all.len()))
    }

    async fn a_damaged_body_is_refused(&self) -> Found {
        let content = self.content(1000);
        let sum = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &content);
        let put = async |sum: u64| {
            let request = self.client().put_object().bucket(&self.s3.bucket);
            let request = request.key(self.key("checksum")).body(ByteStream::from(content.clone()));
            request.checksum_crc64_nvme(base64(&sum.to_be_bytes())).send().await
        };
        put(sum).await.map_err(|error| format!("a right checksum is refused: {}", text(error)))?;
        match put(sum ^ 1).await {
            Ok(_) => {
                Err("a wrong checksum is accepted: damage on the way goes unnoticed".to_owned())
            }
            Err(error) if status(&error) == Some(400) => Ok("crc64nvme is verified".to_owned()),
            Err(error) => Err(text(error)),
        }
    }

    async fn clocks_agree(&self) -> Found {
        let request = self.client().head_object().bucket(&self.s3.bucket);
        let ours = self.env.clock.wall().0;
        let Err(error) = request.key(self.key("absent")).send().await else {
            return Err("an absent object is there".to_owned());
        };
        let response = error.raw_response().ok_or("no answer")?;
        let date = response.headers().get("date").ok_or("the store tells no time")?;
        let theirs = DateTime::from_str(date, DateTimeFormat::HttpDate);
        let theirs = theirs.map_err(|error| error.to_string())?.to_millis();
        let theirs = theirs.map_err(|error| error.to_string())?;
        // The store tells whole seconds.
        let skew = Duration::from_millis(ours.abs_diff(theirs).saturating_sub(1000));
        expect(
            skew <= SKEW_MAX,
            &format!("the clocks differ by {} s: set this machine's", skew.as_secs()),
        )?;
        Ok(format!("differ by {} s", skew.as_secs()))
    }

    async fn wrong_credentials_are_refused(&self, config: &BucketConfig) -> Option<Found> {
        config.access_key.as_ref()?;
        let mut wrong = config.clone();
        wrong.secret_key = Some("not the secret".to_owned());
        let s3 = connect(&wrong).await.ok()?;
        let request = s3.client.get_object().bucket(&s3.bucket).key(self.key("object"));
        Some(match request.send().await {
            Ok(_) => Err("a wrong secret is accepted: the store protects nothing".to_owned()),
            Err(error) if matches!(status(&error), Some(401 | 403)) => Ok("refused".to_owned()),
            Err(error) => Err(text(error)),
        })
    }

    async fn one_of_many_creates(&self) -> Found {
        for race in 0..RACES {
            let key = self.key(&format!("race/{race}"));
            let racers = (0..RACERS).map(|_| {
                let request = self.client().put_object().bucket(&self.s3.bucket).key(&key);
                let request = request.if_none_match("*").body(ByteStream::from_static(b"x"));
                request.send()
            });
            let mut winners = 0;
            for outcome in join_all(racers).await {
                match outcome {
                    Ok(_) => winners += 1,
                    Err(error) if matches!(status(&error), Some(409 | 412)) => {}
                    Err(error) => return Err(text(error)),
                }
            }
            expect(winners == 1, &format!("{winners} of {RACERS} writers created one object"))?;
        }
        Ok(format!("{RACES} races of {RACERS}, one winner each"))
    }

    async fn measure(&mut self) {
        for (name, len, count) in [("4 KiB", 4096, 20), ("8 MiB", 8 * MIB, 4)] {
            let content = self.content(len);
            let object = format!("latency/{len}");
            let (mut puts, mut gets) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let began = self.env.clock.now();
                if self.put(&object, content.clone()).await.is_err() {
                    break;
                }
                let put = self.env.clock.now();
                if self.get(&object, None).await.is_err() {
                    break;
                }
                puts.push(put.since(began));
                gets.push(self.env.clock.now().since(put));
            }
            self.latencies.extend(latency(&format!("put {name}"), puts));
            self.latencies.extend(latency(&format!("get {name}"), gets));
        }
    }

    /// Removes what this run left, one by one where that is the only way.
    async fn clean(&self) -> Found {
        let keys = self.keys(None).await?;
        let count = keys.len();
        if self.delete(keys.clone()).await.is_err() {
            for key in keys {
                let request = self.client().delete_object().bucket(&self.s3.bucket).key(key);
                request.send().await.map_err(text)?;
            }
        }
        expect(self.keys(None).await?.is_empty(), &format!("objects remain below `{}`", self.dir))?;
        Ok(format!("{count} objects removed"))
    }
}

fn latency(name: &str, mut durations: Vec<Duration>) -> Option<Latency> {
    durations.sort_unstable();
    let us = |duration: &Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    Some(Latency {
        name: name.to_owned(),
        count: durations.len(),
        median_us: us(durations.get(durations.len() / 2)?),
        max_us: us(durations.last()?),
    })
}

/// Base 64 with padding, as checksums are written in headers.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, &byte| (word << 8) | u32::from(byte));
        let word = word << (8 * (3 - group.len()));
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) & 63;
            text.push(if digit > group.len() { '=' } else { char::from(ALPHABET[index as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_reads_as_the_standard_says() {
        // RFC 4648, section 10.
        for (bytes, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xff, 0xfe]), "//4=");
    }
}
