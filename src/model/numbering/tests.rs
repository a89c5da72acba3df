//! Tests of numbering: what leads where, for whom, and what cannot be built.

use proptest::prelude::*;

use super::*;

const ALICE: &str = "sip:alice@tandem.local";
const PSTN: &str = "sip:pstn@tandem.local";
const PBX: &str = "sip:pbx@pbx.example.com";

fn rule(pattern: &str, trunk: &str, change: impl FnOnce(&mut DialRule)) -> DialRule {
    let mut rule = DialRule::new(pattern, trunk);
    change(&mut rule);
    rule
}

fn builder() -> NumberingBuilder {
    let mut bob = DnConfig::extension("sip:Bob@Tandem.local");
    bob.extension_number = Some("2001".into());
    Numbering::builder()
        .domain("Tandem.local")
        .domain("10.0.0.1")
        .dn(DnConfig::extension(ALICE))
        .dn(bob)
        .dn(DnConfig::extension("sip:2002@tandem.local"))
        .dn(DnConfig::trunk(PSTN))
        .dn(DnConfig::trunk(PBX))
}

fn numbering() -> Numbering {
    builder()
        .rule(rule("00900.", PSTN, |rule| rule.allow = false))
        .rule(rule("00N.", PSTN, |rule| (rule.strip, rule.prepend) = (2, "+".into())))
        .rule(rule("+.", PSTN, |_| {}))
        .rule(rule("3XXX", PBX, |rule| rule.from_trunk = true))
        .rule(rule("bob@partner.example.com", PBX, |_| {}))
        .rule(rule("X.@*.example.com", PBX, |_| {}))
        .build()
        .unwrap()
}

/// `dn`, `number over trunk as other`, `unknown` or `prohibited`.
fn leads(dialled: &str, calling: &str) -> String {
    match numbering().resolve(dialled, Some(&calling.into())) {
        Destination::Extension(dn) => dn.to_string(),
        Destination::Trunk { trunk, number, other_dn } => format!("{number} over {} as {other_dn}", trunk.user()),
        Destination::Unknown => "unknown".to_owned(),
        Destination::Prohibited => "prohibited".to_owned(),
    }
}

#[test]
fn our_dns_are_found_under_each_of_their_names() {
    let bob = "sip:bob@tandem.local";
    for (dialled, dn) in [
        ("bob", bob),
        ("BOB", bob),
        ("sip:bob@tandem.local", bob),
        ("SIP:Bob@TANDEM.local:5070;transport=tcp?subject=x", bob),
        ("sips:bob:secret@tandem.local", bob),
        ("bob@tandem.local", bob),
        ("2001", bob),
        ("20-01", bob),
        (" 2001 ", bob),
        ("tel:2001", bob),
        ("tel:2001;phone-context=tandem.local", bob),
        ("sip:2001@10.0.0.1:5060;user=phone", bob),
        ("2002", "sip:2002@tandem.local"),
        ("alice", ALICE),
    ] {
        assert_eq!(leads(dialled, ALICE), dn, "{dialled}");
        assert_eq!(leads(dialled, PSTN), dn, "{dialled} from outside");
    }
}

#[test]
fn numbers_leave_by_the_first_rule_that_fits() {
    for (dialled, destination) in [
        ("0049 (30) 123-456", "+4930123456 over pstn as 004930123456"),
        ("+49.30.123456", "+4930123456 over pstn as +4930123456"),
        ("tel:+49-30-123;isub=1", "+4930123 over pstn as tel:+4930123"),
        (
            "sip:+4930123@tandem.local;user=phone",
            "+4930123 over pstn as sip:+4930123@tandem.local",
        ),
        ("3123", "3123 over pbx as 3123"),
        ("00900123", "prohibited"),
        ("001", "unknown"),
        ("312", "unknown"),
        ("31234", "unknown"),
    ] {
        assert_eq!(leads(dialled, ALICE), destination, "{dialled}");
    }
}

#[test]
fn a_foreign_host_is_called_only_where_a_rule_names_it() {
    for (dialled, destination) in [
        ("sip:bob@partner.example.com", "bob over pbx as sip:bob@partner.example.com"),
        ("sip:42@a.b.example.com:5070;x=y", "unknown"),
        ("sip:42@a.b.example.com", "42 over pbx as sip:42@a.b.example.com"),
        ("sip:alice@partner.example.com", "unknown"),
        ("sip:42@example.com", "unknown"),
        ("sip:42@evilexample.com", "unknown"),
        ("sip:+4930123@elsewhere.org", "unknown"),
        ("sip:alice@elsewhere.org", "unknown"),
    ] {
        assert_eq!(leads(dialled, ALICE), destination, "{dialled}");
    }
}

#[test]
fn a_call_that_came_through_a_trunk_leaves_only_by_a_rule_for_it() {
    for outsider in [PSTN, "sip:stranger@tandem.local"] {
        assert_eq!(leads("+4930123456", outsider), "prohibited");
        assert_eq!(leads("sip:bob@partner.example.com", outsider), "prohibited");
        assert_eq!(leads("00900123", outsider), "prohibited");
        assert_eq!(leads("3123", outsider), "3123 over pbx as 3123");
        assert_eq!(leads("4711", outsider), "unknown");
    }
    assert_eq!(numbering().resolve("+4930123456", None), Destination::Prohibited);
}

#[test]
fn what_is_nobodys_address_leads_nowhere() {
    let long = "1".repeat(256);
    for dialled in [
        "",
        " ",
        "sip:",
        "sip:@tandem.local",
        "sip:tandem.local",
        "tel:",
        "tel:alice",
        "tel:+",
        "a b",
        "bo\r\nb",
        "sip:bob@",
        "sip:b%6fb@tandem.local",
        "pstn",
        "sip:pstn@tandem.local",
        "é",
        "sip",
        "ti",
        &long,
    ] {
        assert_eq!(leads(dialled, ALICE), "unknown", "{dialled:?}");
    }
}

#[test]
fn ipv6_hosts_and_ports_are_told_apart() {
    let numbering = Numbering::builder()
        .domain("[2001:db8::1]")
        .dn(DnConfig::extension("sip:alice@[2001:db8::1]"))
        .build()
        .unwrap();
    for dialled in ["sip:alice@[2001:DB8::1]", "sip:alice@[2001:db8::1]:5060", "alice"] {
        let destination = numbering.resolve(dialled, None);
        assert_eq!(
            destination,
            Destination::Extension("sip:alice@[2001:db8::1]".into()),
            "{dialled}"
        );
    }
    assert!(!numbering.is_our_host("[2001:db8::]"));
}

#[test]
fn a_number_is_shown_as_a_uri_of_ours() {
    let numbering = numbering();
    for (name, uri) in [
        ("+4930", "sip:+4930@tandem.local"),
        ("tel:+4930", "sip:+4930@tandem.local"),
        ("sip:x@y.org", "sip:x@y.org"),
    ] {
        assert_eq!(numbering.sip_uri(&name.into()), DnId::new(uri));
    }
}

#[test]
fn a_plan_that_cannot_work_says_all_that_is_wrong_with_it() {
    let mut carol = DnConfig::extension("sip:carol@elsewhere.org");
    carol.extension_number = Some("2001".into());
    let mut dave = DnConfig::extension("sip:dave@tandem.local");
    dave.extension_number = Some("2002".into());
    let mut erin = DnConfig::extension("erin");
    erin.extension_number = Some("12a".into());
    let mut trunk = DnConfig::trunk("sip:t@x.org");
    trunk.extension_number = Some("9".into());
    let errors = builder()
        .domain("bad host")
        .dn(carol)
        .dn(dave)
        .dn(erin)
        .dn(trunk)
        .dn(DnConfig::extension("sip:ALICE@tandem.local"))
        .rule(rule("2[1-5]", PSTN, |_| {}))
        .rule(rule("1.2", PSTN, |_| {}))
        .rule(rule("a1", PSTN, |_| {}))
        .rule(rule("", PSTN, |_| {}))
        .rule(rule(".@*", PSTN, |_| {}))
        .rule(rule("1.", ALICE, |_| {}))
        .rule(rule("0.", PSTN, |rule| rule.strip = 2))
        .rule(rule("0.", PSTN, |rule| rule.prepend = "a@b".into()))
        .build()
        .unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "domain `bad host` is no host name",
            "DN `sip:carol@elsewhere.org` has a host that is none of our domains",
            "extension number `2001` of `sip:carol@elsewhere.org` is taken by `sip:bob@tandem.local`",
            "DN `erin` is no SIP URI of the form sip:user@host",
            "extension number `12a` of `erin` is no number",
            "Trunk `sip:t@x.org` has an extension number",
            "DN `sip:alice@tandem.local` stands twice (letter case does not count)",
            "extension number `2002` of `sip:dave@tandem.local` is taken by `sip:2002@tandem.local`",
            "dial rule 1, pattern `2[1-5]`: `[` has no meaning in a pattern",
            "dial rule 2, pattern `1.2`: `.` stands only at the end",
            "dial rule 3, pattern `a1`: `a` can never match: a pattern without @host speaks of numbers only",
            "dial rule 4, pattern ``: it is empty",
            "dial rule 5, pattern `.@*`: the host after `@` is empty or stands for every host",
            "dial rule 6, pattern `1.`: `sip:alice@tandem.local` is no Trunk DN",
            "dial rule 7, pattern `0.`: strip = 2 takes off more than the shortest number has",
            "dial rule 8, pattern `0.`: prepend = `a@b` has a character that no number has",
        ]
    );
    assert_eq!(Numbering::builder().build().unwrap_err(), [NumberingError::NoDomain]);
}

#[test]
fn a_rule_that_leaves_no_number_leads_nowhere() {
    let numbering = builder().rule(rule("9.", PSTN, |rule| rule.strip = 1)).build().unwrap();
    assert_eq!(numbering.resolve("9", Some(&ALICE.into())), Destination::Prohibited);
}

proptest! {
    /// Toll fraud: from outside, nothing but a from_trunk rule leads out.
    #[test]
    fn no_text_leads_from_a_trunk_to_a_trunk_without_a_rule(dialled in "(sip:|tel:|sips:)?[+0-9a-z*#;:@.() -]{0,24}(@partner.example.com|@tandem.local)?") {
        match numbering().resolve(&dialled, Some(&PSTN.into())) {
            Destination::Trunk { trunk, number, .. } => {
                prop_assert_eq!(trunk.as_str(), PBX);
                prop_assert!(number.len() == 4 && number.starts_with('3'));
            }
            Destination::Extension(dn) => prop_assert_eq!(numbering().dn(&dn).unwrap().kind, DnKind::Extension),
            Destination::Unknown | Destination::Prohibited => {}
        }
    }

    #[test]
    fn any_text_leads_somewhere_or_nowhere(dialled in any::<String>()) {
        let _ = numbering().resolve(&dialled, Some(&ALICE.into()));
    }
}

#[test]
fn a_conference_is_reached_like_any_dn_of_ours_and_is_told_from_the_others() {
    let mut meeting = DnConfig::conference("sip:meeting@tandem.local", RoomSettings::default());
    meeting.extension_number = Some("700".into());
    let numbering = builder().dn(meeting).build().unwrap();
    for dialled in ["meeting", "700", "sip:meeting@tandem.local"] {
        assert_eq!(
            numbering.room(dialled, None).map(|(dn, _)| dn.user()),
            Some("meeting"),
            "{dialled}"
        );
    }
    assert_eq!(numbering.room("alice", None), None);
    assert_eq!(numbering.room("nobody", None), None);
}

#[test]
fn a_dn_says_for_itself_what_holds_for_all_otherwise() {
    let mut carol = DnConfig::extension("sip:carol@tandem.local");
    carol.pass_through = Some(PassThrough::None);
    carol.handle_direct_calls = Some(HandleDirectCalls::OnLogin);
    let never = DirectCalls {
        handle: HandleDirectCalls::Never,
        ..DirectCalls::default()
    };
    let built = builder()
        .dn(carol)
        .pass_through(PassThrough::Iscc)
        .direct_calls(never)
        .build();
    let (numbering, carol, alice) = (built.unwrap(), "sip:carol@tandem.local".into(), ALICE.into());
    assert_eq!(numbering.pass_through(Some(&carol)), PassThrough::None);
    assert_eq!(numbering.pass_through(Some(&alice)), PassThrough::Iscc);
    assert_eq!(numbering.pass_through(None), PassThrough::Iscc);
    assert_eq!(numbering.direct_calls(&carol).handle, HandleDirectCalls::OnLogin);
    assert_eq!(numbering.direct_calls(&alice), never);
}

#[test]
fn a_pool_has_its_own_policy_and_its_dns_have_it() {
    let in_pool = |dn: &str, pool: &str| DnConfig {
        pool: Some(pool.into()),
        ..DnConfig::extension(dn)
    };
    let mut own = in_pool("sip:own@tandem.local", "pool1");
    own.pass_through = Some(PassThrough::All);
    let policy = PoolPolicy {
        pass_through: PassThrough::None,
        ..PoolPolicy::default()
    };
    let numbering = builder()
        .dn(in_pool("sip:there@tandem.local", "pool1"))
        .dn(in_pool("sip:elsewhere@tandem.local", "pool2"))
        .dn(own)
        .pass_through(PassThrough::Iscc)
        .pool("pool1", policy)
        .build()
        .unwrap();
    for (dn, pool, pass_through) in [
        (ALICE, None, PassThrough::Iscc),
        ("sip:there@tandem.local", Some("pool1"), PassThrough::None),
        ("sip:elsewhere@tandem.local", Some("pool2"), PassThrough::Iscc),
        ("sip:own@tandem.local", Some("pool1"), PassThrough::All),
        ("sip:nobody@tandem.local", None, PassThrough::Iscc),
    ] {
        let dn = DnId::new(dn);
        assert_eq!(numbering.pool_of(&dn).map(|pool| &**pool), pool, "{dn}");
        assert_eq!(numbering.pass_through(Some(&dn)), pass_through, "{dn}");
    }
}

#[test]
fn the_dial_plan_is_that_of_the_pool_of_who_calls() {
    let by = |method, cpn: &str| CallingPolicy {
        plan: Some(DialPlan {
            rules: vec![DestinationRule::parse("+{#}").unwrap()],
            method,
            cpn: None,
        }),
        cpn: Some(cpn.into()),
    };
    let there = DnConfig {
        pool: Some("pool1".into()),
        ..DnConfig::extension("sip:there@tandem.local")
    };
    let policy = PoolPolicy {
        calling: by(CallingMethod::BackToBack, "sip:pool1@tandem.local"),
        ..PoolPolicy::default()
    };
    let numbering = builder()
        .dn(there)
        .calling(by(CallingMethod::DialOut, "sip:all@tandem.local"))
        .pool("pool1", policy)
        .build()
        .unwrap();
    for (asking, method, cpn) in [
        (ALICE, CallingMethod::DialOut, None),
        ("sip:nobody@tandem.local", CallingMethod::DialOut, None),
        (
            "sip:there@tandem.local",
            CallingMethod::BackToBack,
            Some("sip:pool1@tandem.local"),
        ),
    ] {
        let calling = numbering.calling(&asking.into(), "+4930", &KvList::new()).unwrap();
        assert_eq!(
            (calling.method, calling.identity.as_ref().map(DnId::as_str)),
            (method, cpn),
            "{asking}"
        );
    }
}
