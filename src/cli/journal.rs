//! `tandem journal`: what journals hold, and whether they are whole. Reads only, takes no lock: a server may be at work.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use tandem_actors::journal::{RecordKind, Scope, decode};
use tandem_actors::quarantine::Quarantined;
use tandem_config::{Config, environment};

use crate::store::look::{self, ScopeView};

/// The commands of `tandem journal`.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum JournalCommand {
    /// Print the live records, with counts and sizes for each kind; user data is masked
    Inspect {
        /// Where it is
        #[command(flatten)]
        place: Place,
        /// Only of this scope: `tserver`, `connector-0`
        #[arg(long, value_parser = scope)]
        scope: Option<Scope>,
        /// Only of this kind: `call`, `session`, `bindings`
        #[arg(long)]
        kind: Option<String>,
        /// Only the inputs that calls and conferences panicked on twice, to be read by people; masked for good
        #[arg(long, conflicts_with_all = ["kind", "summary"])]
        quarantine: bool,
        /// Only this one: a number, a ConnID, a DN
        #[arg(long)]
        id: Option<String>,
        /// Counts and sizes only
        #[arg(long)]
        summary: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// With user data, digits and keys as they are
        #[arg(long)]
        show_sensitive: bool,
    },
    /// Check every record and the database; exits with 1 if something is damaged
    Verify {
        /// Where it is
        #[command(flatten)]
        place: Place,
    },
}

/// Where the journal is.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Place {
    /// The directory of the journal, or of the journals of several processes
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// The configuration file that says where it is, as for `tandem serve`
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    config: Option<PathBuf>,
    /// Sets one option over the file and the environment, as for `tandem serve`
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", conflicts_with = "dir")]
    sets: Vec<String>,
}

impl Place {
    fn directory(&self) -> Result<PathBuf, ExitCode> {
        if let Some(dir) = &self.dir {
            return Ok(dir.clone());
        }
        let loaded = Config::load(self.config.as_deref(), &self.sets, environment());
        let config = loaded.map_err(|problems| super::config::refuse(&problems))?.config;
        look::directory_of(&config.journal).map_err(|error| failed(&error))
    }
}

/// Which records are printed, and how.
struct Wanted<'a> {
    kind: Option<&'a str>,
    id: Option<&'a str>,
    show_sensitive: bool,
    is_quarantine: bool,
}

/// Runs a command; its exit code.
pub fn run(command: &JournalCommand) -> ExitCode {
    match command {
        JournalCommand::Verify { place } => place.directory().map_or_else(|code| code, verify),
        JournalCommand::Inspect {
            place,
            scope,
            kind,
            quarantine,
            id,
            summary,
            json,
            show_sensitive,
        } => {
            let quarantined = Some(RecordKind::Quarantined.name()).filter(|_| *quarantine);
            let wanted = Wanted {
                is_quarantine: *quarantine,
                kind: kind.as_deref().or(quarantined),
                id: id.as_deref(),
                show_sensitive: *show_sensitive,
            };
            let directory = match place.directory() {
                Ok(directory) => directory,
                Err(code) => return code,
            };
            let inspected = look::journals(&directory).and_then(|journals| {
                let views: Result<Vec<_>, _> = journals.iter().map(|journal| look::inspect(journal)).collect();
                Ok((views?, journals))
            });
            let (scopes, journals) = match inspected {
                Ok(found) => found,
                Err(error) => return failed(&error),
            };
            let mut scopes: Vec<ScopeView> = scopes.into_iter().flatten().collect();
            scopes.retain(|view| scope.is_none_or(|only| view.scope == only));
            if let Some(scope) = scope.filter(|_| scopes.is_empty()) {
                return failed(&format!("{}: nothing is kept of {scope}", directory.display()));
            }
            scopes.iter_mut().for_each(|view| wanted.retain(view));
            for problem in scopes.iter().flat_map(|view| &view.problems) {
                eprintln!("{problem}");
            }
            let records = !summary;
            if *json {
                super::config::print(&format!("{:#}\n", wanted.as_json(&directory, &journals, &scopes, records)))
            } else {
                super::config::print(&wanted.as_text(&journals, &scopes, records))
            }
        }
    }
}

fn scope(name: &str) -> Result<Scope, String> {
    look::scope_named(name).ok_or_else(|| "a scope is `tserver`, or `connector-` and its number".to_owned())
}

fn failed(error: &str) -> ExitCode {
    eprintln!("tandem: {error}");
    ExitCode::FAILURE
}

/// Of each kind: how many records, and their ids and values in bytes.
fn by_kind(view: &ScopeView) -> BTreeMap<u8, (usize, usize)> {
    let mut kinds: BTreeMap<u8, (usize, usize)> = BTreeMap::new();
    for ((kind, id), value) in &view.records {
        let (count, bytes) = kinds.entry(*kind).or_default();
        *count += 1;
        *bytes += id.len() + value.len();
    }
    kinds
}

fn files(directory: &Path) -> (u64, u64) {
    // A journal that was read a moment ago is there.
    look::extent(directory).unwrap_or_default()
}

impl Wanted<'_> {
    fn retain(&self, view: &mut ScopeView) {
        view.records.retain(|(kind, id), _| {
            self.kind.is_none_or(|name| look::kind_name(*kind) == name)
                && self.id.is_none_or(|wanted| look::id_matches(*kind, id, wanted))
        });
    }

    fn as_text(&self, journals: &[PathBuf], scopes: &[ScopeView], records: bool) -> String {
        let mut text = String::new();
        for directory in journals {
            let (segments, bytes) = files(directory);
            let between = if text.is_empty() { "" } else { "\n" };
            // Writing into a String does not fail.
            let _ = writeln!(
                text,
                "{between}{}: format version {}, {segments} segments, {bytes} bytes in all",
                directory.display(),
                look::VERSION
            );
            for view in scopes.iter().filter(|view| view.directory == *directory) {
                self.write_scope(&mut text, view, records);
            }
        }
        text
    }

    fn write_scope(&self, text: &mut String, view: &ScopeView, records: bool) {
        let _ = writeln!(text, "\n{}", view.scope);
        for (kind, (count, bytes)) in by_kind(view) {
            let _ = writeln!(text, "  {:12} {count:8} records {bytes:10} bytes", look::kind_name(kind));
        }
        if self.is_quarantine {
            let entries = view.records.values();
            return entries
                .filter_map(|value| decode(RecordKind::Quarantined, value))
                .for_each(|entry| write_quarantined(text, &entry));
        }
        for ((kind, id), value) in view.records.iter().filter(|_| records) {
            let (name, id) = (look::kind_name(*kind), look::id_text(*kind, id));
            let _ = writeln!(text, "  {name} {id}: {}", look::value(value, self.show_sensitive));
        }
    }

    fn as_json(&self, directory: &Path, journals: &[PathBuf], scopes: &[ScopeView], records: bool) -> Value {
        let extents = journals.iter().map(|journal| files(journal));
        let (segments, bytes) = extents.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let scopes = scopes.iter().map(|view| {
            let kinds = by_kind(view).into_iter();
            let kinds = kinds.map(|(kind, (count, bytes))| (look::kind_name(kind), json!({ "records": count, "bytes": bytes })));
            let mut scope = json!({
                "scope": view.scope.to_string(),
                "directory": view.directory.display().to_string(),
                "kinds": kinds.collect::<serde_json::Map<_, _>>(),
                "problems": view.problems,
            });
            if records {
                let records = view.records.iter().map(|((kind, id), value)| {
                    json!({
                        "kind": look::kind_name(*kind),
                        "id": look::id_text(*kind, id),
                        "bytes": value.len(),
                        "value": look::value(value, self.show_sensitive),
                    })
                });
                scope["records"] = records.collect();
            }
            scope
        });
        json!({
            "directory": directory.display().to_string(),
            "formatVersion": look::VERSION,
            "segments": segments,
            "bytes": bytes,
            "scopes": scopes.collect::<Value>(),
        })
    }
}

fn write_quarantined(text: &mut String, entry: &Quarantined) {
    let [first, last] = [entry.first_unix_micros, entry.last_unix_micros].map(tandem_wire::time::format);
    let Quarantined {
        actor,
        id,
        input,
        shown,
        panic,
        place,
        times,
        ..
    } = entry;
    let since = if *times > 1 {
        format!(", {times} times since {first}")
    } else {
        String::new()
    };
    let at = if place.is_empty() {
        String::new()
    } else {
        format!(" at {place}")
    };
    let _ = writeln!(
        text,
        "  {last} {actor} {id}, input {input}{since}\n    panic{at}: {panic}\n    {shown}"
    );
}

fn verify(directory: PathBuf) -> ExitCode {
    let checked = look::journals(&directory).and_then(|journals| journals.iter().map(|journal| look::verify(journal)).collect());
    let verdicts: Vec<look::Verdict> = match checked {
        Ok(verdicts) => verdicts,
        Err(error) => return failed(&error),
    };
    let lines: String = verdicts
        .iter()
        .flat_map(|verdict| {
            let notes = verdict.notes.iter().map(|note| format!("note: {note}\n"));
            verdict.checked.iter().map(|line| format!("{line}\n")).chain(notes)
        })
        .collect();
    let printed = super::config::print(&lines);
    let wrong: Vec<&String> = verdicts.iter().flat_map(|verdict| &verdict.wrong).collect();
    for line in &wrong {
        eprintln!("{line}");
    }
    match wrong.len() {
        0 => printed,
        1 => failed("1 problem found"),
        n => failed(&format!("{n} problems found")),
    }
}
