//! Folders and pools that cannot be, or that serve nobody, and exactly what is said about them.

use super::{lines, load, loaded};

/// Each wrong file with all its messages.
const WRONG: &[(&str, &[&str])] = &[
    (
        "[[dn_folder]]\nname = \"Env36\"\npool_name = \"Pool1\"\n[[dn_folder]]\nname = \"Env37\"\npool_name = \"Pool1\"\n",
        &[
            "x.toml:6:13: pool `Pool1` has two folders, `Env36` (first in line 3) and `Env37`; only the default pool may have several",
        ],
    ),
    (
        "[[dn_folder]]\nname = \"Env36\"\n[[dn_folder]]\nname = \"Env36\"\n[[dn_folder]]\nname = \"Env36//x\"\n[[dn_folder]]\nname = \"/\"\n",
        &[
            "x.toml:4:8: folder `Env36` stands twice (first in line 2)",
            "x.toml:6:8: `name` = \"Env36//x\" has a part without a name",
            "x.toml:8:8: `name` = \"/\" has a part without a name",
        ],
    ),
    (
        "[[dn_folder]]\nname = \"Env36\"\n\
         [[dn]]\ndn = \"sip:1@tandem.local\"\npassword = \"x\"\nfolder = \"Env63\"\n\
         [[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 5\nlast = 6\npassword = \"x\"\nfolder = \"Office\"\n\
         [[trunk]]\ndn = \"sip:t@tandem.local\"\naddress = \"sip:192.0.2.1\"\nfolder = \"Env36x\"\n\
         [[conference_dn]]\ndn = \"sip:c@tandem.local\"\nfolder = \"env36\"\n",
        &[
            "x.toml:6:10: `Env63` is none of the folders in [[dn_folder]]; did you mean `Env36`?",
            "x.toml:12:10: `Office` is none of the folders in [[dn_folder]]",
            "x.toml:16:10: `Env36x` is none of the folders in [[dn_folder]]; did you mean `Env36`?",
            "x.toml:19:10: `env36` is none of the folders in [[dn_folder]]; did you mean `Env36`?",
        ],
    ),
    (
        "[[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\n\
         [[dn]]\ndn = \"sip:1@tandem.local\"\npassword = \"x\"\nfolder = \"A\"\n[[dn]]\ndn = \"sip:1@tandem.local\"\npassword = \"x\"\n\
         [[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 1\nlast = 2\npassword = \"x\"\nfolder = \"A/B\"\n\
         [[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 2\nlast = 3\npassword = \"x\"\n",
        &[
            "x.toml:9:6: DN `sip:1@tandem.local` stands in two pools, `Pool1` (first in line 5) and `default`",
            "x.toml:12:6: DN `sip:1@tandem.local` of this range stands twice (first in line 5)",
        ],
    ),
    (
        "[[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\n\
         [[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 1\nlast = 2\npassword = \"x\"\nfolder = \"A/B\"\n\
         [[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 2\nlast = 3\npassword = \"x\"\n",
        &["x.toml:11:6: DN `sip:2@tandem.local` of this range stands in two pools, `Pool1` (first in line 5) and `default`"],
    ),
    (
        "[[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\ncalling_method_dialplan = \"sip:plna@tandem.local\"\ncount = 3\n\
         [[dn_folder]]\nname = \"B\"\npool_name = \"Pool2\"\nuri_pattern = \"sip:c{D}@b.lab\"\n\
         [[dn_folder]]\nname = \"C\"\npool_name = \"Pool3\"\nuri_pattern = \"sip:c{D}@b.lab\"\ncount = 10\n\
         [[dial_plan]]\ndn = \"sip:plan@tandem.local\"\nrules = [\"+{DDD}\"]\n",
        &[
            "x.toml:4:27: `sip:plna@tandem.local` is none of the DNs in [[dial_plan]]; did you mean `sip:plan@tandem.local`?",
            "x.toml:5:9: there is a `count` but no `uri_pattern`, neither here nor in [conference]",
            "x.toml:9:15: there is a `uri_pattern` but no `count`, neither here nor in [conference]",
            "x.toml:14:9: `count` = 10 has more digits than the `uri_pattern` of the pool",
        ],
    ),
    (
        "[[dn_folder]]\npool_name = \"Pool1\"\nconference-pool-size = 5\ndefault-dn = \"x\"\npool = \"x\"\n",
        &[
            "x.toml:3:1: `conference-pool-size` is a known T-Server option, not supported by this version; it is `pool_size` in [conference] \
             and `conference_pool_size` in [[dn_folder]]",
            "x.toml:4:1: `default-dn` is a known T-Server option, not supported by this version",
            "x.toml:5:1: unknown key `pool` in [[dn_folder]]; did you mean `pool_name`?",
            "x.toml:1:1: `name` is missing in [[dn_folder]]",
        ],
    ),
];

/// A key, so that there is no warning of none.
const KEY: &str = "[[cti.api_key]]\nname = \"a\"\nkey = \"12345678\"\n";

/// Files that a server runs with, and what it warns of. The key stands in the first three lines.
const DOUBTFUL: &[(&str, &[&str])] = &[
    // The example of the seed (seed 002 lines 2686-2723), with the slips in its last two links put right.
    (
        "[[dn_folder]]\nname = \"ConnectorGroup1\"\npool_name = \"Pool1\"\n[[dn_folder]]\nname = \"ConnectorGroup2\"\npool_name = \"Pool2\"\n\
         [[link]]\nname = \"1-1\"\nhostname = \"h11\"\nport = 1\npool_name = \"Pool1\"\n[[link]]\nname = \"1-2\"\nhostname = \"h12\"\nport = 1\npool_name = \"Pool1\"\n\
         [[link]]\nname = \"2-1\"\nhostname = \"h21\"\nport = 1\npool_name = \"Pool2\"\n[[link]]\nname = \"2-2\"\nhostname = \"h22\"\nport = 1\npool_name = \"Pool2\"\n\
         [[dn]]\ndn = \"sip:user1@tandem.local\"\npassword = \"x\"\nfolder = \"ConnectorGroup1\"\n\
         [[dn]]\ndn = \"sip:user2@tandem.local\"\npassword = \"x\"\nfolder = \"ConnectorGroup2\"\n",
        &[],
    ),
    // Folders of the default pool may be many, labelled or not (seed 002 line 2767).
    (
        "[[dn_folder]]\nname = \"A\"\n[[dn_folder]]\nname = \"B\"\npool_name = \"default\"\n[[dn_folder]]\nname = \"C\"\npool_name = \"\"\n\
         [[dn]]\ndn = \"sip:1@tandem.local\"\npassword = \"x\"\nfolder = \"C/below\"\n",
        &[],
    ),
    (
        "[[link]]\nname = \"c1\"\nhostname = \"h1\"\nport = 1\npool_name = \"Pool2\"\n\
         [[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\n\
         [[dn]]\ndn = \"sip:1@tandem.local\"\npassword = \"x\"\nfolder = \"A\"\n\
         [[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 10\nlast = 19\npassword = \"x\"\n",
        &[
            "x.toml:11:13: no [[link]] has `pool_name` = \"Pool1\": the DN of folder `A` is out of service",
            "x.toml:4:1: no [[link]] is of the default pool: the 10 DNs outside the folders of other pools are out of service",
            "x.toml:8:13: no folder has `pool_name` = \"Pool2\": connector `c1` is connected, and no call is given to it; did you mean `Pool1`?",
        ],
    ),
    (
        "[[dn_folder]]\nname = \"Pool11\"\nreuse_avcall = 3\nmusic = \"x.wav\"\ncpn = \"sip:a@tandem.local\"\nmax_calls = 5\n\
         [[dn_folder]]\nname = \"Pool11/Env11\"\npool_name = \"Pool2\"\ncount = 3\n",
        &[
            "x.toml:9:13: `max_calls` has no effect in folder `Pool11`: the default pool is configured in [sizing]",
            "x.toml:8:7: `cpn` has no effect in folder `Pool11`: the default pool is configured in [calls]",
            "x.toml:7:9: `music` has no effect in folder `Pool11`: the default pool is configured in [media]",
            "x.toml:6:16: `reuse_avcall` has no effect in folder `Pool11`: the default pool is configured in [conference]",
            "x.toml:12:13: `pool_name` has no effect in folder `Pool11/Env11`: only those of the first level name and configure a pool",
            "x.toml:13:9: `count` has no effect in folder `Pool11/Env11`: only those of the first level name and configure a pool",
        ],
    ),
    (
        "[[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\nlobby_bypass_enabled = false\nconference_pool_size = 5\nmusic = \"/nowhere/x.wav\"\n",
        &[
            "x.toml:9:9: `music` has no effect in pool `Pool1` under `tandem serve`, whose connectors are all of the default pool; it has one \
             where a [[link]] with `pool_name` = \"Pool1\" makes a connector a process of its own (`tandem connector`)",
            "x.toml:8:24: `conference_pool_size` has no effect in pool `Pool1` under `tandem serve`, whose connectors are all of the default \
             pool; it has one where a [[link]] with `pool_name` = \"Pool1\" makes a connector a process of its own (`tandem connector`)",
        ],
    ),
    (
        "[[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\nmusic = \"/nowhere/x.wav\"\n\
         [[dn_folder]]\nname = \"B\"\npool_name = \"Pool2\"\n\
         [[link]]\nname = \"c1\"\nhostname = \"h1\"\nport = 1\npool_name = \"Pool1\"\n",
        &[
            "x.toml:7:9: `music` = \"/nowhere/x.wav\": there is no such file; the connectors of pool `Pool1` refuse to start",
            "x.toml:10:13: no [[link]] has `pool_name` = \"Pool2\": nobody serves folder `B`",
        ],
    ),
    (
        "[[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\n\
         [[link]]\nname = \"c1\"\nhostname = \"h1\"\nport = 1\nuse_certificate = true\n\
         [[link]]\nname = \"c2\"\nhostname = \"h2\"\nport = 1\nuse_certificate = false\npool_name = \"Pool1\"\n\
         [[link]]\nname = \"c3\"\nhostname = \"h3\"\nport = 1\npool_name = \"Pool1\"\nprotocol = \"tls\"\nuse_certificate = true\n\
         [link_tls]\nauthorities_file = \"x\"\n",
        &[
            "x.toml:11:19: `use_certificate` has no effect in the default pool: the certificate of [link_tls] is shown to its connectors",
            "x.toml:16:19: `use_certificate` has no effect where `protocol` is \"tcp\"",
            "x.toml:24:19: `use_certificate` has no effect: [link_tls] has no `certificate_file`",
        ],
    ),
    (
        "[[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\n\
         [[link]]\nname = \"c1\"\nhostname = \"h1\"\nport = 1\nprotocol = \"tls\"\n\
         [[link]]\nname = \"c2\"\nhostname = \"h2\"\nport = 1\nprotocol = \"tls\"\nuse_certificate = false\npool_name = \"Pool1\"\n\
         [[link]]\nname = \"c3\"\nhostname = \"h3\"\nport = 1\nprotocol = \"tls\"\npool_name = \"Pool1\"\n\
         [link_tls]\ncertificate_file = \"x\"\nprivate_key_file = \"x\"\n",
        &[
            "x.toml:19:1: `use_certificate` is missing: pool `Pool1` is not the default one; the certificate of [link_tls] is shown to it",
        ],
    ),
    (
        "[[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\ncalling_method_dialplan = \"sip:Plan@tandem.local\"\n\
         [[dial_plan]]\ndn = \"sip:plan@tandem.local\"\nrules = [\"+{DDD}\"]\n",
        &[],
    ),
];

#[test]
fn each_wrong_file_gets_exactly_its_messages() {
    let mut differences = String::new();
    for (text, expected) in WRONG {
        let said = match load(text) {
            Ok(_) => vec!["no problem".to_owned()],
            Err(problems) => lines(&problems),
        };
        if said != *expected {
            differences += &format!("--- {text}\n{}\n", said.join("\n"));
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn each_doubtful_file_gets_exactly_its_warnings() {
    let mut differences = String::new();
    for (text, expected) in DOUBTFUL {
        let said = lines(&loaded(&format!("{KEY}{text}")).warnings);
        if said != *expected {
            differences += &format!("--- {text}\n{}\n", said.join("\n"));
        }
    }
    assert!(differences.is_empty(), "{differences}");
}
