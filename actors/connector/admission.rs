//! Who may call and register: digest, trusted sources, trunks.
//!
//! Invariant: a request is taken under a DN of ours only if its source is trusted for that DN or its digest is that DN's own.
//! Known and unknown users are answered alike, so that users cannot be found out. A source that guesses is held up.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tandem_model::DnId;
use tandem_model::link::CallerId;
use tandem_sip::digest::Algorithm;
use tandem_sip::digest::server::{Challenger, Secret};
use tandem_sip::digest::throttle::{Throttle, ThrottleConfig, Verdict};
use tandem_sip::message::{HeaderName, Message, Uri};

use crate::devices::{Devices, contains};
use crate::metrics::Metrics;

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission<T> {
    /// It is taken as coming from this one.
    Admit(T),
    /// It is answered with this status and these headers.
    Refuse {
        /// The status.
        status: u16,
        /// Headers: challenges, Retry-After.
        headers: Vec<(Arc<str>, Arc<str>)>,
    },
}

/// The caller of an INVITE that was let in.
pub type Admitted = Admission<CallerId>;

/// Checks requests against devices and trunks.
pub struct Authenticator {
    devices: Arc<Devices>,
    challenger: Challenger,
    throttle: Throttle,
    require_auth: bool,
}

impl Authenticator {
    /// An authenticator with the given digest policy.
    pub fn new(devices: Arc<Devices>, challenger: Challenger, throttle: ThrottleConfig, require_auth: bool) -> Self {
        Self {
            devices,
            challenger,
            throttle: Throttle::new(throttle),
            require_auth,
        }
    }

    /// The caller of a new INVITE.
    pub fn caller(&mut self, now: Instant, request: &Message, source: IpAddr) -> Admitted {
        let Ok(from) = request.from() else { return refuse(400) };
        let Ok(uri) = Uri::parse(from.uri) else { return refuse(400) };
        let dn = self.devices.dn_of(&uri);
        if self.devices.device(&dn).is_none()
            && let Some(trunk) = self.devices.trunk_from(source)
        {
            let name = from.display.filter(|name| !name.is_empty()).map(Arc::from);
            return Admission::Admit(CallerId::Trunk {
                trunk: trunk.dn.clone(),
                number: dn,
                name,
            });
        }
        match self.device(now, request, source, dn) {
            Admission::Admit(dn) => Admission::Admit(CallerId::Extension(dn)),
            Admission::Refuse { status, headers } => Admission::Refuse { status, headers },
        }
    }

    /// The device that registers, or sends any other request, as `dn`.
    pub fn device(&mut self, now: Instant, request: &Message, source: IpAddr, dn: DnId) -> Admission<DnId> {
        let device = self.devices.device(&dn);
        if let Some(device) = device
            && (!self.require_auth || contains(&device.trusted_sources, source))
        {
            return Admission::Admit(dn);
        }
        let Some(authorization) = request.header(HeaderName::Authorization) else {
            return self.challenge(now, false, &dn);
        };
        if let Verdict::Blocked { retry_after } = self.throttle.check(now, source, dn.user()) {
            let seconds = retry_after.as_secs().max(1).to_string();
            return Admission::Refuse {
                status: 503,
                headers: vec![("Retry-After".into(), seconds.into())],
            };
        }
        let method = request.method();
        let method = method.as_ref().map_or("", |method| method.as_str());
        let uri = request.uri().unwrap_or_default();
        let password = device.and_then(|device| device.password.clone());
        // Only the DN's own user name is looked up, so another user's right password is a wrong one here.
        let lookup = |user: &str| {
            password
                .filter(|_| user.eq_ignore_ascii_case(dn.user()))
                .map(Secret::Password)
        };
        let algorithms = self.devices.algorithms(&dn);
        match self
            .challenger
            .verify_with(now, authorization, (method, uri), algorithms, lookup)
        {
            Ok(_) => {
                self.throttle.succeeded(now, source, dn.user());
                Admission::Admit(dn)
            }
            Err(denied) if denied.is_bad_request() => refuse(400),
            Err(denied) => {
                if denied.is_guess() {
                    self.throttle.failed(now, source, dn.user());
                    Metrics::of_process().auth_failures.increment(1);
                    tracing::warn!(%source, "wrong credentials");
                }
                self.challenge(now, denied.is_stale(), &dn)
            }
        }
    }

    /// A DN that has algorithms of its own can be told by its challenge from one that is not there; that is their price.
    fn challenge<T>(&mut self, now: Instant, stale: bool, dn: &DnId) -> Admission<T> {
        let values = self.challenger.challenge_with(now, stale, self.devices.algorithms(dn));
        let headers = values
            .into_iter()
            .map(|value| ("WWW-Authenticate".into(), value.into()))
            .collect();
        Admission::Refuse { status: 401, headers }
    }
}

/// The digest algorithms as the SIP layer names them.
pub fn algorithms(configured: &[tandem_config::DigestAlgorithm]) -> Vec<Algorithm> {
    configured
        .iter()
        .map(|algorithm| match algorithm {
            tandem_config::DigestAlgorithm::Sha256 => Algorithm::Sha256,
            tandem_config::DigestAlgorithm::Md5 => Algorithm::Md5,
        })
        .collect()
}

fn refuse<T>(status: u16) -> Admission<T> {
    Admission::Refuse {
        status,
        headers: Vec::new(),
    }
}
