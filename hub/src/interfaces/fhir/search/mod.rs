//! The parameters of a search become a `Query`.

mod chain;
pub(super) mod include;
pub(super) mod searchset;
pub(super) mod values;

use hub_domain::query::{
    Filter, Param, ParamType, Query, Sort, SortBy, SystemMatch, TextMatch, TokenMatch, TypedIdentifier, find, params,
};
use schemas::gate::Part;
use schemas::ids::{Target, is_id};
use schemas::outcome::{Issue, IssueType, Severity};
use schemas::resource::Kind;

use super::answer::No;
use super::look::Look;
use crate::service::Service;
use include::Include;
use searchset::{Asked, Total};
use values::{DATE, PREFIXES, above, amount, date, parted, plain, read_token, split};

/// Most values of one parameter, joined by commas.
const VALUES_LIMIT: usize = 64;
/// Most parameters that a search is sorted by: a link carries a key of each.
const SORTS_LIMIT: usize = 8;

/// Reads parameters and collects faults. A fault's path is the parameter's name.
pub(super) struct Reader<'a> {
    base: &'a str,
    count_limit: u32,
    pub(super) query: Query,
    wishes: Vec<Include>,
    look: Look,
    total: Total,
    /// Links that lead from the query that was sent to this one.
    pub(super) links: usize,
    pub(super) faults: Vec<Issue>,
    pub(super) unknown: Vec<Issue>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(service: &Service, kind: Kind, base: &'a str) -> Self {
        let query =
            Query { kind, filters: Vec::new(), sort: Vec::new(), count: service.config.page_entries, page: None };
        let count_limit = service.config.page_entries_limit;
        Self::of(base, count_limit, query, 0)
    }

    fn of(base: &'a str, count_limit: u32, query: Query, links: usize) -> Self {
        let (look, total) = (Look::default(), Total::IfKnown);
        let (wishes, faults, unknown) = (Vec::new(), Vec::new(), Vec::new());
        Self { base, count_limit, query, wishes, look, total, links, faults, unknown }
    }

    /// For the criteria behind a link.
    pub(super) fn behind(&self, kind: Kind) -> Self {
        let query = Query { kind, filters: Vec::new(), ..self.query.clone() };
        Self::of(self.base, self.count_limit, query, self.links + 1)
    }

    pub(super) fn finish(mut self, lenient: bool) -> Result<Asked, No> {
        if self.look.part == Some(Part::Text) && !self.wishes.is_empty() {
            self.fault("_summary", "with _include and _revinclude, _summary is true, data or false");
        }
        if !lenient {
            let refused = |issue: Issue| Issue { severity: Severity::Error, ..issue };
            self.faults.extend(self.unknown.drain(..).map(refused));
        }
        if !self.faults.is_empty() {
            return Err(No::bad_request(self.faults));
        }
        let Self { query, wishes, look, total, unknown: ignored, .. } = self;
        Ok(Asked { query, wishes, look, total, ignored })
    }

    pub(super) fn fault(&mut self, name: &str, text: impl Into<String>) {
        self.faults.push(Issue::error(IssueType::Value, name, text));
    }

    pub(super) fn unknown(&mut self, name: &str, text: impl Into<String>) {
        self.unknown.push(Issue::warning(IssueType::NotSupported, name, text));
    }

    pub(super) fn parameter(&mut self, name: &str, value: &str) {
        match Include::read(name, value) {
            None => self.of_search(name, value),
            Some(Ok(wish)) => self.wishes.push(wish),
            Some(Err(text)) => self.unknown(name, text),
        }
    }

    fn of_search(&mut self, name: &str, value: &str) {
        match self.look.parameter(self.query.kind, name, value) {
            Ok(false) => {}
            Ok(true) => return,
            Err(text) => return self.fault(name, text),
        }
        match name {
            "_count" => match value.parse::<u32>() {
                Ok(0) => self.look.only_count = true,
                Ok(count) => self.query.count = count.clamp(1, self.count_limit),
                Err(_) => self.fault(name, "_count is a number"),
            },
            "_sort" => value.split(',').for_each(|by| self.sort(by)),
            "_total" => match value {
                "none" => self.total = Total::None,
                "estimate" => self.total = Total::Estimate,
                "accurate" => self.total = Total::Accurate,
                _ => self.fault(name, "_total is none, estimate or accurate"),
            },
            "_page" => self.query.page = Some(value.to_owned()),
            "_format" | "_pretty" => {}
            _ => self.criterion(name, value),
        }
    }

    /// What a resource has to be like.
    pub(super) fn criterion(&mut self, name: &str, value: &str) {
        match name {
            "_id" => {
                let ids: Vec<String> = split(value);
                if ids.iter().all(|id| is_id(id)) {
                    self.filter(name, ids.len(), Filter::Id(ids));
                } else {
                    self.fault(name, "_id takes ids: letters, digits, - and .");
                }
            }
            "_lastUpdated" => match date(value) {
                Some(when) => self.query.filters.push(Filter::LastUpdated(when)),
                None => self.fault(name, DATE),
            },
            _ => match (name.strip_prefix("_has:"), name.split_once('.')) {
                (Some(link), _) => self.has(name, link, value),
                (None, Some((link, rest))) => self.chain(name, [link, rest], value),
                (None, None) => self.of_table(name, value),
            },
        }
    }

    fn filter(&mut self, name: &str, values: usize, filter: Filter) {
        if values == 0 || values > VALUES_LIMIT {
            return self.fault(name, format!("give 1 to {VALUES_LIMIT} values"));
        }
        self.query.filters.push(filter);
    }

    fn of_table(&mut self, name: &str, value: &str) {
        let (plain, modifier) = name.split_once(':').map_or((name, None), |(plain, m)| (plain, Some(m)));
        let kind = self.query.kind;
        let Some(param) = find(kind, plain) else {
            let known: Vec<&str> = params(kind).map(|param| param.name).collect();
            let text = format!("{kind} is not searched by this; known: _id, _lastUpdated, {}", known.join(", "));
            return self.unknown(name, text);
        };
        self.of_param(name, value, param, modifier);
    }

    fn of_param(&mut self, name: &str, value: &str, param: &'static Param, modifier: Option<&str>) {
        match (param.kind, modifier) {
            (ParamType::Composite, None) => self.composite(name, value, param),
            (ParamType::Composite, Some(modifier)) => {
                self.unknown(name, format!("the modifier :{modifier} is not known of a composite"));
            }
            (_, Some("missing")) => match value {
                "true" | "false" => self.query.filters.push(Filter::Missing { param, missing: value == "true" }),
                _ => self.fault(name, ":missing is true or false"),
            },
            (ParamType::Token, None) => self.tokens(name, value, |mut any| {
                any.iter_mut().for_each(|token| imply_system(token, param));
                Filter::Token { param, any }
            }),
            (ParamType::Token, Some("not")) => self.tokens(name, value, |mut any| {
                any.iter_mut().for_each(|token| imply_system(token, param));
                Filter::Not(Box::new(Filter::Token { param, any }))
            }),
            (ParamType::Reference, Some("identifier")) => {
                self.tokens(name, value, |any| Filter::ReferenceIdentifier { param, any });
            }
            (ParamType::Reference, None) => self.references(name, value, param, None),
            (ParamType::Reference, Some(target)) if Kind::parse(target).is_some_and(|kind| param.leads_to(kind)) => {
                self.references(name, value, param, Some(target));
            }
            (ParamType::Token, Some("text")) => {
                self.texts(name, value, |any| Filter::CodeText { param, any });
            }
            (ParamType::Token, Some("of-type")) => self.identifiers(name, value, param),
            (ParamType::Uri, None) => self.texts(name, value, |any| uris(param, any)),
            (ParamType::Uri, Some("above")) => {
                self.texts(name, value, |any| uris(param, any.iter().flat_map(|uri| above(uri)).collect()));
            }
            (ParamType::Uri, Some("below")) => self.texts(name, value, |any| Filter::Below { param, any }),
            (ParamType::String, None) => self.text(name, value, param, TextMatch::Begins),
            (ParamType::String, Some("exact")) => self.text(name, value, param, TextMatch::Exact),
            (ParamType::String, Some("contains")) => self.text(name, value, param, TextMatch::Contains),
            (ParamType::Number | ParamType::Quantity, None) => self.amounts(name, value, param),
            (ParamType::Date, None) => match split(value).iter().map(|text| date(text)).collect::<Option<Vec<_>>>() {
                Some(any) => self.filter(name, any.len(), Filter::Date { param, any }),
                None => self.fault(name, DATE),
            },
            (_, Some(modifier)) => self.unknown(name, format!("the modifier :{modifier} is not known here")),
        }
    }

    fn tokens(&mut self, name: &str, value: &str, filter: impl FnOnce(Vec<TokenMatch>) -> Filter) {
        let any: Vec<TokenMatch> = split(value).iter().map(|token| read_token(token)).collect();
        if any.iter().any(|token| token.code.is_none() && !matches!(token.system, SystemMatch::Is(_))) {
            return self.fault(name, "a token is code, system|code, |code or system|");
        }
        let values = any.len();
        self.filter(name, values, filter(any));
    }

    fn texts(&mut self, name: &str, value: &str, filter: impl FnOnce(Vec<String>) -> Filter) {
        let any: Vec<String> = split(value).iter().map(|text| plain(text)).collect();
        self.filter(name, any.len(), filter(any));
    }

    fn text(&mut self, name: &str, value: &str, param: &'static Param, how: TextMatch) {
        self.texts(name, value, |any| Filter::Text { param, how, any });
    }

    fn identifiers(&mut self, name: &str, value: &str, param: &'static Param) {
        let typed = |text: &String| {
            let parts: Vec<String> = text.split('|').map(plain).collect();
            let [system, code, value] = parts.try_into().ok()?;
            (!code.is_empty() && !value.is_empty()).then_some(TypedIdentifier { system, code, value })
        };
        match split(value).iter().map(typed).collect::<Option<Vec<_>>>() {
            Some(any) => self.filter(name, any.len(), Filter::OfType { param, any }),
            None => self.fault(name, "an identifier of a type is system|code|value"),
        }
    }

    fn amounts(&mut self, name: &str, value: &str, param: &'static Param) {
        let any = split(value).iter().map(|text| amount(text, param.kind)).collect::<Option<Vec<_>>>();
        match any {
            Some(any) => self.filter(name, any.len(), Filter::Amount { param, any }),
            None if param.kind == ParamType::Number => self.fault(name, format!("a number is {PREFIXES}1.5")),
            None => self.fault(name, format!("a quantity is {PREFIXES}1.5[|system|code], without a system 1.5||unit")),
        }
    }

    /// Each part is read as the parameter that it is of.
    fn composite(&mut self, name: &str, value: &str, param: &'static Param) {
        let mut any = Vec::new();
        for text in parted(value, ',') {
            let parts = parted(text, '$');
            let before = self.query.filters.len();
            for (of, part) in param.parts().zip(&parts) {
                self.of_param(name, part, of, None);
            }
            let read = self.query.filters.split_off(before);
            if read.len() != param.parts().count() || parts.len() != read.len() {
                let names: Vec<&str> = param.parts().map(|part| part.name).collect();
                return self.fault(name, format!("it is composed of {}", names.join("$")));
            }
            any.push(read);
        }
        self.filter(name, any.len(), Filter::Composite { param, any });
    }

    fn references(&mut self, name: &str, value: &str, param: &'static Param, target: Option<&str>) {
        let mut any = Vec::new();
        for text in split(value) {
            let local = text.strip_prefix(self.base).map(|rest| rest.trim_start_matches('/')).unwrap_or(&text);
            match Target::parse(local) {
                Target::Relative { kind, id, .. } => any.push(format!("{kind}/{id}")),
                Target::Absolute(url) | Target::Urn(url) => any.push(url.to_owned()),
                Target::Other(id) if is_id(id) => {
                    let kinds = target.map_or_else(|| param.targets.to_vec(), |one| vec![one]);
                    any.extend(kinds.iter().map(|kind| format!("{kind}/{id}")));
                }
                _ => return self.fault(name, "a reference is an id, Type/id or a URL"),
            }
        }
        let values = any.len();
        self.filter(name, values, Filter::Reference { param, any });
    }

    fn sort(&mut self, by: &str) {
        let (name, descending) = by.strip_prefix('-').map_or((by, false), |name| (name, true));
        if self.query.sort.len() == SORTS_LIMIT {
            return self.fault("_sort", format!("sorted by at most {SORTS_LIMIT} parameters"));
        }
        match sort_by(self.query.kind, name) {
            Some(by) => self.query.sort.push(Sort { by, descending }),
            None => {
                let kind = self.query.kind;
                let known: Vec<&str> =
                    params(kind).map(|param| param.name).filter(|name| sort_by(kind, name).is_some()).collect();
                self.unknown(
                    "_sort",
                    format!("{kind} is not sorted by this; known: _lastUpdated, _id, {}", known.join(", ")),
                );
            }
        }
    }
}

/// What a resource has a row for is sorted without looking into it.
fn sort_by(kind: Kind, name: &str) -> Option<SortBy> {
    let has_urgency = kind == Kind::TASK || kind.is_request();
    let param = match name {
        "_lastUpdated" => return Some(SortBy::LastUpdated),
        "_id" => return Some(SortBy::Id),
        _ => find(kind, name)?,
    };
    match (param.kind, param.element) {
        (ParamType::Reference | ParamType::Uri | ParamType::Composite, _) => None,
        (_, "priority") if has_urgency => Some(SortBy::Priority),
        (_, "authoredOn") if has_urgency => Some(SortBy::Authored),
        (_, "status") if has_urgency => Some(SortBy::Status),
        (_, "lastModified") if kind == Kind::TASK => Some(SortBy::Modified),
        _ => Some(SortBy::Param(param)),
    }
}

/// An element of type code carries no system: one that names it in full means the same.
fn imply_system(token: &mut TokenMatch, param: &Param) {
    if let SystemMatch::Is(system) = &token.system
        && param.implied_system() == Some(system.as_str())
        && token.code.is_some()
    {
        token.system = SystemMatch::Any;
    }
}

fn uris(param: &'static Param, any: Vec<String>) -> Filter {
    let exact = |code: String| TokenMatch { system: SystemMatch::Any, code: Some(code) };
    Filter::Token { param, any: any.into_iter().map(exact).collect() }
}
