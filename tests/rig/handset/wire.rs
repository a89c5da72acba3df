//! How a phone sends and receives: datagrams, or one connection to its server.
//!
//! Datagrams go where SIP says: an answer to where the request's Via leads, a request along its route, to the address in its URI, and
//! where there is a name only, to the phone's server.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UdpSocket};

use crate::rig::sip::Message;

/// What a phone sends on.
pub struct Wire {
    /// Where the phone is.
    pub address: SocketAddr,
    server: Mutex<SocketAddr>,
    way: Way,
}

enum Way {
    Datagrams(UdpSocket),
    /// What came in and is no whole message yet, beside both halves.
    Connection(
        tokio::sync::Mutex<OwnedWriteHalf>,
        tokio::sync::Mutex<(OwnedReadHalf, Vec<u8>)>,
    ),
}

impl Wire {
    /// Datagrams from this address.
    pub async fn datagrams(address: &str, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).await.expect("a SIP port");
        Self {
            address: socket.local_addr().expect("an address"),
            server: Mutex::new(server),
            way: Way::Datagrams(socket),
        }
    }

    /// A connection.
    pub async fn connection(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let address = stream.local_addr().expect("an address");
        let (read, write) = stream.into_split();
        Self {
            address,
            server: Mutex::new(server),
            way: Way::Connection(write.into(), tokio::sync::Mutex::new((read, Vec::new()))),
        }
    }

    /// Its server is another one from now on. A connection stays where it is until there is another.
    pub fn moves_to(&self, server: SocketAddr) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }

    /// Closes the connection.
    pub async fn breaks(&self) {
        if let Way::Connection(write, _) = &self.way {
            // One that the other side has closed is closed.
            let _ = write.lock().await.shutdown().await;
        }
    }

    /// Opens another connection, from another port; whoever read the one before has seen its end.
    pub async fn connects_anew(&self) {
        let Way::Connection(write, read) = &self.way else {
            panic!("a phone with a connection")
        };
        let server = *self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = TcpStream::connect(server).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let (new_read, new_write) = stream.into_split();
        *write.lock().await = new_write;
        *read.lock().await = (new_read, Vec::new());
    }

    /// `UDP` or `TCP`.
    pub fn transport(&self) -> &'static str {
        match self.way {
            Way::Datagrams(_) => "UDP",
            Way::Connection(..) => "TCP",
        }
    }

    /// What its URIs say of that.
    pub fn parameters(&self) -> &'static str {
        match self.way {
            Way::Datagrams(_) => "",
            Way::Connection(..) => ";transport=tcp",
        }
    }

    /// Sends a message.
    pub async fn send(&self, text: &str) {
        match &self.way {
            Way::Datagrams(socket) => {
                let server = *self.server.lock().unwrap_or_else(PoisonError::into_inner);
                let to = Message::read(text.as_bytes()).destination().unwrap_or(server);
                socket.send_to(text.as_bytes(), to).await.expect("a datagram is sent");
            }
            Way::Connection(write, _) => {
                // One that is closed shows in what does not come.
                let _ = write.lock().await.write_all(text.as_bytes()).await;
            }
        }
    }

    /// What comes next; `None`: nothing more will.
    pub async fn receive(&self) -> Option<Message> {
        match &self.way {
            Way::Datagrams(socket) => {
                let mut buffer = vec![0; 65_536];
                loop {
                    let (length, _) = socket.recv_from(&mut buffer).await.ok()?;
                    let datagram = &buffer[..length];
                    // The last RTP or RTCP (RFC 7983 s.7) for a phone of another test that had this port a moment ago.
                    if !matches!(datagram.first(), Some(128..=191)) {
                        return Some(Message::read(datagram));
                    }
                }
            }
            Way::Connection(_, read) => {
                let (read, buffer) = &mut *read.lock().await;
                loop {
                    if let Some(message) = Message::framed(buffer) {
                        return Some(message);
                    }
                    let mut piece = [0; 4096];
                    match read.read(&mut piece).await {
                        Ok(0) | Err(_) => return None,
                        Ok(length) => buffer.extend(&piece[..length]),
                    }
                }
            }
        }
    }
}
