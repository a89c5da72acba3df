//! A phone played by the test: every message is the test's decision. It registers from loopback without a password
//! ([`Setup::trusted_phone`](super::server::Setup::trusted_phone)).

use std::net::SocketAddr;

use super::sip::{Dialog, Message, SDP, Socket, tag_of, unique};

/// A registered phone.
pub struct Phone {
    name: String,
    socket: Socket,
    server: SocketAddr,
}

/// A call of a phone, once it is established.
pub struct Talk {
    dialog: Dialog,
    remote_tag: String,
    target: String,
    cseq: u32,
}

/// A call of a phone that is not answered yet.
pub struct Attempt {
    dialog: Dialog,
    uri: String,
    branch: String,
}

impl Phone {
    /// Registers `sip:NAME@tandem.local`.
    pub async fn register(name: &str, server: SocketAddr) -> Self {
        let phone = Self {
            name: name.into(),
            socket: Socket::bind("127.0.0.1").await,
            server,
        };
        phone.refreshes().await;
        phone
    }

    /// Registers again.
    pub async fn refreshes(&self) {
        let dn = self.dn();
        let dialog = Dialog::new(&dn, &dn, self.socket.address);
        let request = dialog.request_with("REGISTER", "sip:tandem.local", 1, "", &fresh(), "Expires: 300\r\n", "");
        self.send(request).await;
        let answer = self.socket.final_response("1 REGISTER").await;
        assert_eq!(answer.status(), Some(200), "{}", answer.start);
    }

    /// A peer on a trunk: it does not register, and its calls come from where it is.
    pub async fn on_trunk(name: &str, address: &str, server: SocketAddr) -> Self {
        Self {
            name: name.into(),
            socket: Socket::bind_to(address).await,
            server,
        }
    }

    /// Answers go where the request came from, requests to its server.
    async fn send(&self, text: String) {
        let message = Message::read(text.as_bytes());
        let back = message.status().and_then(|_| message.destination());
        self.socket.send(back.unwrap_or(self.server), text).await;
    }

    /// Its DN.
    pub fn dn(&self) -> String {
        format!("sip:{}@tandem.local", self.name)
    }

    /// Dials.
    pub async fn dial(&self, user: &str) -> Attempt {
        let uri = format!("sip:{user}@tandem.local");
        let attempt = Attempt {
            dialog: Dialog::new(&self.dn(), &uri, self.socket.address),
            branch: fresh(),
            uri,
        };
        self.send_in(&attempt, "INVITE", "", SDP).await;
        attempt
    }

    /// Dials as whom it wants to be, with these header lines.
    pub async fn dials_as(&self, from: &str, user: &str, more: &str) -> Attempt {
        let uri = format!("sip:{user}@tandem.local");
        let attempt = Attempt {
            dialog: Dialog::new(from, &uri, self.socket.address),
            branch: fresh(),
            uri,
        };
        let Attempt { dialog, uri, branch } = &attempt;
        self.send(dialog.request_with("INVITE", uri, 1, "", branch, more, SDP)).await;
        attempt
    }

    async fn send_in(&self, attempt: &Attempt, method: &str, more: &str, body: &str) {
        let Attempt { dialog, uri, branch } = attempt;
        self.send(dialog.request_with(method, uri, 1, "", branch, more, body)).await;
    }

    /// Waits for the answer to a call it made.
    pub async fn answered(&self, attempt: Attempt) -> Talk {
        let answer = self.socket.final_response("1 INVITE").await;
        assert_eq!(answer.status(), Some(200), "{}", answer.start);
        let (remote_tag, target) = (tag_of(answer.header("To")).to_owned(), answer.contact().to_owned());
        let talk = Talk {
            dialog: attempt.dialog,
            remote_tag,
            target,
            cseq: 1,
        };
        self.send(talk.dialog.request("ACK", &talk.target, 1, &talk.remote_tag, ""))
            .await;
        talk
    }

    /// Waits until a call it made rings at the other side.
    pub async fn hears_ringing(&self) {
        while self.socket.receive().await.status() != Some(180) {}
    }

    /// Waits for the refusal of a call it made, acknowledges it, and gives the status.
    pub async fn refused(&self, attempt: &Attempt) -> u16 {
        self.refusal(attempt).await.status().expect("a status")
    }

    /// The same, with all that it says.
    pub async fn refusal(&self, attempt: &Attempt) -> Message {
        let answer = self.socket.final_response("1 INVITE").await;
        let Attempt { dialog, uri, branch } = attempt;
        let ack = dialog.request_with("ACK", uri, 1, tag_of(answer.header("To")), branch, "", "");
        self.send(ack).await;
        answer
    }

    /// Gives a call it made up before it is answered.
    pub async fn cancels(&self, attempt: &Attempt) {
        self.cancels_with(attempt, "").await;
    }

    /// The same, with more header lines.
    pub async fn cancels_with(&self, attempt: &Attempt, more: &str) {
        self.send_in(attempt, "CANCEL", more, "").await;
        let answer = self.socket.final_response("1 CANCEL").await;
        assert_eq!(answer.status(), Some(200), "{}", answer.start);
        assert_eq!(self.refused(attempt).await, 487);
    }

    /// Nothing came that is not dealt with, up to the answer to an OPTIONS that is sent now.
    pub async fn is_left_alone(&self) {
        let uri = format!("sip:{}", self.server);
        let dialog = Dialog::new(&self.dn(), &uri, self.socket.address);
        self.send(dialog.request("OPTIONS", &uri, 1, "", "")).await;
        let next = self.socket.receive().await;
        assert_eq!(next.header("CSeq"), "1 OPTIONS", "{}", next.start);
    }

    /// Waits for a call, and rings.
    pub async fn rings(&self) -> Message {
        let invite = self.socket.request("INVITE").await;
        self.send(invite.response("180 Ringing", &self.tag(), &self.contact(), ""))
            .await;
        invite
    }

    /// Picks up.
    pub async fn picks_up(&self, invite: &Message) -> Talk {
        self.send(invite.response("200 OK", &self.tag(), &self.contact(), SDP)).await;
        let address = |header: &str| {
            let inside = header.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
            inside.map_or(header, |(uri, _)| uri).to_owned()
        };
        let (from, to) = (address(invite.header("To")), address(invite.header("From")));
        let mut dialog = Dialog::new(&from, &to, self.socket.address);
        dialog.call_id = invite.header("Call-ID").to_owned();
        dialog.tag = self.tag();
        let remote_tag = tag_of(invite.header("From")).to_owned();
        Talk {
            dialog,
            remote_tag,
            target: invite.contact().to_owned(),
            cseq: 0,
        }
    }

    /// Turns a call down.
    pub async fn refuses(&self, invite: &Message, status: &str) {
        self.refuses_with(invite, status, "").await;
    }

    /// The same, with more header lines.
    pub async fn refuses_with(&self, invite: &Message, status: &str, more: &str) {
        self.send(invite.response(status, &self.tag(), more, "")).await;
        self.socket.request("ACK").await;
    }

    /// Sends a call on.
    pub async fn forwards(&self, invite: &Message, to: &str) {
        let contact = format!("Contact: <{to}>\r\n");
        self.send(invite.response("302 Moved Temporarily", &self.tag(), &contact, ""))
            .await;
        self.socket.request("ACK").await;
    }

    /// Waits for a call, and says nothing.
    pub async fn is_called(&self) -> Message {
        self.socket.request("INVITE").await
    }

    /// Waits until a call that rings is taken back, and gives the CANCEL.
    pub async fn is_cancelled(&self, invite: &Message) -> Message {
        let cancel = self.socket.request("CANCEL").await;
        self.send(cancel.response("200 OK", &self.tag(), "", "")).await;
        self.send(invite.response("487 Request Terminated", &self.tag(), "", ""))
            .await;
        self.socket.request("ACK").await;
        cancel
    }

    /// Hangs up.
    pub async fn hangs_up(&self, talk: &Talk) {
        self.hangs_up_with(talk, "").await;
    }

    /// The same, with more header lines.
    pub async fn hangs_up_with(&self, talk: &Talk, more: &str) {
        let cseq = talk.cseq + 1;
        let bye = talk
            .dialog
            .request_with("BYE", &talk.target, cseq, &talk.remote_tag, &fresh(), more, "");
        self.send(bye).await;
        let answer = self.socket.final_response(&format!("{cseq} BYE")).await;
        assert_eq!(answer.status(), Some(200), "{}", answer.start);
    }

    /// Waits until the other side hangs up, and gives the BYE. A re-INVITE on the way is accepted.
    pub async fn is_hung_up_on(&self) -> Message {
        loop {
            let message = self.socket.receive().await;
            match message.method() {
                Some("BYE") => {
                    self.send(message.response("200 OK", &self.tag(), "", "")).await;
                    return message;
                }
                Some("INVITE") => {
                    self.send(message.response("200 OK", &self.tag(), &self.contact(), SDP)).await;
                }
                _ => {}
            }
        }
    }

    fn tag(&self) -> String {
        format!("phone-{}", self.name)
    }

    fn contact(&self) -> String {
        format!("Contact: <sip:{}@{}>\r\n", self.name, self.socket.address)
    }
}

fn fresh() -> String {
    format!("{:x}", unique())
}
