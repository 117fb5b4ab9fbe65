//! What a file may name: rules of its own, functions that compute, what is asked (`input`) and who is on call
//! (`data.oncalls`). All else is refused when it is loaded, with its line, also where no question would reach it: regorus
//! finds an unknown function only when it calls it, and takes what is misspelt for undefined, so that `not` of it is true.

use std::collections::BTreeSet;

use regorus::unstable::{BUILTINS, Expr, Literal, Module, Parser, Query, Ref, Rule, RuleHead, Source, Span};

use crate::PACKAGE;
use crate::file::told;
use crate::rota::{FIELDS, ONCALLS};

/// The line, and what is wrong.
type Problem = (Option<u32>, String);

/// Functions whose answer is another one tomorrow, or on another machine: by the beginning of their names.
const UNSTEADY: [&str; 6] = ["http.", "io.", "net.", "opa.", "rand.", "time."];

/// A text that names nothing that it may not.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What is evaluated: who is on call is handed in as a part of the input, because data that changes with each question
    /// would have all of it analysed anew each time.
    pub text: String,
    /// The fields of `input` that it names anywhere.
    pub fields: BTreeSet<String>,
}

/// Checks `text`, in which `rule` is asked.
pub(crate) fn check(name: &str, text: &str, rule: &str) -> Result<Checked, Problem> {
    let told = |error: String| told(name, &error);
    let source = Source::from_contents(name.to_string(), text.to_string());
    let source = source.map_err(|error| told(error.to_string()))?;
    let mut parser = Parser::new(&source).map_err(|error| told(error.to_string()))?;
    parser.enable_rego_v1().map_err(|error| told(error.to_string()))?;
    let module = parser.parse().map_err(|error| {
        let (line, text) = told(error.to_string());
        let is_old = text.contains("`if` keyword is required");
        (
            line,
            if is_old {
                format!("{text}; this is Rego v1, as OPA 1.0 has it (opa fmt --v0-v1)")
            } else {
                text
            },
        )
    })?;
    let mut walk = Walk::default();
    walk.package(&module)?;
    walk.heads(&module)?;
    if !walk.rules.contains(rule) {
        return Err((None, format!("it has no rule `{rule}`, which `query` names")));
    }
    walk.imports(&module)?;
    for rule in &module.policy {
        walk.rule(rule)?;
    }
    Ok(Checked { text: handed_in(text, &walk.oncalls), fields: walk.fields })
}

/// `data` replaced by `input` at each of these offsets.
fn handed_in(text: &str, places: &[usize]) -> String {
    let mut places = places.to_vec();
    places.sort_unstable();
    places.dedup();
    let (mut evaluated, mut from) = (String::with_capacity(text.len() + places.len()), 0);
    for place in places {
        evaluated.push_str(text.get(from..place).unwrap_or_default());
        evaluated.push_str("input");
        from = place + DATA.len();
    }
    evaluated.push_str(text.get(from..).unwrap_or_default());
    evaluated
}

const DATA: &str = "data";

#[derive(Debug, Default)]
struct Walk {
    /// Rules of the file that have a value.
    rules: BTreeSet<String>,
    /// Its functions.
    functions: BTreeSet<String>,
    /// Where `data` stands before `.oncalls`.
    oncalls: Vec<usize>,
    /// The fields of `input` that it names.
    fields: BTreeSet<String>,
}

fn at(span: &Span, text: impl Into<String>) -> Problem {
    (Some(span.line), text.into())
}

impl Walk {
    fn package(&self, module: &Module) -> Result<(), Problem> {
        let (base, path) = parts(&module.package.refr);
        let name = base.map(Span::text).unwrap_or_default();
        if name == PACKAGE && path.is_empty() {
            return Ok(());
        }
        Err(at(&module.package.span, format!("write `package {PACKAGE}`: it is the only one that is asked")))
    }

    /// What the rules are called.
    fn heads(&mut self, module: &Module) -> Result<(), Problem> {
        for rule in &module.policy {
            let (refr, is_function) = match rule.as_ref() {
                Rule::Default { refr, args, .. } => (refr, !args.is_empty()),
                Rule::Spec { head: RuleHead::Func { refr, .. }, .. } => (refr, true),
                Rule::Spec { head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. }, .. } => {
                    (refr, false)
                }
            };
            let (Some(base), path) = parts(refr) else {
                return Err(at(rule.span(), "the name of this rule is not understood"));
            };
            let name = base.text().to_string();
            if [DATA, "input"].contains(&name.as_str()) {
                return Err(at(base, format!("no rule may be called `{name}`")));
            }
            match is_function {
                // `a.b(x)` is called by its whole name.
                true => self.functions.insert(dotted(&name, &path)),
                false => self.rules.insert(name),
            };
        }
        Ok(())
    }

    fn imports(&mut self, module: &Module) -> Result<(), Problem> {
        for import in &module.imports {
            let (base, path) = parts(&import.refr);
            let words = base.map(|base| dotted(base.text(), &path)).unwrap_or_default();
            if words == "rego.v1" || words.starts_with("future.keywords") {
                continue;
            }
            let is_path = words.starts_with("input.") || words.starts_with("data.oncalls");
            if !is_path {
                let text = format!("`import {words}`: it may import rego.v1, input.NAME and data.oncalls");
                return Err(at(&import.span, text));
            }
            self.expr(&import.refr)?;
        }
        Ok(())
    }

    fn rule(&mut self, rule: &Rule) -> Result<(), Problem> {
        match rule {
            Rule::Default { args, value, .. } => {
                self.all(args)?;
                self.expr(value)
            }
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        self.head(refr)?;
                        assign.iter().try_for_each(|assign| self.expr(&assign.value))?;
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.head(refr)?;
                        self.all(key)?;
                    }
                    RuleHead::Func { args, assign, .. } => {
                        self.all(args)?;
                        assign.iter().try_for_each(|assign| self.expr(&assign.value))?;
                    }
                }
                for body in bodies {
                    body.assign.iter().try_for_each(|assign| self.expr(&assign.value))?;
                    self.query(&body.query)?;
                }
                Ok(())
            }
        }
    }

    /// What stands in brackets in the name of a rule.
    fn head(&mut self, refr: &Ref<Expr>) -> Result<(), Problem> {
        match refr.as_ref() {
            Expr::RefBrack { refr, index, .. } => {
                self.expr(index)?;
                self.head(refr)
            }
            Expr::RefDot { refr, .. } => self.head(refr),
            _ => Ok(()),
        }
    }

    fn query(&mut self, query: &Query) -> Result<(), Problem> {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    self.all(key)?;
                    self.expr(value)?;
                    self.expr(collection)?;
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr)?,
                Literal::Every { domain, query, .. } => {
                    self.expr(domain)?;
                    self.query(query)?;
                }
            }
            if let Some(with) = statement.with_mods.first() {
                return Err(at(&with.span, "`with` asks about another shift than the one that is judged"));
            }
        }
        Ok(())
    }

    fn all<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Ref<Expr>>) -> Result<(), Problem> {
        exprs.into_iter().try_for_each(|expr| self.expr(expr))
    }

    fn expr(&mut self, expr: &Ref<Expr>) -> Result<(), Problem> {
        match expr.as_ref() {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => Ok(()),
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr),
            Expr::Array { items, .. } | Expr::Set { items, .. } => self.all(items),
            Expr::Object { fields, .. } => {
                fields.iter().try_for_each(|(_, key, value)| self.all([key, value]))
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expr(term)?;
                self.query(query)
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.all([key, value])?;
                self.query(query)
            }
            Expr::Call { fcn, params, span, .. } => {
                self.function(fcn, span)?;
                self.all(params)
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => self.all([lhs, rhs]),
            Expr::Membership { key, value, collection, .. } => {
                self.all(key)?;
                self.all([value, collection])
            }
        }
    }

    /// A function that computes: one of the file's own, or one that has the same answer everywhere and always.
    fn function(&self, fcn: &Ref<Expr>, span: &Span) -> Result<(), Problem> {
        let (base, path) = parts(fcn);
        let name = base.map(|base| dotted(base.text(), &path)).unwrap_or_default();
        let own = name.strip_prefix("data.").and_then(|own| own.strip_prefix(PACKAGE)?.strip_prefix('.'));
        if self.functions.contains(own.unwrap_or(&name)) {
            return Ok(());
        }
        if UNSTEADY.iter().any(|beginning| name.starts_with(beginning)) {
            let text =
                "a verdict hangs on the shift alone; who is on call is in data.oncalls, when in input.start";
            return Err(at(span, format!("`{name}`: {text}")));
        }
        if name == "print" || BUILTINS.contains_key(name.as_str()) {
            return Ok(());
        }
        Err(at(span, format!("no function is called `{name}`")))
    }

    /// A name, and what follows it.
    fn reference(&mut self, expr: &Ref<Expr>) -> Result<(), Problem> {
        let mut link = expr;
        loop {
            match link.as_ref() {
                Expr::RefDot { refr, .. } => link = refr,
                Expr::RefBrack { refr, index, .. } => {
                    self.expr(index)?;
                    link = refr;
                }
                Expr::Var { .. } => break,
                _ => return self.expr(link),
            }
        }
        let (Some(base), path) = parts(expr) else { return Ok(()) };
        let first = path.first().map(String::as_str);
        match base.text() {
            "input" => match first {
                Some(field) if FIELDS.contains(&field) => {
                    self.fields.insert(field.to_string());
                    Ok(())
                }
                Some(field) => {
                    Err(at(base, format!("`input` has no `{field}`; it has {}", FIELDS.join(", "))))
                }
                None => Err(at(base, format!("write input.NAME: one of {}", FIELDS.join(", ")))),
            },
            DATA if first == Some(ONCALLS) => {
                self.oncalls.extend(usize::try_from(base.start));
                Ok(())
            }
            DATA if first == Some(PACKAGE) => match path.get(1) {
                Some(rule) if self.rules.contains(rule) => Ok(()),
                Some(rule) => Err(at(base, format!("it has no rule `{rule}`"))),
                None => Err(at(base, format!("write data.{PACKAGE}.NAME"))),
            },
            DATA => {
                let what = dotted(DATA, &path);
                Err(at(base, format!("`{what}`: there is data.oncalls, and nothing else")))
            }
            _ => Ok(()),
        }
    }
}

fn dotted(base: &str, path: &[String]) -> String {
    std::iter::once(base).chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(".")
}

/// The name that a reference begins with, and the names that follow as far as they are written out.
fn parts(expr: &Ref<Expr>) -> (Option<&Span>, Vec<String>) {
    let (mut link, mut path) = (expr, Vec::new());
    loop {
        match link.as_ref() {
            Expr::RefDot { refr, field, .. } => {
                path.push(Some(field.0.text().to_string()));
                link = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                let text = match index.as_ref() {
                    Expr::String { value, .. } | Expr::RawString { value, .. } => value.as_string().ok(),
                    _ => None,
                };
                path.push(text.map(|text| text.to_string()));
                link = refr;
            }
            Expr::Var { span, .. } => {
                let written: Vec<String> = path.into_iter().rev().map_while(|name| name).collect();
                return (Some(span), written);
            }
            _ => return (None, Vec::new()),
        }
    }
}
