//! Tests of the user agent: flows between two of them, races, scripted peers, and random calls over a bad network.

mod devices;
mod early;
mod flows;
mod in_flight;
mod peer;
mod probes;
mod property;
mod races;
mod reliable;
mod rig;
mod rules;
mod strays;
mod subscriptions;
mod survival;
mod survival_property;
mod talk;
mod timers;
mod transfer;
mod update;
mod ways;
