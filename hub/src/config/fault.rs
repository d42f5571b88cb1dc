//! Why the hub does not start: which field, who said it, what is allowed.

use std::fmt;
use std::path::PathBuf;

/// Who said a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    File(PathBuf),
    Environment(String),
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("by default"),
            Self::File(path) => write!(f, "in {}", path.display()),
            Self::Environment(variable) => write!(f, "in the environment's {variable}"),
            Self::Flag(flag) => write!(f, "by {flag}"),
        }
    }
}

/// One thing that is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub field: String,
    pub source: Source,
    pub text: String,
    pub allowed: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}. Allowed: {}", self.field, self.source, self.text, self.allowed)
    }
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    Unreadable {
        path: PathBuf,
        cause: std::io::Error,
    },
    NotToml {
        path: PathBuf,
        line: usize,
        /// The parser's words without the line that it quotes, which may hold a password.
        text: String,
    },
    /// All of them at once, so that mending takes one round.
    Faults(Vec<Fault>),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, cause } => {
                write!(f, "the configuration file {} cannot be read: {cause}", path.display())
            }
            Self::NotToml { path, line, text } => {
                write!(f, "the configuration file {} is not TOML, line {line}: {text}", path.display())
            }
            Self::Faults(faults) => {
                f.write_str("the configuration is wrong:")?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}
