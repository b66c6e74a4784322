//! All checks of a request in their order, run against one response, with the texts of Gatling's
//! `Check.scala`. All of them run even after a failure; the first failure is the message.

use std::borrow::Cow;

use super::transform::Transform;
use super::validate::Validator;
use super::{
    Arity, CheckSpec, Extractor, ExtractorSpec, Failure, Kind, Prepared, ResponseView, Scope,
    Texts, extractor, find,
};
use crate::expr::{Compiled, EvalCtx};
use crate::session::Session;
use crate::value::Value;

/// The status that has no body to look at.
const NOT_MODIFIED: u16 = 304;

/// The checks of one request, ready to run, in Gatling's order.
#[derive(Debug)]
pub struct CompiledChecks {
    checks: Vec<Check>,
    /// Some check may end the processing of the response, and what was saved must be undone.
    may_be_fatal: bool,
}

#[derive(Debug)]
struct Check {
    extractor: Box<dyn Extractor>,
    scope: Scope,
    arity: Arity,
    transforms: Vec<Transform>,
    validator: Validator,
    /// Of the value that is validated.
    kind: Kind,
    hidden: bool,
    save_as: Option<std::sync::Arc<str>>,
    name: Option<String>,
    condition: Option<Compiled>,
}

impl CompiledChecks {
    /// With the implicit status check where neither list has a status check.
    ///
    /// # Errors
    /// A pattern that cannot be compiled; names the check and the reason.
    pub fn compile(request: &[CheckSpec], protocol: &[CheckSpec]) -> Result<Self, String> {
        let specs = request.iter().chain(protocol);
        let has_status = specs.clone().any(|spec| matches!(spec.extractor, ExtractorSpec::Status));
        let mut checks = specs.map(Check::new).collect::<Result<Vec<_>, _>>()?;
        if !has_status {
            checks.push(Check::success()?);
        }
        // Stable: within a scope the request's come first, in order of declaration.
        checks.sort_by_key(|check| check.scope);
        let may_be_fatal = checks.iter().any(|check| check.extractor.may_be_fatal());
        Ok(Self { checks, may_be_fatal })
    }

    /// Of a message that is a body and nothing else: in the order of declaration.
    ///
    /// # Errors
    /// As [`Self::compile`], and a check of what a message does not have.
    pub fn of_message(specs: &[CheckSpec]) -> Result<Self, String> {
        let checks = specs.iter().map(Check::new).collect::<Result<Vec<_>, _>>()?;
        if checks.iter().any(|check| check.scope != Scope::Body) {
            return Err("a message has a body alone: no status, header, url or response time to \
                        check"
                .to_owned());
        }
        let may_be_fatal = checks.iter().any(|check| check.extractor.may_be_fatal());
        Ok(Self { checks, may_be_fatal })
    }

    /// Whether any check looks at the body: where not, it need not be kept.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        self.checks.iter().any(|check| check.scope == Scope::Body)
    }

    /// Runs all checks; those that succeed save into the session. Does not touch its status.
    ///
    /// # Errors
    /// The text of the first failure.
    pub fn run(
        &self,
        response: &dyn ResponseView,
        session: &mut Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<(), String> {
        self.run_observed(response, session, ctx, None)
    }

    /// The same, telling of each check what came of it.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_observed(
        &self,
        response: &dyn ResponseView,
        session: &mut Session,
        ctx: &mut EvalCtx<'_>,
        mut observer: Option<&mut dyn FnMut(Checked)>,
    ) -> Result<(), String> {
        let prepared = Prepared::new(response);
        let before = self.may_be_fatal.then(|| session.clone());
        let without_body = response.status() == Some(NOT_MODIFIED);
        let mut first = Ok(());
        for check in &self.checks {
            if without_body && check.scope == Scope::Body {
                continue;
            }
            let name = observer.is_some().then(|| check.described(session, ctx));
            let outcome = check.run(&prepared, session, ctx);
            if let (Some(observer), Some(name)) = (&mut observer, name) {
                observer(Checked { name, outcome: check.seen(&outcome, session) });
            }
            match outcome {
                Ok(_) => {}
                Err(Ko::Message(message)) => first = first.and(Err(message)),
                Err(Ko::Fatal(message)) => {
                    if let Some(before) = before {
                        *session = before;
                    }
                    return Err(message);
                }
            }
        }
        first
    }
}

/// What came of one check, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// `jsonPath($.token).find.exists`
    pub name: String,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed {
        /// Attribute and value, where it saves one.
        saved: Option<(String, String)>,
    },
    /// Its condition did not hold.
    Skipped,
    Failed(String),
}

/// Whether a check ran.
enum Ran {
    Yes,
    /// Its condition did not hold.
    No,
}

enum Ko {
    Message(String),
    Fatal(String),
}

impl Check {
    fn new(spec: &CheckSpec) -> Result<Self, String> {
        let extractor = extractor(&spec.extractor)?;
        let transforms =
            spec.transforms.iter().map(Transform::new).collect::<Result<Vec<_>, _>>()?;
        let found = find::kind(spec.arity, extractor.kind());
        let kind = transforms.iter().fold(found, |kind, transform| transform.kind(kind));
        Ok(Self {
            scope: extractor.scope(),
            hidden: extractor.hides_value() || !spec.log_actual,
            extractor,
            arity: spec.arity,
            transforms,
            validator: Validator::new(&spec.validator)?,
            kind,
            save_as: spec.save_as.as_deref().map(Into::into),
            name: spec.name.clone(),
            condition: spec.condition.as_ref().map(Compiled::new).transpose()?,
        })
    }

    /// The implicit check of the status.
    fn success() -> Result<Self, String> {
        let spec = CheckSpec {
            extractor: ExtractorSpec::Status,
            arity: Arity::default(),
            transforms: Vec::new(),
            validator: super::Validator::default(),
            save_as: None,
            name: None,
            log_actual: true,
            condition: None,
        };
        Ok(Self { validator: Validator::Success, ..Self::new(&spec)? })
    }

    fn run(
        &self,
        response: &Prepared<'_>,
        session: &mut Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<Ran, Ko> {
        if let Some(condition) = &self.condition
            && !condition.eval_bool(session, ctx).map_err(Ko::Message)?
        {
            return Ok(Ran::No);
        }
        let unbuilt = |what: &str, message: String| {
            let name = self.name.as_deref().unwrap_or("Check");
            Ko::Message(format!("{name} {what} resolution crashed: {message}"))
        };
        let texts = self.texts(session, ctx).map_err(|message| unbuilt("extractor", message))?;
        let expected = self
            .validator
            .expected(self.kind, session, ctx)
            .map_err(|message| unbuilt("validator", message))?;
        let built = || match &self.name {
            Some(name) => name.clone(),
            None => self.built_name(&texts, &self.validator.name(&expected)),
        };
        let crashed = |message| Ko::Message(format!("{} extraction crashed: {message}", built()));
        let found = find::find(&*self.extractor, self.arity, response, &texts, ctx.rng);
        let mut value = found.map_err(|failure| match failure {
            Failure::Extraction(message) => crashed(message),
            Failure::Preparation(message) => {
                Ko::Message(format!("{} preparation crashed: {message}", built()))
            }
            Failure::Fatal(message) => Ko::Fatal(message),
        })?;
        for transform in &self.transforms {
            value = transform.apply(value, self.kind, session, ctx).map_err(crashed)?;
        }
        let value = self
            .validator
            .validate(value, &expected, self.hidden, session, ctx)
            .map_err(|detail| Ko::Message(format!("{}, {detail}", built())))?;
        if let (Some(key), Some(value)) = (&self.save_as, value) {
            session.set(std::sync::Arc::clone(key), value);
        }
        Ok(Ran::Yes)
    }

    /// Its name as far as the session gives it.
    fn described(&self, session: &Session, ctx: &mut EvalCtx<'_>) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let expected = self.validator.expected(self.kind, session, ctx);
        match (self.texts(session, ctx), expected) {
            (Ok(texts), Ok(expected)) => self.built_name(&texts, &self.validator.name(&expected)),
            _ => "a check that cannot be built".to_owned(),
        }
    }

    fn seen(&self, outcome: &Result<Ran, Ko>, session: &Session) -> Outcome {
        match outcome {
            Ok(Ran::No) => Outcome::Skipped,
            Ok(Ran::Yes) => {
                let saved = self.save_as.as_deref().and_then(|key| {
                    session.get(key).map(|value| (key.to_owned(), value.to_string()))
                });
                Outcome::Passed { saved }
            }
            Err(Ko::Message(message) | Ko::Fatal(message)) => Outcome::Failed(message.clone()),
        }
    }

    fn texts(&self, session: &Session, ctx: &mut EvalCtx<'_>) -> Result<Texts<'_>, String> {
        let text = |pattern| match pattern {
            &Compiled::Lit(Value::Str(ref text)) => Ok(Cow::Borrowed(&**text)),
            pattern => pattern.eval_string(session, ctx).map(|text| Cow::Owned(text.to_string())),
        };
        self.extractor.patterns().into_iter().map(text).collect()
    }

    /// `jsonPath($.a).find.transformOption.is(x)`.
    fn built_name(&self, texts: &Texts<'_>, validator: &str) -> String {
        let transforms = ".transformOption".repeat(self.transforms.len());
        let (extractor, arity) = (self.extractor.name(texts), find::name(self.arity));
        format!("{extractor}{arity}{transforms}.{validator}")
    }
}

#[cfg(test)]
#[path = "compiled_tests.rs"]
mod tests;
