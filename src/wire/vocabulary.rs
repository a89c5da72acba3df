//! One trait over the enumerations of the model, so that reading and describing them is written once.

use tandem_model::event::EventName;
use tandem_model::request::RequestName;
use tandem_model::{
    AddressInfoType, AddressType, CallInfoType, CallState, CallType, ControlMode, DnRole, MakeCallType, MediaType, MergeType,
    RegisterMode, ServerRole, TCause,
};

/// An enumeration with T-Library names and numbers.
pub trait Vocabulary: Copy + 'static {
    /// Every value.
    fn all() -> &'static [Self];
    /// The T-Library name.
    fn name(self) -> &'static str;
    /// The value of that exact name.
    fn from_name(name: &str) -> Option<Self>;
    /// The value of that number.
    fn from_number(number: u32) -> Option<Self>;
}

macro_rules! vocabulary {
    ($($name:ident),+ $(,)?) => {
        $(impl Vocabulary for $name {
            fn all() -> &'static [Self] {
                Self::ALL
            }

            fn name(self) -> &'static str {
                Self::name(self)
            }

            fn from_name(name: &str) -> Option<Self> {
                Self::from_name(name)
            }

            fn from_number(number: u32) -> Option<Self> {
                Self::from_number(number)
            }
        })+
    };
}

vocabulary!(
    AddressInfoType,
    AddressType,
    CallInfoType,
    CallState,
    CallType,
    ControlMode,
    MergeType,
    DnRole,
    EventName,
    MakeCallType,
    MediaType,
    RegisterMode,
    RequestName,
    ServerRole,
    TCause,
);

/// The names of `T`, for an error text: `Share, Private, Monitor`.
pub fn names<T: Vocabulary>() -> String {
    let names: Vec<&str> = T::all().iter().map(|value| value.name()).collect();
    names.join(", ")
}
