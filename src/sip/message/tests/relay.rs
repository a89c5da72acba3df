//! Messages that are passed on: nothing changes that is not asked for.

use super::torture::{load, rows};
use super::*;

fn fields(message: &Message) -> Vec<(String, Vec<u8>)> {
    message
        .raw_fields()
        .filter(|(name, _, _)| *name != HeaderName::ContentLength)
        .map(|(_, name, value)| (String::from_utf8(name.to_vec()).unwrap(), value.to_vec()))
        .collect()
}

#[test]
fn a_message_that_changes_in_nothing_says_the_same() {
    let mut passed = 0;
    for (file, _, _) in rows() {
        let Ok(message) = Message::parse(load(file).into()) else {
            continue;
        };
        let relayed = Message::parse(Relay::of(&message).finish()).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(fields(&relayed), fields(&message), "{file}");
        assert_eq!(relayed.body(), message.body(), "{file}");
        assert_eq!((relayed.uri(), relayed.status()), (message.uri(), message.status()), "{file}");
        passed += 1;
    }
    assert!(passed > 40, "{passed}");
}

#[test]
fn the_first_of_a_list_goes_off_on_whatever_lines_it_stands() {
    let routes = |message: &Message, count: usize| -> Vec<String> {
        let relayed = Message::parse(Relay::of(message).pop_routes(count).finish()).unwrap();
        relayed.headers(HeaderName::Route).map(str::to_owned).collect()
    };
    for lines in [
        &["Route: <sip:a;lr>,<sip:b;x=\",\">, <sip:c>"][..],
        &["Route: <sip:a;lr>", "rOUTE:  <sip:b;x=\",\"> ,\t<sip:c>"],
        &["Route: <sip:a;lr>", "Route: <sip:b;x=\",\">", "Route: <sip:c>"],
    ] {
        let message = request("OPTIONS", lines);
        assert_eq!(routes(&message, 0).len(), 3, "{lines:?}");
        assert_eq!(routes(&message, 1), ["<sip:b;x=\",\">", "<sip:c>"], "{lines:?}");
        assert_eq!(routes(&message, 2), ["<sip:c>"], "{lines:?}");
        assert_eq!(routes(&message, 3), Vec::<String>::new(), "{lines:?}");
        assert_eq!(routes(&message, 9), Vec::<String>::new(), "{lines:?}");
    }
}

#[test]
fn ours_stand_above_those_of_their_name() {
    let message = request(
        "OPTIONS",
        &[
            "Max-Forwards: 70",
            "Path: <sip:old>",
            "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2",
        ],
    );
    let relay = Relay::of(&message)
        .push_via("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK9".to_owned())
        .received_from(([192, 0, 2, 77], 5060).into())
        .max_forwards(3)
        .add(HeaderName::Path, "<sip:one>".to_owned())
        .add(HeaderName::Path, "<sip:two>\r\nX: y".to_owned());
    let relayed = Message::parse(relay.finish()).unwrap();
    let branches: Vec<_> = relayed.vias().map(|via| via.unwrap().branch.unwrap().to_owned()).collect();
    assert_eq!(branches, ["z9hG4bK9", "z9hG4bK1", "z9hG4bK2"]);
    let received: Vec<_> = relayed.vias().map(|via| via.unwrap().received.is_some()).collect();
    assert_eq!(received, [false, true, false], "the one that came on top");
    assert_eq!(relayed.max_forwards(), Ok(Some(3)));
    let paths: Vec<_> = relayed.headers(HeaderName::Path).collect();
    assert_eq!(
        paths,
        ["<sip:two>  X: y", "<sip:one>", "<sip:old>"],
        "a value stays on its line"
    );
    let back = Message::parse(Relay::of(&relayed).pop_via().finish()).unwrap();
    assert_eq!(back.vias().count(), 2);
}
