//! The enumerations of T-Library, with their names and numbers (T-Library reference ch. 4).

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $number:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
        #[allow(missing_docs, reason = "the T-Library names are the documentation")]
        pub enum $name { $($variant = $number),+ }

        impl $name {
            /// Every value, in the order of the enumeration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The T-Library name, as it stands in CTI frames.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }

            /// The T-Library number.
            pub fn number(self) -> u32 {
                self as u32
            }

            /// The value of that exact name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $(stringify!($variant) => Some(Self::$variant),)+ _ => None }
            }

            /// The value of that number.
            pub fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(crate) use vocabulary;

vocabulary!(
    /// TCallType: how a call relates to the switch.
    CallType { Unknown = 0, Internal = 1, Inbound = 2, Outbound = 3, Consult = 4 }
);
vocabulary!(
    /// TCallState: why an event happened, as far as the call is concerned.
    CallState {
        Ok = 0, Transferred = 1, Conferenced = 2, GeneralError = 3, SystemError = 4, RemoteRelease = 5, Busy = 6, NoAnswer = 7,
        SitDetected = 8, AnsweringMachineDetected = 9, AllTrunksBusy = 10, SitInvalidnum = 11, SitVacant = 12, SitIntercept = 13,
        SitUnknown = 14, SitNocircuit = 15, SitReorder = 16, FaxDetected = 17, QueueFull = 18, Cleared = 19, Overflowed = 20,
        Abandoned = 21, Redirected = 22, Forwarded = 23, Consult = 24, Pickedup = 25, Dropped = 26, Droppednoanswer = 27,
        Unknown = 28, Covered = 29, ConverseOn = 30, Bridged = 31, Deafened = 49, Held = 50,
    }
);
vocabulary!(
    /// TMergeType: what two calls are merged into.
    MergeType { ForTransfer = 0, ForConference = 1 }
);
vocabulary!(
    /// TDNRole: what part a DN plays in an event.
    DnRole {
        Unknown = 0, Origination = 1, Destination = 2, ConferenceMember = 3, NewParty = 4, AddedBy = 5, DeletedBy = 6,
        TransferredBy = 7, DeletedParty = 8, ConferencedBy = 9, Observer = 10,
    }
);
vocabulary!(
    /// TAddressType: what kind of thing a DN is.
    AddressType {
        Unknown = 0, DN = 1, Position = 2, Queue = 3, RouteDN = 4, Trunk = 5, VoiceChannel = 6, DataChannel = 7, Announcement = 8,
        ASAI = 9, ACDGroup = 10, VSP = 11, RouteQueue = 12, AgentID = 13, Other = 99,
    }
);
vocabulary!(
    /// TRegisterMode: how a client shares a DN.
    RegisterMode { Share = 0, Private = 1, Monitor = 2 }
);
vocabulary!(
    /// TControlMode of a registration.
    ControlMode { RegisterDefault = 0, RegisterForce = 1, RegisterLocal = 2 }
);
vocabulary!(
    /// TMakeCallType. Only Regular is supported (seed 002 line 3429).
    MakeCallType { Regular = 0, DirectAgent = 1, SupervisorAssist = 2, Priority = 3, DirectPriority = 4 }
);
vocabulary!(
    /// TMediaType (the ones that occur here).
    MediaType { Voice = 0, VoIP = 1, EMail = 2, VMail = 3, SMail = 4, Chat = 5, Video = 6 }
);
vocabulary!(
    /// TCallInfoType: what QueryCall asks for.
    CallInfoType { PartiesQuery = 0, StatusQuery = 1 }
);
vocabulary!(
    /// TAddressInfoType: what QueryAddress asks for.
    AddressInfoType {
        AddressStatus = 0, MessageWaitingStatus = 1, AssociationStatus = 2, CallForwardingStatus = 3, AgentStatus = 4,
        NumberOfAgentsInQueue = 5, NumberOfAvailableAgentsInQueue = 6, NumberOfCallsInQueue = 7, AddressType = 8, CallsQuery = 9,
        SendAllCallsStatus = 10, QueueLoginAudit = 11, NumberOfIdleClassifiers = 12, NumberOfClassifiersInUse = 13,
        NumberOfIdleTrunks = 14, NumberOfTrunksInUse = 15, DatabaseValue = 16, DNStatus = 17, QueueStatus = 18,
    }
);
vocabulary!(
    /// TServerRole.
    ServerRole { Primary = 0, Backup = 1 }
);

/// TCause (attribute 114): by what operation an event came about, where CallState does not say it. One value occurs here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum TCause {
    /// A single-step transfer: the controller's EventReleased (T-Library reference ch. 9.9).
    #[serde(rename = "1stepTransfer")]
    SingleStepTransfer = 11,
}

impl TCause {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::SingleStepTransfer];

    /// The T-Library name, as it stands in CTI frames.
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleStepTransfer => "1stepTransfer",
        }
    }

    /// The T-Library number.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The value of that exact name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.name() == name)
    }

    /// The value of that number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.number() == number)
    }
}

/// TPartyState: the state of one party, as `ps-N` reports it in EventRegistered and EventAddressInfo.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum PartyState {
    /// Not part of the call (before the first event, and after the terminal one).
    Null,
    /// The party's own device is being called first, or it dials.
    Initiated,
    /// The party dials and the far end is being called (Initiated with the Dialing modifier).
    Dialing,
    /// Waiting on a routing point.
    Queued,
    /// Ringing.
    Alerting,
    /// The destination is busy.
    Busy,
    /// Talking.
    Connected,
    /// Has put the call on hold.
    Held,
    /// The call attempt failed; the terminal event follows.
    Failed,
}

impl PartyState {
    /// The T-Library number of this state.
    pub fn number(self) -> u32 {
        match self {
            Self::Null => 0,
            Self::Initiated => 0x01,
            Self::Dialing => 0x1_0001,
            Self::Queued => 0x09,
            Self::Alerting => 0x0A,
            Self::Busy => 0x0B,
            Self::Connected => 0x0C,
            Self::Held => 0x0E,
            Self::Failed => 0x0F,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back_to_the_value() {
        for role in DnRole::ALL {
            assert_eq!(DnRole::from_name(role.name()), Some(*role));
            assert_eq!(DnRole::from_number(role.number()), Some(*role));
        }
        assert_eq!(CallState::from_number(50), Some(CallState::Held));
        assert_eq!(CallState::from_number(32), None);
    }
}
