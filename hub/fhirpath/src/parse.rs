//! Text to expression: words first, then operators by how strongly they bind.

use std::borrow::Cow;

use crate::functions;
use crate::moment::Moment;
use crate::syntax::{Expr, Fault, Node, OPERATORS, TYPE_OPERATORS_BIND, TypeName, TypeTest};
use crate::units;
use crate::value::{Item, Quantity, decimal};

/// An expression longer than this is no condition, but a program.
pub(crate) const LONGEST: usize = 16 * 1024;
/// No part stands in more brackets than this.
const DEEPEST: usize = 64;
/// No path or chain of operators is longer than this.
const HIGHEST: u16 = 256;

/// Words that open a library of CQL.
const CQL: [&str; 6] = ["library", "using", "define", "parameter", "codesystem", "valueset"];

pub(crate) fn parse(text: &str) -> Result<Expr, Fault> {
    if text.len() > LONGEST {
        return Err(Fault::syntax(1, format!("the expression is longer than {LONGEST} bytes")));
    }
    if is_cql(text) {
        return Err(Fault::syntax(1, "this is CQL, of which nothing is understood here: write it as FHIRPath"));
    }
    let tokens = Words { text, at: 0, line: 1 }.all()?;
    let mut parser = Parser { tokens, next: 0, depth: 0 };
    let expression = parser.expression(0)?;
    match parser.peek() {
        Word::End => Ok(expression),
        word => Err(parser.fault(format!("{} is not expected here", word.noun()))),
    }
}

/// Whether it begins as a library of CQL does: with one of its words, and a name after it.
fn is_cql(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_operator = OPERATORS.iter().any(|(word, ..)| *word == second) || second == "is" || second == "as";
    CQL.contains(&first) && !is_operator && second.starts_with(|c: char| c.is_alphabetic() || c == '"' || c == '\'')
}

// ---- words

#[derive(Debug, Clone, PartialEq)]
enum Word<'t> {
    Name(Cow<'t, str>),
    /// A name in backticks: never an operator.
    Quoted(String),
    Text(String),
    Number(&'t str),
    Moment(Moment),
    /// `%name`
    Variable(String),
    /// `$this`
    Dollar(&'t str),
    Symbol(&'static str),
    End,
}

impl Word<'_> {
    fn noun(&self) -> String {
        match self {
            Word::Name(name) => format!("'{name}'"),
            Word::Quoted(name) => format!("`{name}`"),
            Word::Text(_) => "a string".into(),
            Word::Number(number) => format!("the number {number}"),
            Word::Moment(_) => "a date or time".into(),
            Word::Variable(name) => format!("%{name}"),
            Word::Dollar(name) => format!("${name}"),
            Word::Symbol(symbol) => format!("'{symbol}'"),
            Word::End => "the end".into(),
        }
    }
}

#[derive(Debug)]
struct Token<'t> {
    word: Word<'t>,
    /// In characters, from 1.
    at: usize,
}

const SYMBOLS: [&str; 23] = [
    "<=", ">=", "!=", "!~", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "/", "&", "|", "<", ">", "=", "~",
    ";",
];

struct Words<'t> {
    text: &'t str,
    /// In bytes.
    at: usize,
    /// In characters, of the word at hand.
    line: usize,
}

impl<'t> Words<'t> {
    fn all(mut self) -> Result<Vec<Token<'t>>, Fault> {
        let mut tokens = Vec::new();
        loop {
            self.space()?;
            let at = self.line;
            let word = self.word()?;
            let is_end = word == Word::End;
            tokens.push(Token { word, at });
            if is_end {
                return Ok(tokens);
            }
        }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn takes(&mut self, bytes: usize) -> &'t str {
        let taken = &self.rest()[..bytes];
        self.at += bytes;
        self.line += taken.chars().count();
        taken
    }

    fn takes_while(&mut self, is_part: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        self.takes(rest.find(|c| !is_part(c)).unwrap_or(rest.len()))
    }

    fn fault<T>(&self, text: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::syntax(self.line, text))
    }

    /// Past blanks and comments.
    fn space(&mut self) -> Result<(), Fault> {
        loop {
            self.takes_while(char::is_whitespace);
            let rest = self.rest();
            if rest.starts_with("//") {
                self.takes_while(|c| c != '\n' && c != '\r');
            } else if let Some(comment) = rest.strip_prefix("/*") {
                match comment.find("*/") {
                    Some(end) => self.takes(end + 4),
                    None => return self.fault("a comment has no end"),
                };
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> Result<Word<'t>, Fault> {
        let Some(first) = self.rest().chars().next() else { return Ok(Word::End) };
        match first {
            'A'..='Z' | 'a'..='z' | '_' => Ok(Word::Name(self.takes_while(is_name).into())),
            '0'..='9' => Ok(Word::Number(self.number())),
            '\'' => self.quoted('\'').map(Word::Text),
            '`' => self.quoted('`').map(Word::Quoted),
            '@' => self.moment(),
            '%' => {
                self.takes(1);
                match self.rest().chars().next() {
                    Some('`') => self.quoted('`').map(Word::Variable),
                    Some('\'') => self.quoted('\'').map(Word::Variable),
                    Some(c) if is_name(c) => Ok(Word::Variable(self.takes_while(is_name).into())),
                    _ => self.fault("a name is missing after %"),
                }
            }
            '$' => {
                self.takes(1);
                Ok(Word::Dollar(self.takes_while(is_name)))
            }
            _ => match SYMBOLS.iter().find(|symbol| self.rest().starts_with(**symbol)) {
                Some(symbol) => {
                    self.takes(symbol.len());
                    Ok(Word::Symbol(symbol))
                }
                None => self.fault(format!("{first:?} has no meaning here")),
            },
        }
    }

    fn number(&mut self) -> &'t str {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let whole = digits(self.rest());
        let after = self.rest()[whole..].strip_prefix('.').map_or(0, digits);
        self.takes(if after > 0 { whole + 1 + after } else { whole })
    }

    fn quoted(&mut self, mark: char) -> Result<String, Fault> {
        let begin = self.line;
        self.takes(1);
        let mut text = String::new();
        loop {
            text.push_str(self.takes_while(|c| c != mark && c != '\\'));
            match self.rest().chars().next() {
                None => return Err(Fault::syntax(begin, format!("{mark} has no end"))),
                Some('\\') => text.push(self.escape()?),
                Some(_) => {
                    self.takes(1);
                    return Ok(text);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let escape = self.rest().chars().nth(1).unwrap_or(' ');
        let meant = match escape {
            '\\' | '/' | '\'' | '"' | '`' => escape,
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let hex = self.rest().get(2..6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                return match hex.and_then(char::from_u32) {
                    Some(meant) => {
                        self.takes(6);
                        Ok(meant)
                    }
                    None => self.fault("\\u takes four hexadecimal digits of a character"),
                };
            }
            _ => return self.fault(format!("\\{escape} is no escape")),
        };
        self.takes(2);
        Ok(meant)
    }

    fn moment(&mut self) -> Result<Word<'t>, Fault> {
        let begin = self.line;
        self.takes(1);
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '+' | 'T' | 'Z');
        // A point belongs to it between digits only: `@2015.is(Date)`.
        let mut end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let fraction = rest[end..].strip_prefix('.').filter(|more| more.starts_with(|c: char| c.is_ascii_digit()));
        if let (Some(more), true) = (fraction, rest[..end].contains(':')) {
            end += 1 + more.find(|c| !is_part(c)).unwrap_or(more.len());
        }
        let text = self.takes(end);
        let moment = match text.strip_prefix('T') {
            Some(time) => Moment::time(time),
            None if text.contains('T') => Moment::date_time(text),
            None => Moment::date(text),
        };
        moment.map(Word::Moment).ok_or_else(|| Fault::syntax(begin, "there is no such date or time"))
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

// ---- expressions

struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    next: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> &Word<'t> {
        &self.tokens[self.next].word
    }

    fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    /// The word at hand. The end stays at hand.
    fn takes(&mut self) -> Word<'t> {
        let word = self.tokens[self.next].word.clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        word
    }

    fn fault(&self, text: impl Into<String>) -> Fault {
        Fault::syntax(self.at(), text)
    }

    fn eats(&mut self, symbol: &str) -> bool {
        let is_it = matches!(self.peek(), Word::Symbol(next) if *next == symbol);
        if is_it {
            self.takes();
        }
        is_it
    }

    fn expects(&mut self, symbol: &str) -> Result<(), Fault> {
        if self.eats(symbol) {
            return Ok(());
        }
        Err(self.fault(format!("'{symbol}' is missing before {}", self.peek().noun())))
    }

    /// All that binds at least as strongly as `least`.
    fn expression(&mut self, least: u8) -> Result<Expr, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.fault(format!("more than {DEEPEST} brackets stand in one another")));
        }
        let mut left = self.operand()?;
        loop {
            let at = self.at();
            let name = match self.peek() {
                Word::Name(name) => name.as_ref(),
                Word::Symbol(symbol) => symbol,
                _ => break,
            };
            // Published search parameters ask `as` of many: the operator is `ofType` to us.
            let test = [("is", TypeTest::Is), ("as", TypeTest::OfType)].into_iter().find(|(word, _)| *word == name);
            if let Some((_, test)) = test.filter(|_| least <= TYPE_OPERATORS_BIND) {
                self.takes();
                let of = self.type_name()?;
                left = expr(at, Node::OfType(Some(left), test, of))?;
                continue;
            }
            let operator = OPERATORS.iter().find(|(word, ..)| *word == name);
            let Some((_, operator, binds)) = operator.filter(|(.., binds)| *binds >= least) else { break };
            self.takes();
            let right = self.expression(binds + 1)?;
            left = expr(at, Node::Binary(*operator, left, right))?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// A term with its sign.
    fn operand(&mut self) -> Result<Expr, Fault> {
        let at = self.at();
        // Many signs are no depth: they are told apart here.
        let mut negated = None;
        loop {
            if self.eats("-") {
                negated = Some(!negated.unwrap_or(false));
            } else if self.eats("+") {
                negated = negated.or(Some(false));
            } else {
                break;
            }
        }
        let term = self.term()?;
        if negated == Some(true) { expr(at, Node::Negated(term)) } else { Ok(term) }
    }

    /// A beginning, and the path from it.
    fn term(&mut self) -> Result<Expr, Fault> {
        let mut term = self.beginning()?;
        loop {
            let at = self.at();
            if self.eats(".") {
                term = self.step(Some(term))?;
            } else if self.eats("[") {
                let index = self.expression(0)?;
                self.expects("]")?;
                term = expr(at, Node::Indexed(term, index))?;
            } else {
                return Ok(term);
            }
        }
    }

    fn beginning(&mut self) -> Result<Expr, Fault> {
        let at = self.at();
        let literal = |item| expr(at, Node::Literal(item));
        match self.peek().clone() {
            Word::Symbol("(") => {
                self.takes();
                let inner = self.expression(0)?;
                self.expects(")")?;
                Ok(inner)
            }
            Word::Symbol("{") => {
                self.takes();
                self.expects("}")?;
                expr(at, Node::Empty)
            }
            Word::Name(name) if name == "true" || name == "false" => {
                self.takes();
                literal(Item::Boolean(name == "true"))
            }
            Word::Name(_) | Word::Quoted(_) | Word::Dollar(_) => self.step(None),
            Word::Text(text) => {
                self.takes();
                literal(Item::String(text.into()))
            }
            Word::Moment(moment) => {
                self.takes();
                literal(Item::Moment(moment))
            }
            Word::Variable(name) => {
                self.takes();
                expr(at, Node::Variable(name.into()))
            }
            Word::Number(number) => {
                self.takes();
                self.number(at, number)
            }
            word => Err(self.fault(format!("an operand is missing before {}", word.noun()))),
        }
    }

    /// A number, and the unit after it if there is one.
    fn number(&mut self, at: usize, text: &str) -> Result<Expr, Fault> {
        let too_long = || Fault::syntax(at, "the number has too many digits");
        let unit: Option<Cow<'static, str>> = match self.peek() {
            Word::Text(unit) => Some(unit.clone().into()),
            Word::Name(word) => units::word(word).map(Cow::Borrowed),
            _ => None,
        };
        if let Some(unit) = unit {
            self.takes();
            let value = decimal(text).ok_or_else(too_long)?;
            return expr(at, Node::Literal(Item::Quantity(Quantity { value, unit })));
        }
        let item =
            if text.contains('.') { decimal(text).map(Item::Decimal) } else { text.parse().ok().map(Item::Integer) };
        expr(at, Node::Literal(item.ok_or_else(too_long)?))
    }

    /// A member, a function or a `$` word, of what stands before the point or of what is at hand.
    fn step(&mut self, focus: Option<Expr>) -> Result<Expr, Fault> {
        let at = self.at();
        let name: Cow<'t, str> = match self.takes() {
            Word::Name(name) => name,
            Word::Quoted(name) => return expr(at, Node::Member(focus, name.into())),
            Word::Dollar(name) => {
                let node = match name {
                    "this" => Node::This,
                    "index" => Node::Index,
                    "total" => Node::Total,
                    _ => return Err(Fault::syntax(at, format!("${name} is not known"))),
                };
                return match focus {
                    None => expr(at, node),
                    Some(_) => Err(Fault::syntax(at, format!("${name} cannot follow a point"))),
                };
            }
            word => return Err(Fault::syntax(at, format!("a name is missing before {}", word.noun()))),
        };
        if !self.eats("(") {
            return expr(at, Node::Member(focus, name.into()));
        }
        let test = [("is", TypeTest::Is), ("as", TypeTest::As), ("ofType", TypeTest::OfType)];
        if let Some((_, test)) = test.into_iter().find(|(word, _)| *word == name) {
            let of = self.type_name()?;
            self.expects(")")?;
            return expr(at, Node::OfType(focus, test, of));
        }
        let Some(function) = functions::named(&name) else {
            return Err(Fault::syntax(at, format!("the function {name}() is not known")));
        };
        let mut arguments = Vec::new();
        if !self.eats(")") {
            loop {
                arguments.push(self.expression(0)?);
                if !self.eats(",") {
                    break;
                }
            }
            self.expects(")")?;
        }
        if !function.arguments.contains(&arguments.len()) {
            let (least, most) = (function.arguments.start(), function.arguments.end());
            let many = if least == most { format!("{least}") } else { format!("{least} to {most}") };
            let text = format!("{name}() takes {many} arguments, and not {}", arguments.len());
            return Err(Fault::syntax(at, text));
        }
        expr(at, Node::Call(focus, function, arguments))
    }

    fn type_name(&mut self) -> Result<TypeName, Fault> {
        let at = self.at();
        let mut names = vec![self.type_part()?];
        while self.eats(".") {
            names.push(self.type_part()?);
        }
        match <[Box<str>; 2]>::try_from(names) {
            Ok([namespace, name]) => Ok(TypeName { at, namespace: Some(namespace), name }),
            Err(mut one) if one.len() == 1 => Ok(TypeName { at, namespace: None, name: one.remove(0) }),
            Err(_) => Err(Fault::syntax(at, "a type is named by one word, or by a namespace and a word")),
        }
    }

    fn type_part(&mut self) -> Result<Box<str>, Fault> {
        let at = self.at();
        match self.takes() {
            Word::Name(name) => Ok(name.into()),
            Word::Quoted(name) => Ok(name.into()),
            word => Err(Fault::syntax(at, format!("the name of a type is missing before {}", word.noun()))),
        }
    }
}

/// One part more on top of others: whoever works it out calls himself as deep as they are high.
fn expr(at: usize, node: Node) -> Result<Expr, Fault> {
    let below = match &node {
        Node::Literal(_) | Node::Empty | Node::Variable(_) | Node::This | Node::Index | Node::Total => 0,
        Node::Member(focus, _) | Node::OfType(focus, ..) => focus.as_ref().map_or(0, |focus| focus.height),
        Node::Call(focus, _, arguments) => focus.iter().chain(arguments).map(|part| part.height).max().unwrap_or(0),
        Node::Negated(of) => of.height,
        Node::Indexed(left, right) | Node::Binary(_, left, right) => left.height.max(right.height),
    };
    if below >= HIGHEST {
        return Err(Fault::syntax(at, format!("more than {HIGHEST} steps build on one another")));
    }
    Ok(Expr { at, height: below + 1, node: Box::new(node) })
}
