//! Whatever the text: no panic, every problem in the file, no secret in any message.

use proptest::prelude::*;

use super::{lines, load};
use crate::registry::{OPTIONS, TABLES};
use crate::{Config, Fault};

/// A value of any type, valid for some option or for none.
fn any_value() -> impl Strategy<Value = String> {
    let fixed = [
        "true",
        "\"\"",
        "[]",
        "{}",
        "1979-05-27",
        "0.5",
        "nan",
        "-1",
        "[[]]",
        "[{}]",
        "\"127.0.0.1:5060\"",
        "\"sip:a@tandem.local\"",
        "\"sip:{n}@tandem.local\"",
        "[\"127.0.0.0/8\"]",
        "\"udp\"",
        "\"2X.\"",
        "\"x\\u0000y\"",
        "9223372036854775807",
        "{ a = 1 }",
    ];
    prop_oneof![
        prop::sample::select(fixed.to_vec()).prop_map(str::to_owned),
        any::<i64>().prop_map(|n| n.to_string()),
        (0..200_000_i64).prop_map(|n| n.to_string()),
        "[ -~]{0,12}".prop_map(|text| toml::Value::String(text).to_string()),
    ]
}

/// Lines of a file: headings and keys of the registry, some of them bent, in any order.
fn any_line() -> impl Strategy<Value = String> {
    let headings: Vec<String> = TABLES.iter().map(crate::registry::TableSpec::heading).collect();
    let names: Vec<&str> = OPTIONS.iter().map(|option| option.name()).collect();
    prop_oneof![
        2 => prop::sample::select(headings),
        1 => "\\[\\[?[a-z.]{1,8}\\]?\\]",
        6 => (prop::sample::select(names), any_value()).prop_map(|(name, value)| format!("{name} = {value}")),
        1 => ("[a-z_.-]{1,8}", any_value()).prop_map(|(name, value)| format!("{name} = {value}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = load(&text).map_err(|problems| lines(&problems));
    }

    #[test]
    fn no_file_of_known_names_makes_it_panic(lines_of_file in prop::collection::vec(any_line(), 0..12)) {
        let text = lines_of_file.join("\n");
        match load(&text) {
            Ok(loaded) => { let _ = (loaded.to_toml(), loaded.sizing(4).to_string()); }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                for problem in &problems {
                    prop_assert!(!matches!(problem.fault, Fault::Internal(_)), "{problem} in\n{text}");
                    prop_assert!(!problem.to_string().contains('\n'), "{problem}");
                }
            }
        }
    }

    /// The rule of the seed, checked backwards: as many conferences as it asks for are enough, and one less is not.
    #[test]
    fn as_many_conferences_as_are_needed_are_enough(calls in 1_u64..20_000, connectors in 1_u64..20, stopped in 0_u64..5) {
        let text = format!("[sizing]\nmax_calls = {calls}\nstopped_connectors = {stopped}\n[conference]\npool_size = 1\n[connectors]\ncount = {connectors}\n");
        let Ok(loaded) = load(&text) else { panic!("{text}") };
        let report = loaded.sizing(1);
        let of = |option: &str| report.pools.iter().flat_map(|pool| &pool.requirements).find(|found| found.option == option);
        let (Some(size), Some(count)) = (of("conference.pool_size"), of("connectors.count")) else { panic!("{report:?}") };
        let running = connectors.max(count.needed) - stopped;
        prop_assert!(running >= 1 && size.needed <= 6_000);
        prop_assert!(size.needed * running * 10 >= 12 * calls, "{report:?}");
        prop_assert!((size.needed - 1) * running * 10 < 12 * calls, "{report:?}");
    }

    /// Whatever the folders: what is in one is in one pool, that of the first level, and no pool has what another one sets.
    #[test]
    fn a_folder_is_in_one_pool(names in prop::collection::btree_set("[ab](/[ab]){0,2}", 1..6), labelled in any::<u64>()) {
        let folder = |(n, name): (usize, &String)| {
            let pool = if labelled >> n & 1 == 1 { format!("pool_name = \"Pool{n}\"\nreuse_avcall = {}\n", n + 1) } else { String::new() };
            format!("[[dn_folder]]\nname = \"{name}\"\n{pool}")
        };
        let text: String = names.iter().enumerate().map(folder).collect();
        let Ok(loaded) = load(&text) else { panic!("{text}") };
        let config = &loaded.config;
        for name in &names {
            let first = name.split('/').next().unwrap_or_default();
            let top = config.dn_folder.iter().position(|folder| folder.name == first);
            let expected = top.filter(|n| labelled >> n & 1 == 1);
            let pool = config.pool_of(Some(name)).and_then(crate::DnFolder::pool);
            prop_assert_eq!(pool.map(str::to_owned), expected.map(|n| format!("Pool{n}")));
            let uses = pool.map_or(0, |pool| config.of_pool(pool).conference.reuse_avcall);
            prop_assert_eq!(uses as usize, expected.map_or(0, |n| n + 1));
        }
    }

    #[test]
    fn no_override_makes_it_panic(path in "[a-z0-9_.\\[\\]]{0,12}", value in "\\PC{0,20}", n in 0..OPTIONS.len()) {
        let known = OPTIONS.get(n).map_or("", |option| option.path);
        let sets = [format!("{path}={value}"), format!("{known}={value}"), format!("{}={value}", known.replace("[]", ""))];
        let variable = format!("TANDEM_{}", known.replace('.', "__").to_uppercase());
        let loaded = Config::from_toml("", std::path::Path::new("x.toml"), &sets, [(variable, value)]);
        let _ = loaded.map_err(|problems| lines(&problems));
    }

    #[test]
    fn a_secret_stands_in_no_message(secret in "[!-~&&[^\"\\\\]]{1,7}SECRET", extra in "[a-z]{3}") {
        let text = format!(
            "[[cti.api_key]]\nname = \"a\"\nkey = \"{secret}\\u0007\"\n[[dn]]\ndn = \"sip:a@x\"\npassword = [\"{secret}\"]\n{extra} = 1\n"
        );
        if let Err(problems) = load(&text) {
            prop_assert!(!format!("{problems:?}{}", lines(&problems).join("")).contains("SECRET"), "{problems:?}");
        }
    }
}
