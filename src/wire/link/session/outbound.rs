//! What a session writes of its own: greeting, acknowledgement, keep-alive, error.

use super::*;

/// An ERROR frame.
pub(super) fn error<'a>(out: &'a mut Vec<u8>, reason: &str) -> FrameWriter<'a> {
    let mut writer = FrameWriter::new(out, "ERROR");
    writer.text("reason", reason);
    writer
}

impl<Out: Carried, In: Carried> Session<Out, In> {
    pub(super) fn greet(&mut self) {
        let hello = Hello {
            version: LINK_VERSION,
            identity: self.config.identity.clone(),
            session: self.peer.as_ref().map(|peer| peer.session.clone()),
            received: self.received,
            oldest: self.queue.oldest(),
            your_timeout: self.config.addp.remote_timeout,
            your_trace: self.config.addp.trace.is_remote(),
        };
        self.write(|out| hello.write(out));
    }

    pub(super) fn welcome(&mut self, welcome: &Welcome) {
        self.write(|out| welcome.write(out));
    }

    pub(super) fn acknowledge(&mut self) {
        self.acknowledge_at = None;
        self.acknowledged = self.received;
        let received = self.received;
        self.write(|out| {
            let mut writer = FrameWriter::new(out, "ACK");
            writer.plain("received", received);
            writer
        });
    }

    pub(super) fn send_poll(&mut self) {
        self.trace("poll sent");
        self.write(|out| FrameWriter::new(out, "ADDP_POLL"));
    }

    pub(super) fn send_answer(&mut self) {
        self.trace("poll received, answer sent");
        self.write(|out| FrameWriter::new(out, "ADDP_ANSWER"));
    }

    pub(super) fn send_error(&mut self, reason: &str) {
        self.write(|out| error(out, reason));
    }

    pub(super) fn trace(&mut self, what: &str) {
        if self.trace {
            self.outputs.push_back(Output::Log(format!("ADDP: {what}")));
        }
    }

    pub(super) fn log_sent(&mut self, bytes: &Bytes) {
        let Some(hide) = &self.config.log else { return };
        let mut decoder = Decoder::new();
        decoder.feed(bytes);
        if let Some(Ok(frame)) = decoder.next_frame() {
            self.outputs
                .push_back(Output::Log(format!("send MLTP message\n{}", masked(&frame, hide))));
        }
    }

    pub(super) fn log_received(&mut self, frame: &Frame) {
        if let Some(hide) = &self.config.log {
            let text = format!("handle MLTP message\n{}", masked(frame, hide));
            self.outputs.push_back(Output::Log(text));
        }
    }

    /// Writes a frame that is not numbered: it is not sent again.
    fn write(&mut self, write: impl FnOnce(&mut Vec<u8>) -> FrameWriter<'_>) {
        self.scratch.clear();
        // What this module writes is within the limits, but for names of a configuration that is beyond all measure.
        if write(&mut self.scratch).finish().is_ok() {
            self.outputs.push_back(Output::Send(Bytes::copy_from_slice(&self.scratch)));
        }
    }
}
