//! Where values come from. Whatever its source, a value is text here, so that one parser and one message serve all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::fault::{ConfigError, Source};
use super::flags::Flags;

/// A value and who said it.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) source: Source,
}

/// All that was said, by field. Whoever takes a field takes it out; what is left in the end nobody knows.
pub(super) struct Sources {
    flags: BTreeMap<String, Said>,
    /// By variable. Those that nobody takes mean nothing: Kubernetes sets some for a service that is called `hub`.
    environment: BTreeMap<String, String>,
    file: BTreeMap<String, Said>,
}

impl Sources {
    pub(super) fn gather(
        flags: &Flags,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        // Empty counts as unset: a compose file cannot leave a variable out.
        let ours = |(name, text): &(String, String)| name.starts_with("HUB_") && !text.trim().is_empty();
        let environment: BTreeMap<_, _> = environment.into_iter().filter(ours).collect();
        let path = flags.config.clone().or_else(|| environment.get("HUB_CONFIG").map(PathBuf::from));
        let file = path.map(|path| read_file(&path)).transpose()?.unwrap_or_default();
        let said = |(field, flag, text): (String, String, String)| (field, Said { text, source: Source::Flag(flag) });
        Ok(Self { flags: flags.said().into_iter().map(said).collect(), environment, file })
    }

    /// What counts for a field: the flag, else the environment, else the file.
    pub(super) fn take(&mut self, field: &str) -> Option<Said> {
        let in_file = self.file.remove(field);
        let in_environment = self.take_variable(field);
        self.flags.remove(field).or(in_environment).or(in_file)
    }

    /// The entries of a table. In the environment and on the command line it is `name=value,name=value`.
    pub(super) fn take_table(&mut self, field: &str) -> Result<BTreeMap<String, Said>, Said> {
        let prefix = format!("{field}.");
        let names: Vec<String> = self.file.keys().filter(|path| path.starts_with(&prefix)).cloned().collect();
        let entry = |path: String| Some((path[prefix.len()..].to_owned(), self.file.remove(&path)?));
        let mut table: BTreeMap<_, _> = names.into_iter().filter_map(entry).collect();
        let pairs = [self.take_variable(field), self.flags.remove(field)];
        for said in pairs.into_iter().flatten() {
            for pair in said.text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
                let Some((name, text)) = pair.split_once('=') else { return Err(said) };
                let text = text.trim().to_owned();
                table.insert(name.trim().to_owned(), Said { text, source: said.source.clone() });
            }
        }
        Ok(table)
    }

    /// The fields that nobody took: misspelt ones.
    pub(super) fn left(self) -> impl Iterator<Item = (String, Source)> {
        self.file.into_iter().chain(self.flags).map(|(field, said)| (field, said.source))
    }

    fn take_variable(&mut self, field: &str) -> Option<Said> {
        let variable = variable_of(field);
        let text = self.environment.remove(&variable)?;
        Some(Said { text: text.trim().to_owned(), source: Source::Environment(variable) })
    }
}

/// `auth.jwks` is `HUB_AUTH_JWKS`.
fn variable_of(field: &str) -> String {
    format!("HUB_{}", field.replace('.', "_").to_uppercase())
}

fn read_file(path: &Path) -> Result<BTreeMap<String, Said>, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable { path: path.to_owned(), cause };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..before].iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::NotToml { path: path.to_owned(), line, text: error.message().to_owned() }
    })?;
    let mut fields = BTreeMap::new();
    flatten("", table, &Source::File(path.to_owned()), &mut fields);
    Ok(fields)
}

fn flatten(prefix: &str, table: toml::Table, source: &Source, into: &mut BTreeMap<String, Said>) {
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => flatten(&format!("{prefix}{name}."), inner, source, into),
            value => {
                let said = Said { text: text_of(value), source: source.clone() };
                into.insert(format!("{prefix}{name}"), said);
            }
        }
    }
}

fn text_of(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        toml::Value::Array(items) => items.into_iter().map(text_of).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
