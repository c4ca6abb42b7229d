//! What stands in front of a request and of its response.

use crate::api::api_key::ApiKey;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::message::Encoding;
use crate::reader::Reader;
use crate::sink::Sink;

/// Layout of the client id, even in the flexible header: a broker must be able to read the header of
/// an `ApiVersions` request from a newer client.
const CLIENT_ID: Encoding = Encoding { version: 1, flexible: false };

/// In front of each request: header version 1, or 2 where the request is flexible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// Which request.
    pub api_key: ApiKey,
    /// At which version: as the client says, served or not.
    pub api_version: i16,
    /// Returned in the response.
    pub correlation_id: i32,
    /// Who the client says it is.
    pub client_id: Option<&'a str>,
}

impl RequestHeader<'_> {
    pub(crate) fn write(&self, s: &mut Sink) {
        s.put_i16(self.api_key.code());
        s.put_i16(self.api_version);
        s.put_i32(self.correlation_id);
        s.put_string_nullable(self.client_id, CLIENT_ID);
        s.put_tag_count(
            0,
            header_encoding(self.api_key.request_header_version(self.api_version), 2),
        );
    }
}

/// In front of each response: header version 0, or 1 where the response is flexible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHeader {
    /// That of the request.
    pub correlation_id: i32,
}

impl ResponseHeader {
    pub(crate) fn write(self, s: &mut Sink, header_version: i16) {
        s.put_i32(self.correlation_id);
        s.put_tag_count(0, header_encoding(header_version, 1));
    }
}

fn header_encoding(version: i16, first_flexible: i16) -> Encoding {
    Encoding { version, flexible: version >= first_flexible }
}

/// Takes the header off a request `frame` (the size in front of it not included). The reader that is
/// returned stands before the request itself.
///
/// A version that is not served is no error here, so that `ApiVersions` can answer it; see
/// [`ApiKey::supports`].
///
/// # Errors
/// The API key is unknown or the bytes are malformed. The connection cannot go on.
pub fn decode_request_header(frame: &[u8]) -> Result<(RequestHeader<'_>, Reader<'_>), DecodeError> {
    let mut r = Reader::new(frame);
    let key = r.i16();
    let api_version = r.i16();
    let correlation_id = r.i32();
    r.check()?;
    let Some(api_key) = ApiKey::from_code(key) else {
        return Err(DecodeError { kind: DecodeErrorKind::UnknownApi(key), position: 0 });
    };
    let client_id = r.string_nullable(CLIENT_ID);
    r.skip_tags(header_encoding(api_key.request_header_version(api_version), 2));
    r.check()?;
    Ok((RequestHeader { api_key, api_version, correlation_id, client_id }, r))
}

/// Takes the header off a response `frame` (the size in front of it not included) to a request of
/// this API and version. The reader that is returned stands before the response itself.
///
/// # Errors
/// The bytes are malformed.
pub fn decode_response_header(
    frame: &[u8],
    api_key: ApiKey,
    version: i16,
) -> Result<(ResponseHeader, Reader<'_>), DecodeError> {
    let mut r = Reader::new(frame);
    let correlation_id = r.i32();
    r.skip_tags(header_encoding(api_key.response_header_version(version), 1));
    r.check()?;
    Ok((ResponseHeader { correlation_id }, r))
}
