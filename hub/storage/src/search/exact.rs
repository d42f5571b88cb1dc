//! Whether a resource is what a filter asks for: the meaning of search, of which the indexes are only the shortcut.

use hub_domain::query::{DateMatch, Filter, IndexValue, Param, Prefix, SystemMatch, TokenMatch, index};
use schemas::resource::Resource;
use schemas::time::Timestamp;

pub(super) fn matches(resource: &Resource, filters: &[Filter]) -> bool {
    let values = index(resource);
    let any = |param: &Param, test: &dyn Fn(&IndexValue) -> bool| {
        values.iter().any(|(of, value)| std::ptr::eq(*of, param) && test(value))
    };
    filters.iter().all(|filter| match filter {
        Filter::Id(ids) => ids.contains(&resource.key.id),
        Filter::LastUpdated(when) => date(when, resource.last_updated, resource.last_updated),
        Filter::Token { param, any: wanted } => any(param, &|value| match value {
            IndexValue::Token { system, code } => wanted.iter().any(|w| token(w, system.as_deref(), code)),
            _ => false,
        }),
        Filter::Reference { param, any: wanted } => any(param, &|value| match value {
            IndexValue::Reference(to) => wanted.contains(to),
            _ => false,
        }),
        Filter::ReferenceIdentifier { param, any: wanted } => any(param, &|value| match value {
            IndexValue::ReferenceIdentifier { system, value } => {
                wanted.iter().any(|w| token(w, system.as_deref(), value))
            }
            _ => false,
        }),
        Filter::Date { param, when } => any(param, &|value| match value {
            IndexValue::Date { low, high } => date(when, *low, *high),
            _ => false,
        }),
        // What has no value to be found by may stand there all the same: a text without a code.
        Filter::Missing { param, missing } => {
            let stands =
                if param.only.is_some() { any(param, &|_| true) } else { !param.found(&resource.body).is_empty() };
            stands != *missing
        }
    })
}

fn token(wanted: &TokenMatch, system: Option<&str>, code: &str) -> bool {
    let same_system = match &wanted.system {
        SystemMatch::Any => true,
        SystemMatch::None => system.is_none(),
        SystemMatch::Is(wanted) => system == Some(wanted),
    };
    same_system && wanted.code.as_deref().is_none_or(|wanted| wanted == code)
}

fn date(when: &DateMatch, low: Timestamp, high: Timestamp) -> bool {
    match when.prefix {
        Prefix::Eq => when.low <= low && high <= when.high,
        Prefix::Ne => low < when.low || when.high < high,
        Prefix::Gt => high > when.high,
        Prefix::Lt => low < when.low,
        Prefix::Ge => high > when.high || low >= when.low,
        Prefix::Le => low < when.low || high <= when.high,
        Prefix::Sa => low > when.high,
        Prefix::Eb => high < when.low,
    }
}
