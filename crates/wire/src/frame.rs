//! Whole frames: size, header, message.

use bytes::Bytes;

use crate::error::EncodeError;
use crate::header::{RequestHeader, ResponseHeader};
use crate::message::{Message, Request};
use crate::sink::Sink;

/// Bytes to be sent, in pieces for a vectored write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    segments: Vec<Bytes>,
    len: usize,
}

impl Frame {
    pub(crate) fn new(segments: Vec<Bytes>, len: usize) -> Self {
        debug_assert_eq!(segments.iter().map(Bytes::len).sum::<usize>(), len);
        Self { segments, len }
    }

    /// Size in bytes, all told.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in order.
    #[must_use]
    pub fn segments(&self) -> &[Bytes] {
        &self.segments
    }

    /// The pieces in order, handed over.
    #[must_use]
    pub fn into_segments(self) -> Vec<Bytes> {
        self.segments
    }

    /// All bytes in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.segments.concat()
    }
}

/// The answer to the request with this header, size in front.
///
/// # Errors
/// The version of the request cannot express the answer.
pub fn encode_response_frame<'a, M: Message<'a>>(
    request: &RequestHeader<'_>,
    response: &M,
) -> Result<Frame, EncodeError> {
    let header = ResponseHeader { correlation_id: request.correlation_id };
    let header_version = request.api_key.response_header_version(request.api_version);
    encode_frame(response, request.api_version, |s| header.write(s, header_version))
}

/// A request, size in front.
///
/// # Errors
/// The version cannot express the request.
pub fn encode_request_frame<'a, R: Request<'a>>(
    correlation_id: i32,
    client_id: Option<&str>,
    request: &R,
    version: i16,
) -> Result<Frame, EncodeError> {
    let header = RequestHeader { api_key: R::API, api_version: version, correlation_id, client_id };
    encode_frame(request, version, |s| header.write(s))
}

fn encode_frame<'a, M: Message<'a>>(
    message: &M,
    version: i16,
    put_header: impl Fn(&mut Sink),
) -> Result<Frame, EncodeError> {
    let mut s = Sink::measuring();
    s.put_i32(0);
    put_header(&mut s);
    message.encode(&mut s, version)?;
    let size = i32::try_from(s.len() - 4).map_err(|_| EncodeError::TooLong)?;
    let mut s = s.writing();
    s.put_i32(size);
    put_header(&mut s);
    message.encode(&mut s, version)?;
    Ok(s.into_frame())
}
