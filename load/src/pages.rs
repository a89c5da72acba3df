//! The server's pages about connectors and DNs, and who owns what by them.
//!
//! Invariant of [`Ownership`]: a DN has one owner. It is listed once, with one connector; and all connectors together own no more DNs than
//! there are.

use std::collections::HashSet;

use serde::Deserialize;

use crate::http;
use crate::stats::Faults;

/// DNs on one page: as many as the server gives.
const PAGE: usize = 1_000;

/// A connector, as the server sees it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Connector {
    /// Its number.
    pub id: u16,
    /// `Running`, `Suspending` or `Suspended`; others say that it is not there.
    pub state: String,
    /// Its SIP sessions (legs).
    #[serde(default)]
    pub dialogs: u64,
    /// The DNs that it owns, where the server tells.
    #[serde(default)]
    pub dns: Option<u64>,
}

/// A DN, as the server sees it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Dn {
    /// Its name.
    pub dn: String,
    /// Who owns it.
    pub connector: Option<u16>,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// The pages of one server.
#[derive(Clone, Debug)]
pub struct Pages {
    base: String,
    api_key: String,
}

impl Pages {
    /// Those beside a page of metrics.
    pub fn beside(metrics: &str, api_key: &str) -> Self {
        Self {
            base: metrics.trim_end_matches("/metrics").to_owned(),
            api_key: api_key.to_owned(),
        }
    }

    /// The connectors, by number.
    pub async fn connectors(&self) -> Result<Vec<Connector>, String> {
        Ok(self.page("connectors", None).await?.items)
    }

    /// The DNs, by name.
    pub async fn dns(&self) -> Result<Vec<Dn>, String> {
        let mut page: Page<Dn> = self.page("dns", None).await?;
        let mut dns = page.items;
        while let Some(cursor) = page.next_cursor {
            page = self.page("dns", Some(&cursor)).await?;
            dns.append(&mut page.items);
        }
        Ok(dns)
    }

    async fn page<T: serde::de::DeserializeOwned>(&self, list: &str, cursor: Option<&str>) -> Result<Page<T>, String> {
        let cursor = cursor.map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let url = format!("{}/v1/{list}?limit={PAGE}{cursor}", self.base);
        match http::ask("GET", &url, Some(&self.api_key), "").await? {
            (200, body) => serde_json::from_str(&body).map_err(|error| format!("{url}: {error}")),
            (status, body) => Err(format!("{url}: {status} {body}")),
        }
    }

    /// Begins the drain of a connector.
    pub async fn drain(&self, connector: u16) -> Result<(), String> {
        let body = format!("{{\"connector\": {connector}}}");
        self.administer("POST", "drain", &body).await
    }

    /// Takes it back.
    pub async fn take_back(&self, connector: u16) -> Result<(), String> {
        self.administer("DELETE", &format!("drain?connector={connector}"), "").await
    }

    async fn administer(&self, method: &str, what: &str, body: &str) -> Result<(), String> {
        let url = format!("{}/v1/admin/{what}", self.base);
        match http::ask(method, &url, Some(&self.api_key), body).await? {
            (200..=299, _) => Ok(()),
            (status, answer) => Err(format!("{method} {url}: {status} {answer}")),
        }
    }
}

/// Who owns the DNs, looked at again and again.
#[derive(Default)]
pub struct Ownership {
    /// How often it was looked at.
    pub samples: u64,
    /// How often it could not be.
    pub unanswered: u64,
    /// The most DNs that all connectors together said to own.
    pub most: u64,
    /// DNs that had two owners.
    pub twice: Faults,
}

impl Ownership {
    /// Looks once, at all DNs and all connectors.
    pub fn take(&mut self, dns: &[Dn], connectors: &[Connector]) {
        self.samples += 1;
        let mut seen = HashSet::new();
        for dn in dns.iter().filter(|dn| !seen.insert(dn.dn.as_str())) {
            self.twice
                .add(format!("{} is listed twice, here with connector {:?}", dn.dn, dn.connector));
        }
        let owned: u64 = connectors.iter().filter_map(|connector| connector.dns).sum();
        self.most = self.most.max(owned);
        if owned > seen.len() as u64 {
            self.twice
                .add(format!("connectors own {owned} DNs together, but there are {}", seen.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(number: u16, connector: u16) -> Dn {
        Dn {
            dn: format!("sip:{number}@tandem.local"),
            connector: Some(connector),
        }
    }

    fn connector(id: u16, dns: Option<u64>) -> Connector {
        Connector {
            id,
            state: "Running".into(),
            dialogs: 0,
            dns,
        }
    }

    #[test]
    fn pages_are_read_whatever_else_stands_in_them() {
        let text = r#"{"items":[{"id":0,"state":"Running","conferences":1,"transactions":2,"dialogs":3}]}"#;
        let page: Page<Connector> = serde_json::from_str(text).unwrap();
        assert_eq!((page.items[0].dialogs, page.items[0].dns, page.next_cursor), (3, None, None));
        let text = r#"{"items":[{"dn":"sip:1@t","address_type":"DN","in_service":true,"contacts":1,"clients":1,"connector":2}],"next_cursor":"ab"}"#;
        let page: Page<Dn> = serde_json::from_str(text).unwrap();
        assert_eq!((page.items[0].connector, page.next_cursor.as_deref()), (Some(2), Some("ab")));
    }

    #[test]
    fn a_dn_with_two_owners_is_told() {
        let mut ownership = Ownership::default();
        let dns = [dn(1, 0), dn(2, 1)];
        ownership.take(&dns, &[connector(0, Some(1)), connector(1, Some(1))]);
        ownership.take(&dns, &[connector(0, None), connector(1, None)]);
        assert_eq!((ownership.samples, ownership.most, ownership.twice.count), (2, 2, 0));
        ownership.take(&dns, &[connector(0, Some(2)), connector(1, Some(1))]);
        assert_eq!((ownership.most, ownership.twice.count), (3, 1));
        ownership.take(&[dn(1, 0), dn(1, 1)], &[]);
        assert_eq!(ownership.twice.count, 2);
    }

    #[test]
    fn pages_are_beside_the_metrics() {
        let pages = Pages::beside("http://127.0.0.1:8088/metrics", "key");
        assert_eq!(pages.base, "http://127.0.0.1:8088");
    }
}
