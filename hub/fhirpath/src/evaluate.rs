//! Works an expression out, step by step, within its limits.

use std::borrow::Cow;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use crate::Scope;
use crate::model;
use crate::navigate;
use crate::operators;
use crate::syntax::{Expr, Fault, FaultKind, Node as Syntax, Operator, TypeName, TypeTest};
use crate::value::{Collection, FHIR, Item, Node, SYSTEM};

/// One working out of one expression.
pub(crate) struct Evaluation<'a, 's> {
    pub(crate) scope: &'s Scope<'a>,
    /// What the whole expression is asked of.
    pub(crate) context: &'s [Item<'a>],
    steps: usize,
    /// Patterns that were met, so that each is compiled once.
    patterns: HashMap<String, Regex>,
}

/// What `$this`, `$index` and `$total` mean in a part of the expression.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'f, 'a> {
    pub(crate) this: &'f [Item<'a>],
    pub(crate) index: Option<usize>,
    pub(crate) total: Option<&'f [Item<'a>]>,
}

pub(crate) type Outcome<'a> = Result<Collection<'a>, Fault>;

impl<'a, 's> Evaluation<'a, 's> {
    pub(crate) fn new(scope: &'s Scope<'a>, context: &'s [Item<'a>]) -> Self {
        Self { scope, context, steps: 0, patterns: HashMap::new() }
    }

    /// Counts steps; too many end it.
    pub(crate) fn costs(&mut self, at: usize, steps: usize) -> Result<(), Fault> {
        self.steps += steps;
        if self.steps > self.scope.most_steps {
            let text = format!("it takes more than {} steps", self.scope.most_steps);
            return Err(Fault { at, kind: FaultKind::TooCostly, text });
        }
        Ok(())
    }

    /// A regular expression, in which a point stands for a line's end too.
    pub(crate) fn pattern(&mut self, at: usize, text: &str) -> Result<Regex, Fault> {
        if let Some(known) = self.patterns.get(text) {
            return Ok(known.clone());
        }
        self.costs(at, STEPS_OF_A_PATTERN + text.len())?;
        let built = RegexBuilder::new(text).dot_matches_new_line(true).size_limit(PATTERN_BYTES).build();
        let pattern = built.map_err(|_| Fault::of_type(at, "this is no regular expression, or too great a one"))?;
        self.patterns.insert(text.to_owned(), pattern.clone());
        Ok(pattern)
    }

    pub(crate) fn eval(&mut self, expr: &'a Expr, frame: Frame<'_, 'a>) -> Outcome<'a> {
        self.costs(expr.at, 1)?;
        let at = expr.at;
        let found = match &*expr.node {
            Syntax::Literal(item) => vec![borrowed(item)],
            Syntax::Empty => Vec::new(),
            Syntax::Variable(name) => self.variable(at, name)?,
            Syntax::This => frame.this.to_vec(),
            Syntax::Index => frame.index.map(|index| Item::Integer(index as i64)).into_iter().collect(),
            Syntax::Total => frame.total.unwrap_or_default().to_vec(),
            Syntax::Member(None, name) => self.beginning(frame.this, name),
            Syntax::Member(Some(focus), name) => {
                let focus = self.eval(focus, frame)?;
                self.members(&focus, name)
            }
            Syntax::Call(focus, function, arguments) => {
                let input = self.focus(focus.as_ref(), frame)?;
                (function.run)(self, Call { at, input, arguments, frame })?
            }
            Syntax::OfType(focus, test, of) => {
                let input = self.focus(focus.as_ref(), frame)?;
                self.of_type(at, input, *test, of)?
            }
            Syntax::Indexed(focus, index) => {
                let focus = self.eval(focus, frame)?;
                let index = self.eval(index, frame)?;
                let index = self.integer(at, &index, "an index")?;
                index.and_then(|index| focus.into_iter().nth(usize::try_from(index).ok()?)).into_iter().collect()
            }
            Syntax::Negated(of) => {
                let value = self.eval(of, frame)?;
                operators::negated(at, &value)?
            }
            Syntax::Binary(operator, left, right) => self.binary(at, *operator, [left, right], frame)?,
        };
        self.costs(at, found.len() + found.iter().map(made).sum::<usize>())?;
        Ok(found)
    }

    fn focus(&mut self, focus: Option<&'a Expr>, frame: Frame<'_, 'a>) -> Outcome<'a> {
        match focus {
            Some(focus) => self.eval(focus, frame),
            None => Ok(frame.this.to_vec()),
        }
    }

    /// A path may begin with the type of what it is asked of.
    fn beginning(&self, this: &[Item<'a>], name: &str) -> Collection<'a> {
        let model = self.scope.model;
        if name.starts_with(|c: char| c.is_ascii_uppercase()) {
            let is_it = |item: &&Item| matches!(item, Item::Node(node) if model::is_kind_of(model, node.kind, name));
            let meant: Collection = this.iter().filter(is_it).cloned().collect();
            if !meant.is_empty() {
                return meant;
            }
        }
        self.members(this, name)
    }

    fn members(&self, of: &[Item<'a>], name: &str) -> Collection<'a> {
        let mut found = Vec::new();
        for item in of {
            match item {
                Item::Node(node) => navigate::members(self.scope.model, *node, name, &mut found),
                Item::Type(namespace, _) if name == "namespace" => found.push(Item::string(*namespace)),
                Item::Type(_, kind) if name == "name" => found.push(Item::String(kind.clone())),
                Item::Quantity(quantity) if name == "value" => found.push(Item::Decimal(quantity.value)),
                Item::Quantity(quantity) if name == "unit" => found.push(Item::String(quantity.unit.clone())),
                _ => {}
            }
        }
        found
    }

    fn variable(&self, at: usize, name: &str) -> Outcome<'a> {
        let scope = self.scope;
        if let Some((_, value)) = scope.variables.iter().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        match name {
            "context" => Ok(self.context.to_vec()),
            "resource" | "rootResource" => Ok(self.resource().map(Item::Node).into_iter().collect()),
            _ => match address(name) {
                Some(address) => Ok(vec![Item::string(address)]),
                None => Err(Fault::of_type(at, format!("%{name} is not known"))),
            },
        }
    }

    /// The resource that is asked, or whose part is: contained ones are looked for in it.
    pub(crate) fn resource(&self) -> Option<Node<'a>> {
        let root = match self.context {
            [Item::Node(node)] => Some(*node),
            _ => None,
        };
        self.scope.resource.or(root)
    }

    fn of_type(&mut self, at: usize, input: Collection<'a>, test: TypeTest, of: &TypeName) -> Outcome<'a> {
        self.check_type(of)?;
        if test != TypeTest::OfType {
            self.single(at, &input, "what is asked for its type")?;
        }
        Ok(match test {
            TypeTest::Is => input.iter().map(|item| Item::Boolean(self.is(item, of))).collect(),
            TypeTest::As | TypeTest::OfType => input.into_iter().filter(|item| self.is_exactly(item, of)).collect(),
        })
    }

    fn check_type(&self, of: &TypeName) -> Result<(), Fault> {
        let in_system = SYSTEM_TYPES.contains(&&*of.name);
        let in_fhir = model::is_type(self.scope.model, &of.name);
        let known = match of.namespace.as_deref() {
            // A type of FHIR that System lacks is one that nothing is of.
            None | Some(SYSTEM) => in_system || in_fhir,
            Some(FHIR) => in_fhir,
            Some(_) => false,
        };
        if known { Ok(()) } else { Err(Fault::of_type(of.at, format!("there is no type {}", of.name))) }
    }

    /// Of this type, or of one that is a kind of it.
    fn is(&self, item: &Item<'a>, of: &TypeName) -> bool {
        let (namespace, name) = item.kind();
        let is_there = of.namespace.as_deref().is_none_or(|wanted| wanted == namespace);
        let any = namespace == SYSTEM && &*of.name == "Any";
        is_there
            && (any || *name == *of.name || namespace == FHIR && model::is_kind_of(self.scope.model, &name, &of.name))
    }

    /// A code is a kind of string, but a choice between the two is told apart.
    fn is_exactly(&self, item: &Item<'a>, of: &TypeName) -> bool {
        let (namespace, name) = item.kind();
        let apart = namespace == FHIR && model::is_primitive(&name);
        if apart {
            of.namespace.as_deref().is_none_or(|wanted| wanted == FHIR) && *name == *of.name
        } else {
            self.is(item, of)
        }
    }

    // ---- operators

    fn binary(&mut self, at: usize, operator: Operator, sides: [&'a Expr; 2], frame: Frame<'_, 'a>) -> Outcome<'a> {
        let left = self.eval(sides[0], frame)?;
        if let Some(decided) = self.decided(at, operator, &left)? {
            return Ok(decided);
        }
        let right = self.eval(sides[1], frame)?;
        operators::binary(self, at, operator, left, right)
    }

    /// What the left side alone decides.
    fn decided(&self, at: usize, operator: Operator, left: &[Item<'a>]) -> Result<Option<Collection<'a>>, Fault> {
        let ends = match operator {
            Operator::And => (false, false),
            Operator::Or => (true, true),
            Operator::Implies => (false, true),
            _ => return Ok(None),
        };
        let decided = self.truth(at, left)? == Some(ends.0);
        Ok(decided.then(|| vec![Item::Boolean(ends.1)]))
    }

    // ---- single values

    /// The only item; none of none.
    pub(crate) fn single<'i>(
        &self,
        at: usize,
        items: &'i [Item<'a>],
        what: &str,
    ) -> Result<Option<&'i Item<'a>>, Fault> {
        match items {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            many => Err(Fault::of_type(at, format!("{what} is one item, and here are {}", many.len()))),
        }
    }

    /// A single item is true unless it is a Boolean that is not.
    pub(crate) fn truth(&self, at: usize, items: &[Item<'a>]) -> Result<Option<bool>, Fault> {
        let item = self.single(at, items, "a condition")?;
        Ok(item.map(|item| !matches!(item.value(), Some(Item::Boolean(false)))))
    }

    /// Only a Boolean will do.
    pub(crate) fn boolean(&self, at: usize, items: &[Item<'a>]) -> Result<Option<bool>, Fault> {
        let Some(item) = self.single(at, items, "a condition")? else { return Ok(None) };
        match item.value() {
            Some(Item::Boolean(value)) => Ok(Some(value)),
            _ => Err(Fault::of_type(at, format!("a condition is a Boolean, and not {}", item.noun()))),
        }
    }

    pub(crate) fn integer(&self, at: usize, items: &[Item<'a>], what: &str) -> Result<Option<i64>, Fault> {
        let Some(item) = self.single(at, items, what)? else { return Ok(None) };
        match item.value() {
            Some(Item::Integer(value)) => Ok(Some(value)),
            _ => Err(Fault::of_type(at, format!("{what} is an Integer, and not {}", item.noun()))),
        }
    }

    pub(crate) fn text(&self, at: usize, items: &[Item<'a>], what: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        let Some(item) = self.single(at, items, what)? else { return Ok(None) };
        match item.value() {
            Some(Item::String(value)) => Ok(Some(value)),
            _ => Err(Fault::of_type(at, format!("{what} is a String, and not {}", item.noun()))),
        }
    }
}

pub(crate) const SYSTEM_TYPES: [&str; 9] =
    ["Any", "Boolean", "Date", "DateTime", "Decimal", "Integer", "Quantity", "String", "Time"];

/// Compiling a pattern takes about as long.
const STEPS_OF_A_PATTERN: usize = 500;
/// It may take so much memory once it is compiled.
const PATTERN_BYTES: usize = 256 * 1024;

/// The steps of a text that was made, and does not only stand somewhere.
fn made(item: &Item<'_>) -> usize {
    match item {
        Item::String(Cow::Owned(text)) => text.len() / 64,
        _ => 0,
    }
}

/// A literal without a copy of its text.
fn borrowed<'a>(item: &'a Item<'static>) -> Item<'a> {
    match item {
        Item::String(text) => Item::String(Cow::Borrowed(text)),
        other => other.clone(),
    }
}

/// A call of a function.
pub(crate) struct Call<'f, 'a> {
    pub(crate) at: usize,
    pub(crate) input: Collection<'a>,
    pub(crate) arguments: &'a [Expr],
    pub(crate) frame: Frame<'f, 'a>,
}

impl<'a> Call<'_, 'a> {
    /// An argument that is worked out once, of what the whole call is asked of.
    pub(crate) fn argument(&self, evaluation: &mut Evaluation<'a, '_>, n: usize) -> Outcome<'a> {
        evaluation.eval(&self.arguments[n], self.frame)
    }

    /// The first argument as text.
    pub(crate) fn text(&self, evaluation: &mut Evaluation<'a, '_>, n: usize) -> Result<Option<Cow<'a, str>>, Fault> {
        let argument = self.argument(evaluation, n)?;
        evaluation.text(self.arguments[n].at, &argument, "the argument")
    }

    pub(crate) fn integer(&self, evaluation: &mut Evaluation<'a, '_>, n: usize) -> Result<Option<i64>, Fault> {
        let argument = self.argument(evaluation, n)?;
        evaluation.integer(self.arguments[n].at, &argument, "the argument")
    }

    /// An argument that is worked out for each item.
    pub(crate) fn of_item(
        &self,
        evaluation: &mut Evaluation<'a, '_>,
        n: usize,
        index: usize,
        item: &Item<'a>,
    ) -> Outcome<'a> {
        let frame = Frame { this: std::slice::from_ref(item), index: Some(index), total: self.frame.total };
        evaluation.eval(&self.arguments[n], frame)
    }

    /// A condition on an item.
    pub(crate) fn holds(
        &self,
        evaluation: &mut Evaluation<'a, '_>,
        n: usize,
        index: usize,
        item: &Item<'a>,
    ) -> Result<bool, Fault> {
        let found = self.of_item(evaluation, n, index, item)?;
        Ok(evaluation.boolean(self.arguments[n].at, &found)?.unwrap_or(false))
    }
}

/// Whether FHIR itself says what this variable is.
pub(crate) fn is_standard(name: &str) -> bool {
    matches!(name, "context" | "resource" | "rootResource") || address(name).is_some()
}

/// What stands for an address.
fn address(name: &str) -> Option<String> {
    let of = |prefix: &str, base: &str| Some(format!("{base}{}", name.strip_prefix(prefix)?));
    match name {
        "sct" => Some("http://snomed.info/sct".to_owned()),
        "loinc" => Some("http://loinc.org".to_owned()),
        "ucum" => Some("http://unitsofmeasure.org".to_owned()),
        _ => of("vs-", "http://hl7.org/fhir/ValueSet/")
            .or_else(|| of("ext-", "http://hl7.org/fhir/StructureDefinition/")),
    }
}
