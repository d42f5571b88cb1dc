//! The official definitions, as the gate looks them up.

use super::Member;
use super::primitive::Primitive;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::LazyLock;

/// FHIR R4, read from the tables in the binary at first use (about a millisecond).
pub(super) static R4: LazyLock<Tables> = LazyLock::new(|| {
    let structures = include_str!("../../definitions/r4.tsv");
    let codes = include_str!("../../definitions/r4-codes.tsv");
    // Not a failure that can happen to a user: the tables are in the binary, and every test reads them.
    Tables::read("R4", structures, codes).unwrap_or_else(|fault| panic!("the built-in tables of FHIR R4: {fault}"))
});

/// FHIR R5, with what R6 adds to the types of workflow: what the hub speaks beside R4 at its edge.
pub(super) static R5: LazyLock<Tables> = LazyLock::new(|| {
    let structures = include_str!("../../definitions/r5.tsv");
    let codes = include_str!("../../definitions/r5-codes.tsv");
    Tables::read("R5", structures, codes).unwrap_or_else(|fault| panic!("the built-in tables of FHIR R5: {fault}"))
});

/// One release of FHIR.
pub(super) struct Tables {
    release: &'static str,
    types: Vec<Type>,
    by_name: HashMap<&'static str, TypeId>,
    code_sets: HashMap<&'static str, CodeSet>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TypeId(u16);

/// A type of resource, a data type, or the elements nested in one (then named by its path, `Task.input`).
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) rule: Option<Rule>,
    pub(super) elements: Vec<Element>,
    /// One bit for each element that must be there.
    pub(super) required: u128,
    /// Every key by which an element may be given, the shorter first and then by letters, since lengths are compared at
    /// once: a choice has one for each of its types.
    keys: Vec<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Resource,
    Abstract,
    Complex,
}

/// A type with a rule of its own that no table can say; its function is in `invariants`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Extension,
    Reference,
    Task,
}

pub(super) struct Element {
    /// As the definition has it: a choice ends in `[x]`.
    pub(super) name: &'static str,
    pub(super) many: bool,
    /// The only codes it takes, as a key of `code_sets`.
    closed_set: Option<&'static str>,
    pub(super) in_summary: bool,
    /// Who leaves it out may say something else.
    pub(super) is_modifier: bool,
}

#[derive(Debug, Clone)]
struct Key {
    name: Box<str>,
    place: Place,
}

/// What a key leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Which element of its type.
    pub(super) element: u8,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Primitive(Primitive),
    Object(TypeId),
    /// Any resource; its own `resourceType` says which.
    Resource,
}

/// The codes of a closed value set, in their official order.
pub(super) struct CodeSet(Vec<&'static str>);

impl Tables {
    pub(super) fn release(&self) -> &'static str {
        self.release
    }

    /// What is to be said of a type that an earlier release had.
    pub(super) fn former(&self, name: &str) -> Option<String> {
        if self.release == "R4" { super::former(name) } else { None }
    }

    /// The type of this name, if it is one of resources and not an abstract one.
    pub(super) fn resource(&self, name: &str) -> Option<&Type> {
        self.named(name).filter(|found| found.kind == Kind::Resource)
    }

    /// Whether this release has such a type of resource, in our tables or not.
    pub(super) fn is_resource_type(&self, name: &str) -> bool {
        let is_abstract = self.named(name).is_some_and(|found| found.kind == Kind::Abstract);
        !is_abstract && self.code_sets.get("resource-types").is_some_and(|types| types.has(name))
    }

    /// What all resources share that are made for people to read: for those that our tables lack.
    pub(super) fn any_resource(&self) -> Option<&Type> {
        self.named("DomainResource")
    }

    /// What the companion of a primitive element may hold.
    pub(super) fn companion(&self) -> Option<&Type> {
        self.named("Element")
    }

    pub(super) fn get(&self, id: TypeId) -> &Type {
        &self.types[usize::from(id.0)]
    }

    pub(super) fn closed_set(&self, element: &Element) -> Option<&CodeSet> {
        self.code_sets.get(element.closed_set?)
    }

    pub(super) fn member(&self, of: &str, key: &str) -> Option<Member> {
        let owner = self.named(of)?;
        let place = owner.find(key)?;
        let kind = match place.shape {
            Shape::Primitive(primitive) => primitive.name(),
            Shape::Object(id) => self.get(id).name,
            Shape::Resource => "Resource",
        };
        let element = owner.element(place);
        Some(Member { element: element.name, kind, many: element.many })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Type> {
        self.by_name.get(name).map(|id| self.get(*id))
    }
}

impl Type {
    pub(super) fn find(&self, key: &str) -> Option<Place> {
        let found = self.keys.binary_search_by(|known| in_order(&known.name, key)).ok()?;
        Some(self.keys[found].place)
    }

    /// Whether an element must be there.
    pub(super) fn requires(&self, place: Place) -> bool {
        self.required >> place.element & 1 == 1
    }

    /// Whether it is no type of its own, but what is nested in one.
    pub(super) fn is_nested(&self) -> bool {
        self.name.contains('.')
    }

    /// Whether its objects say their type themselves.
    pub(super) fn is_resource(&self) -> bool {
        self.kind != Kind::Complex
    }

    pub(super) fn element(&self, place: Place) -> &Element {
        &self.elements[usize::from(place.element)]
    }

    /// The choice that a key means which names none of its types.
    pub(super) fn choice_meant_by(&self, key: &str) -> Option<&Element> {
        self.elements.iter().find(|element| element.stem().is_some_and(|stem| key.starts_with(stem)))
    }
}

impl Element {
    /// The name of the only codes it takes.
    pub(super) fn set(&self) -> Option<&'static str> {
        self.closed_set
    }

    /// `value` of a choice `value[x]`.
    pub(super) fn stem(&self) -> Option<&'static str> {
        self.name.strip_suffix("[x]")
    }
}

impl CodeSet {
    /// More would be a wall, not a help.
    const FEW: usize = 16;

    pub(super) fn has(&self, code: &str) -> bool {
        self.0.contains(&code)
    }

    /// What may be given instead, in words.
    pub(super) fn in_words(&self) -> String {
        let shown = self.0.iter().take(Self::FEW).copied().collect::<Vec<_>>().join(", ");
        if self.0.len() > Self::FEW { format!("{shown} ... ({} in all)", self.0.len()) } else { shown }
    }
}

/// Reading the two files. Each error names its line.
impl Tables {
    fn read(release: &'static str, structures: &'static str, codes: &'static str) -> Result<Self, String> {
        let mut tables = Self { release, types: Vec::new(), by_name: HashMap::new(), code_sets: HashMap::new() };
        for line in rows(codes) {
            let (name, codes) = line.split_once('\t').ok_or_else(|| format!("no codes in {line:?}"))?;
            tables.code_sets.insert(name, CodeSet(codes.split(' ').collect()));
        }
        // The names first: elements speak of types that come later.
        for line in rows(structures).filter(|line| !line.starts_with('\t')) {
            tables.add_type(line)?;
        }
        let mut current = None;
        for line in rows(structures) {
            match line.strip_prefix('\t') {
                None => current = tables.by_name.get(line.split_once('\t').unwrap_or_default().1).copied(),
                Some(element) => {
                    let id = current.ok_or_else(|| format!("an element of no type: {element:?}"))?;
                    tables.add_element(id, element).ok_or_else(|| format!("unreadable element {element:?}"))?;
                }
            }
        }
        for found in &mut tables.types {
            found.keys.sort_by(|left, right| in_order(&left.name, &right.name));
        }
        Ok(tables)
    }

    fn add_type(&mut self, line: &'static str) -> Result<(), String> {
        let (kind, name) = line.split_once('\t').ok_or_else(|| format!("unreadable type {line:?}"))?;
        let kind = match kind {
            "resource" => Kind::Resource,
            "abstract" => Kind::Abstract,
            "complex" => Kind::Complex,
            "primitive" if Primitive::named(name).is_some() => return Ok(()),
            _ => return Err(format!("unknown type {line:?}")),
        };
        let rule = match name {
            "Extension" => Some(Rule::Extension),
            "Reference" => Some(Rule::Reference),
            "Task" => Some(Rule::Task),
            _ => None,
        };
        let id = TypeId(u16::try_from(self.types.len()).map_err(|_| "too many types".to_owned())?);
        self.types.push(Type { name, kind, rule, elements: Vec::new(), required: 0, keys: Vec::new() });
        self.by_name.insert(name, id);
        Ok(())
    }

    /// `name  min..max  types  value set  marks`
    fn add_element(&mut self, id: TypeId, line: &'static str) -> Option<()> {
        let mut columns = line.split('\t');
        let (name, count, types) = (columns.next()?, columns.next()?, columns.next()?);
        let (least, most) = count.split_once("..")?;
        let closed_set = columns.next().filter(|name| !name.is_empty());
        let marks = columns.next().unwrap_or_default();
        let (in_summary, is_modifier) = (marks.contains('Σ'), marks.contains("?!"));
        let element = Element { name, many: most == "*", closed_set, in_summary, is_modifier };
        let shapes = types.split(' ').map(|of| Some((of, self.shape(of)?))).collect::<Option<Vec<_>>>()?;

        let owner = &mut self.types[usize::from(id.0)];
        let number = u8::try_from(owner.elements.len()).ok().filter(|number| *number < 128)?;
        owner.required |= u128::from(least != "0") << number;
        owner.keys.extend(shapes.into_iter().map(|(of, shape)| {
            let name = element.stem().map_or_else(|| name.into(), |stem| choice_key(stem, of));
            Key { name, place: Place { element: number, shape } }
        }));
        owner.elements.push(element);
        Some(())
    }

    fn shape(&self, name: &str) -> Option<Shape> {
        if name == "Resource" {
            return Some(Shape::Resource);
        }
        let object = || self.by_name.get(name).copied().map(Shape::Object);
        Primitive::named(name).map(Shape::Primitive).or_else(object)
    }
}

/// How two keys of a type stand to each other.
fn in_order(left: &str, right: &str) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#'))
}

/// `valueDateTime` of a choice `value[x]` and its type `dateTime`.
fn choice_key(stem: &str, of: &str) -> Box<str> {
    let (first, rest) = of.split_at(1);
    format!("{stem}{}{rest}", first.to_ascii_uppercase()).into()
}
