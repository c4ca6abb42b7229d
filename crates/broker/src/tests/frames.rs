//! Requests into frames, and answers out of them.

use esker_wire::{Message, Reader, Request, decode_response_header, encode_request_frame};

pub(crate) const CORRELATION: i32 = 7;

/// The frame of a request, without its length.
pub(crate) fn frame<'a, R: Request<'a>>(request: &R, version: i16) -> Vec<u8> {
    let frame = encode_request_frame(CORRELATION, Some("tests"), request, version).unwrap();
    frame.into_segments().concat()[4..].to_vec()
}

/// A request with nothing in it.
pub(crate) fn blank<'a, R: Request<'a>>(version: i16) -> Vec<u8> {
    frame(&R::default(), version)
}

/// The answer in a frame, length included, and what is left behind it.
pub(crate) fn parse<'a, 'b, R: Request<'a>>(
    version: i16,
    frame: &'b [u8],
) -> Option<(R::Response<'b>, Reader<'b>)> {
    let length = i32::from_be_bytes(*frame.first_chunk::<4>()?);
    if usize::try_from(length).ok()? != frame.len() - 4 {
        return None;
    }
    let (header, mut body) = decode_response_header(&frame[4..], R::API, version).ok()?;
    let response = R::Response::decode(&mut body, version).ok()?;
    (header.correlation_id == CORRELATION).then_some((response, body))
}

/// Whether a frame is an answer to the last byte.
pub(crate) fn is_answer<'a, R: Request<'a>>(version: i16, frame: &[u8]) -> bool {
    parse::<R>(version, frame).is_some_and(|(_, rest)| rest.remaining().is_empty())
}
