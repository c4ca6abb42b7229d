//! Kafka's protocol on the wire: every request and response of Kafka 4.4 at every version.
//!
//! The messages in [`api`] are generated from the files in `schema/` (`cargo xtask codegen`); what
//! they stand on is written by hand. Three promises shape the crate:
//!
//! * **Decoding allocates nothing.** Strings and bytes borrow from the frame, arrays are lazy
//!   ([`Array`]): they are walked once while decoding, which proves them well formed, and parsed
//!   again by whoever iterates. A length can claim what it likes; it is held against the bytes that
//!   are left before anything else happens.
//! * **Encoding is exact.** A message is measured, then written into one buffer of that size. Record
//!   batches ([`Records`]) join the [`Frame`] by reference.
//! * **No foreign byte panics.** Whatever is malformed becomes a [`DecodeError`] with its position.
//!
//! The rules of Kafka are kept: which versions have a field, what its default is, and that a value
//! which the version cannot carry is an [`EncodeError`] unless the schema calls the field ignorable.
//!
//! ```
//! use esker_wire::{Message, Reader, Request, RequestHeader, decode_request_header};
//! use esker_wire::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
//! use esker_wire::{encode_request_frame, encode_response_frame};
//!
//! let topic = MetadataRequestTopic { name: Some("orders"), ..Default::default() };
//! let request = MetadataRequest { topics: Some(vec![topic].into()), ..Default::default() };
//! let frame = encode_request_frame(7, Some("me"), &request, 12)?.to_vec();
//!
//! let (header, mut body) = decode_request_header(&frame[4..])?;
//! let request = MetadataRequest::decode(&mut body, header.api_version)?;
//! for topic in request.topics.iter().flatten() {
//!     assert_eq!(topic.name, Some("orders"));
//! }
//! let response = MetadataResponse { controller_id: 1, ..Default::default() };
//! let frame = encode_response_frame(&header, &response)?;
//! assert_eq!(frame.len(), frame.segments().iter().map(|segment| segment.len()).sum::<usize>());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[path = "generated/mod.rs"]
pub mod api;
mod api_info;
mod array;
mod error;
mod error_code;
mod frame;
mod header;
mod message;
mod reader;
mod records;
mod sink;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use api::api_key::ApiKey;
pub use array::{Array, ArrayIntoIter, ArrayIter};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use error_code::ErrorCode;
pub use frame::{Frame, encode_request_frame, encode_response_frame};
pub use header::{RequestHeader, ResponseHeader, decode_request_header, decode_response_header};
pub use message::{Element, Encoding, Listeners, Message, Request};
pub use reader::{Reader, Tag, Tags};
pub use records::Records;
pub use sink::Sink;
pub use uuid::Uuid;
