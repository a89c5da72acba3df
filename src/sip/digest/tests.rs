//! The vectors of the RFCs, a table of what a server refuses, and what no sequence of requests may bring about.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::client::{Challenge, SyntaxError};
use super::params::Params;
use super::server::{Challenger, Denied, Secret};
use super::throttle::{Throttle, ThrottleConfig, Verdict};
use super::{Algorithm, hex, unhex};

const URI: &str = "sip:example.test";
const MINUTE: Duration = Duration::from_secs(60);

fn challenger(algorithms: Vec<Algorithm>) -> Challenger {
    Challenger::new("tandem", [7; 32], algorithms, MINUTE)
}

fn alice(user: &str) -> Option<Secret> {
    (user == "alice").then(|| Secret::Password("secret".into()))
}

fn answer(lines: &[String], password: &str, nc: u32) -> String {
    let challenge = Challenge::strongest(lines.iter().map(String::as_str), None).expect("a challenge");
    challenge.authorize("alice", password, "REGISTER", URI, nc, "0a4f113b")
}

#[test]
fn rfc_7616_section_3_9_1_vectors() {
    let challenge = |algorithm: &str| {
        let text = format!(
            r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm},
            nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#
        );
        Challenge::parse(&text).expect("readable")
    };
    for (algorithm, response) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let value = challenge(algorithm).authorize(
            "Mufasa",
            "Circle of Life",
            "GET",
            "/dir/index.html",
            1,
            "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        );
        assert!(value.contains(&format!("response=\"{response}\"")), "{algorithm}: {value}");
        assert!(value.contains(r#"opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#));
    }
}

#[test]
fn rfc_2617_section_3_5_vector() {
    let text = r#"Digest realm="testrealm@host.com",qop="auth,auth-int",nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let value =
        Challenge::parse(text)
            .expect("readable")
            .authorize("Mufasa", "Circle Of Life", "GET", "/dir/index.html", 1, "0a4f113b");
    assert!(value.contains(r#"response="6629fae49393a05397450978507c4ef1""#), "{value}");
    assert!(value.contains("nc=00000001") && value.contains("qop=auth,"));
}

#[test]
fn rfc_2069_form_without_qop() {
    let text = r#"Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093""#;
    let value =
        Challenge::parse(text)
            .expect("readable")
            .authorize("Mufasa", "CircleOfLife", "GET", "/dir/index.html", 1, "unused");
    // The corrected value of RFC 2069's example (errata 749).
    assert!(value.contains(r#"response="1949323746fe6a43ef61f9606e7febea""#), "{value}");
    assert!(!value.contains("qop") && !value.contains("cnonce"));
}

#[test]
fn sha_512_256_is_the_algorithm_of_fips_180_4() {
    let hash = Algorithm::Sha512_256.hash(&["abc"]);
    assert_eq!(hash, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23");
}

#[test]
fn a_challenge_reads_or_says_why_not() {
    let cases: &[(&str, Result<(), SyntaxError>)] = &[
        (r#"Digest realm="a", nonce="b""#, Ok(())),
        (r#"digest  realm = "a" ,, nonce="b" ,"#, Ok(())),
        (r#"Digest realm="", nonce="b", algorithm=md5"#, Ok(())),
        (r#"Digest realm="a\"b\\", nonce="b", qop="auth-int,AUTH""#, Ok(())),
        (r#"Basic realm="a""#, Err(SyntaxError::Scheme)),
        ("Digest", Err(SyntaxError::Scheme)),
        ("", Err(SyntaxError::Scheme)),
        (r#"Digest realm="a"#, Err(SyntaxError::List)),
        (r#"Digest realm="a\"#, Err(SyntaxError::List)),
        (r#"Digest realm="a" nonce="b""#, Err(SyntaxError::List)),
        (r#"Digest realm=a"b", nonce="b""#, Err(SyntaxError::List)),
        (r#"Digest re alm="a", nonce="b""#, Err(SyntaxError::List)),
        (r#"Digest realm"#, Err(SyntaxError::List)),
        (r#"Digest realm="a", Realm="b", nonce="b""#, Err(SyntaxError::Duplicate)),
        (r#"Digest nonce="b""#, Err(SyntaxError::Missing("realm"))),
        (r#"Digest realm="a", nonce="""#, Err(SyntaxError::Missing("nonce"))),
        (
            r#"Digest realm="a", nonce="b", algorithm=MD5-sess"#,
            Err(SyntaxError::Value("algorithm")),
        ),
        (
            r#"Digest realm="a", nonce="b", qop="auth-int""#,
            Err(SyntaxError::Value("qop")),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Challenge::parse(text).map(|_| ()), *expected, "{text}");
    }
    let escaped = Challenge::parse(r#"Digest realm="a\"b\\", nonce="b""#).expect("readable");
    assert_eq!(&*escaped.realm, r#"a"b\"#);
}

#[test]
fn the_strongest_known_challenge_of_our_realm_is_answered() {
    let lines = [
        r#"Digest realm="x", nonce="1", algorithm=MD5"#,
        r#"Digest realm="x", nonce="2", algorithm=SHA3-1024"#,
        r#"Digest realm="x", nonce="3", algorithm=SHA-256"#,
        r#"Digest realm="y", nonce="4", algorithm=SHA-512-256"#,
    ];
    let nonce = |realm| Challenge::strongest(lines, realm).map(|c| c.nonce.to_string());
    assert_eq!(nonce(Some("x")).as_deref(), Some("3"));
    assert_eq!(nonce(None).as_deref(), Some("4"));
    assert_eq!(nonce(Some("z")), None);
}

#[test]
fn sha_256_is_offered_before_md5_with_the_same_nonce() {
    let lines = challenger(vec![Algorithm::Sha256, Algorithm::Md5]).challenge(Instant::now(), true);
    assert!(lines[0].contains("algorithm=SHA-256") && lines[1].contains("algorithm=MD5"));
    assert!(
        lines
            .iter()
            .all(|l| l.contains("qop=\"auth\"") && l.contains("stale=true") && l.contains("opaque=\""))
    );
    let nonces: Vec<_> = lines.iter().map(|l| Challenge::parse(l).expect("readable").nonce).collect();
    assert_eq!(nonces[0], nonces[1]);
}

#[test]
fn a_right_answer_is_accepted_once() {
    let now = Instant::now();
    for algorithm in [Algorithm::Sha256, Algorithm::Md5, Algorithm::Sha512_256] {
        let mut server = challenger(vec![algorithm]);
        let lines = server.challenge(now, false);
        let first = answer(&lines, "secret", 1);
        let user = server.verify(now, &first, "REGISTER", URI, alice).expect("accepted");
        assert_eq!(&*user.username, "alice");
        assert_eq!(server.verify(now, &first, "REGISTER", URI, alice), Err(Denied::Replayed));
        for nc in [5, 3, 4, 2] {
            assert!(
                server
                    .verify(now, &answer(&lines, "secret", nc), "REGISTER", URI, alice)
                    .is_ok(),
                "nc {nc} was not used yet"
            );
        }
        assert_eq!(
            server.verify(now, &answer(&lines, "secret", 3), "REGISTER", URI, alice),
            Err(Denied::Replayed)
        );
        assert!(
            server
                .verify(now, &answer(&lines, "secret", 200), "REGISTER", URI, alice)
                .is_ok()
        );
        assert_eq!(
            server.verify(now, &answer(&lines, "secret", 100), "REGISTER", URI, alice),
            Err(Denied::Replayed),
            "too far behind"
        );
    }
}

#[test]
fn a_stored_hash_does_as_well_as_the_password() {
    let now = Instant::now();
    let mut server = challenger(vec![Algorithm::Sha256, Algorithm::Md5]);
    let lines = server.challenge(now, false);
    let stored = |a: Algorithm| {
        move |_: &str| {
            Some(Secret::Ha1(vec![(
                a,
                a.ha1("alice", "tandem", "secret").to_uppercase().into(),
            )]))
        }
    };
    let value = answer(&lines, "secret", 1);
    assert_eq!(
        server.verify(now, &value, "REGISTER", URI, stored(Algorithm::Md5)),
        Err(Denied::NotOffered)
    );
    assert!(server.verify(now, &value, "REGISTER", URI, stored(Algorithm::Sha256)).is_ok());
}

#[test]
fn what_is_refused() {
    let now = Instant::now();
    let mut server = challenger(vec![Algorithm::Sha256]);
    let lines = server.challenge(now, false);
    let right = answer(&lines, "secret", 1);
    let with = |from: &str, to: &str| {
        assert!(right.contains(from), "{from} is not in {right}");
        right.replacen(from, to, 1)
    };
    let cases = [
        (answer(&lines, "guess", 1), Denied::Wrong),
        (with("alice", "bob"), Denied::Unknown),
        (with("nc=00000001", "nc=00000002"), Denied::Wrong),
        (with("nc=00000001", "nc=00000000"), Denied::Malformed),
        (with("nc=00000001", "nc=+0000001"), Denied::Malformed),
        (with("nc=00000001", "nc=000000001"), Denied::Malformed),
        (with("qop=auth,", ""), Denied::Malformed),
        (with("qop=auth,", "qop=auth-int,"), Denied::Malformed),
        (with("cnonce=\"0a4f113b\"", "cnonce=\"\""), Denied::Malformed),
        (with("username=\"alice\",", ""), Denied::Malformed),
        (with("username=\"alice\",", "username=\"\","), Denied::Malformed),
        (with(URI, "sip:elsewhere.test"), Denied::Malformed),
        (with("algorithm=SHA-256", "algorithm=MD5"), Denied::NotOffered),
        (with("algorithm=SHA-256", "algorithm=none"), Denied::NotOffered),
        (with("algorithm=SHA-256,", ""), Denied::NotOffered),
        (with("realm=\"tandem\"", "realm=\"other\""), Denied::NotOffered),
        (with("response=\"", "response=\"00"), Denied::Wrong),
        // No credentials of ours are a reason to ask for them (RFC 4475 s.3.3.7), not a syntax error.
        (with("Digest", "Basic"), Denied::NotOffered),
        (String::new(), Denied::NotOffered),
        (format!("{right}, {right}"), Denied::Malformed),
        ("Digest ".to_owned() + &"a=b,".repeat(10_000), Denied::Malformed),
    ];
    for (value, expected) in cases {
        assert_eq!(server.verify(now, &value, "REGISTER", URI, alice), Err(expected), "{value}");
    }
    assert_eq!(
        server.verify(now, &right, "INVITE", URI, alice),
        Err(Denied::Wrong),
        "the method is hashed"
    );
    assert_eq!(server.nonces_remembered(), 0, "nothing wrong is remembered");
    assert!(
        server
            .verify(now, &right, "REGISTER", "SIP:example.test;transport=tcp", alice)
            .is_ok(),
        "and nothing wrong spoils the nonce"
    );
}

#[test]
fn an_unknown_user_takes_the_same_path_as_a_wrong_password() {
    let now = Instant::now();
    let mut server = challenger(vec![Algorithm::Sha256]);
    let lines = server.challenge(now, false);
    // Even one who guesses right is not let in where there is no such user.
    let value = answer(&lines, "secret", 1);
    let mut asked = 0;
    let denied = server.verify(now, &value, "REGISTER", URI, |_| {
        asked += 1;
        None
    });
    assert_eq!((denied, asked), (Err(Denied::Unknown), 1));
    for denied in [Denied::Unknown, Denied::Wrong] {
        assert!(
            denied.is_guess() && !denied.is_stale() && !denied.is_bad_request(),
            "they are answered alike"
        );
    }
}

#[test]
fn nonces_expire_and_only_ours_count() {
    let start = Instant::now();
    let mut server = challenger(vec![Algorithm::Sha256]);
    let lines = server.challenge(start, false);
    assert!(
        server
            .verify(start + MINUTE, &answer(&lines, "secret", 1), "REGISTER", URI, alice)
            .is_ok(),
        "to the end of its life"
    );
    let late = start + MINUTE + Duration::from_millis(1);
    assert_eq!(
        server.verify(late, &answer(&lines, "secret", 2), "REGISTER", URI, alice),
        Err(Denied::Stale)
    );
    assert_eq!(
        server.verify(late, &answer(&lines, "guess", 2), "REGISTER", URI, alice),
        Err(Denied::Wrong),
        "stale only when right"
    );
    assert_eq!(server.nonces_remembered(), 0, "the expired are forgotten");

    let mut other = Challenger::new("tandem", [8; 32], vec![Algorithm::Sha256], MINUTE);
    let foreign = other.challenge(late, false);
    assert_eq!(
        server.verify(late, &answer(&foreign, "secret", 1), "REGISTER", URI, alice),
        Err(Denied::Stale)
    );
    let invented = Challenge {
        nonce: "not-even-hex".into(),
        ..Challenge::parse(&lines[0]).expect("readable")
    };
    let value = invented.authorize("alice", "secret", "REGISTER", URI, 1, "c");
    assert_eq!(server.verify(late, &value, "REGISTER", URI, alice), Err(Denied::Stale));
}

#[test]
fn a_full_table_gives_up_the_oldest_nonces_and_never_accepts_them_again() {
    let now = Instant::now();
    let mut server = challenger(vec![Algorithm::Sha256]).with_max_nonces(2);
    let lines: Vec<_> = (0..4).map(|_| server.challenge(now, false)).collect();
    let mut send = |i: usize, nc| {
        server
            .verify(now, &answer(&lines[i], "secret", nc), "REGISTER", URI, alice)
            .map(|_| ())
    };
    assert_eq!(send(1, 1), Ok(()));
    assert_eq!(send(2, 1), Ok(()));
    assert_eq!(send(3, 1), Ok(()), "number 1 is given up for it");
    assert_eq!(send(1, 1), Err(Denied::Stale), "a replay of what was given up");
    assert_eq!(send(0, 1), Err(Denied::Stale), "never used, but nobody can tell any more");
    assert_eq!(send(2, 2), Ok(()));
}

fn source(i: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + i))
}

fn throttle() -> Throttle {
    Throttle::new(ThrottleConfig {
        per_source_and_user: 3,
        per_source: 10,
        per_user: 6,
        drain: Duration::from_secs(10),
        trust: MINUTE,
        capacity: 64,
    })
}

#[test]
fn a_guesser_is_blocked_and_forgiven_one_guess_per_drain() {
    let (now, mut t) = (Instant::now(), throttle());
    for _ in 0..3 {
        assert_eq!(t.check(now, source(1), "alice"), Verdict::Allowed);
        t.failed(now, source(1), "alice");
    }
    assert_eq!(
        t.check(now, source(1), "alice"),
        Verdict::Blocked {
            retry_after: Duration::from_secs(10)
        }
    );
    assert_eq!(t.check(now, source(2), "alice"), Verdict::Allowed, "elsewhere alice may");
    assert_eq!(t.check(now, source(1), "bob"), Verdict::Allowed);
    for _ in 0..100 {
        t.failed(now, source(1), "alice");
    }
    let later = now + Duration::from_secs(10);
    assert_eq!(
        t.check(later, source(1), "alice"),
        Verdict::Allowed,
        "one try, however many were sent while blocked"
    );
    t.failed(later, source(1), "alice");
    assert!(matches!(t.check(later, source(1), "alice"), Verdict::Blocked { .. }));
    t.succeeded(later, source(1), "alice");
    assert_eq!(t.check(now + MINUTE * 60, source(1), "alice"), Verdict::Allowed);
}

#[test]
fn a_source_that_walks_through_the_users_is_blocked() {
    let (now, mut t) = (Instant::now(), throttle());
    for i in 0..10 {
        t.failed(now, source(1), &format!("user{i}"));
    }
    assert!(matches!(t.check(now, source(1), "user99"), Verdict::Blocked { .. }));
    assert_eq!(t.check(now, source(2), "user99"), Verdict::Allowed);
    let v6 = |text: &str| text.parse::<IpAddr>().expect("an address");
    for i in 0..10 {
        t.failed(now, v6(&format!("2001:db8::{i}")), "carol");
    }
    assert!(
        matches!(t.check(now, v6("2001:db8::ffff"), "dave"), Verdict::Blocked { .. }),
        "an IPv6 source is its /64"
    );
}

#[test]
fn many_sources_cannot_guess_one_user_nor_lock_the_real_one_out() {
    let (now, mut t) = (Instant::now(), throttle());
    t.succeeded(now, source(99), "alice");
    for i in 0..6 {
        t.failed(now, source(i), "alice");
    }
    assert!(matches!(t.check(now, source(50), "alice"), Verdict::Blocked { .. }));
    assert_eq!(
        t.check(now, source(99), "alice"),
        Verdict::Allowed,
        "alice got in from there lately"
    );
    for _ in 0..3 {
        t.failed(now, source(99), "alice");
    }
    assert!(
        matches!(t.check(now, source(99), "alice"), Verdict::Blocked { .. }),
        "trust is no licence to guess"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_throttle_stays_within_its_memory(tries in proptest::collection::vec((0_u32..10_000, any::<u16>(), any::<bool>()), 0..600)) {
        let (now, mut t) = (Instant::now(), throttle());
        for (from, user, ok) in tries {
            let user = user.to_string();
            if ok { t.succeeded(now, source(from), &user) } else { t.failed(now, source(from), &user) }
            prop_assert!(t.len() <= 64);
        }
    }

    #[test]
    fn any_text_reads_or_fails_without_a_panic(text in "(Digest )?[ -~\\r\\n\\t\"\\\\=,é]{0,120}") {
        let _ = Challenge::parse(&text);
        let denied = challenger(vec![Algorithm::Md5]).verify(Instant::now(), &text, "REGISTER", URI, alice);
        prop_assert!(denied.is_err());
    }

    #[test]
    fn quoting_round_trips(realm in "[ -~é]{1,40}", user in "[ -~é]{1,40}", password in any::<String>()) {
        let now = Instant::now();
        let mut server = Challenger::new(realm.as_str(), [1; 32], vec![Algorithm::Sha256], MINUTE);
        let lines = server.challenge(now, false);
        let challenge = Challenge::strongest(lines.iter().map(String::as_str), Some(realm.as_str())).expect("answerable");
        let value = challenge.authorize(&user, &password, "INVITE", URI, 1, "cnonce");
        let known: Arc<str> = password.as_str().into();
        let verified = server.verify(now, &value, "INVITE", URI, |_| Some(Secret::Password(known)));
        prop_assert_eq!(verified.map(|a| a.username.to_string()), Ok(user));
    }

    /// However requests are repeated, reordered and delayed, none is accepted twice.
    #[test]
    fn no_response_is_accepted_twice(
        sends in proptest::collection::vec((0_usize..6, 1_u32..90, 0_u64..4_000), 1..150),
        max_nonces in 1_usize..4,
    ) {
        let start = Instant::now();
        let mut server = challenger(vec![Algorithm::Md5]).with_max_nonces(max_nonces);
        let lines: Vec<_> = (0..6).map(|_| server.challenge(start, false)).collect();
        let (mut now, mut accepted) = (start, std::collections::HashSet::new());
        for (nonce, nc, delay_ms) in sends {
            now += Duration::from_millis(delay_ms);
            if server.verify(now, &answer(&lines[nonce], "secret", nc), "REGISTER", URI, alice).is_ok() {
                prop_assert!(accepted.insert((nonce, nc)), "nonce {} count {} twice", nonce, nc);
            }
            prop_assert!(server.nonces_remembered() <= max_nonces);
        }
    }

    #[test]
    fn hexadecimal_digits_round_trip(bytes in any::<Vec<u8>>()) {
        prop_assert_eq!(unhex(&hex(&bytes)), Some(bytes));
    }
}

#[test]
fn a_device_may_have_algorithms_of_its_own_and_nobody_else_gets_them() {
    let (now, own) = (Instant::now(), [Algorithm::Md5]);
    let mut server = challenger(vec![Algorithm::Sha256]);
    let lines = server.challenge_with(now, false, Some(&own));
    assert!(lines.len() == 1 && lines[0].contains("algorithm=MD5"), "{lines:?}");
    let value = answer(&lines, "secret", 1);
    let usual = server.verify(now, &value, "REGISTER", URI, alice);
    assert_eq!(usual.err(), Some(Denied::NotOffered));
    assert!(server.verify_with(now, &value, ("REGISTER", URI), Some(&own), alice).is_ok());
}

#[test]
fn a_parameter_list_is_bounded() {
    let long = format!("Digest {}", (0..33).map(|i| format!("p{i}=v,")).collect::<String>());
    assert!(matches!(Params::parse(&long), Err(SyntaxError::List)));
}
