//! What a broker does with the bytes of a connection: size, header, request, one after the other.

#![no_main]

use esker_fuzz::check;
use esker_wire::decode_request_header;
use esker_wire::testing::Recode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| {
    let mut rest = stream;
    while let Some((size, behind)) = rest.split_first_chunk() {
        let size = i32::from_be_bytes(*size);
        let Ok(size) = usize::try_from(size) else { return };
        let Some((frame, behind)) = behind.split_at_checked(size) else { return };
        rest = behind;
        let Ok((header, body)) = decode_request_header(frame) else { return };
        let name = format!("{}Request", header.api_key.name());
        let job = Recode::new(body.remaining(), header.api_version, header.api_version);
        check(frame.len(), || job.by_name(&name).expect("every API has a request"));
    }
});
