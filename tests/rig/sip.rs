//! SIP by hand: messages as text, read leniently and written exactly as a test wants them. It knows nothing of the product's own
//! SIP, so that one cannot hide the other's mistakes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::wait::SOON;

/// A session description that offers or accepts PCMU.
pub const SDP: &str = "v=0\r\no=rig 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

/// A number that no other call of this process has.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u64::from(std::process::id()) << 24 | NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A message that came.
#[derive(Clone, Debug)]
pub struct Message {
    /// The first line.
    pub start: String,
    /// The body.
    pub body: String,
    headers: Vec<(String, String)>,
}

impl Message {
    /// Reads a message that the server wrote.
    pub fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        Self {
            start,
            body: body.to_owned(),
            headers: headers.collect(),
        }
    }

    /// Takes the next whole message of a stream off what came.
    pub fn framed(buffer: &mut Vec<u8>) -> Option<Self> {
        let keep_alive = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        buffer.drain(..keep_alive);
        let end = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let length: usize = Self::read(&buffer[..end]).header("Content-Length").parse().unwrap_or(0);
        (buffer.len() >= end + length).then(|| Self::read(&buffer.drain(..end + length).collect::<Vec<_>>()))
    }

    /// The status code; `None` in a request.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method; `None` in a response.
    pub fn method(&self) -> Option<&str> {
        self.start.strip_suffix(" SIP/2.0")?.split(' ').next()
    }

    /// The first header of this name; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// All headers of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Where it says that it goes, if by an address: a response along its Via, a request along its route or to its URI.
    pub fn destination(&self) -> Option<SocketAddr> {
        if self.status().is_some() {
            let sent_by = self.header("Via").split([' ', ';']).nth(1)?;
            return sent_by.parse().ok();
        }
        let target = self.start.split(' ').nth(1)?;
        address_in(self.all("Route").next().unwrap_or(target))
    }

    /// The address in the Contact header.
    pub fn contact(&self) -> &str {
        let contact = self.header("Contact");
        contact
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'))
            .map_or(contact, |(uri, _)| uri)
    }

    /// A response to this request: what has to be copied, then `more` header lines, then the body.
    pub fn response(&self, status: &str, to_tag: &str, more: &str, body: &str) -> String {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            for value in self.all(name) {
                let tag = if name == "To" && !value.contains(";tag=") {
                    format!(";tag={to_tag}")
                } else {
                    String::new()
                };
                text.push_str(&format!("{name}: {value}{tag}\r\n"));
            }
        }
        let content_type = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!("{text}{more}{content_type}Content-Length: {}\r\n\r\n{body}", body.len())
    }
}

/// The address in `<sip:user@address;parameters>`.
fn address_in(uri: &str) -> Option<SocketAddr> {
    let bare = uri.trim_matches(['<', '>']).strip_prefix("sip:")?;
    let (_, host) = bare.split_once('@').unwrap_or(("", bare));
    host.split(';').next()?.parse().ok()
}

/// A UDP socket that speaks SIP.
pub struct Socket {
    socket: UdpSocket,
    /// Where it is.
    pub address: SocketAddr,
}

impl Socket {
    /// A socket on any free port of this address.
    pub async fn bind(ip: &str) -> Self {
        Self::bind_to(&format!("{ip}:0")).await
    }

    /// A socket on exactly this address.
    pub async fn bind_to(address: &str) -> Self {
        let socket = UdpSocket::bind(address)
            .await
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        let address = socket.local_addr().expect("an address");
        Self { socket, address }
    }

    /// Sends a datagram.
    pub async fn send(&self, to: SocketAddr, message: impl AsRef<[u8]>) {
        self.socket.send_to(message.as_ref(), to).await.expect("a datagram is sent");
    }

    /// The next datagram.
    pub async fn receive(&self) -> Message {
        let mut buffer = vec![0; 65_536];
        let received = timeout(SOON, self.socket.recv_from(&mut buffer)).await;
        let (length, _) = received
            .unwrap_or_else(|_| panic!("{}: nothing came", self.address))
            .expect("a datagram");
        Message::read(&buffer[..length])
    }

    /// The next final response to `cseq`, such as `1 INVITE`; everything else that comes is passed over.
    pub async fn final_response(&self, cseq: &str) -> Message {
        loop {
            let message = self.receive().await;
            if message.status().is_some_and(|status| status >= 200) && message.header("CSeq") == cseq {
                return message;
            }
        }
    }

    /// The next request of this method; everything else that comes is passed over.
    pub async fn request(&self, method: &str) -> Message {
        loop {
            let message = self.receive().await;
            if message.method() == Some(method) {
                return message;
            }
        }
    }
}

/// What identifies one call of a caller, and the requests it sends in it.
pub struct Dialog {
    /// The URI of the caller.
    pub from: String,
    /// The URI of the called.
    pub to: String,
    /// Call-ID.
    pub call_id: String,
    /// The caller's tag.
    pub tag: String,
    /// Via and Contact.
    pub local: SocketAddr,
    /// UDP or TCP.
    pub transport: &'static str,
}

impl Dialog {
    /// A call that has not begun.
    pub fn new(from: &str, to: &str, local: SocketAddr) -> Self {
        let id = unique();
        Self {
            from: from.into(),
            to: to.into(),
            call_id: format!("rig-{id:x}"),
            tag: format!("t{id:x}"),
            local,
            transport: "UDP",
        }
    }

    /// A request. `to_tag` is empty before the dialog stands.
    pub fn request(&self, method: &str, uri: &str, cseq: u32, to_tag: &str, body: &str) -> String {
        self.request_with(method, uri, cseq, to_tag, &format!("{:x}", unique()), "", body)
    }

    /// A request with its branch (behind the magic cookie) and more header lines.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the message that tests forge")]
    pub fn request_with(&self, method: &str, uri: &str, cseq: u32, to_tag: &str, branch: &str, more: &str, body: &str) -> String {
        let Self {
            from,
            to,
            call_id,
            tag,
            local,
            transport,
        } = self;
        let to_tag = if to_tag.is_empty() {
            String::new()
        } else {
            format!(";tag={to_tag}")
        };
        let content_type = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {local};branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\n\
             From: <{from}>;tag={tag}\r\nTo: <{to}>{to_tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:rig@{local};transport={}>\r\n{more}{content_type}Content-Length: {}\r\n\r\n{body}",
            transport.to_ascii_lowercase(),
            body.len()
        )
    }
}

/// The tag of a From or To header.
pub fn tag_of(header: &str) -> &str {
    header
        .split_once(";tag=")
        .map_or("", |(_, rest)| rest.split([';', '>']).next().unwrap_or_default())
}

/// A TCP connection that speaks SIP.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Our end.
    pub address: SocketAddr,
}

impl Connection {
    /// Connects.
    pub async fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let address = stream.local_addr().expect("an address");
        Self {
            stream,
            buffer: Vec::new(),
            address,
        }
    }

    /// Sends bytes; says whether the other side still takes them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// The next message; `None` when the server closed the connection.
    pub async fn receive(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = Message::framed(&mut self.buffer) {
                return Some(message);
            }
            let mut piece = [0; 4096];
            let read = timeout(SOON, self.stream.read(&mut piece)).await;
            match read.unwrap_or_else(|_| panic!("{}: nothing came", self.address)) {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.buffer.extend(&piece[..length]),
            }
        }
    }

    /// The next message that is a final response to `cseq`; `None` when the connection was closed instead.
    pub async fn final_response(&mut self, cseq: &str) -> Option<Message> {
        loop {
            let message = self.receive().await?;
            if message.status().is_some_and(|status| status >= 200) && message.header("CSeq") == cseq {
                return Some(message);
            }
        }
    }

    /// Sends a keep-alive and waits for the answer to it (RFC 5626 s.4.4.1).
    pub async fn ping(&mut self) {
        assert!(self.send("\r\n\r\n").await, "closed");
        let mut pong = [0; 2];
        let read = timeout(SOON, self.stream.read_exact(&mut pong)).await;
        read.expect("an answer to the keep-alive").expect("an open connection");
        assert_eq!(&pong, b"\r\n");
    }
}
