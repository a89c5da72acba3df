//! `[[link]]` and `[link_tls]`: connectors in processes of their own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// `[[link]]`: one connector. The first one is connector 0.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The connector's name.
    pub name: String,
    /// The host where it runs.
    pub hostname: String,
    /// The port that it listens on.
    pub port: u16,
    /// Where it listens, where that is not `hostname` and `port`.
    pub bind: Option<SocketAddr>,
    /// Where the connector serves HTTP; not at all where absent.
    pub http_bind: Option<SocketAddr>,
    /// What is spoken on it.
    pub protocol: LinkProtocol,
    /// The pool that the connector serves; never empty once loaded.
    pub pool_name: String,
    /// Whether the T-Server shows its certificate, where the pool is not the default one. See [`Link::shows_certificate`].
    pub use_certificate: bool,
    /// After how long of silence the T-Server polls, and how long it then waits, in seconds; 0: never.
    pub addp_timeout_s: u32,
    /// The same for the connector.
    pub addp_remote_timeout_s: u32,
    /// Which end logs its polling.
    pub addp_trace: AddpTrace,
}

/// What is spoken on a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkProtocol {
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// Which end of a link logs its polling.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddpTrace {
    /// Nobody.
    #[serde(alias = "false", alias = "no")]
    Off,
    /// The T-Server.
    #[serde(alias = "on", alias = "true", alias = "yes")]
    Local,
    /// The connector.
    Remote,
    /// Both.
    #[serde(alias = "full")]
    Both,
}

/// `[link_tls]`: the certificates of links.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkTls {
    /// The certificate chain that this end shows, PEM.
    pub certificate_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub private_key_file: Option<PathBuf>,
    /// The authorities that the other end's certificate must come from, PEM.
    pub authorities_file: Option<PathBuf>,
}

impl LinkTls {
    /// This end's certificate and its key, where both are set.
    pub fn identity(&self) -> Option<(&Path, &Path)> {
        self.certificate_file.as_deref().zip(self.private_key_file.as_deref())
    }

    /// Relative paths start at `base`.
    pub(crate) fn resolve_paths(&mut self, base: &Path) {
        let files = [
            &mut self.certificate_file,
            &mut self.private_key_file,
            &mut self.authorities_file,
        ];
        for file in files.into_iter().flatten() {
            *file = base.join(&*file);
        }
    }
}
