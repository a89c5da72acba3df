//! The carriers on real sockets: who is let in, who is refused, and what TLS demands.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tandem_model::ConnectorId;
use tandem_wire::link::{Addp, Hello, Identity, LINK_VERSION, QueueLimits, Role, SessionConfig};
use tandem_wire::mltp::{Decoder, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::transport::{Stream, TlsFiles};
use super::{Acceptor, Dialler, LinkServer, LinkServerParts, RemoteLink, RemoteLinkParts};
use crate::directory::Directory;
use crate::live::Settings;

const SOON: Duration = Duration::from_secs(20);

fn session(role: Role, instance: &str) -> SessionConfig {
    SessionConfig {
        role,
        identity: Identity {
            instance: instance.into(),
            connector: 0,
            name: "connector1".into(),
            pool: "default".into(),
        },
        addp: Addp::default(),
        limits: QueueLimits::default(),
        log: None,
    }
}

/// A connector's end that listens on loopback.
fn listens(acceptor: Acceptor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let parts = LinkServerParts {
        connector: ConnectorId(0),
        directory: Directory::new(Settings::default()),
        session: session(Role::Server, "connector"),
        listener: listener.into(),
        acceptor,
    };
    LinkServer::supervise(parts).unwrap();
    address
}

fn hello(instance: &str, name: &str) -> Vec<u8> {
    let hello = Hello {
        version: LINK_VERSION,
        identity: Identity {
            name: name.into(),
            ..session(Role::Client, instance).identity
        },
        session: None,
        received: 0,
        oldest: 1,
        your_timeout: Duration::ZERO,
        your_trace: false,
    };
    let mut bytes = Vec::new();
    hello.write(&mut bytes).finish().unwrap();
    bytes
}

/// A T-Server played by the test.
struct Peer {
    stream: Stream,
    decoder: Decoder,
}

impl Peer {
    async fn connects(address: SocketAddr, first: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(first).await.unwrap();
        Self::on(Box::new(stream))
    }

    fn on(stream: Stream) -> Self {
        Self {
            stream,
            decoder: Decoder::new(),
        }
    }

    async fn frame(&mut self) -> Frame {
        timeout(SOON, async {
            let mut buffer = [0; 1024];
            loop {
                if let Some(frame) = self.decoder.next_frame() {
                    return frame.unwrap();
                }
                let read = self.stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the connection ended");
                self.decoder.feed(&buffer[..read]);
            }
        })
        .await
        .expect("a frame in time")
    }

    /// An ERROR, and the end.
    async fn refusal(mut self) -> String {
        let frame = self.frame().await;
        assert_eq!(frame.name, "ERROR", "{frame:?}");
        let mut rest = Vec::new();
        timeout(SOON, self.stream.read_to_end(&mut rest))
            .await
            .expect("the end")
            .unwrap();
        frame.header("reason").unwrap_or_default().to_owned()
    }
}

#[test]
fn one_t_server_is_let_in_and_all_others_are_told_why_not() {
    actix_rt::System::new().block_on(async {
        let address = listens(Acceptor::tcp());
        let mut first = Peer::connects(address, &hello("first", "connector1")).await;
        assert_eq!(first.frame().await.name, "WELCOME");
        let cases = [
            (hello("second", "connector1"), "this connector serves T-Server first"),
            (
                hello("first", "connector2"),
                "this is connector 0 \"connector1\", not 0 \"connector2\"",
            ),
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "not a start line: \"GET / HTTP/1.1\""),
            (
                b"AUDIT_END * MLTP/1.0\r\n\r\n".to_vec(),
                "AUDIT_END has no place before HELLO",
            ),
            (b"HELLO * MLTP/1.0\r\n\r\n".to_vec(), "HELLO: header link-version is missing"),
            (vec![b'\n'; 20_000], "a greeting without an end"),
        ];
        for (bytes, reason) in cases {
            assert_eq!(Peer::connects(address, &bytes).await.refusal().await, reason);
        }
        // The second one made sure that the first one lives.
        assert_eq!(first.frame().await.name, "ADDP_POLL");
        drop(first);
        // Which it does not any more.
        loop {
            let mut second = Peer::connects(address, &hello("second", "connector1")).await;
            if second.frame().await.name == "WELCOME" {
                break;
            }
        }
    });
}

#[test]
fn a_t_server_connects_again_and_offers_its_session() {
    actix_rt::System::new().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let remote = RemoteLink::supervise(RemoteLinkParts {
            connector: ConnectorId(0),
            directory: Directory::new(Settings::default()),
            session: session(Role::Client, "tserver"),
            dialler: Dialler::tcp("127.0.0.1", port),
        });
        for offered in [None, Some("here/1")] {
            let (stream, _) = timeout(SOON, listener.accept()).await.expect("a connection").unwrap();
            let mut peer = Peer::on(Box::new(stream));
            let frame = peer.frame().await;
            assert_eq!((frame.name.as_str(), frame.header("session")), ("HELLO", offered));
            let welcome = "WELCOME * MLTP/1.0\nlink-version: 1\ninstance: here\nsession: here/1\nresumed: false\nreceived: 0\n\n";
            peer.stream.write_all(welcome.as_bytes()).await.unwrap();
            // It is up when it answers; only then does it have a session to offer.
            peer.stream.write_all(b"ADDP_POLL * MLTP/1.0\n\n").await.unwrap();
            assert_eq!(peer.frame().await.name, "ADDP_ANSWER");
        }
        drop(remote);
    });
}

/// Certificates of one authority, in files.
struct Authority {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = write(directory.path(), "authority.pem", &params.self_signed(&key).unwrap().pem());
        Self {
            issuer: Issuer::new(params, key),
            directory,
            certificate,
        }
    }

    fn issues(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let folder = self.directory.path();
        (
            write(folder, &format!("{name}.pem"), &certificate.pem()),
            write(folder, &format!("{name}.key"), &key.serialize_pem()),
        )
    }
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn over_tls_both_ends_show_certificates_of_an_authority_that_the_other_trusts() {
    let (ours, theirs) = (Arc::new(Authority::new()), Authority::new());
    actix_rt::System::new().block_on(async {
        let connector = TlsFiles {
            identity: Some(ours.issues("127.0.0.1")),
            authorities: Some(ours.certificate.clone()),
        };
        let address = listens(Acceptor::tls(&connector).unwrap());
        let greets = async |identity: Option<(PathBuf, PathBuf)>, authorities: &Path, host: &str| {
            let files = TlsFiles {
                identity,
                authorities: Some(authorities.to_owned()),
            };
            let stream = Dialler::tls(host, address.port(), &files).unwrap().dial().await;
            let mut stream = stream.map_err(|error| error.to_string())?;
            stream
                .write_all(&hello("t", "connector1"))
                .await
                .map_err(|error| error.to_string())?;
            let mut answer = [0; 7];
            stream.read_exact(&mut answer).await.map_err(|error| error.to_string())?;
            Ok::<_, String>(answer)
        };
        let identity = ours.issues("tserver");
        assert_eq!(
            greets(Some(identity.clone()), &ours.certificate, "127.0.0.1").await,
            Ok(*b"WELCOME")
        );
        let strange = greets(Some(identity.clone()), &theirs.certificate, "127.0.0.1").await;
        assert!(
            strange.is_err_and(|error| error.contains("invalid peer certificate")),
            "an authority that is not ours"
        );
        let named = greets(Some(identity), &ours.certificate, "localhost").await;
        assert!(
            named.is_err_and(|error| error.contains("invalid peer certificate")),
            "a certificate of another name"
        );
        assert!(greets(None, &ours.certificate, "127.0.0.1").await.is_err(), "no certificate");
        let strange = theirs.issues("tserver");
        assert!(
            greets(Some(strange), &ours.certificate, "127.0.0.1").await.is_err(),
            "a stranger's certificate"
        );
    });
}

#[test]
fn files_that_are_none_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = write(directory.path(), "empty.pem", "");
    let files = |identity: Option<(PathBuf, PathBuf)>, authorities| TlsFiles { identity, authorities };
    let error = |files: TlsFiles| Acceptor::tls(&files).err().unwrap().to_string();
    assert!(error(files(None, None)).contains("a connector that serves TLS needs both"));
    assert!(error(files(Some((empty.clone(), empty.clone())), None)).contains("empty.pem has no certificate in it"));
    assert!(error(files(Some(("/nowhere".into(), empty)), None)).starts_with("/nowhere: "));
}
