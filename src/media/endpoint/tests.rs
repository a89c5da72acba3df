//! Offers and answers of a port, and what devices make of them.

use proptest::prelude::*;

use super::*;

fn endpoint() -> Endpoint {
    Endpoint::new("127.0.0.1:40000".parse().unwrap(), Capabilities::default(), 7)
}

fn of(codecs: &[Codec]) -> Endpoint {
    let capabilities = Capabilities {
        codecs: codecs.to_vec(),
        ..Capabilities::default()
    };
    Endpoint::new("127.0.0.1:40000".parse().unwrap(), capabilities, 7)
}

/// A device's description: these lines after the usual head.
fn device(lines: &str) -> Vec<u8> {
    format!("v=0\no=d 1 1 IN IP4 127.0.0.2\ns=-\nc=IN IP4 127.0.0.2\nt=0 0\n{lines}")
        .trim()
        .replace('\n', "\r\n")
        .into_bytes()
        .into_iter()
        .chain(*b"\r\n")
        .collect()
}

fn text(description: &Bytes) -> String {
    String::from_utf8(description.to_vec()).unwrap()
}

fn m_lines(description: &Bytes) -> Vec<String> {
    text(description)
        .lines()
        .filter(|line| line.starts_with("m="))
        .map(Into::into)
        .collect()
}

fn audio(codec: Codec) -> Format {
    Format::Audio(codec)
}

#[test]
fn the_first_offer_has_every_codec_in_order() {
    let offer = endpoint().offer();
    assert_eq!(m_lines(&offer), ["m=audio 40000 RTP/AVP 0 8 9 111 101 110"]);
    let offer = text(&offer);
    for line in [
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:110 telephone-event/48000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
        "o=- 7 1 IN IP4 127.0.0.1",
    ] {
        assert!(offer.lines().any(|it| it == line), "no {line} in {offer}");
    }
}

#[test]
fn an_answer_takes_the_first_codec_of_the_offer_that_we_have() {
    let mut endpoint = of(&[Codec::Pcmu, Codec::Opus]);
    let answer = endpoint
        .answer(&device(
            "m=audio 4000 RTP/AVP 18 96 0 97 98\na=rtpmap:96 opus/48000/2\na=rtpmap:97 telephone-event/8000\na=rtpmap:98 telephone-event/48000\na=ptime:40",
        ))
        .unwrap();
    assert_eq!(m_lines(&answer), ["m=audio 40000 RTP/AVP 96 98"]);
    let settings = endpoint.settings().unwrap();
    assert_eq!(
        (settings.codec, settings.payload_type, settings.ptime_ms),
        (Codec::Opus, 96, 40)
    );
    assert_eq!(
        settings.telephone_event,
        Some(EventFormat {
            payload_type: 98,
            clock_hz: 48_000
        })
    );
    assert_eq!(settings.remote, Some("127.0.0.2:4000".parse().unwrap()));
    assert_eq!(settings.remote_rtcp, Some("127.0.0.2:4001".parse().unwrap()));
    assert!(settings.receives.contains(&(96, audio(Codec::Opus))));
}

#[test]
fn directions_are_mirrored() {
    for (said, line, ours) in [
        ("sendrecv", "sendrecv", Direction::SendRecv),
        ("sendonly", "recvonly", Direction::RecvOnly),
        ("recvonly", "sendonly", Direction::SendOnly),
        ("inactive", "inactive", Direction::Inactive),
    ] {
        let mut endpoint = endpoint();
        let answer = endpoint
            .answer(&device(&format!("m=audio 4000 RTP/AVP 0\na={said}")))
            .unwrap();
        assert!(text(&answer).contains(&format!("a={line}\r\n")), "{said}");
        assert_eq!(endpoint.settings().unwrap().direction, ours);
        let session_wide = device(&format!("a={said}\nm=audio 4000 RTP/AVP 0"));
        endpoint.answer(&session_wide).unwrap();
        assert_eq!(endpoint.settings().unwrap().direction, ours, "said of the session");
    }
}

#[test]
fn a_held_address_is_a_hold() {
    let mut endpoint = endpoint();
    let answer = endpoint
        .answer(&device("m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\na=sendrecv"))
        .unwrap();
    assert!(text(&answer).contains("a=recvonly"));
    let settings = endpoint.settings().unwrap();
    assert_eq!((settings.remote, settings.remote_rtcp), (None, None));
    assert!(!settings.direction.sends());
}

#[test]
fn other_streams_are_refused_in_their_place() {
    let mut endpoint = endpoint();
    let offer = device(
        "m=video 5000 RTP/AVP 97\na=rtpmap:97 H264/90000\nm=audio 0 RTP/AVP 0\nm=audio 5002 RTP/SAVP 0\nm=audio 5004 RTP/AVP 8\nm=application 9 UDP/BFCP *",
    );
    let answer = endpoint.answer(&offer).unwrap();
    let expected = [
        "m=video 0 RTP/AVP 97",
        "m=audio 0 RTP/AVP 0",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 40000 RTP/AVP 8",
        "m=application 0 UDP/BFCP *",
    ];
    assert_eq!(m_lines(&answer), expected);
    let next = m_lines(&endpoint.offer());
    assert_eq!(next[3], "m=audio 40000 RTP/AVP 8 0 9 111 101 110");
    assert_eq!(
        (&next[..3], &next[4..]),
        (&expected.map(String::from)[..3], &expected.map(String::from)[4..])
    );
}

#[test]
fn avpf_is_answered_as_avpf() {
    let mut endpoint = endpoint();
    let answer = endpoint.answer(&device("m=audio 4000 RTP/AVPF 0")).unwrap();
    assert_eq!(m_lines(&answer), ["m=audio 40000 RTP/AVPF 0"]);
}

#[test]
fn our_offer_is_answered() {
    let mut endpoint = endpoint();
    assert_eq!(endpoint.settings(), None);
    endpoint.offer();
    assert_eq!(endpoint.settings(), None);
    let answer =
        device("m=audio 4000 RTP/AVP 8 120\na=rtpmap:120 telephone-event/8000\na=rtcp:5999 IN IP4 127.0.0.9\na=sendonly");
    endpoint.take_answer(&answer).unwrap();
    let settings = endpoint.settings().unwrap();
    assert_eq!((settings.codec, settings.payload_type), (Codec::Pcma, 8));
    assert_eq!(settings.telephone_event.map(|event| event.payload_type), Some(120));
    assert_eq!(settings.remote_rtcp, Some("127.0.0.9:5999".parse().unwrap()));
    assert_eq!(settings.direction, Direction::RecvOnly);
    // It sends under our numbers.
    assert!(settings.receives.contains(&(101, Format::Event { clock_hz: 8_000 })));
    assert!(settings.receives.contains(&(111, audio(Codec::Opus))));
    // The final response says it again, or another fork says something else.
    assert_eq!(endpoint.take_answer(&answer), Ok(()));
    endpoint.take_answer(&device("m=audio 4002 RTP/AVP 0")).unwrap();
    assert_eq!(endpoint.settings().unwrap().codec, Codec::Pcmu);
    endpoint.answer(&device("m=audio 4000 RTP/AVP 0")).unwrap();
    assert_eq!(endpoint.take_answer(&answer), Err(EndpointError::NoOffer));
}

#[test]
fn descriptions_that_are_written_carelessly_are_understood() {
    for description in [
        "v=0\no=- 1 1 IN IP4 127.0.0.2\ns=-\nc=IN IP4 127.0.0.2\nt=0 0\nm=audio 4000 RTP/AVP 0\n",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns= \r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0",
        "v=0\r\no=phone 1 1 IN IP4 127.0.0.2\r\ns=\r\nt=0 0\r\nm=audio 4000 RTP/AVP  0 \r\nc=IN IP4 127.0.0.2\r\n",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nm=audio 4000 RTP/AVP 0\r\n",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:0  PCMU/8000/1\r\n\r\n",
        "v=0\r\no=- 99999999999999999999 18446744073709551615 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
        "v=0\r\no=my phone 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\na=sendrecv\r\nm=audio 4000 RTP/AVP 0\r\nb=AS:64\r\na=foo\r\nc=IN IP4 127.0.0.2\r\n",
    ] {
        let mut endpoint = endpoint();
        let answered = endpoint.answer(description.as_bytes());
        assert!(answered.is_ok(), "{answered:?} to {description}");
        assert_eq!(endpoint.settings().unwrap().remote, Some("127.0.0.2:4000".parse().unwrap()));
    }
}

#[test]
fn a_refused_offer_leaves_what_was_agreed() {
    let mut endpoint = endpoint();
    endpoint.answer(&device("m=audio 4000 RTP/AVP 0")).unwrap();
    let before = endpoint.settings().unwrap();
    endpoint.offer();
    let refusals = [
        ("m=audio 0 RTP/AVP 0", EndpointError::NoAudio),
        ("m=audio 4000 RTP/AVP 18", EndpointError::NoSharedCodec),
    ];
    for (lines, error) in refusals {
        assert_eq!(endpoint.answer(&device(lines)), Err(error), "{lines}");
    }
    assert_eq!(
        endpoint.take_answer(&device("m=audio 0 RTP/AVP 0")),
        Err(EndpointError::NoAudio)
    );
    assert_eq!(
        endpoint.settings(),
        Some(PortSettings {
            receives: endpoint.settings().unwrap().receives,
            ..before
        })
    );
}

#[test]
fn numbers_stay_for_the_session() {
    let mut endpoint = endpoint();
    let offer = device(
        "m=audio 4000 RTP/AVP 96 101 111 100\na=rtpmap:96 opus/48000/2\na=rtpmap:101 speex/16000\na=rtpmap:111 iLBC/8000\na=rtpmap:100 telephone-event/8000",
    );
    endpoint.answer(&offer).unwrap();
    let again = text(&endpoint.offer());
    for line in ["a=rtpmap:96 opus/48000/2", "a=rtpmap:100 telephone-event/8000"] {
        assert!(again.contains(line), "{again}");
    }
    assert!(
        !again.contains("rtpmap:101 ") && !again.contains("rtpmap:111 "),
        "they mean something else: {again}"
    );
    assert_eq!(m_lines(&endpoint.offer()), m_lines(&endpoint.offer()));
}

#[test]
fn a_leg_that_was_direct_goes_on_with_its_session() {
    let mut endpoint = endpoint();
    let ours = device("m=audio 6000 RTP/AVP 8 0 98\na=rtpmap:98 telephone-event/8000\nm=video 6002 RTP/AVP 99");
    let theirs = device("m=audio 4000 RTP/AVP 8 120\na=rtpmap:120 telephone-event/8000\nm=video 0 RTP/AVP 99");
    endpoint.learn(&theirs, Some(&ours));
    assert_eq!(endpoint.settings(), None);
    assert_eq!(
        m_lines(&endpoint.offer()),
        ["m=audio 40000 RTP/AVP 8 0 9 111 98 110", "m=video 0 RTP/AVP 99"]
    );
    endpoint.take_answer(&theirs).unwrap();
    assert_eq!(endpoint.settings().unwrap().codec, Codec::Pcma);
}

#[test]
fn learning_from_nothing_useful_changes_nothing() {
    for theirs in [&b""[..], b"v=0\r\n", &device("m=video 4000 RTP/AVP 99")] {
        let mut endpoint = endpoint();
        endpoint.learn(theirs, None);
        let offer = endpoint.offer();
        assert_eq!(m_lines(&offer).last().unwrap(), "m=audio 40000 RTP/AVP 0 8 9 111 101 110");
    }
}

#[test]
fn what_cannot_be_served_is_named() {
    let many = "m=audio 4000 RTP/AVP 0\n".repeat(MAX_STREAMS + 1);
    let long = format!("m=audio 4000 RTP/AVP 0\na=x:{}", "y".repeat(MAX_DESCRIPTION_BYTES));
    let address = |address: &str| EndpointError::Address { address: address.into() };
    for (lines, error) in [
        ("m=video 4000 RTP/AVP 99", EndpointError::NoAudio),
        ("m=audio 4000 UDP/TLS/RTP/SAVPF 0", EndpointError::NoAudio),
        ("m=audio 4000 RTP/AVP 3 18", EndpointError::NoSharedCodec),
        (
            "m=audio 4000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000",
            EndpointError::NoSharedCodec,
        ),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP4 phone.example", address("phone.example")),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP4 224.2.1.1/127", address("224.2.1.1/127")),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP6 ::1", address("::1")),
        (
            &many,
            EndpointError::TooManyStreams {
                streams: MAX_STREAMS + 1,
            },
        ),
    ] {
        assert_eq!(endpoint().answer(&device(lines)), Err(error), "{lines}");
    }
    assert!(matches!(
        endpoint().answer(&device(&long)),
        Err(EndpointError::TooLong { .. })
    ));
    assert_eq!(endpoint().answer(b"hello"), Err(EndpointError::Unreadable));
}

#[test]
fn strange_packet_lengths_become_ones_that_can_be_sent() {
    for (lines, ptime_ms) in [
        ("a=ptime:0", 20),
        ("a=ptime:10", 20),
        ("a=ptime:30", 20),
        ("a=ptime:60", 60),
        ("a=ptime:99999", 20),
        ("a=ptime:120", 60),
        ("a=ptime:60\na=maxptime:40", 40),
        ("a=ptime:x\na=maxptime:1", 20),
    ] {
        let mut endpoint = endpoint();
        endpoint.answer(&device(&format!("m=audio 4000 RTP/AVP 0\n{lines}"))).unwrap();
        assert_eq!(endpoint.settings().unwrap().ptime_ms, ptime_ms, "{lines}");
    }
}

#[test]
fn rtcp_shares_the_port_where_both_want_it() {
    for wanted in [false, true] {
        let capabilities = Capabilities {
            rtcp_mux: wanted,
            ..Capabilities::default()
        };
        let mut endpoint = Endpoint::new("127.0.0.1:40000".parse().unwrap(), capabilities, 1);
        let answer = endpoint.answer(&device("m=audio 4000 RTP/AVP 0\na=rtcp-mux")).unwrap();
        assert_eq!(text(&answer).contains("rtcp-mux"), wanted);
        let settings = endpoint.settings().unwrap();
        assert_eq!(settings.rtcp_mux, wanted);
        assert_eq!(settings.remote_rtcp.unwrap().port(), if wanted { 4_000 } else { 4_001 });
    }
}

#[test]
fn descriptions_over_ipv6_are_served() {
    let mut endpoint = Endpoint::new("[::1]:40000".parse().unwrap(), Capabilities::default(), 1);
    let offer = "v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    assert!(text(&endpoint.answer(offer.as_bytes()).unwrap()).contains("c=IN IP6 ::1"));
    assert_eq!(endpoint.settings().unwrap().remote, Some("[::1]:4000".parse().unwrap()));
}

/// The offers of RFC 4317 (examples of offer and answer), with what becomes of them here.
#[test]
fn the_examples_of_rfc_4317_are_answered() {
    for (section, lines, expected) in [
        (
            "2.1",
            "m=audio 49170 RTP/AVP 0 8 97\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:97 iLBC/8000\nm=video 51372 RTP/AVP 31 32\na=rtpmap:31 H261/90000\na=rtpmap:32 MPV/90000",
            &["m=audio 40000 RTP/AVP 0", "m=video 0 RTP/AVP 31 32"][..],
        ),
        (
            "2.4",
            "m=audio 49170 RTP/AVP 97 0 8\na=rtpmap:97 iLBC/8000\nm=audio 49172 RTP/AVP 98\na=rtpmap:98 telephone-event/8000\na=sendonly",
            &["m=audio 40000 RTP/AVP 0", "m=audio 0 RTP/AVP 98"],
        ),
        (
            "3.1",
            "m=audio 49170 RTP/AVP 0\na=rtpmap:0 PCMU/8000\na=sendonly",
            &["m=audio 40000 RTP/AVP 0"],
        ),
        (
            "4.1",
            "m=audio 49170 RTP/AVP 99\na=rtpmap:99 iLBC/8000\nm=audio 49172 RTP/AVP 8\na=rtpmap:8 PCMA/8000",
            &["m=audio 0 RTP/AVP 99", "m=audio 40000 RTP/AVP 8"],
        ),
    ] {
        let answer = endpoint()
            .answer(&device(lines))
            .unwrap_or_else(|error| panic!("{section}: {error}"));
        assert_eq!(m_lines(&answer), expected, "{section}");
    }
}

#[test]
fn every_description_of_the_sip_torture_set_is_answered_or_refused() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../sip/message/torture");
    let (mut answered, mut refused) = (0, 0);
    for entry in std::fs::read_dir(directory).unwrap() {
        let message = std::fs::read(entry.unwrap().path()).unwrap();
        let Some(at) = message.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let mut endpoint = endpoint();
        match endpoint.answer(&message[at + 4..]) {
            Ok(_) => answered += 1,
            Err(_) => refused += 1,
        }
        endpoint.learn(&message[at + 4..], None);
        endpoint.offer();
    }
    assert!(answered >= 10 && refused >= 10, "{answered} answered, {refused} refused");
}

/// Lines that descriptions are made of, sound and not.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "m=(audio|video) (0|9|4000|65535) RTP/(AVP|AVPF|SAVP)( [0-9]{1,3}){0,6}",
        "a=rtpmap:[0-9]{1,3} (opus/48000/2|PCMU/8000|PCMA/8000|G722/8000|telephone-event/8000|x/[0-9]{1,9})",
        "a=(sendrecv|sendonly|recvonly|inactive|rtcp-mux)",
        "a=(ptime|maxptime|rtcp|fmtp):[ -~]{0,20}",
        "c=IN IP[46] (127.0.0.[0-9]|0.0.0.0|::1|224.0.0.1|h)(/[0-9]{1,3})?",
        "[a-z]=[ -~]{0,30}",
    ]
}

proptest! {
    #[test]
    fn whatever_devices_say_numbers_and_streams_hold(steps in proptest::collection::vec((0_u8..4, proptest::collection::vec(line(), 0..8)), 1..8)) {
        let mut endpoint = endpoint();
        let mut streams = 0;
        for (step, lines) in steps {
            let description = device(&lines.join("\n"));
            let ours = match step {
                0 => Some(endpoint.offer()),
                1 => endpoint.answer(&description).ok(),
                2 => { endpoint.learn(&description, None); streams = 0; None }
                _ => { let _ = endpoint.take_answer(&description); None }
            };
            if let Some(ours) = ours {
                let lines = m_lines(&ours);
                prop_assert!(step == 1 || lines.len() >= streams);
                streams = lines.len();
                prop_assert_eq!(lines.iter().filter(|line| line.contains(" 40000 ")).count(), 1);
                prop_assert!(remote::read(&ours).is_ok());
            }
            if let Some(settings) = endpoint.settings() {
                prop_assert!(settings.remote.is_none_or(|remote| remote.port() != 0));
                prop_assert!(settings.ptime_ms % 20 == 0 && settings.ptime_ms <= 60);
                let mut numbers: Vec<u8> = settings.receives.iter().map(|(number, _)| *number).collect();
                numbers.sort_unstable();
                numbers.dedup();
                prop_assert_eq!(numbers.len(), settings.receives.len());
            }
        }
    }

    #[test]
    fn any_bytes_are_answered_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut endpoint = endpoint();
        let _ = endpoint.answer(&bytes);
        endpoint.learn(&bytes, Some(&bytes));
        let _ = endpoint.take_answer(&bytes);
        endpoint.offer();
        let _ = endpoint.take_answer(&bytes);
    }
}
