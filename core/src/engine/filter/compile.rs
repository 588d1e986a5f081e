//! The tree into a condition on the rows of an alias.

use sea_orm::{
    Condition, DbBackend,
    sea_query::{Alias, BinOper, DynIden, Expr, ExprTrait, Func, Query, SelectStatement},
};

use chrono::{DateTime, Utc};

use super::{
    Any, Call, Check, Filter, Function, Literal,
    call::Asked,
    case,
    money::Columns,
    value::{Wrong, bind, plain},
};
use crate::{
    context::Context,
    engine::{
        Field, FieldType, Shape,
        custom::CUSTOM,
        past::{By, rows},
        relation::{Referring, Relation, referring, relation, relations},
        selection,
        visible::beneath,
        within,
    },
    error::{Code, Error, Result, Violation, unknown},
};

/// The filter as a condition on the rows of `alias`, a table or alias of the kind `shape`. It says nothing of what the
/// actor may see of that kind ([`visible`](crate::engine::visible) does); of related kinds it reaches only what they
/// may see.
///
/// # Errors
/// `Malformed` with every condition that names an unknown field or a value the field cannot have.
pub fn compile(cx: &Context, shape: &Shape, filter: &Filter, alias: DynIden) -> Result<Condition> {
    compile_at(cx, shape, filter, alias, cx.now())
}

/// The same as of the moment that `now()` is.
///
/// # Errors
/// As [`compile`].
pub fn compile_at(
    cx: &Context,
    shape: &Shape,
    filter: &Filter,
    alias: DynIden,
    now: DateTime<Utc>,
) -> Result<Condition> {
    filter.within_budget("filter")?;
    let mut compiler = Compiler { cx, asked: Asked { cx, now }, broken: Vec::new() };
    let condition = compiler.filter(&Place { shape, alias, depth: 0, negated: false }, filter);
    if compiler.broken.is_empty() { Ok(condition) } else { Err(Error::Malformed(compiler.broken)) }
}

/// Whose rows a condition is about.
pub(super) struct Place<'a> {
    pub shape: &'a Shape,
    pub alias: DynIden,
    /// Relations followed to come here.
    pub depth: usize,
    /// Under a `NOT` within this statement, where null must count as false before it is negated.
    pub negated: bool,
}

impl Place<'_> {
    pub fn column(&self, field: &Field, n: usize) -> Result<Expr, Wrong> {
        let column = field.columns.get(n).and_then(|i| self.shape.columns.get(*i));
        let name = column.map(|column| Alias::new(column.name.as_str()));
        let name = name.ok_or_else(|| (Code::UnknownField, format!("`{}` has no column", field.name)))?;
        Ok(Expr::col((self.alias.clone(), name)))
    }

    pub fn id(&self) -> Expr {
        Expr::col((self.alias.clone(), Alias::new("id")))
    }
}

pub(super) struct Compiler<'a> {
    pub cx: &'a Context,
    asked: Asked<'a>,
    broken: Vec<Violation>,
}

impl Compiler<'_> {
    fn filter(&mut self, place: &Place<'_>, filter: &Filter) -> Condition {
        match filter {
            Filter::And(none) | Filter::Or(none) if none.is_empty() => {
                let detail = "`and` and `or` need a condition";
                self.broken.push(Violation::parameter("filter", Code::FilterSyntax, detail));
                Condition::all()
            }
            Filter::And(all) => all.iter().fold(Condition::all(), |sum, one| sum.add(self.filter(place, one))),
            Filter::Or(any) => any.iter().fold(Condition::any(), |sum, one| sum.add(self.filter(place, one))),
            Filter::Not(inner) => {
                let place = Place { alias: place.alias.clone(), negated: true, ..*place };
                self.filter(&place, inner).not()
            }
            Filter::Any(any) => {
                let path: Vec<&str> = any.relation.split('.').collect();
                self.many(place, &path, any).unwrap_or_else(|(code, detail)| {
                    self.broken.push(any.violation(code, &detail));
                    Condition::all()
                })
            }
            Filter::Test(test) => {
                let path: Vec<&str> = test.field.split('.').collect();
                self.path(place, &path, &test.check).unwrap_or_else(|wrong| {
                    self.broken.push(test.violation(wrong.0, &wrong.1));
                    Condition::all()
                })
            }
        }
    }

    pub fn path(&mut self, place: &Place<'_>, path: &[&str], check: &Check) -> Result<Condition, Wrong> {
        let (name, rest) = path.split_first().map_or(("", path), |(name, rest)| (*name, rest));
        match (place.shape.field(name), rest) {
            (Some(_), [key, rest @ ..]) if name == CUSTOM => return self.own(place, key, rest, check),
            (Some(field), []) => return self.leaf(place, field, check).map(|leaf| Condition::all().add(leaf)),
            (Some(field), ["currency"]) if field.kind == FieldType::Money => {
                let leaf = self.plain(&FieldType::Currency, place.column(field, 1)?, check)?;
                return Ok(Condition::all().add(settled(place, field, check, leaf)));
            }
            (Some(field), _) if field.kind == FieldType::Money => {
                return Err((Code::UnknownField, format!("money has only `{name}.currency` beside itself")));
            }
            _ => {}
        }
        let Some(relation) = relation(self.cx, place.shape, name) else { return Err(self.missing(place, name)) };
        if rest.is_empty() {
            let detail = format!("is a relation; name one of its fields, or `{}`", relation.id.name);
            return Err((Code::UnknownField, detail));
        }
        self.beyond(place, &relation, rest, check)
    }

    /// The rest of a path, over a relation. A path is null where a step is: no such record with a value there.
    pub fn beyond(
        &mut self,
        place: &Place<'_>,
        relation: &Relation<'_>,
        rest: &[&str],
        check: &Check,
    ) -> Result<Condition, Wrong> {
        match check {
            Check::IsNull => {
                Ok(self.follow(place, relation, |this, there| this.path(there, rest, &Check::IsNotNull))?.not())
            }
            _ => self.follow(place, relation, |this, there| this.path(there, rest, check)),
        }
    }

    /// A record that refers to this one exists for which the filter holds; before the last name of the path, the record
    /// it is about is another.
    fn many(&mut self, place: &Place<'_>, path: &[&str], any: &Any) -> Result<Condition, Wrong> {
        if let [name, rest @ ..] = path
            && !rest.is_empty()
        {
            let relation = relation(self.cx, place.shape, name).ok_or_else(|| self.missing(place, name))?;
            return self.follow(place, &relation, |this, there| this.many(there, rest, any));
        }
        let name = path.first().copied().unwrap_or_default();
        let all = referring(self.cx, place.shape);
        let Some(found) = all.iter().find(|referring| referring.name == name) else {
            return Err(nobody_refers(place.shape, name, &all));
        };
        let there = Self::step(place, found.shape)?;
        let mut refers = self.refers(&there, &found.relation, place.id())?;
        if let Some(kind) = found.relation.kind {
            refers = refers.and(there.column(kind, 0)?.eq(&*place.shape.name));
        }
        let condition = self.filter(&there, &any.filter);
        Ok(Condition::all().add(self.exists(&there, By::Any, refers, condition)))
    }

    /// A related record exists for which `inner` holds. Where it may be of several kinds, those that lack the field do
    /// not count, unless all do.
    fn follow(
        &mut self,
        at: &Place<'_>,
        relation: &Relation<'_>,
        inner: impl Fn(&mut Self, &Place<'_>) -> Result<Condition, Wrong>,
    ) -> Result<Condition, Wrong> {
        let mut any = Condition::any();
        let mut wrong = None;
        for target in &relation.targets {
            let there = Self::step(at, target)?;
            let condition = match inner(self, &there) {
                Ok(condition) => condition,
                Err(found) => {
                    wrong.get_or_insert(found);
                    continue;
                }
            };
            if let Some(field) = relation.key.filter(|_| self.cx.known_at.is_none()) {
                any = any.add(self.refers_among(at, field, self.found(&there, By::Any, condition)));
                continue;
            }
            let id = there.id().eq(match relation.key {
                Some(field) => field.target(self.cx.backend(), &at.alias),
                None => at.column(relation.id, 0)?,
            });
            let mut one = Condition::all().add(self.exists(&there, By::Id, id, condition));
            if let Some(kind) = relation.kind {
                one = one.add(at.column(kind, 0)?.eq(&*target.name));
            }
            any = any.add(one);
        }
        match wrong {
            Some(wrong) if any.is_empty() => Err(wrong),
            _ => Ok(any),
        }
    }

    /// One relation further, at records of `target`.
    fn step<'t>(at: &Place<'_>, target: &'t Shape) -> Result<Place<'t>, Wrong> {
        if at.depth == selection::MAX_DEPTH {
            return Err((Code::QueryTooExpensive, format!("follows more than {} relations", selection::MAX_DEPTH)));
        }
        Ok(Place { shape: target, alias: beneath(&at.alias), depth: at.depth + 1, negated: false })
    }

    /// A record that the actor may see is there.
    fn exists(&self, there: &Place<'_>, by: By, linked: Expr, condition: Condition) -> Expr {
        Expr::exists(self.found(there, by, Condition::all().add(linked).add(condition)))
    }

    /// The ids of those that the actor may see.
    fn found(&self, there: &Place<'_>, by: By, condition: Condition) -> SelectStatement {
        Query::select()
            .expr(there.id())
            .from(rows(self.cx, there.shape, there.alias.clone(), by))
            .cond_where(within(self.cx, there.shape, there.alias.clone()).add(condition))
            .take()
    }

    fn leaf(&self, place: &Place<'_>, field: &Field, check: &Check) -> Result<Expr, Wrong> {
        let leaf = match field.kind {
            FieldType::Money => {
                Columns { minor: place.column(field, 0)?, currency: place.column(field, 1)? }.check(check)?
            }
            _ => self.plain(&field.kind, place.column(field, 0)?, check)?,
        };
        Ok(settled(place, field, check, leaf))
    }

    pub fn plain(&self, kind: &FieldType, column: Expr, check: &Check) -> Result<Expr, Wrong> {
        let bind = |literal| bind(self.asked, kind, literal);
        let compare = |column: Expr, operator, literal| Ok(column.binary(operator, Expr::val(bind(literal)?)));
        match check {
            Check::IsNull => Ok(column.is_null()),
            Check::IsNotNull => Ok(column.is_not_null()),
            _ if *kind == FieldType::Json => Err((Code::WrongType, "holds JSON; only IS NULL can be asked".to_owned())),
            Check::Has(Literal::Text(part)) if is_text(kind) => Ok(self.position(kind, column, part)?.gt(0)),
            Check::Eq(literal) | Check::Has(literal) => compare(column, BinOper::Equal, literal),
            Check::Ne(literal) => compare(column, BinOper::NotEqual, literal),
            Check::In(literals) => {
                let team =
                    |literal: &&Literal| matches!(literal, Literal::Call(Call { function: Function::MyTeam, .. }));
                let (team, plain): (Vec<_>, Vec<_>) = literals.iter().partition(team);
                let among = (!team.is_empty()).then(|| self.asked.in_team(&column, kind)).transpose()?;
                let values = plain.into_iter().map(bind).collect::<Result<Vec<_>, _>>()?;
                Ok(match among {
                    None => column.is_in(values),
                    Some(among) if values.is_empty() => among,
                    Some(among) => column.is_in(values).or(among),
                })
            }
            Check::Contains(part) => self.position(kind, column, part).map(|position| position.gt(0)),
            Check::StartsWith(part) => self.position(kind, column, part).map(|position| position.eq(1)),
            _ if matches!(kind, FieldType::Boolean | FieldType::Choice(_)) => {
                Err((Code::WrongType, "has no order; only =, !=, IN and IS NULL can be asked".to_owned()))
            }
            Check::Lt(literal) => compare(column, BinOper::SmallerThan, literal),
            Check::Lte(literal) => compare(column, BinOper::SmallerThanOrEqual, literal),
            Check::Gt(literal) => compare(column, BinOper::GreaterThan, literal),
            Check::Gte(literal) => compare(column, BinOper::GreaterThanOrEqual, literal),
            Check::Between([low, high]) => Ok(column.between(bind(low)?, bind(high)?)),
        }
    }

    /// Where `part` begins in the text, from 1; 0 where it does not, in either case. `lower` of SQLite, and of PostgreSQL
    /// under the collation "C", changes ASCII letters only: the same on both.
    fn position(&self, kind: &FieldType, column: Expr, part: &str) -> Result<Expr, Wrong> {
        if !is_text(kind) {
            return Err((Code::WrongType, "is not a text".to_owned()));
        }
        let part = case::folded(plain(part)?);
        let letters = case::counterparts(&part);
        if letters.len() > case::MOST {
            let detail = format!("looks for more than {} different letters beyond ASCII", case::MOST);
            return Err((Code::QueryTooExpensive, detail));
        }
        let (lower, name) = match self.cx.backend() {
            DbBackend::Postgres => (Expr::cust_with_exprs(r#"lower($1 COLLATE "C")"#, [column]), "strpos"),
            _ => (Func::lower(column).into(), "instr"),
        };
        Ok(Func::cust(Alias::new(name)).arg(case::replaced(lower, &letters)).arg(Expr::val(part)).into())
    }

    fn missing(&self, place: &Place<'_>, name: &str) -> Wrong {
        let fields = place.shape.field_names().chain(place.shape.custom.names());
        let names: Vec<&str> = fields.chain(relations(self.cx, place.shape).map(|relation| relation.name)).collect();
        let of = if place.depth > 0 { format!(" of {}", place.shape.name) } else { String::new() };
        (Code::UnknownField, format!("{}{of}", unknown("field", name, names)))
    }
}

fn is_text(kind: &FieldType) -> bool {
    matches!(kind, FieldType::Text | FieldType::Email | FieldType::Phone | FieldType::Url)
}

fn nobody_refers(shape: &Shape, name: &str, all: &[Referring<'_>]) -> Wrong {
    let names: Vec<&str> = all.iter().map(|referring| referring.name.as_str()).collect();
    let what = format!("relation to {}", shape.plural);
    let there = if names.is_empty() { String::new() } else { format!(" (there are {})", names.join(", ")) };
    (Code::UnknownField, format!("{}{there}", unknown(&what, name, names.iter().copied())))
}

/// Null is false; only a `NOT` above can tell.
pub(super) fn settled(place: &Place<'_>, field: &Field, check: &Check, leaf: Expr) -> Expr {
    let may_be_null = field.nullable && !matches!(check, Check::IsNull | Check::IsNotNull);
    if place.negated && may_be_null { Func::coalesce([leaf, Expr::val(false)]).into() } else { leaf }
}
