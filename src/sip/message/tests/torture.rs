//! The messages of RFC 4475 and what we make of each.

use super::*;

/// The table, which the test over real sockets reads too.
const VERDICTS: &str = include_str!("../torture/verdicts.tsv");

/// A message of the set.
pub(super) fn load(file: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("message/torture")
        .join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// File, verdict, section.
pub(super) fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    VERDICTS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        let mut column = || {
            columns
                .next()
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| panic!("a column is missing: {line}"))
        };
        let row = (column(), column(), column());
        assert!(!column().is_empty() && columns.next().is_none(), "four columns: {line}");
        row
    })
}

fn message(file: &str) -> Message {
    Message::parse(Bytes::from(load(file))).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn every_message_gets_its_verdict() {
    let wrong: Vec<_> = rows()
        .map(|(file, wanted, section)| (file, section, wanted, verdict(&load(file))))
        .filter(|(_, _, wanted, found)| wanted != found)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_is_whole() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("message/torture");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".dat"))
        .collect();
    files.sort_unstable();
    let mut listed: Vec<_> = rows().map(|(file, _, _)| file).collect();
    listed.sort_unstable();
    assert_eq!(listed.len(), 49);
    assert_eq!(listed, files);
}

#[test]
fn every_message_survives_every_accessor() {
    rows().for_each(|(file, _, _)| exercise(&load(file)));
}

#[test]
fn wsinv_is_read_as_it_is_meant() {
    let message = message("wsinv.dat");
    assert_eq!(message.to().unwrap().tag(), Some("1918181833n"));
    let from = message.from().unwrap();
    assert_eq!(from.display_unescaped().unwrap(), r#"J Rosenberg \""#);
    assert_eq!((from.uri, from.tag()), ("sip:jdrosen@example.com", Some("98asjd8")));
    assert_eq!(message.max_forwards().unwrap(), Some(68));
    assert_eq!(message.cseq().unwrap(), (9, Method::Invite));
    let vias: Vec<_> = message
        .vias()
        .map(|via| via.unwrap())
        .map(|via| (via.transport, via.host, via.branch.unwrap()))
        .collect();
    let wanted = [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ];
    assert_eq!(vias, wanted);
    assert_eq!(message.header(HeaderName::Subject), Some(""));
    assert_eq!(
        message.header_named("newfangledheader"),
        Some("newfangled value   continued newfangled value")
    );
    assert_eq!(
        message.headers(HeaderName::Route).next(),
        Some("<sip:services.example.com;lr;unknownwith=value;unknown-no-value>")
    );
    let Contacts::List(contacts) = message.contacts().unwrap() else {
        panic!("not a star")
    };
    assert_eq!(contacts[0].display_unescaped().unwrap(), r#"Quoted string """#);
    assert_eq!(
        (
            contacts[0].param("newparam"),
            contacts[0].param("secondparam"),
            contacts[0].q()
        ),
        (Some("newvalue"), Some(""), 330)
    );
    assert_eq!(message.body().len(), 150);
}

#[test]
fn intmeth_is_read_as_it_is_meant() {
    let message = message("intmeth.dat");
    assert_eq!(
        message.method().unwrap().as_str(),
        "!interesting-Method0123456789_*+`.%indeed'~"
    );
    let uri = Uri::parse(message.uri().unwrap()).unwrap();
    assert_eq!(uri.user, Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    assert_eq!(uri.password, Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(uri.host, "example.com");
    assert_eq!(
        message.to().unwrap().display_unescaped().unwrap(),
        "BEL:\u{7} NUL:\0 DEL:\u{7f}"
    );
    assert_eq!(message.from().unwrap().display, Some("token1~` token2'+_ token3*%!.-"));
    assert_eq!(message.from().unwrap().tag(), Some("_token~1'+`*%!-."));
}

#[test]
fn escapes_are_undone_where_they_are_escapes() {
    let esc01 = message("esc01.dat");
    let uri = Uri::parse(esc01.uri().unwrap()).unwrap();
    assert_eq!(
        (uri.user_decoded().unwrap().as_ref(), uri.host),
        ("sips:user@example.com", "example.net")
    );
    assert!(
        esc01
            .to()
            .unwrap()
            .parse_uri()
            .unwrap()
            .equivalent(&Uri::parse("sip:user@example.com").unwrap())
    );
    assert_eq!(
        esc01.from().unwrap().parse_uri().unwrap().user_decoded().unwrap(),
        "I have spaces"
    );
    assert!(esc01.contact().unwrap().parse_uri().unwrap().lr() || esc01.contact().unwrap().uri.contains("%6C%72"));
    let esc02 = message("esc02.dat");
    assert_eq!(esc02.method().unwrap(), Method::from_token("RE%47IST%45R"));
    assert_eq!(esc02.headers(HeaderName::Contact).count(), 2);
    assert_eq!(esc02.from().unwrap().display, Some("%Z%45"));
}

#[test]
fn contact_parameters_belong_to_the_right_one() {
    let header = message("cparam01.dat");
    let contact = header.contact().unwrap();
    assert!(contact.params.contains("unknownparam") && !contact.parse_uri().unwrap().params.contains("unknownparam"));
    let uri = message("cparam02.dat");
    let contact = uri.contact().unwrap();
    assert!(!contact.params.contains("unknownparam") && contact.parse_uri().unwrap().params.contains("unknownparam"));
    let escaped = message("regescrt.dat");
    assert_eq!(
        escaped.contact().unwrap().parse_uri().unwrap().headers,
        Some("Route=%3Csip:sip.example.com%3E")
    );
}

#[test]
fn the_rest_is_read_as_it_is_meant() {
    assert_eq!(message("dblreq.dat").body().len(), 0);
    let semiuri = message("semiuri.dat");
    assert_eq!(
        Uri::parse(semiuri.uri().unwrap()).unwrap().user_decoded().unwrap(),
        "user;par=u@example.net"
    );
    assert_eq!(semiuri.headers(HeaderName::Accept).count(), 6);
    let transports: Vec<_> = message("transports.dat")
        .vias()
        .map(|via| via.unwrap().transport.to_owned())
        .collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
    assert_eq!(message("noreason.dat").reason_phrase(), Some(""));
    assert!(message("unreason.dat").reason_phrase().unwrap().starts_with("= 2**3 * 5**2 "));
    assert_eq!(message("badbranch.dat").top_via().unwrap().unique_branch(), None);
    assert_eq!(message("badbranch.dat").top_via().unwrap().branch, Some(MAGIC_COOKIE));
    assert_eq!(message("baddn.dat").to().unwrap().display, Some("Watson, Thomas"));
    assert_eq!(message("badaspec.dat").to().unwrap().uri, "sip:t.watson@example.org");
    assert_eq!(message("longreq.dat").vias().filter(Result::is_ok).count(), 34);
    assert_eq!(message("inv2543.dat").from().unwrap().tag(), None);
    assert!(message("inv2543.dat").sdp().unwrap().starts_with(b"v=0"));
    assert!(
        message("bext01.dat")
            .unsupported()
            .eq(["nothingSupportsThis", "nothingSupportsThisEither"])
    );
}
