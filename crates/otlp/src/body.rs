//! The bodies of OTLP/HTTP: protobuf or JSON, plain or compressed, and their answers.

use crate::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse};
use bytes::Bytes;
use prost::Message;
use serde::Serialize;
use std::io::Read;

/// Most bytes that a compressed body may decompress to.
pub const DECODED_MAX: usize = 64 << 20;

/// How a body is written; the answer is written alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`: OTLP's mapping, ids in hexadecimal.
    Json,
}

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is none of the types that OTLP has.
    #[error("content type `{0}` is not served: send application/x-protobuf or application/json")]
    ContentType(String),
    /// It is compressed in another way.
    #[error("content encoding `{0}` is not served: send gzip, zstd, or identity")]
    ContentEncoding(String),
    /// It decompresses to more than anybody should send at once.
    #[error("the body decompresses to more than {DECODED_MAX} bytes: send fewer spans at once")]
    TooLong,
    /// Its compression is broken.
    #[error("the body cannot be decompressed: {0}")]
    Compression(String),
    /// It is no such message.
    #[error("the body is no ExportTraceServiceRequest: {0}")]
    Malformed(String),
}

impl BodyError {
    /// The status that HTTP has for it.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::ContentType(_) | Self::ContentEncoding(_) => 415,
            Self::TooLong => 413,
            Self::Compression(_) | Self::Malformed(_) => 400,
        }
    }
}

impl Encoding {
    /// What a content type says; parameters behind a semicolon mean nothing.
    ///
    /// # Errors
    /// [`BodyError::ContentType`].
    pub fn of_content_type(text: &str) -> Result<Self, BodyError> {
        let kind = text.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-protobuf") {
            Ok(Self::Protobuf)
        } else if kind.eq_ignore_ascii_case("application/json") {
            Ok(Self::Json)
        } else {
            Err(BodyError::ContentType(text.to_owned()))
        }
    }

    /// Its content type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    fn write(self, message: &(impl Message + Serialize)) -> Vec<u8> {
        match self {
            Self::Protobuf => message.encode_to_vec(),
            Self::Json => serde_json::to_vec(message).expect("a message of plain data"),
        }
    }
}

/// Reads a body that came with this `Content-Encoding`.
///
/// # Errors
/// See [`BodyError`].
pub fn read_traces(
    body: &[u8],
    encoding: Encoding,
    compression: Option<&str>,
) -> Result<ExportTraceServiceRequest, BodyError> {
    let plain = decompress(body, compression)?;
    let malformed = |error: String| BodyError::Malformed(error);
    match encoding {
        Encoding::Protobuf => {
            ExportTraceServiceRequest::decode(&*plain).map_err(|e| malformed(e.to_string()))
        }
        Encoding::Json => serde_json::from_slice(&plain).map_err(|e| malformed(e.to_string())),
    }
}

fn decompress(body: &[u8], compression: Option<&str>) -> Result<Bytes, BodyError> {
    let name = compression.unwrap_or("identity").trim();
    if name.is_empty() || name.eq_ignore_ascii_case("identity") {
        return Ok(Bytes::copy_from_slice(body));
    }
    let broken = |error: std::io::Error| BodyError::Compression(error.to_string());
    if name.eq_ignore_ascii_case("gzip") {
        read_bounded(flate2::read::MultiGzDecoder::new(body))
    } else if name.eq_ignore_ascii_case("zstd") {
        read_bounded(zstd::stream::read::Decoder::new(body).map_err(broken)?)
    } else {
        Err(BodyError::ContentEncoding(name.to_owned()))
    }
}

fn read_bounded(reader: impl Read) -> Result<Bytes, BodyError> {
    let mut plain = Vec::new();
    let limit = DECODED_MAX as u64 + 1;
    reader
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(|error| BodyError::Compression(error.to_string()))?;
    if plain.len() > DECODED_MAX { Err(BodyError::TooLong) } else { Ok(plain.into()) }
}

/// The answer to what was taken, of which `rejected` spans were not, because of `why`.
#[must_use]
pub fn answer(encoding: Encoding, rejected: u64, why: &str) -> Vec<u8> {
    let partial = ExportTracePartialSuccess {
        rejected_spans: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: why.to_owned(),
    };
    let partial_success = (rejected > 0).then_some(partial);
    encoding.write(&ExportTraceServiceResponse { partial_success })
}

/// The answer to what was not taken at all: a `google.rpc.Status`, whose code HTTP's status implies.
#[must_use]
pub fn refusal(encoding: Encoding, why: &str) -> Vec<u8> {
    encoding.write(&RpcStatus { code: 0, message: why.to_owned() })
}

/// `google.rpc.Status`, as far as OTLP uses it.
#[derive(Clone, PartialEq, Eq, Message, Serialize)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const JSON: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":
        {"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c",
        "spanId":"eee19b7ec3c1b174","name":"pay","kind":2,"startTimeUnixNano":"1544712660000000000",
        "endTimeUnixNano":"1544712661000000000","aNewField":1}]}]}]}"#;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn json_and_protobuf_plain_and_compressed_say_the_same() {
        let json = read_traces(JSON.as_bytes(), Encoding::Json, None).unwrap();
        let span = &json.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!((span.name.as_str(), span.trace_id.len(), span.kind), ("pay", 16, 2));
        let protobuf = json.encode_to_vec();
        let read = |body: &[u8], how| read_traces(body, Encoding::Protobuf, how).unwrap();
        assert_eq!(read(&protobuf, Some("identity")), json);
        assert_eq!(read(&gzip(&protobuf), Some("gzip")), json);
        let zstd = zstd::encode_all(&*protobuf, 1).unwrap();
        assert_eq!(read(&zstd, Some("ZSTD")), json);
    }

    #[test]
    fn what_is_wrong_has_a_status_and_a_sentence() {
        let kind = |text| Encoding::of_content_type(text).map_err(|error| error.status());
        assert_eq!(kind("application/json; charset=utf-8"), Ok(Encoding::Json));
        assert_eq!(kind("text/plain"), Err(415));
        let status = |body: &[u8], how| {
            read_traces(body, Encoding::Protobuf, how).map_err(|error| error.status()).unwrap_err()
        };
        assert_eq!(status(b"\xff\xff", None), 400);
        assert_eq!(status(b"", Some("br")), 415);
        assert_eq!(status(b"no gzip", Some("gzip")), 400);
        let bomb = gzip(&vec![0; DECODED_MAX + 1]);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(status(&bomb, Some("gzip")), 413);
        let nested = "[".repeat(100_000);
        assert!(read_traces(nested.as_bytes(), Encoding::Json, None).is_err());
    }

    #[test]
    fn answers_are_what_exporters_read() {
        assert_eq!(answer(Encoding::Protobuf, 0, ""), b"");
        assert_eq!(answer(Encoding::Json, 0, ""), b"{\"partialSuccess\":null}");
        let told = String::from_utf8(answer(Encoding::Json, 2, "no trace id")).unwrap();
        assert!(told.contains("rejectedSpans") && told.contains("no trace id"), "{told}");
    }
}
