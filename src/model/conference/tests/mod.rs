//! Tests of the conference, lowest level first: [`table`], [`climbing`], [`early`], [`asked`] and [`recovery`] (one transition each), [`transcripts`] (whole flows, golden),
//! [`property`] (random interleavings against [`fake_ua`], which keeps the user agent's contract and checks ours, and [`oracle`], which
//! keeps the books of the T-Server side and the media plane).

mod asked;
mod climbing;
mod early;
mod fake_ua;
mod oracle;
mod property;
mod recovery;
mod scene;
mod table;
mod transcripts;
