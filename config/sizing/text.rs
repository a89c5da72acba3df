//! The report as text for a terminal.

use std::fmt;

use super::{PoolSizing, Requirement, SizingReport, Verdict};

/// As lines, each with its end; nothing where there is nothing to say.
impl fmt::Display for SizingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pool in &self.pools {
            write!(f, "{pool}")?;
        }
        if !self.hints.is_empty() {
            writeln!(f, "sizing of the server")?;
        }
        self.hints.iter().try_for_each(|hint| hint_line(f, hint))
    }
}

impl fmt::Display for PoolSizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sizing of pool `{}`: ", self.pool)?;
        if let Some(calls) = self.max_calls {
            write!(f, "{} at a time, ", counted(calls, "call"))?;
        }
        write!(f, "{}, {}", counted(self.dns, "DN"), counted(self.connectors, "connector"))?;
        match self.stopped_connectors {
            0 => writeln!(f)?,
            stopped => writeln!(f, " of which {stopped} may be stopped")?,
        }
        self.requirements
            .iter()
            .try_for_each(|requirement| write!(f, "{requirement}"))?;
        self.hints.iter().try_for_each(|hint| hint_line(f, hint))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Short => "SHORT",
            Verdict::Over => "over",
            Verdict::Off => "off",
        };
        let there = match self.option.as_str() {
            "link[]" => format!("{} of [[link]]", self.configured),
            "media.port_last" => format!("{} ports from `media.port_first` to `media.port_last`", self.configured),
            option => format!("`{option}` = {}", self.configured),
        };
        writeln!(f, "  {verdict:<6} {there}; {} needed: {}", self.needed, self.rule)
    }
}

fn hint_line(f: &mut fmt::Formatter<'_>, hint: &str) -> fmt::Result {
    writeln!(f, "  {:<6} {hint}", "hint")
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
