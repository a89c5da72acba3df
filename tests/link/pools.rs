//! Application pools: three processes, where the connectors of two pools have DNs of their own, and no pool stands in for another.

use std::net::SocketAddr;

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventDNBackInService, EventDNOutOfService, EventEstablished, EventReleased};

use super::{connector_named, loopback, tserver};
use crate::golden::stage::dn;
use crate::rig::cti::Desk;
use crate::rig::handset::Handset;
use crate::rig::program::Program;
use crate::rig::server::API_KEY;
use crate::rig::{http, ports, wait};

/// A T-Server, and in each pool a connector with a SIP address of its own.
struct Pools {
    http: SocketAddr,
    default: (Program, SocketAddr),
    site: (Program, SocketAddr),
    _tserver: Program,
    _directory: tempfile::TempDir,
}

impl Pools {
    /// 1001 is of the default pool, 1002 and 1003 are in a folder of the pool `Site`.
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let [first, second, first_http, second_http] = [(); 4].map(|()| ports::free_port());
        let text = format!(
            "[server]\nname = \"rig\"\ndrain_timeout_s = 5\n\
             [sip]\ndomains = [\"tandem.local\", \"127.0.0.1\"]\nt1_ms = 50\nt2_ms = 200\nt4_ms = 100\nrequire_auth = false\n\
             [cti]\nbind = \"127.0.0.1:0\"\n\
             [[cti.api_key]]\nname = \"rig\"\nkey = \"{API_KEY}\"\nscopes = [\"cti\", \"read\", \"admin\"]\n\
             [conference]\npool_size = 2\n\
             [[dn_folder]]\nname = \"Env36\"\npool_name = \"Site\"\nconference_pool_size = 3\n\
             [[dn_range]]\ndn = \"sip:{{n}}@tandem.local\"\nfirst = 1001\nlast = 1001\n\
             [[dn_range]]\ndn = \"sip:{{n}}@tandem.local\"\nfirst = 1002\nlast = 1003\nfolder = \"Env36/Floor1\"\n\
             [[link]]\nname = \"first\"\nhostname = \"127.0.0.1\"\nport = {first}\nhttp_bind = \"127.0.0.1:{first_http}\"\n\
             addp_timeout_s = 1\n\
             [[link]]\nname = \"second\"\nhostname = \"127.0.0.1\"\nport = {second}\nhttp_bind = \"127.0.0.1:{second_http}\"\n\
             addp_timeout_s = 1\npool_name = \"Site\"\n"
        );
        std::fs::write(directory.path().join("tandem.toml"), text).expect("the configuration is written");
        let (tserver, http) = tserver(directory.path()).await;
        let mut connectors = Vec::new();
        for (name, media) in [("first", 40_000), ("second", 50_000)] {
            let sip = loopback(ports::free_port());
            let sets = [
                format!(
                    "sip.listener=[{{ transport = \"udp\", bind = \"{sip}\" }}, {{ transport = \"tcp\", bind = \"{sip}\" }}]"
                ),
                format!("media.port_first={media}"),
                format!("media.port_last={}", media + 9_999),
            ];
            let arguments: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
            connectors.push((connector_named(directory.path(), name, &arguments).await, sip));
        }
        let [default, site] = <[_; 2]>::try_from(connectors).unwrap_or_else(|_| unreachable!("there are two"));
        for (http, size) in [(first_http, 2), (second_http, 3)] {
            has_conferences(loopback(http), size).await;
        }
        let pools = Self {
            http,
            default,
            site,
            _tserver: tserver,
            _directory: directory,
        };
        pools.shows("/v1/connectors", "state", &["Running", "Running"]).await;
        pools
    }

    /// Waits until the field of each item of a page is as expected.
    async fn shows(&self, page: &str, field: &str, expected: &[&str]) {
        wait::until(page, wait::SOON, async || {
            let response = http::get(self.http, page, Some(API_KEY)).await?;
            let document: serde_json::Value = serde_json::from_str(&response.body).map_err(|error| error.to_string())?;
            let items = document["items"].as_array().ok_or(response.body.clone())?;
            let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let found: Vec<_> = items.iter().map(|item| text(&item[field])).collect();
            if found == expected { Ok(()) } else { Err(response.body) }
        })
        .await;
    }
}

/// Waits until that many conferences stand ready at a connector.
async fn has_conferences(connector: SocketAddr, count: usize) {
    let (series, value) = ("tandem_conference_resources{", format!("state=\"idle\"}} {count}"));
    wait::until("the conferences made in advance", wait::SOON, async || {
        let page = http::get(connector, "/metrics", None).await?.body;
        let of_conferences = || page.lines().filter(|line| line.starts_with(series));
        match of_conferences().any(|line| line.ends_with(&value)) {
            true => Ok(()),
            false => Err(of_conferences().collect()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_dn_is_served_by_the_connectors_of_its_folders_pool_and_by_no_others() {
    let mut pools = Pools::start().await;
    pools.shows("/v1/dns", "connector", &["0", "1", "1"]).await;
    let numbers = ["1001", "1002", "1003"].map(dn);
    let mut desk = Desk::on(pools.http, &numbers.each_ref().map(String::as_str)).await;
    let alice = Handset::register("1001", pools.default.1).await;
    desk.expect(EventDNBackInService, &dn("1001")).await;
    let bob = Handset::register("1002", pools.site.1).await;
    desk.expect(EventDNBackInService, &dn("1002")).await;
    // A phone may register at a connector of another pool: that one is its edge, and no owner of the DN.
    let carol = Handset::register("1003", pools.default.1).await;
    desk.expect(EventDNBackInService, &dn("1003")).await;
    pools.shows("/v1/dns", "connector", &["0", "1", "1"]).await;

    // From one pool to the other, and within one by way of the other's connector.
    for (from, to, caller, called) in [("1001", "1002", &alice, &bob), ("1002", "1003", &bob, &carol)] {
        desk.request(ClientRequest::make_call(&dn(from), to)).await;
        let (there, here) = (caller.takes().await, called.takes().await);
        desk.expect(EventEstablished, &dn(to)).await;
        called.hangs_up(here).await;
        caller.is_over(there).await;
        desk.expect(EventReleased, &dn(from)).await;
    }

    // Without its connectors a pool has no service, though another one has.
    pools.site.0.signal(libc::SIGKILL);
    pools.site.0.exit(wait::SOON).await;
    desk.expect(EventDNOutOfService, &dn("1002")).await;
    desk.expect(EventDNOutOfService, &dn("1003")).await;
    pools.shows("/v1/dns", "inService", &["true", "false", "false"]).await;
    for number in ["1002", "1003"] {
        let answer = desk.ask(ClientRequest::make_call(&dn(number), "1001")).await;
        assert!(answer.error_code.is_some(), "{answer:?}");
    }
    pools.shows("/v1/dns", "connector", &["0", "1", "1"]).await;
}
