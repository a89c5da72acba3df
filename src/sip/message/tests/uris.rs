//! URIs: reading, addresses of record, equality.

use super::uri::decode;
use super::*;

#[test]
fn the_parts_of_a_uri() {
    let uri = Uri::parse("SIP:bob:pass%20word@Example.COM:5061;transport=TCP;lr;ob;maddr=10.0.0.1;m=a?Subject=x&y=z").unwrap();
    assert_eq!(
        (uri.scheme, uri.user, uri.password, uri.host, uri.port),
        (Scheme::Sip, Some("bob"), Some("pass%20word"), "Example.COM", Some(5061))
    );
    assert_eq!(
        (uri.transport(), uri.maddr(), uri.lr(), uri.ob(), uri.param("M")),
        (Some("TCP"), Some("10.0.0.1"), true, true, Some("a"))
    );
    assert_eq!((uri.headers, uri.host_is_name()), (Some("Subject=x&y=z"), true));
    let uri = Uri::parse("sips:192.0.2.1").unwrap();
    assert_eq!(
        (uri.scheme, uri.user, uri.port, uri.host_is_name(), uri.lr()),
        (Scheme::Sips, None, None, false, false)
    );
    let uri = Uri::parse("tel:+1-201-555-0123;phone-context=example.com").unwrap();
    assert_eq!(
        (uri.scheme, uri.user, uri.host, uri.param("phone-context")),
        (Scheme::Tel, Some("+1-201-555-0123"), "", Some("example.com"))
    );
    let uri = Uri::parse("urn:service:sos").unwrap();
    assert_eq!(
        (uri.scheme, uri.user, uri.host_is_name()),
        (Scheme::Other("urn"), Some("service:sos"), false)
    );
}

#[test]
fn what_is_no_uri() {
    for (text, wanted) in [
        ("", UriError::Scheme),
        ("bob", UriError::Scheme),
        (":x", UriError::Scheme),
        ("1sip:a@b", UriError::Scheme),
        ("<sip:a@b>", UriError::Scheme),
        ("sip:", UriError::Host),
        ("sip:a@", UriError::Host),
        ("sip:@b", UriError::Host),
        ("sip:a@b@c", UriError::Host),
        ("sip:a@b/c", UriError::Host),
        ("sip:2001:db8::1", UriError::Host),
        ("sip:[2001:db8::1", UriError::Host),
        ("sip:[192.0.2.1]", UriError::Host),
        ("sip:a@[::1]x", UriError::Host),
        ("sip:a@b:", UriError::Port),
        ("sip:a@b:+1", UriError::Port),
        ("sip:a@b:65536", UriError::Port),
        ("sip:a b@c", UriError::Character),
        ("sip:a@b>", UriError::Character),
        ("sip:\"a\"@b", UriError::Character),
        ("sip:a@b\u{7f}", UriError::Character),
        ("sip:a@b\r\n", UriError::Character),
    ] {
        let found = Uri::parse(text).map(|uri| uri.aor());
        if text == "sip:2001:db8::1" {
            assert!(found.is_err());
        } else {
            assert_eq!(found, Err(wanted), "{text}");
        }
    }
}

#[test]
fn addresses_of_record() {
    for (text, wanted) in [
        ("sip:Bob@Example.COM:5060;transport=tcp?x=y", "sip:bob@example.com"),
        ("sip:%42ob@example.com", "sip:bob@example.com"),
        ("sip:b%6fb%40work@example.com", "sip:bob%40work@example.com"),
        ("sip:bob:secret@example.com", "sip:bob@example.com"),
        ("SIPS:example.com", "sips:example.com"),
        ("sip:a@[2001:DB8:0:0::1]:5060", "sip:a@[2001:db8::1]"),
        ("sip:M\u{dc}LLER@h", "sip:m\u{fc}ller@h"),
        ("tel:+1-(201)-555.0123;ext=5", "tel:+12015550123"),
        ("ISBN:2983792873", "isbn:2983792873"),
    ] {
        assert_eq!(Uri::parse(text).unwrap().aor(), wanted, "{text}");
    }
}

/// The examples of RFC 3261 s.19.1.4, and more.
#[test]
fn equality() {
    let same = |one: &str, two: &str| {
        let (one, two) = (Uri::parse(one).unwrap(), Uri::parse(two).unwrap());
        assert_eq!(one.equivalent(&two), two.equivalent(&one), "equality has two sides");
        one.equivalent(&two)
    };
    for (one, two) in [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"),
        ("sip:a%2fb@h", "sip:a%2Fb@h"),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
        ("sip:a@h;user=phone;user=ip", "sip:a@h;user=phone"),
    ] {
        assert!(same(one, two), "{one} {two}");
    }
    for (one, two) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com:6000;transport=tcp", "sip:bob@biloxi.com;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@h", "sips:a@h"),
        ("sip:a@h", "sip:h"),
        ("sip:a@h", "sip:a:p@h"),
        ("sip:a@h;maddr=1.2.3.4", "sip:a@h"),
        ("sip:a@h", "tel:1"),
        ("urn:a", "isbn:a"),
    ] {
        assert!(!same(one, two), "{one} {two}");
    }
}

#[test]
fn escapes() {
    for (text, wanted) in [
        ("", ""),
        ("a%20b", "a b"),
        ("%", "%"),
        ("%4", "%4"),
        ("%zz", "%zz"),
        ("%41%", "A%"),
        ("%c3%bc", "\u{fc}"),
        ("%ff", "\u{fffd}"),
        ("\u{fc}%41", "\u{fc}A"),
        ("%\u{fc}1", "%\u{fc}1"),
    ] {
        assert_eq!(decode(text), wanted, "{text}");
    }
}
