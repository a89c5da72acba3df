//! Just enough HTTP/1.1 to ask a server on loopback something.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wait::SOON;

/// An answer.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header lines.
    pub head: String,
    /// The body.
    pub body: String,
}

/// GET, with an API key where one is given.
pub async fn get(address: SocketAddr, path: &str, key: Option<&str>) -> Result<Response, String> {
    send(address, "GET", path, key, "").await
}

/// Any method, with a body where there is one.
pub async fn send(address: SocketAddr, method: &str, path: &str, key: Option<&str>, body: &str) -> Result<Response, String> {
    let authorization = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        std::io::Result::Ok(bytes)
    };
    let bytes = timeout(SOON, exchange).await.map_err(|_| format!("{path}: no answer"))?;
    let bytes = bytes.map_err(|error| format!("{path}: {error}"))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or(format!("{path}: no header"))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or(format!("{path}: {head}"))?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { joined(body) } else { body.to_owned() };
    Ok(Response {
        status,
        head: head.to_owned(),
        body,
    })
}

/// The chunks put together (RFC 9112 s.7.1).
fn joined(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = after.get(..size).filter(|_| size > 0) else {
            break;
        };
        body.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    body
}

/// A stream of server-sent events.
pub struct Events {
    stream: TcpStream,
    text: String,
}

impl Events {
    /// Opens it; what its head says is not looked at but for the status.
    pub async fn open(address: SocketAddr, path: &str, key: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        // HTTP/1.0, so that the body comes as it is.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the request goes out");
        let mut events = Self {
            stream,
            text: String::new(),
        };
        let head = events.up_to("\r\n\r\n").await;
        assert!(head.split(' ').nth(1) == Some("200"), "{head}");
        events
    }

    /// The next message: its name, where it has one, and its data.
    pub async fn next(&mut self) -> (Option<String>, serde_json::Value) {
        loop {
            let message = self.up_to("\n\n").await;
            let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(data) = field("data: ") {
                return (field("event: "), serde_json::from_str(&data).expect("data is JSON"));
            }
        }
    }

    async fn up_to(&mut self, end: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            if let Some(at) = self.text.find(end) {
                let rest = self.text.split_off(at + end.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let read = timeout(SOON, self.stream.read(&mut bytes)).await;
            let read = read
                .unwrap_or_else(|_| panic!("nothing more came after {}", self.text))
                .expect("the stream is whole");
            assert!(read > 0, "the stream ended after {}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }
}
