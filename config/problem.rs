//! What can be wrong with a configuration, and how it is said: place first, as a compiler does.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong, or looks wrong, with a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// A built-in default, or the configuration as a whole.
    Default,
    /// A file as a whole.
    File(PathBuf),
    /// A place in a file.
    Line {
        /// The file, as it was named.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// An argument `--set`.
    Set(String),
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// A file cannot be read.
    #[error("cannot be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// It is not TOML.
    #[error("not valid TOML: {reason}")]
    Syntax {
        /// Why.
        reason: String,
    },
    /// No option has that name.
    #[error("unknown key `{key}` in {table}{}", .hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The heading of its table.
        table: String,
        /// What could have been meant.
        hint: Option<String>,
    },
    /// No table has that name.
    #[error("unknown section [{name}]{}", .hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
    UnknownTable {
        /// The name as written.
        name: String,
        /// What could have been meant.
        hint: Option<String>,
    },
    /// An option of the seed that this version does not have.
    #[error("`{option}` is a known T-Server option, not supported by this version{}", .instead.map(|instead| format!("; {instead}")).unwrap_or_default())]
    Unsupported {
        /// Its name.
        option: String,
        /// What serves instead, where something does.
        instead: Option<&'static str>,
    },
    /// A table was expected.
    #[error("`{name}` is a section, written {heading}; here it is {found}")]
    NotATable {
        /// Its name.
        name: String,
        /// How it is written.
        heading: String,
        /// What stands there.
        found: &'static str,
    },
    /// A value of another type.
    #[error("`{option}` = {value}: {found}; valid: {valid}")]
    WrongType {
        /// The option.
        option: String,
        /// The value as written; masked where it is secret.
        value: String,
        /// What stands there.
        found: String,
        /// What is valid.
        valid: String,
    },
    /// A value that is not valid.
    #[error("`{option}` = {value} is not valid{}; valid: {valid}", .reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Invalid {
        /// The option.
        option: String,
        /// The value as written; masked where it is secret.
        value: String,
        /// Why, where there is more to say than what is valid.
        reason: Option<String>,
        /// What is valid.
        valid: String,
    },
    /// An option that must be set is not.
    #[error("`{option}` is missing in {table}")]
    Missing {
        /// The option.
        option: String,
        /// The heading of the table.
        table: String,
    },
    /// An element of a list of tables cannot be set from outside the file.
    #[error("`{name}` is a list of tables: from here it can be set as a whole only (`{name} = [{{ ... }}]`)")]
    ElementOfList {
        /// The list.
        name: String,
    },
    /// An override that is not `section.key=value`.
    #[error("not of the form section.key=value")]
    NotAnAssignment,
    /// The file of a secret.
    #[error("`{option}` = \"{path}\": {reason}")]
    SecretFile {
        /// The option.
        option: String,
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two options, or two elements, that do not go together; the text names both.
    #[error("{0}")]
    Inconsistent(String),
    /// The registry and the typed configuration do not fit together: a fault of Tandem, not of the file.
    #[error("the configuration cannot be read, which is a fault of Tandem: {0}")]
    Internal(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("configuration"),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Line { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Set(option) => write!(f, "--set {option}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault)
    }
}

impl std::error::Error for Problem {}
