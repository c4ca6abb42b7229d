//! What holds for every API: it is offered, answered in each of its versions, and survives bytes that mean nothing.

use super::house;
use crate::api::{SERVED, blank, is_answer};
use crate::call::Response;
use crate::protocol_violation::ProtocolViolation;
use esker_wire::ApiKey;
use esker_wire::api::api_versions::ApiVersionsRequest;
use std::collections::BTreeSet;

/// APIs whose request says nothing unless something is in it: Produce wants no answer, and a filter of zeros is none.
const SILENT: [ApiKey; 2] = [ApiKey::Produce, ApiKey::DescribeAcls];

#[test]
fn every_version_of_every_api_is_answered_in_its_own_form() {
    house::run(async |house| {
        for (key, _) in SERVED.iter().filter(|(key, _)| !SILENT.contains(key)) {
            for version in key.oldest()..=key.newest_stable() {
                let answer = house.frame(&blank(*key, version)).await;
                assert!(is_answer(*key, version, &answer), "{key:?} {version}");
            }
        }
    });
}

#[test]
fn every_route_is_offered_and_every_offer_has_a_route() {
    house::run(async |house| {
        let request = ApiVersionsRequest {
            client_software_name: "tests",
            client_software_version: "1",
            ..Default::default()
        };
        let offered = house
            .ask(3, &request, |answer| {
                let keys = answer.api_keys.iter();
                keys.map(|one| (one.api_key, one.max_version)).collect::<Vec<_>>()
            })
            .await;
        let routes: BTreeSet<_> = SERVED.iter().map(|(key, _)| key.code()).collect();
        assert_eq!(routes.len(), SERVED.len(), "each stands in the table once");
        assert_eq!(offered.iter().map(|(key, _)| *key).collect::<BTreeSet<_>>(), routes);
        for (key, max) in offered {
            let key = ApiKey::from_code(key).unwrap();
            assert_eq!(max, key.newest_stable(), "{key:?}");
            let outcome = house.respond(&blank(key, max)).await;
            let is_unknown =
                matches!(outcome, Response::Close(ProtocolViolation::Unsupported { .. }));
            assert!(!is_unknown, "{key:?} has a route");
        }
    });
}

#[test]
fn what_is_not_offered_closes_the_connection() {
    house::run(async |house| {
        let served = |key: &ApiKey| SERVED.iter().any(|(served, _)| served == key);
        for key in ApiKey::ALL.into_iter().filter(|key| !served(key)) {
            let mut frame = key.code().to_be_bytes().to_vec();
            frame.extend(key.newest_stable().to_be_bytes());
            frame.extend([0, 0, 0, 7, 255, 255, 0, 0, 0, 0]);
            let violation = house.violation(&frame).await;
            assert!(
                matches!(
                    violation,
                    ProtocolViolation::Unsupported { .. } | ProtocolViolation::Header(_)
                ),
                "{key:?}: {violation}"
            );
        }
    });
}

#[test]
fn a_version_that_nobody_has_closes_the_connection_but_for_api_versions() {
    house::run(async |house| {
        for (key, _) in SERVED {
            let mut frame = blank(*key, key.newest_stable());
            frame[2..4].copy_from_slice(&99_i16.to_be_bytes());
            match (key, house.respond(&frame).await) {
                (ApiKey::ApiVersions, Response::Frame { segments, .. }) => {
                    assert!(is_answer(ApiKey::ApiVersions, 0, &segments.concat()));
                }
                (ApiKey::ApiVersions, other) => panic!("{other:?}"),
                (_, Response::Close(_)) => {}
                (_, other) => panic!("{key:?}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_request_that_ends_early_closes_the_connection() {
    house::run(async |house| {
        for (key, _) in SERVED {
            let whole = blank(*key, key.newest_stable());
            for cut in 0..whole.len() {
                match house.respond(&whole[..cut]).await {
                    Response::Close(_) => {}
                    other => panic!("{key:?} of {cut} bytes: {other:?}"),
                }
            }
        }
    });
}

#[test]
fn bytes_that_mean_nothing_are_answered_or_refused() {
    house::run(async |house| {
        let mut seed = 1_u32;
        let mut random = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as usize
        };
        for (key, _) in SERVED {
            for _ in 0..40 {
                let mut frame = blank(*key, key.newest_stable());
                let body = 12.min(frame.len() - 1);
                for _ in 0..=random() % 4 {
                    let at = body + random() % (frame.len() - body);
                    frame[at] = u8::try_from(random() % 256).unwrap();
                }
                frame.extend((0..random() % 40).map(|_| u8::try_from(random() % 256).unwrap()));
                // Whatever comes of it, the process is there to say so.
                house.respond(&frame).await;
            }
        }
    });
}

#[test]
fn lists_that_are_longer_than_any_clients_close_the_connection() {
    use esker_wire::api::describe_groups::DescribeGroupsRequest;
    house::run(async |house| {
        let groups = vec!["g"; 250_001];
        let request = DescribeGroupsRequest { groups: groups.into(), ..Default::default() };
        let violation = house.violation(&super::frames::frame(&request, 5)).await;
        assert!(matches!(violation, ProtocolViolation::TooManyItems { items: 250_001, .. }));
    });
}

#[test]
fn a_client_introduces_itself() {
    house::run(async |house| {
        let request = ApiVersionsRequest {
            client_software_name: "librdkafka",
            client_software_version: "2.3.0",
            ..Default::default()
        };
        house.ask(3, &request, |answer| assert_eq!(answer.error_code, 0)).await;
        assert_eq!(house.client.software().unwrap().name, "librdkafka");
        let odd = ApiVersionsRequest { client_software_name: "-x", ..request };
        house.ask(3, &odd, |answer| assert_eq!(answer.error_code, 42)).await;
    });
}
