//! TCP and TLS under a link; and, for a simulation, whatever it makes its connections from.
//!
//! TLS is rustls with ring. A T-Server checks the connector's certificate against the configured authorities; a connector that has
//! authorities configured asks for the T-Server's and refuses a connection without one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "fault-injection")]
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
#[cfg(feature = "fault-injection")]
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How long opening a connection may take, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of either kind.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Duplex for T {}

/// A connection.
pub type Stream = Box<dyn Duplex>;

/// What is wrong with a TLS configuration.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum TlsError {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: String },
    #[error("{path} has no certificate in it")]
    NoCertificate { path: PathBuf },
    #[error("the certificate and its key: {0}")]
    Identity(String),
    #[error("the authorities: {0}")]
    Authorities(String),
    #[error("\"{0}\" is no name that a certificate could have")]
    Name(String),
}

/// The files of one end.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TlsFiles {
    /// This end's certificate chain and its key, both PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The authorities that the other end's certificate must come from, PEM.
    pub authorities: Option<PathBuf>,
}

/// Makes a connection out of nothing, for a simulation.
#[cfg(feature = "fault-injection")]
pub type Open = Arc<dyn Fn() -> BoxFuture<'static, io::Result<Stream>> + Send + Sync>;

/// Opens connections to one connector.
#[derive(Clone)]
pub struct Dialler {
    host: Arc<str>,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    #[cfg(feature = "fault-injection")]
    simulated: Option<Open>,
}

impl Dialler {
    /// Over TCP.
    pub fn tcp(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
            #[cfg(feature = "fault-injection")]
            simulated: None,
        }
    }

    /// Over what a simulation has for a network.
    #[cfg(feature = "fault-injection")]
    pub fn simulated(name: &str, open: Open) -> Self {
        Self {
            simulated: Some(open),
            ..Self::tcp(name, 0)
        }
    }

    /// Over TLS. Without authorities nobody's certificate is good.
    pub fn tls(host: &str, port: u16, files: &TlsFiles) -> Result<Self, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        let roots = files
            .authorities
            .as_deref()
            .map(authorities)
            .transpose()?
            .unwrap_or_else(RootCertStore::empty);
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Identity(error.to_string()))?
            .with_root_certificates(roots);
        let config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(certificates(chain)?, private_key(key)?)
                .map_err(|error| TlsError::Identity(error.to_string()))?,
        };
        Ok(Self {
            tls: Some((TlsConnector::from(Arc::new(config)), name)),
            ..Self::tcp(host, port)
        })
    }

    /// Opens one.
    pub async fn dial(&self) -> io::Result<Stream> {
        timeout(CONNECT_TIMEOUT, self.open())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn open(&self) -> io::Result<Stream> {
        #[cfg(feature = "fault-injection")]
        if let Some(open) = &self.simulated {
            return open().await;
        }
        let tcp = TcpStream::connect((&*self.host, self.port)).await?;
        tcp.set_nodelay(true)?;
        Ok(match &self.tls {
            None => Box::new(tcp),
            Some((tls, name)) => Box::new(tls.connect(name.clone(), tcp).await?),
        })
    }
}

impl std::fmt::Display for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let protocol = if self.tls.is_some() { "tls" } else { "tcp" };
        write!(f, "{protocol} {}:{}", self.host, self.port)
    }
}

/// Takes connections in.
#[derive(Clone, Default)]
pub struct Acceptor(Option<TlsAcceptor>);

impl Acceptor {
    /// Over TCP.
    pub fn tcp() -> Self {
        Self(None)
    }

    /// Over TLS. With authorities, T-Servers need a certificate too.
    pub fn tls(files: &TlsFiles) -> Result<Self, TlsError> {
        let (chain, key) = files
            .identity
            .as_ref()
            .ok_or_else(|| TlsError::Identity("a connector that serves TLS needs both".into()))?;
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Identity(error.to_string()))?;
        let builder = match &files.authorities {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider)
                    .build()
                    .map_err(|error| TlsError::Authorities(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder
            .with_single_cert(certificates(chain)?, private_key(key)?)
            .map_err(|error| TlsError::Identity(error.to_string()))?;
        Ok(Self(Some(TlsAcceptor::from(Arc::new(config)))))
    }

    /// Makes what came in a connection.
    pub async fn accept(&self, incoming: Incoming) -> io::Result<Stream> {
        #[cfg(feature = "fault-injection")]
        let tcp = match incoming {
            Incoming::Tcp(tcp) => tcp,
            Incoming::Simulated(stream) => return Ok(stream),
        };
        #[cfg(not(feature = "fault-injection"))]
        let Incoming::Tcp(tcp) = incoming;
        tcp.set_nodelay(true)?;
        Ok(match &self.0 {
            None => Box::new(tcp),
            Some(tls) => Box::new(tls.accept(tcp).await?),
        })
    }
}

/// Where connections come in.
pub struct Listener(Source);

enum Source {
    Tcp(std::net::TcpListener),
    #[cfg(feature = "fault-injection")]
    Simulated(Mutex<mpsc::Receiver<Stream>>),
}

/// A [`Listener`] on the runtime that it is used on.
pub(super) enum Accepting {
    Tcp(TcpListener),
    #[cfg(feature = "fault-injection")]
    Simulated(Mutex<mpsc::Receiver<Stream>>),
}

/// What came in.
pub enum Incoming {
    /// A socket.
    Tcp(TcpStream),
    /// A connection of a simulation's network.
    #[cfg(feature = "fault-injection")]
    Simulated(Stream),
}

impl From<std::net::TcpListener> for Listener {
    fn from(listener: std::net::TcpListener) -> Self {
        Self(Source::Tcp(listener))
    }
}

impl Listener {
    /// What a simulation lets in.
    #[cfg(feature = "fault-injection")]
    pub fn simulated(connections: mpsc::Receiver<Stream>) -> Self {
        Self(Source::Simulated(Mutex::new(connections)))
    }

    pub(super) fn listen(self) -> io::Result<Accepting> {
        Ok(match self.0 {
            Source::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Accepting::Tcp(TcpListener::from_std(listener)?)
            }
            #[cfg(feature = "fault-injection")]
            Source::Simulated(connections) => Accepting::Simulated(connections),
        })
    }
}

impl Accepting {
    /// The next connection, and from where.
    pub(super) async fn accept(&self) -> io::Result<(Incoming, String)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, from) = listener.accept().await?;
                Ok((Incoming::Tcp(tcp), from.to_string()))
            }
            #[cfg(feature = "fault-injection")]
            Self::Simulated(connections) => match connections.lock().await.recv().await {
                Some(stream) => Ok((Incoming::Simulated(stream), "simulation".to_owned())),
                // Nobody lets anything in any more.
                None => std::future::pending().await,
            },
        }
    }
}

fn file_error(path: &Path, error: impl std::fmt::Display) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        error: error.to_string(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| file_error(path, error))?;
    let chain = read.collect::<Result<Vec<_>, _>>().map_err(|error| file_error(path, error))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| file_error(path, error))
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Authorities(error.to_string()))?;
    }
    Ok(roots)
}
