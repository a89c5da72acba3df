//! The text form of the link: every message goes round, nothing from outside breaks it, and what is sensitive is not logged.

use proptest::prelude::*;
use tandem_model::connector::{ConnectorNotification, ConnectorRequest, CopiedRecord};
use tandem_model::link::{Cause, LinkNotification, LinkRequest, ReleasedBy};
use tandem_model::{ConferenceId, PartyId};

use super::arbitrary::{notification, request};
use super::decoder::{MAX_BODY, MAX_HEADERS, MAX_LINE};
use super::exercise::exercise;
use super::*;

const CONFERENCE: ConferenceId = ConferenceId(9);
const PARTY: PartyId = PartyId(2);

/// The frames and errors of a stream.
fn read(bytes: &[u8]) -> Vec<Result<Frame, FrameError>> {
    let mut decoder = Decoder::new();
    decoder.feed(bytes);
    std::iter::from_fn(|| decoder.next_frame()).collect()
}

fn frame(bytes: &[u8]) -> Frame {
    match read(bytes).pop() {
        Some(Ok(frame)) => frame,
        other => panic!("not a frame: {other:?}"),
    }
}

fn error(bytes: &[u8]) -> FrameError {
    match read(bytes).pop() {
        Some(Err(error)) => error,
        other => panic!("not an error: {other:?}"),
    }
}

fn refused<M: Carried + std::fmt::Debug>(text: &str) -> String {
    M::read(&frame(text.as_bytes())).unwrap_err().to_string()
}

fn text<M: Carried>(message: &M) -> String {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_message_looks_as_in_the_seed() {
    let alerting = LinkNotification::PartyAlerting {
        conference: CONFERENCE,
        party: PARTY,
    };
    let expected = "PARTY_CHANGED * MLTP/1.0\r\nconference: 9\r\nparty: 2\r\nparty-state: ALERTING\r\n\r\n";
    assert_eq!(text(&alerting), expected);
}

/// Seed 002 line 2520 gives both URIs the length 21; `sip:user1@domain.com` has 20 bytes.
#[test]
fn the_log_of_the_seed_is_hidden_as_in_the_seed() {
    let printed =
        "PARTY_CREATED * MLTP/1.0\nmedia: voice\nfrom: sip:user1@domain.com\nto: sip:user21@domain.com\nparty-state: ALERTING";
    let frame = frame(format!("{printed}\n\n").as_bytes());
    assert_eq!(masked(&frame, &HideHeaders::default()), printed);
    let hide = HideHeaders::default().with("media, from, to, party-state".split(','));
    let hidden = "PARTY_CREATED * MLTP/1.0\nmedia: **** (length:5)\nfrom: **** (length:20)\nto: **** (length:21)\n\
                  party-state: **** (length:8)";
    assert_eq!(masked(&frame, &hide), hidden);
}

#[test]
fn what_connectors_have_kept_is_never_shown() {
    let records = vec![CopiedRecord {
        kind: 10,
        id: vec![1],
        value: Some(b"a key".to_vec()),
    }];
    let told = LinkNotification::Connector(ConnectorNotification::Records {
        records: records.clone(),
        end: true,
    });
    let given = LinkRequest::Connector(ConnectorRequest::Restore { records, end: true });
    for text in [text(&told), text(&given)] {
        let shown = masked(&frame(text.as_bytes()), &HideHeaders::none());
        assert!(shown.ends_with("\n\n**** (length:24)"), "{shown}");
    }
}

#[test]
fn digits_and_treatment_parameters_are_hidden_unless_everything_is_shown() {
    let frame = frame(b"SEND_DIGITS * MLTP/1.0\nData: 4711\ntreatment-params: x\n\n");
    let hidden = masked(&frame, &HideHeaders::default());
    assert_eq!(
        hidden,
        "SEND_DIGITS * MLTP/1.0\nData: **** (length:4)\ntreatment-params: **** (length:1)"
    );
    assert!(masked(&frame, &HideHeaders::none()).contains("4711"));
}

#[test]
fn a_body_is_shown_on_one_line_or_hidden_by_its_length() {
    let frame = frame(b"X * MLTP/1.0\ncontent-length: 3\n\na\nb");
    assert_eq!(masked(&frame, &HideHeaders::default()), "X * MLTP/1.0\n\na\\nb");
    assert_eq!(
        masked(&frame, &HideHeaders::none().with(["Body"])),
        "X * MLTP/1.0\n\n**** (length:3)"
    );
}

#[test]
fn a_value_cannot_end_its_line() {
    let digits = LinkRequest::SendDigits {
        conference: CONFERENCE,
        operation: tandem_model::link::OperationId(1),
        party: PARTY,
        digits: "1\r\nparty: 3\r\n\r\nAUDIT_END * MLTP/1.0\r\n\r\n".into(),
    };
    let text = text(&digits);
    assert_eq!(text.lines().count(), 6, "{text}");
    assert_eq!(LinkRequest::read(&frame(text.as_bytes())), Ok(digits));
}

#[test]
fn headers_are_found_in_any_case_and_order_and_unknown_ones_ignored() {
    let bytes = b"AUDIT * MLTP/1.0\r\nX-New: yes\r\nCONFERENCE:9\r\n\r\n";
    let audit = LinkRequest::Audit { conference: CONFERENCE };
    assert_eq!(LinkRequest::read(&frame(bytes)), Ok(audit));
}

#[test]
fn a_damaged_stream_is_named_and_gives_nothing_more() {
    let cases: [(&[u8], FrameError); 13] = [
        (b"HELLO\r\n", FrameError::StartLine("HELLO".into())),
        (b"hello * MLTP/1.0\r\n", FrameError::StartLine("hello * MLTP/1.0".into())),
        (b"HELLO x MLTP/1.0\r\n", FrameError::StartLine("HELLO x MLTP/1.0".into())),
        (b"HELLO * MLTP/2.0\r\n", FrameError::Version("MLTP/2.0".into())),
        (b"A * MLTP/1.0\nno colon\n", FrameError::Header("no colon".into())),
        (b"A * MLTP/1.0\na b: c\n", FrameError::Header("a b: c".into())),
        (b"A * MLTP/1.0\na: \\q\n", FrameError::Escape("a".into())),
        (b"A * MLTP/1.0\na: \\xff\n", FrameError::Escape("a".into())),
        (b"A * MLTP/1.0\na: \x01\n", FrameError::Text("a: \\u{1}".into())),
        (b"A * MLTP/1.0\na: b\rc\n", FrameError::Text("a: b\\rc".into())),
        (b"A * MLTP/1.0\ncontent-length: -1\n", FrameError::ContentLength("-1".into())),
        (
            b"A * MLTP/1.0\ncontent-length: 1\ncontent-length: 2\n",
            FrameError::ContentLength("2".into()),
        ),
        (
            b"A * MLTP/1.0\ncontent-length: 99999999\n",
            FrameError::BodyTooLong(99_999_999),
        ),
    ];
    for (bytes, expected) in cases {
        let mut decoder = Decoder::new();
        decoder.feed(bytes);
        decoder.feed(b"\r\n\r\nAUDIT_END * MLTP/1.0\r\n\r\n");
        assert_eq!(decoder.next_frame(), Some(Err(expected)));
        assert_eq!(decoder.next_frame(), None);
    }
}

#[test]
fn the_limits_hold_while_a_frame_is_still_on_its_way() {
    let line = [b"A * MLTP/1.0\na: ".as_slice(), &vec![b'x'; MAX_LINE]].concat();
    assert_eq!(error(&line), FrameError::LineTooLong);
    let value = "x".repeat(MAX_LINE - 10);
    let head = format!("A * MLTP/1.0\na: {value}\nb: {value}\nc: {value}\n");
    assert_eq!(error(head.as_bytes()), FrameError::HeadTooLong);
    let many = format!("A * MLTP/1.0\n{}", "a: b\n".repeat(MAX_HEADERS + 1));
    assert_eq!(error(many.as_bytes()), FrameError::TooManyHeaders);
}

#[test]
fn what_a_peer_would_refuse_is_not_written() {
    let too_large = |write: &dyn Fn(&mut FrameWriter<'_>)| {
        let mut out = b"before".to_vec();
        let mut writer = FrameWriter::new(&mut out, "A");
        write(&mut writer);
        assert_eq!(writer.finish(), Err(TooLarge));
        assert_eq!(out, b"before");
    };
    too_large(&|writer| writer.text("a", &"x".repeat(MAX_LINE)));
    too_large(&|writer| (0..=MAX_HEADERS).for_each(|_| writer.plain("a", 1)));
    too_large(&|writer| (0..3).for_each(|_| writer.text("a", &"x".repeat(MAX_LINE - 10))));
    too_large(&|writer| writer.body(&vec![b'x'; MAX_BODY + 1]));
}

#[test]
fn what_is_no_message_is_named() {
    let cases = [
        ("DANCE * MLTP/1.0\n\n", "unknown message DANCE"),
        ("AUDIT * MLTP/1.0\n\n", "AUDIT: header conference is missing"),
        (
            "AUDIT * MLTP/1.0\nconference: 1\nConference: 1\n\n",
            "AUDIT: header conference stands twice",
        ),
        (
            "AUDIT * MLTP/1.0\nconference: +1\n\n",
            "AUDIT: header conference is not a number in range: \"+1\"",
        ),
        (
            "RELEASE_CONFERENCE * MLTP/1.0\nconference: 1\nreleased-by: me\n\n",
            "RELEASE_CONFERENCE: header released-by is not DEVICE, SERVER or NETWORK: \"me\"",
        ),
        (
            "RELEASE_CONFERENCE * MLTP/1.0\nconference: 1\nreleased-by: DEVICE\nsip-status: 65536\n\n",
            "RELEASE_CONFERENCE: header sip-status is not a number in range: \"65536\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refused::<LinkRequest>(text), expected);
    }
    let body = refused::<LinkRequest>("SET_AUDIO * MLTP/1.0\nconference: 1\noperation: 1\ncontent-length: 1\n\n[");
    assert!(body.starts_with("SET_AUDIO: body: EOF"), "{body}");
    assert_eq!(
        refused::<LinkNotification>("AUDIT_END * MLTP/1.0\n\n"),
        "unknown message AUDIT_END"
    );
}

#[test]
fn one_buffer_takes_many_messages() {
    let mut bytes = Vec::new();
    let ended = LinkNotification::ConferenceEnded { conference: CONFERENCE };
    let released = LinkNotification::PartyReleased {
        conference: CONFERENCE,
        party: PARTY,
        cause: Cause::status(ReleasedBy::Device, 486),
    };
    for message in [&released, &ended] {
        encode(message, &mut bytes).unwrap();
    }
    let messages: Vec<_> = read(&bytes)
        .into_iter()
        .map(|frame| LinkNotification::read(&frame.unwrap()).unwrap())
        .collect();
    assert_eq!(messages, [released, ended]);
}

/// The seeds of a fuzz target.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn the_seeds_of_the_fuzz_target_are_messages_and_hold_the_invariants() {
    let seeds = seeds("mltp");
    assert!(seeds.len() > 5);
    for seed in seeds {
        exercise(&seed);
        assert!(read(&seed).iter().all(Result::is_ok), "{}", String::from_utf8_lossy(&seed));
    }
}

proptest! {
    #[test]
    fn every_request_goes_round(message in request()) {
        exercise(text(&message).as_bytes());
        prop_assert_eq!(LinkRequest::read(&frame(text(&message).as_bytes())), Ok(message));
    }

    #[test]
    fn every_notification_goes_round(message in notification()) {
        exercise(text(&message).as_bytes());
        prop_assert_eq!(LinkNotification::read(&frame(text(&message).as_bytes())), Ok(message));
    }

    #[test]
    fn any_bytes_end_in_frames_or_an_error(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        exercise(&data);
    }

    #[test]
    fn damaged_messages_end_in_frames_or_an_error(
        message in notification(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = text(&message).into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        exercise(&bytes);
    }
}
