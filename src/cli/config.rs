//! `tandem config`: the options there are, the configuration in effect, and what is wrong with a file.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use tandem_config::{Config, Loaded, Problem, environment, options_markdown, options_matching, options_text, registry};

/// The commands of `tandem config`.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum ConfigCommand {
    /// List every option: default, valid values, level, when it takes effect, meaning
    Options {
        /// Only options whose name contains this (`sip.`, `timeout`)
        filter: Option<String>,
        /// As JSON
        #[arg(long, conflicts_with = "markdown")]
        json: bool,
        /// As a Markdown page
        #[arg(long, conflicts_with = "filter")]
        markdown: bool,
    },
    /// Print the configuration in effect as TOML, with the origin of each value; secrets are masked
    Show {
        /// The configuration file; without it the defaults
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Sets one option over the file and the environment, such as `sip.t1_ms=250`; may be given again
        #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
        sets: Vec<String>,
    },
    /// List every problem of a configuration file, and what the expected load takes; exits with 1 if there is a problem
    Check {
        /// The configuration file
        file: PathBuf,
        /// As JSON, on standard output
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command; its exit code.
pub fn run(command: ConfigCommand) -> ExitCode {
    match command {
        ConfigCommand::Options { markdown: true, .. } => print(&options_markdown()),
        ConfigCommand::Options { filter, json, .. } => options(filter.as_deref(), json),
        ConfigCommand::Show { config, sets } => match Config::load(config.as_deref(), &sets, environment()) {
            Ok(loaded) => {
                report(&loaded.warnings, "warning: ");
                print(&loaded.to_toml())
            }
            Err(problems) => refuse(&problems),
        },
        ConfigCommand::Check { file, json } => check(&file, json),
    }
}

/// Prints problems on standard error, the way every command does that needs a configuration.
pub fn refuse(problems: &[Problem]) -> ExitCode {
    report(problems, "");
    ExitCode::FAILURE
}

fn options(filter: Option<&str>, json: bool) -> ExitCode {
    if options_matching(filter).next().is_none() {
        eprintln!("no option has `{}` in its name", filter.unwrap_or_default());
        return ExitCode::FAILURE;
    }
    if !json {
        return print(&options_text(filter));
    }
    let options: Vec<_> = options_matching(filter).collect();
    let document = json!({ "tables": registry::TABLES, "options": options });
    print(&format!("{document:#}\n"))
}

/// The file alone, without this machine's environment. Problems and warnings go to standard error, sizes to standard output.
fn check(file: &Path, as_json: bool) -> ExitCode {
    let loaded = Config::load(Some(file), &[], []);
    if as_json {
        return check_json(file, &loaded);
    }
    match loaded {
        Ok(loaded) => {
            report(&loaded.warnings, "warning: ");
            let sizing = loaded.sizing(cores());
            print(&format!("{}: no problem found\n{sizing}", file.display()))
        }
        Err(problems) => {
            report(&problems, "");
            let plural = if problems.len() == 1 { "" } else { "s" };
            eprintln!("{} problem{plural} found", problems.len());
            ExitCode::FAILURE
        }
    }
}

fn check_json(file: &Path, loaded: &Result<Loaded, Vec<Problem>>) -> ExitCode {
    let list = |problems: &[Problem]| -> Vec<_> {
        let entry = |problem: &Problem| json!({ "place": problem.place.to_string(), "text": problem.fault.to_string() });
        problems.iter().map(entry).collect()
    };
    let (problems, warnings, sizing) = match loaded {
        Ok(loaded) => (Vec::new(), list(&loaded.warnings), Some(loaded.sizing(cores()))),
        Err(problems) => (list(problems), Vec::new(), None),
    };
    let found_none = problems.is_empty();
    let document = json!({
        "file": file.display().to_string(),
        "problems": problems,
        "warnings": warnings,
        "sizing": sizing,
    });
    let printed = print(&format!("{document:#}\n"));
    if found_none { printed } else { ExitCode::FAILURE }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn report(problems: &[Problem], before: &str) {
    for problem in problems {
        eprintln!("{before}{problem}");
    }
}

/// A reader that goes away early (`| head`) is no failure.
pub(super) fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
