//! Just enough of HTTP for the server's pages: one request, one connection, version 1.0, so that the body comes in one piece.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take: the server gives its own queries two seconds.
const LIMIT: Duration = Duration::from_secs(5);

/// Fetches a page that anybody may read; any status but 200 is an error.
pub async fn fetch(url: &str) -> Result<String, String> {
    match ask("GET", url, None, "").await? {
        (200, body) => Ok(body),
        (status, _) => Err(format!("{url}: {status}")),
    }
}

/// Asks for something, with an API key where there is one; the status and the body of the answer.
pub async fn ask(method: &str, url: &str, api_key: Option<&str>, body: &str) -> Result<(u16, String), String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| format!("{url}: only http:// is known"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let key = api_key.map_or(String::new(), |key| format!("Authorization: Bearer {key}\r\n"));
    let request = format!(
        "{method} /{path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n{key}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = tokio::time::timeout(LIMIT, exchange(host, &request));
    let answer = answer.await.map_err(|_| format!("{url}: no answer"))?;
    let answer = answer.map_err(|error| format!("{url}: {error}"))?;
    read(&String::from_utf8_lossy(&answer)).ok_or_else(|| format!("{url}: not HTTP"))
}

async fn exchange(host: &str, request: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

fn read(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/")?.split_whitespace().nth(1)?;
    Some((status.parse().ok()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\n{\"x\":\r\n\r\n1}";
        assert_eq!(read(answer), Some((503, "{\"x\":\r\n\r\n1}".to_owned())));
        for bad in ["", "HTTP/1.1 200 OK", "HTTP/1.1\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
