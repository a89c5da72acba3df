//! What a session reads.

use super::*;

impl<Out: Carried, In: Carried> Session<Out, In> {
    /// Bytes arrived on the connection.
    pub fn bytes(&mut self, bytes: &[u8], now: Instant) {
        if bytes.is_empty() || matches!(self.state, State::Idle { .. } | State::Connecting) {
            return;
        }
        self.keep_alive.heard(now);
        self.decoder.feed(bytes);
        loop {
            let next = self.decoder.next_frame();
            let handled = match next {
                None => break,
                Some(Ok(frame)) => self.frame(&frame, now),
                Some(Err(error)) => Err(error.into()),
            };
            if let Err(fault) = handled {
                return self.fault(fault, now);
            }
        }
        if matches!(self.state, State::Greeting { .. }) && self.decoder.held() > GREETING_BYTES {
            self.fault(Fault::Greeting("a greeting without an end".into()), now);
        }
    }

    fn frame(&mut self, frame: &Frame, now: Instant) -> Result<(), Fault> {
        if frame.name == "ERROR" {
            let reason = Fields(frame).optional("reason")?.unwrap_or("an error without a reason");
            return Err(Fault::Told(reason.to_owned()));
        }
        match (self.state, self.config.role) {
            (State::Greeting { .. }, Role::Server) if frame.name == Hello::NAME => self.hello(&Hello::read(frame)?, now),
            (State::Greeting { .. }, Role::Client) if frame.name == Welcome::NAME => self.welcomed(Welcome::read(frame)?, now),
            (State::Greeting { .. }, _) => Err(Fault::Unexpected(frame.name.clone())),
            (State::Up { .. }, _) => self.flowing(frame, now),
            (State::Idle { .. } | State::Connecting, _) => Ok(()),
        }
    }

    fn flowing(&mut self, frame: &Frame, now: Instant) -> Result<(), Fault> {
        match frame.name.as_str() {
            "ACK" => {
                let received = Fields(frame).number("received")?;
                self.acknowledged_by_peer(received)
            }
            "ADDP_POLL" => {
                self.send_answer();
                Ok(())
            }
            "ADDP_ANSWER" => {
                self.trace("answer received");
                Ok(())
            }
            Hello::NAME | Welcome::NAME => Err(Fault::Unexpected(frame.name.clone())),
            _ => self.numbered(frame, now),
        }
    }

    fn numbered(&mut self, frame: &Frame, now: Instant) -> Result<(), Fault> {
        let message = In::read(frame)?;
        let got = Fields(frame).number("sequence")?;
        let expected = self.received + 1;
        if got != expected {
            return Err(Fault::Sequence { expected, got });
        }
        self.received = got;
        self.log_received(frame);
        self.outputs.push_back(Output::Deliver(message));
        if self.received - self.acknowledged >= ACK_EVERY {
            self.acknowledge();
        } else {
            self.acknowledge_at.get_or_insert(now + ACK_DELAY);
        }
        Ok(())
    }

    fn acknowledged_by_peer(&mut self, received: u64) -> Result<(), Fault> {
        if !self.queue.may_be_received(received) {
            return Err(Fault::Acknowledgement(received));
        }
        self.queue.acknowledged(received);
        Ok(())
    }

    /// The server decides whether the session goes on.
    fn hello(&mut self, hello: &Hello, now: Instant) -> Result<(), Fault> {
        if let Some(mismatch) = hello.mismatch(&self.config.identity) {
            return Err(Fault::Greeting(mismatch));
        }
        let known = self.peer.take().filter(|peer| self.goes_on(peer, hello));
        let resumed = known.is_some();
        let peer = known.unwrap_or_else(|| self.begin_session(&hello.identity.instance));
        self.trace = hello.your_trace || self.config.addp.trace.is_local();
        self.welcome(&Welcome {
            version: LINK_VERSION,
            instance: self.config.identity.instance.clone(),
            session: peer.session.clone(),
            resumed,
            received: self.received,
        });
        self.queue.acknowledged(if resumed { hello.received } else { 0 });
        self.up(peer, resumed, hello.your_timeout, now);
        Ok(())
    }

    fn goes_on(&self, peer: &Peer, hello: &Hello) -> bool {
        peer.instance == hello.identity.instance
            && hello.session.as_ref() == Some(&peer.session)
            && self.queue.may_be_received(hello.received)
            && hello.oldest <= self.received + 1
    }

    /// A session that nobody can take for another one: this end's instance, and a number.
    fn begin_session(&mut self, with: &Arc<str>) -> Peer {
        self.forget_session();
        self.sessions += 1;
        Peer {
            instance: with.clone(),
            session: format!("{}/{}", self.config.identity.instance, self.sessions).into(),
        }
    }

    /// The client does as the server decided.
    fn welcomed(&mut self, welcome: Welcome, now: Instant) -> Result<(), Fault> {
        if welcome.version != LINK_VERSION {
            let text = format!("link version {LINK_VERSION} is spoken here, not {}", welcome.version);
            return Err(Fault::Greeting(text));
        }
        if welcome.resumed {
            if self.peer.as_ref().map(|peer| &peer.session) != Some(&welcome.session) {
                return Err(Fault::Greeting("another session than that of the HELLO was resumed".into()));
            }
            self.acknowledged_by_peer(welcome.received)?;
        } else {
            self.forget_session();
        }
        let peer = Peer {
            instance: welcome.instance,
            session: welcome.session,
        };
        self.up(peer, welcome.resumed, self.config.addp.timeout, now);
        Ok(())
    }

    fn up(&mut self, peer: Peer, resumed: bool, poll_after: Duration, now: Instant) {
        self.state = State::Up { since: now };
        self.keep_alive = KeepAlive::new(poll_after, now);
        // The greeting has told the peer what was received.
        self.acknowledged = self.received;
        self.peer = Some(peer.clone());
        self.outputs.push_back(Output::Up { resumed, peer });
        let again: Vec<Bytes> = self.queue.waiting().cloned().collect();
        for bytes in again {
            self.log_sent(&bytes);
            self.outputs.push_back(Output::Send(bytes));
        }
    }
}
