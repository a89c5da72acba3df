//! T-Library errors: the one place where a refusal gets its number (seed 002 lines 3629-3667; T-Library reference ch. 7).

use std::borrow::Cow;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $symbol:literal, $text:literal;)+) => {
        /// The error codes that Tandem uses.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
        pub enum TErrorCode { $($(#[$doc])* #[doc = $text] $name = $number),+ }

        impl TErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The number that EventError carries.
            pub fn number(self) -> u32 {
                self as u32
            }

            /// The symbol of the T-Library header, such as `TERR_INV_CONNID`.
            pub fn symbol(self) -> &'static str {
                match self { $(Self::$name => $symbol),+ }
            }

            /// What the code means, in general.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

error_codes! {
    NoMoreLicense = 40, "TERR_NOMORE_LICENSE", "no licence left";
    NotRegistered = 41, "TERR_NOT_REGISTERED", "the client is not registered on this DN";
    ResourceSeized = 42, "TERR_RESOURCE_SEIZED", "the resource is already seized";
    InSameState = 43, "TERR_IN_SAME_STATE", "already in the requested state";
    UnknownError = 50, "TERR_UNKNOWN_ERROR", "unknown error";
    UnsupportedOperation = 51, "TERR_UNSUP_OPER", "this operation is not supported";
    Internal = 52, "TERR_INTERNAL", "internal error";
    InvalidAttribute = 53, "TERR_INVALID_ATTR", "bad attribute";
    NoSwitch = 54, "TERR_NO_SWITCH", "no connection to the switch";
    ProtocolVersion = 55, "TERR_PROTO_VERS", "wrong protocol version";
    InvalidConnId = 56, "TERR_INV_CONNID", "bad ConnID";
    Timeout = 57, "TERR_TIMEOUT", "no response in time";
    OutOfService = 58, "TERR_OUT_OF_SERVICE", "the device is out of service";
    NotConfigured = 59, "TERR_NOT_CONFIGURED", "the DN is not configured";
    InvalidCallingDn = 61, "TERR_INV_CALL_DN", "bad calling DN";
    InvalidCalledDn = 71, "TERR_INV_CALD_DN", "bad called DN";
    DestinationInvalidState = 93, "TERR_DEST_INV_STATE", "the destination is in a wrong state";
    CannotCompleteTransfer = 98, "TERR_CANT_CMPL_TRN", "the transfer cannot be completed";
    LinkDown = 109, "TERR_LINK_DOWN", "the link is down";
    TooManyRequests = 111, "TERR_TOO_MANY_REQ", "too many outstanding requests";
    DnNotExist = 123, "TERR_DN_NOT_EXIST", "the DN does not exist";
    TargetDnInvalid = 177, "TERR_TARG_DN_INV", "the target DN is invalid";
    BadParameter = 223, "TERR_BAD_PARAM", "bad parameter";
    OutOfMemory = 226, "TERR_OUT_OF_MEM", "out of memory";
    DnBusy = 231, "TERR_DN_BUSY", "the DN is busy";
    DnNoAnswer = 232, "TERR_DN_NO_ANSWER", "no answer at the DN";
    CallRejected = 233, "TERR_CALL_REJECTED", "the destination rejected the call";
    ConnectionAttemptFailed = 234, "TERR_CONN_ATMPT_FAIL", "the connection attempt failed";
    TimeoutPerformingOperation = 236, "TERR_TIMEOUT_PRF_OP", "no response from the connector in time";
    DisconnectedCall = 237, "TERR_DISCON_CALL", "the main call was disconnected meanwhile";
    OtherOperationPending = 291, "TERR_OTHER_TEL_OPER", "another operation on the same call or device is still pending";
    InvalidDestinationDn = 415, "TERR_INV_DEST_DN", "bad destination DN";
    PartyNotOnCall = 470, "TERR_PARTY_NOT_ON_CALL", "the party is not on the call";
    NotSignedAgent = 481, "TERR_NOT_SIGNED_AGENT", "the destination agent is not logged in";
    InvalidCallState = 496, "TERR_INV_CALL_STATE", "wrong call state";
    NoCall = 563, "TERR_NO_CALL", "there is no such call";
    InvalidState = 565, "TERR_INVALID_STATE", "invalid state";
    ProhibitedRoute = 705, "DMS_INVALID_ROUTE_REQUEST", "prohibited route call to external";
    OperationIncompatible = 1140, "TERR_CSTA_OPER_REQ_INCOMPAT", "the request is incompatible with the object";
    PrivilegeViolation = 1148, "TERR_CSTA_OPER_PRIV_VIOL_CALLED", "privilege violation on called device";
}

/// A refusal: the code, and what was wrong this time.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct TError {
    /// The number for programs.
    pub code: TErrorCode,
    /// The text for people: what happened, to which field or DN.
    pub message: Cow<'static, str>,
}

impl TError {
    /// A refusal that says what was wrong this time.
    pub fn new(code: TErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<TErrorCode> for TError {
    fn from(code: TErrorCode) -> Self {
        Self {
            code,
            message: Cow::Borrowed(code.text()),
        }
    }
}

impl std::fmt::Display for TError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code.number(), self.code.symbol(), self.message)
    }
}

impl std::error::Error for TError {}
