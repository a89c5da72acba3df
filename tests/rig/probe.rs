//! The sign of life: an OPTIONS, and a whole call from a trunk to a trunk.

use std::net::SocketAddr;

use super::sip::{Dialog, SDP, Socket, tag_of, unique};

/// Caller and callee of the call, at an address of their own, so that nothing a test does with its peers touches them.
pub struct Probe {
    caller: Socket,
    callee: Socket,
}

impl Probe {
    /// Where both are.
    pub const ADDRESS: &str = "127.0.0.9";
    /// The number that leads to the callee.
    pub const NUMBER: &str = "2999";

    /// Binds both.
    pub async fn bind() -> Self {
        Self {
            caller: Socket::bind(Self::ADDRESS).await,
            callee: Socket::bind(Self::ADDRESS).await,
        }
    }

    /// The port of the callee.
    pub fn port(&self) -> u16 {
        self.callee.address.port()
    }

    /// An OPTIONS is answered with 200.
    pub async fn options(&self, server: SocketAddr) {
        let uri = format!("sip:{server}");
        let dialog = Dialog::new("sip:probe@127.0.0.9", &uri, self.caller.address);
        self.caller.send(server, dialog.request("OPTIONS", &uri, 1, "", "")).await;
        let answer = self.caller.final_response("1 OPTIONS").await;
        assert_eq!(answer.status(), Some(200), "{}", answer.start);
    }

    /// A call is set up and ended.
    pub async fn call(&self, server: SocketAddr) {
        let uri = format!("sip:{}@{server}", Self::NUMBER);
        let dialog = Dialog::new("sip:probe@127.0.0.9", &uri, self.caller.address);
        self.caller.send(server, dialog.request("INVITE", &uri, 1, "", SDP)).await;

        let contact = format!("Contact: <sip:callee@{}>\r\n", self.callee.address);
        let tag = format!("c{:x}", unique());
        let invite = self.callee.request("INVITE").await;
        self.callee.send(server, invite.response("200 OK", &tag, &contact, SDP)).await;

        let answer = self.caller.final_response("1 INVITE").await;
        assert_eq!(answer.status(), Some(200), "{}", answer.start);
        let to_tag = tag_of(answer.header("To"));
        self.caller
            .send(server, dialog.request("ACK", answer.contact(), 1, to_tag, ""))
            .await;
        self.callee.request("ACK").await;

        self.caller
            .send(server, dialog.request("BYE", answer.contact(), 2, to_tag, ""))
            .await;
        let bye = self.callee.request("BYE").await;
        self.callee.send(server, bye.response("200 OK", &tag, "", "")).await;
        let answer = self.caller.final_response("2 BYE").await;
        assert_eq!(answer.status(), Some(200), "{}", answer.start);
    }
}
