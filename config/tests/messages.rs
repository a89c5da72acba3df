//! Wrong files and exactly what is said about them.

use super::{lines, load, loaded};

/// Each wrong file with all its messages.
const WRONG: &[(&str, &[&str])] = &[
    ("[sip]\n  foo = 1\n", &["x.toml:2:3: unknown key `foo` in [sip]"]),
    (
        "[sip]\nrelm = \"x\"\n",
        &["x.toml:2:1: unknown key `relm` in [sip]; did you mean `realm`?"],
    ),
    (
        "[sip]\nt1 = 500\n",
        &["x.toml:2:1: unknown key `t1` in [sip]; did you mean `t1_ms`?"],
    ),
    (
        "[sip]\nmax_calls = 5\n",
        &["x.toml:2:1: unknown key `max_calls` in [sip]; `max_calls` stands in [limits]"],
    ),
    (
        "[spi]\nt1_ms = 1\n",
        &["x.toml:1:2: unknown section [spi]; did you mean `sip`?"],
    ),
    (
        "[[listener]]\n",
        &["x.toml:1:3: unknown section [listener]; did you mean [[sip.listener]]?"],
    ),
    (
        "t1_ms = 1\n",
        &["x.toml:1:1: unknown key `t1_ms` in the top level; `t1_ms` stands in [sip]"],
    ),
    (
        "sip = 5\n",
        &["x.toml:1:7: `sip` is a section, written [sip]; here it is an integer"],
    ),
    (
        "[dn]\ndn = \"sip:a@tandem.local\"\n",
        &["x.toml:1:1: `dn` is a section, written [[dn]]; here it is a single table"],
    ),
    (
        "[[sip]]\n",
        &["x.toml:1:1: `sip` is a section, written [sip]; here it is a list of tables"],
    ),
    (
        "dn = [1]\n",
        &["x.toml:1:6: `dn` is a section, written [[dn]]; here it is a list"],
    ),
    (
        "[sip]\nt1_ms = 0\n",
        &["x.toml:2:9: `t1_ms` = 0 is not valid; valid: 10 to 10000"],
    ),
    (
        "[sip]\nt1_ms = \"500\"\n",
        &["x.toml:2:9: `t1_ms` = \"500\": that is a string; valid: 10 to 10000"],
    ),
    (
        "[sip]\nt1_ms = 0.5\n",
        &["x.toml:2:9: `t1_ms` = 0.5: that is a number with a fraction; valid: 10 to 10000"],
    ),
    (
        "[sip.t1_ms]\n",
        &["x.toml:1:1: `t1_ms` = [...]: that is a table; valid: 10 to 10000"],
    ),
    (
        "[sip]\nt1_ms = 5000\n",
        &["x.toml:2:9: `t1_ms` = 5000 is more than `t2_ms` = 4000"],
    ),
    (
        "[sip]\ndomains = []\n",
        &["x.toml:2:11: `domains` = [] is not valid: it has 0 elements; valid: a list of 1 to 64: a host name or an IP address"],
    ),
    (
        "[sip]\ndomains = [\n  \"a.example\",\n  \"b example\",\n]\n",
        &["x.toml:4:3: `domains` = \"b example\" is not valid: its host name is malformed; valid: a host name or an IP address"],
    ),
    (
        "[sip]\ndigest_algorithms = [\"SHA256\"]\n",
        &["x.toml:2:22: `digest_algorithms` = \"SHA256\" is not valid: did you mean \"SHA-256\"?; valid: \"SHA-256\", \"MD5\""],
    ),
    (
        "[sip]\ndigest_algorithms = [\"MD5\", \"MD5\"]\n",
        &["x.toml:2:29: `digest_algorithms` = \"MD5\" is not valid: it stands twice; valid: \"SHA-256\", \"MD5\""],
    ),
    (
        "[sip]\ntcp_max_connections = 10\ntcp_max_connections_per_source = 20\n",
        &["x.toml:3:34: `tcp_max_connections_per_source` = 20 is more than `tcp_max_connections` = 10"],
    ),
    (
        "[[sip.listener]]\nbind = \"127.0.0.1:5060\"\nadvertised = \"[::1]:5060\"\n[[sip.listener]]\nbind = \"[::1]:1\"\nadvertised = \"[::]:1\"\n",
        &[
            "x.toml:3:14: `advertised` and `bind` are addresses of different families",
            "x.toml:6:14: nobody can send to `advertised` = \"[::]:1\"",
        ],
    ),
    ("[sip]\nlistener = []\n", &["x.toml:2:12: without a listener there is no SIP"]),
    (
        "[[sip.listener]]\ntransport = \"udp\"\n",
        &["x.toml:1:1: `bind` is missing in [[sip.listener]]"],
    ),
    (
        "[[sip.listener]]\ntransport = \"tls\"\nbind = \"localhost:5060\"\n",
        &[
            "x.toml:2:13: `transport` = \"tls\" is not valid; valid: \"udp\", \"tcp\"",
            "x.toml:3:8: `bind` = \"localhost:5060\" is not valid; valid: ip:port, such as 127.0.0.1:5060 or [::1]:5060",
        ],
    ),
    (
        "[[sip.listener]]\nbind = \"127.0.0.1:5060\"\n[[sip.listener]]\nbind = \"127.0.0.1:5060\"\n",
        &["x.toml:4:8: udp 127.0.0.1:5060 is bound twice"],
    ),
    (
        "[[sip.listener]]\nbind = \"0.0.0.0:5060\"\n",
        &["x.toml:2:8: `bind` = \"0.0.0.0:5060\" is no address that stands in Via and Contact; set `advertised`"],
    ),
    (
        "[registrar]\nmin_expires_s = 600\ndefault_expires_s = 300\nmax_expires_s = 200\n",
        &[
            "x.toml:3:21: `default_expires_s` = 300 is less than `min_expires_s` = 600",
            "x.toml:4:17: `max_expires_s` = 200 is less than `default_expires_s` = 300",
        ],
    ),
    (
        "[[cti.api_key]]\nname = \"a\"\n",
        &["x.toml:1:1: API key \"a\" has none of `key`, `key_sha256`, `key_file`"],
    ),
    (
        "[[cti.api_key]]\nname = \"a\"\nkey = \"short\"\n",
        &["x.toml:3:7: `key` = **** (length:05) is not valid: it has 5 characters; valid: text of 8 to 256 characters"],
    ),
    (
        "[[cti.api_key]]\nname = \"a\"\nkey = 12345678\n",
        &["x.toml:3:7: `key` = ****: that is an integer; valid: text of 8 to 256 characters"],
    ),
    (
        "[[cti.api_key]]\nname = \"a\"\nkey = \"**** (length:09)\"\n",
        &[
            "x.toml:3:7: `key` = **** (length:16) is not valid: this is a masked value as `config show` prints it; valid: text of 8 to 256 characters",
        ],
    ),
    (
        "[[cti.api_key]]\nname = \"a\"\nkey = \"password\"\n[[cti.api_key]]\nname = \"a\"\nkey = \"password\"\n",
        &[
            "x.toml:5:8: API key \"a\" stands twice (first in line 1)",
            "x.toml:4:1: API keys \"a\" and \"a\" are the same key",
        ],
    ),
    (
        "[cti]\nallowed_origins = [\"https://desk.example.com/\"]\n",
        &[
            "x.toml:2:20: `allowed_origins` = \"https://desk.example.com/\" is not valid: an origin has no path and no slash at its end; \
             valid: scheme://host, scheme://host:port or *",
        ],
    ),
    (
        "[log]\nfilter = \"info,tandem_sip=loud\"\n",
        &[
            "x.toml:2:10: `filter` = \"info,tandem_sip=loud\" is not valid: \"loud\" is no level; valid: off, error, warn, info, debug, \
             trace; by module as module=level; separated by commas",
        ],
    ),
    (
        "[server]\nname = \"a\\nb\"\n",
        &[
            "x.toml:2:8: `name` = \"\"\" a b\"\"\" is not valid: a control character (U+000A) cannot stand here; valid: text of 1 to 64 characters",
        ],
    ),
    ("[[dn]]\ntype = \"extension\"\n", &["x.toml:1:1: `dn` is missing in [[dn]]"]),
    (
        "[[dn]]\ndn = \"alice\"\n",
        &["x.toml:2:6: `dn` = \"alice\" is not valid: it has no scheme; valid: sip:user@host"],
    ),
    (
        "[[dn]]\ndn = \"sip:a@tandem.locla\"\npassword = \"x\"\n",
        &["x.toml:2:6: `tandem.locla` is not among `domains` of [sip]; did you mean `tandem.local`?"],
    ),
    (
        "[[dn]]\ndn = \"sip:a@tandem.local\"\npassword = \"x\"\n[[dn]]\ndn = \"sip:A@Tandem.local\"\npassword = \"y\"\n",
        &["x.toml:5:6: DN `sip:a@tandem.local` stands twice (first in line 2)"],
    ),
    (
        "[[dn]]\ndn = \"sip:7@tandem.local\"\npassword = \"x\"\n[[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 1\nlast = 9\npassword = \"y\"\n",
        &["x.toml:5:6: DN `sip:7@tandem.local` of this range stands twice (first in line 2)"],
    ),
    (
        "[[dn]]\ndn = \"sip:a@tandem.local\"\nnumber = \"7\"\npassword = \"x\"\n[[dn]]\ndn = \"sip:7@tandem.local\"\npassword = \"x\"\n",
        &["x.toml:3:10: number 7 leads to `sip:7@tandem.local` already (first in line 6)"],
    ),
    (
        "[[dn]]\ndn = \"sip:a@tandem.local\"\npassword = \"x\"\npassword_file = \"y\"\n",
        &[
            "x.toml:1:1: DN `sip:a@tandem.local` has both `password` and `password_file`",
            "x.toml:4:17: `password_file` = \"y\": No such file or directory (os error 2)",
        ],
    ),
    (
        "[[dn]]\ndn = \"sip:a@tandem.local\"\ntrusted_sources = [\"10.0.0.1\"]\n",
        &[
            "x.toml:3:20: `trusted_sources` = \"10.0.0.1\" is not valid: for that one address write \"10.0.0.1/32\"; valid: address/bits, such \
             as 10.0.0.0/8 or ::1/128",
        ],
    ),
    (
        "[[dn]]\ndn = \"sip:a@tandem.local\"\npassword = \"x\"\noptions = { no-answer-timeout = 10, recrod = true, wat = 1 }\n",
        &[
            "x.toml:4:13: `no-answer-timeout` is a known T-Server option, not supported by this version; how long a device rings is \
             `ring_timeout_ms` in [sip]",
            "x.toml:4:37: unknown key `recrod` in [dn.options]; did you mean `record`?",
            "x.toml:4:52: unknown key `wat` in [dn.options]",
        ],
    ),
    (
        "[tserver]\nwrap-up-time = 5\n",
        &["x.toml:2:1: `wrap-up-time` is a known T-Server option, not supported by this version"],
    ),
    (
        "[sip]\ndefault-dn = \"x\"\n",
        &["x.toml:2:1: `default-dn` is a known T-Server option, not supported by this version"],
    ),
    (
        "[[dn_range]]\ndn = \"sip:x@{n}.local\"\nfirst = 2\nlast = 1\n",
        &["x.toml:2:6: `dn` = \"sip:x@{n}.local\" is not valid; valid: sip:user@host with {n} once in its user part"],
    ),
    (
        "[[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 2\nlast = 1\npassword = \"x\"\n",
        &["x.toml:4:8: `last` = 1 is less than `first` = 2"],
    ),
    (
        "[[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 0\nlast = 100_000\npassword = \"x\"\n",
        &["x.toml:4:8: the range has 100001 DNs; it can have 100000 at most"],
    ),
    (
        "[[trunk]]\ndn = \"sip:t@tandem.local\"\naddress = \"sip:2001@10.0.0.1\"\n",
        &[
            "x.toml:3:11: `address` = \"sip:2001@10.0.0.1\" is not valid: the address of a peer has no user part; valid: sip:host, \
             sip:host:port, with ;transport=udp or ;transport=tcp",
        ],
    ),
    (
        "[[trunk]]\ndn = \"sip:t@tandem.local\"\naddress = \"sip:10.0.0.1\"\nusername = \"u\"\n",
        &["x.toml:1:1: trunk `sip:t@tandem.local` has a `username` but no password"],
    ),
    (
        "[[trunk]]\ndn = \"sip:t@tandem.local\"\naddress = \"sip:10.0.0.1\"\ntrusted_sources = [\"10.0.0.1/8\"]\n\
         [[trunk]]\ndn = \"sip:u@tandem.local\"\naddress = \"sip:10.0.0.2\"\ntrusted_sources = [\"10.0.0.0/8\"]\npassword = \"x\"\n",
        &[
            "x.toml:5:1: trunk `sip:u@tandem.local` has a password but no `username`",
            "x.toml:8:19: 10.0.0.0/8 belongs to trunk `sip:t@tandem.local` already: a call from there would have two trunks",
        ],
    ),
    (
        "[[dn]]\ndn = \"sip:t@tandem.local\"\npassword = \"x\"\n[[trunk]]\ndn = \"sip:T@tandem.local\"\naddress = \"sip:10.0.0.1\"\n",
        &["x.toml:5:6: DN `sip:t@tandem.local` stands twice (first in line 2)"],
    ),
    (
        "[[cti.api_key]]\nname = \"a\"\nkey = \"password\"\nkey_file = \"nowhere\"\n",
        &[
            "x.toml:1:1: API key \"a\" has more than one of `key`, `key_sha256`, `key_file`",
            "x.toml:4:12: `key_file` = \"nowhere\": No such file or directory (os error 2)",
        ],
    ),
    (
        "[tserver]\nlink-1-name = \"x\"\n",
        &["x.toml:2:1: `link-1-name` is a known T-Server option, not supported by this version; it is `name` in [[link]]"],
    ),
    (
        "[[link]]\nname = \"c1\"\nhostname = \"10.0.0.1\"\nport = 9001\n\
         [[link]]\nname = \"c1\"\nhostname = \"10.0.0.1\"\nport = 9001\nprotocol = \"tls\"\n[link_tls]\ncertificate_file = \"x\"\n",
        &[
            "x.toml:6:8: `name` = \"c1\" stands twice: link 1 has it too",
            "x.toml:8:8: 10.0.0.1:9001 stands twice: link 1 has it too",
            "x.toml:11:20: `certificate_file` and `private_key_file` belong together: only one is set",
            "x.toml:9:12: `protocol` = \"tls\" needs [link_tls]: `authorities_file` for a T-Server, `certificate_file` for a connector",
        ],
    ),
    (
        "[[link]]\nname = \"c1\"\nhostname = \"a\"\nport = 1\nhttp_bind = \"127.0.0.1:80\"\n\
         [[link]]\nname = \"c2\"\nhostname = \"b\"\nport = 1\nhttp_bind = \"127.0.0.1:80\"\n\
         [[link]]\nname = \"c3\"\nhostname = \"A\"\nport = 2\nhttp_bind = \"127.0.0.1:80\"\n\
         [[link]]\nname = \"c4\"\nhostname = \"c\"\nport = 1\nhttp_bind = \"127.0.0.1:0\"\n\
         [[link]]\nname = \"c5\"\nhostname = \"c\"\nport = 2\nhttp_bind = \"127.0.0.1:0\"\n",
        &["x.toml:15:13: 127.0.0.1:80 at A stands twice: link 1 has it too"],
    ),
    (
        "[[dial_rule]]\npattern = \"0.\"\ntrunk = \"sip:t@tandem.local\"\n",
        &["x.toml:3:9: `sip:t@tandem.local` is none of the DNs in [[trunk]]"],
    ),
    (
        "[[dial_rule]]\npattern = \"0.\"\n",
        &["x.toml:1:1: the rule for \"0.\" has no `trunk`"],
    ),
    (
        "[[dial_rule]]\npattern = \"0.1\"\nallow = false\n",
        &[
            "x.toml:2:11: `pattern` = \"0.1\" is not valid: `.` stands at the end only; valid: digits, +, *, #, X, Z, N, . at the end; with \
             @host for addresses there",
        ],
    ),
    (
        "[[dial_rule]]\npattern = \"0X.\"\nallow = false\nstrip = 3\n",
        &["x.toml:4:9: `strip` = 3 takes off more than the shortest number of \"0X.\" has (2)"],
    ),
    (
        "[sip]\nsession_expires_s = 60\n",
        &["x.toml:2:21: `session_expires_s` = 60 is less than `min_se_s` = 90; 0 asks for no session timer"],
    ),
    (
        "[sip]\npass_through_headers = [\"X-Tenant\", \"Via\", \"a b\"]\n",
        &[
            "x.toml:2:37: `pass_through_headers` = \"Via\" is not valid: this header belongs to one leg and is never passed on; valid: the \
             name of a SIP header that does not belong to one leg",
            "x.toml:2:44: `pass_through_headers` = \"a b\" is not valid: that is no name of a header; valid: the name of a SIP header that \
             does not belong to one leg",
        ],
    ),
    (
        "[media]\nport_first = 20001\nport_last = 20002\nadvertised = \"::1\"\n",
        &[
            "x.toml:3:13: the ports 20001 to 20002 hold no pair of an even port and the odd one above it",
            "x.toml:4:14: `advertised` and `bind` are addresses of different families",
        ],
    ),
    (
        "[media]\nport_first = 30000\nport_last = 20000\nbind = \"0.0.0.0\"\n",
        &[
            "x.toml:3:13: `port_last` = 20000 is less than `port_first` = 30000",
            "x.toml:4:8: `bind` = \"0.0.0.0\" is no address that stands in session descriptions; set `advertised`",
        ],
    ),
    (
        "[media]\nmode = \"relayed\"\ncodecs = [\"G729\"]\nbind = \"localhost\"\n",
        &[
            "x.toml:2:8: `mode` = \"relayed\" is not valid; valid: \"direct\", \"anchored\"",
            "x.toml:3:11: `codecs` = \"G729\" is not valid: did you mean \"G722\"?; valid: \"PCMU\", \"PCMA\", \"G722\", \"opus\"",
            "x.toml:4:8: `bind` = \"localhost\" is not valid; valid: an IP address, such as 192.0.2.1 or 2001:db8::1",
        ],
    ),
    (
        "[media]\nmusic-on-hold-file-path = \"x.wav\"\nmusicOnHoldFilePath = \"x.wav\"\n",
        &[
            "x.toml:2:1: `music-on-hold-file-path` is a known T-Server option, not supported by this version; it is `music` in [media] and [[dn_folder]]",
            "x.toml:3:1: `musicOnHoldFilePath` is a known T-Server option, not supported by this version; it is `music` in [media] and [[dn_folder]]",
        ],
    ),
    (
        "[conference]\nuri_pattern = \"sip:conf{DD}@skype.lab\"\ncount = 100\n",
        &["x.toml:3:9: `count` = 100 has more digits than `uri_pattern`"],
    ),
    (
        "[conference]\ncount = 9\n",
        &["x.toml:2:9: there is a `count` but no `uri_pattern`"],
    ),
    (
        "[[conference_dn]]\ndn = \"sip:m@tandem.local\"\nmoderator_pin = \"12\"\nmax_parties = 101\n\
         [[conference_dn]]\ndn = \"sip:n@tandem.local\"\npin = \"12\"\nmoderator_pin = \"12\"\n",
        &[
            "x.toml:1:1: conference `sip:m@tandem.local` has a `moderator_pin` but no `pin`",
            "x.toml:4:15: `max_parties` = 101 is more than 100 in [conference]",
            "x.toml:8:17: `pin` and `moderator_pin` of conference `sip:n@tandem.local` are the same",
        ],
    ),
    (
        "[[conference_dn]]\ndn = \"sip:m@tandem.local\"\npin = \"abc\"\n",
        &["x.toml:3:7: `pin` = **** (length:03) is not valid; valid: 1 to 16 digits"],
    ),
    (
        "[[dn]]\ndn = \"sip:7@tandem.local\"\npassword = \"x\"\n[[conference_dn]]\ndn = \"sip:m@tandem.local\"\nnumber = \"7\"\n",
        &["x.toml:6:10: number 7 leads to `sip:7@tandem.local` already (first in line 2)"],
    ),
    (
        "[calls]\ncalling_method_dialplan = \"sip:plna@tandem.local\"\n\
         [[dial_plan]]\ndn = \"sip:plan@tandem.local\"\nrules = [\"+{DDD}\", \"{\"]\n",
        &[
            "x.toml:5:20: `rules` = \"{\" is not valid: a brace is not closed; valid: text with { } round its variable part, in there D, S, \
             #, * and characters for themselves",
        ],
    ),
    (
        "[calls]\ncalling_method_dialplan = \"sip:plna@tandem.local\"\n\
         [[dial_plan]]\ndn = \"sip:plan@tandem.local\"\nrules = [\"+{DDD}\"]\n",
        &["x.toml:2:27: `sip:plna@tandem.local` is none of the DNs in [[dial_plan]]; did you mean `sip:plan@tandem.local`?"],
    ),
    (
        "[sip]\nt1_ms = 5\nt2_ms\n",
        &["x.toml:3:6: not valid TOML: key with no value, expected `=`"],
    ),
    (
        "[sip]\nt1_ms = 500\nt1_ms = 600\n",
        &["x.toml:3:1: not valid TOML: duplicate key"],
    ),
    ("[sip\n", &["x.toml:1:5: not valid TOML: unclosed table, expected `]`"]),
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
fn all_problems_are_listed_not_only_the_first() {
    let text = "[sip]\nrelm = \"x\"\nt1_ms = 0\n[[dn]]\nnumber = \"x\"\n[lgo]\n";
    let said = load(text).map(|_| ()).map_err(|problems| lines(&problems));
    let expected = [
        "x.toml:2:1: unknown key `relm` in [sip]; did you mean `realm`?",
        "x.toml:3:9: `t1_ms` = 0 is not valid; valid: 10 to 10000",
        "x.toml:5:10: `number` = \"x\" is not valid; valid: digits, *, #, a leading +; at most 32",
        "x.toml:6:2: unknown section [lgo]; did you mean `log`?",
        "x.toml:4:1: `dn` is missing in [[dn]]",
    ];
    assert_eq!(said, Err(expected.map(str::to_owned).to_vec()));
}

#[test]
fn columns_count_characters_not_bytes() {
    let said = load("[sip]\n\"ключ\" = 1\n[server]\nname = \"ü\" \nx = 1\n")
        .map(|_| ())
        .map_err(|problems| lines(&problems));
    assert_eq!(
        said,
        Err(vec![
            "x.toml:2:1: unknown key `ключ` in [sip]".to_owned(),
            "x.toml:5:1: unknown key `x` in [server]".to_owned()
        ])
    );
}

#[test]
fn what_only_looks_wrong_is_a_warning() {
    let text = "[sip]\nrequire_auth = true\n[[dn]]\ndn = \"sip:a@tandem.local\"\n[[dial_rule]]\npattern = \"0.\"\nallow = false\n\
                [[dial_rule]]\npattern = \"0.\"\nallow = false\n";
    let expected = [
        "configuration: there is no [[cti.api_key]]: nobody can use the CTI protocol",
        "x.toml:3:1: DN `sip:a@tandem.local` can never register: it has no password and no `trusted_sources`",
        "x.toml:8:1: the rule is never used: an earlier one for \"0.\" decides",
    ];
    assert_eq!(lines(&loaded(text).warnings), expected);
    let open = "[sip]\nrequire_auth = false\n[[sip.listener]]\nbind = \"10.0.0.1:5060\"\n[[cti.api_key]]\nname = \"a\"\nkey = \"12345678\"\n";
    let expected = [
        "x.toml:2:16: `require_auth` = false on an address that others reach: anybody can call as anybody",
        "configuration: `bind` = \"127.0.0.1\": SIP comes from other machines, and audio cannot reach the media plane from there",
    ];
    assert_eq!(lines(&loaded(open).warnings), expected);
}

#[test]
fn ranges_that_would_fill_the_memory_are_refused_unexpanded() {
    let range =
        |n: usize| format!("[[dn_range]]\ndn = \"sip:{n}{{n}}@tandem.local\"\nfirst = 0\nlast = 99999\npassword = \"x\"\n");
    let text: String = (0..50).map(range).collect();
    let said = load(&text).map(|_| ()).map_err(|problems| lines(&problems));
    assert_eq!(
        said,
        Err(vec![
            "x.toml:1:1: the ranges have 5000000 DNs together; they can have 500000 at most".to_owned()
        ])
    );
}
