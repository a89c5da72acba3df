//! What fuzzing runs: any bytes through every decoder, with the invariants that must hold whatever they are.

use crate::{ClientRequest, EventFrame, decode_request, time};

/// Reads `data` as each kind of frame. Panics where an invariant is broken: a request that was read is written and read back as
/// the same request, and a refusal says what it refuses.
pub fn exercise(data: &[u8]) {
    // The socket refuses what is not UTF-8 before it gets here.
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match decode_request(text) {
        Ok(frame) => {
            let mut again = ClientRequest::from(&frame.request);
            again.reference_id = frame.reference_id.map(|reference| reference.0);
            assert_eq!(
                decode_request(&again.to_json()).as_ref(),
                Ok(&frame),
                "a request changed on its way round"
            );
        }
        Err(refusal) => {
            let message = &refusal.error.message;
            assert!(message.contains(": "), "a refusal names no field: {message}");
            assert!(message.len() < 2_000, "a refusal as long as what it refuses");
        }
    }
    if let Ok(frame) = EventFrame::decode(text) {
        let _ = (frame.name(), frame.call(), frame.error(), frame.time_us());
    }
    if let Some(time_us) = time::parse(text) {
        assert_eq!(time::format(time_us), text, "a time changed on its way round");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The seeds of the fuzz target, so that the bounded run and the long one start from the same frames.
    const SEEDS: &[&str] = &[
        include_str!("fuzz/seeds/cti_frame/open_server.json"),
        include_str!("fuzz/seeds/cti_frame/make_call.json"),
        include_str!("fuzz/seeds/cti_frame/register_address.json"),
        include_str!("fuzz/seeds/cti_frame/attach_user_data.json"),
        include_str!("fuzz/seeds/cti_frame/set_input_mask.json"),
        include_str!("fuzz/seeds/cti_frame/event_ringing.json"),
    ];

    #[test]
    fn the_seeds_are_frames_and_hold_the_invariants() {
        for seed in SEEDS {
            exercise(seed.as_bytes());
            assert!(decode_request(seed).is_ok() != EventFrame::decode(seed).is_ok(), "{seed}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn any_bytes_hold_the_invariants(data in proptest::collection::vec(any::<u8>(), 0..512)) {
            exercise(&data);
        }

        #[test]
        fn mutated_seeds_hold_the_invariants(
            seed in 0..SEEDS.len(),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3u8), 1..8),
        ) {
            let mut data = SEEDS[seed].as_bytes().to_vec();
            for (index, byte, how) in changes {
                let at = index.index(data.len().max(1));
                match how {
                    0 if at < data.len() => data[at] = byte,
                    1 if at < data.len() => drop(data.remove(at)),
                    _ => data.insert(at, byte),
                }
            }
            exercise(&data);
        }

        #[test]
        fn random_json_in_every_attribute_holds_the_invariants(
            request in proptest::sample::select(tandem_model::request::RequestName::ALL.to_vec()),
            values in proptest::collection::vec((proptest::sample::select(NAMES.to_vec()), json()), 0..8),
        ) {
            let mut map = serde_json::Map::new();
            map.insert("request".to_owned(), request.name().into());
            map.extend(values.into_iter().map(|(name, value)| (name.to_owned(), value)));
            exercise(serde_json::Value::Object(map).to_string().as_bytes());
        }
    }

    const NAMES: &[&str] = &[
        "referenceId",
        "thisDn",
        "otherDn",
        "connId",
        "makeCallType",
        "registerMode",
        "controlMode",
        "addressType",
        "dataKey",
        "addressInfoType",
        "callInfoType",
        "userData",
        "extensions",
        "reasons",
        "resume",
        "apiKey",
        "applicationName",
        "inputMask",
    ];

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
            proptest::sample::select(vec!["sip:A@b", "0000000000000a01", "Regular", "EventRinging"]).prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::vec(("[a-z]{1,8}", inner), 0..4)
                    .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
            ]
        })
    }
}
