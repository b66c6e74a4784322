//! The `session` that script functions see: a native class over [`Session`]. Immutable as on
//! Gatling: every writer returns a new session and leaves the old one as it was.
//! <https://docs.gatling.io/concepts/session/api/>

use std::rc::Rc;
use std::sync::Arc;

use rquickjs::class::{Class, JsClass, Readable, Trace, Tracer};
use rquickjs::function::{Constructor, Function, Rest, This};
use rquickjs::{Array, Ctx, Exception, JsLifetime, Object, Result, Value as JsValue};

use super::values::{HostPrototypes, from_js, to_js};
use crate::session::Session;
use crate::value::Value;

/// Wraps one state of a virtual user.
pub(super) struct JsSession {
    pub(super) session: Session,
    host: Rc<HostPrototypes>,
}

impl JsSession {
    pub(super) fn new(session: Session, host: Rc<HostPrototypes>) -> Self {
        Self { session, host }
    }
}

impl<'js> Trace<'js> for JsSession {
    fn trace<'a>(&self, _tracer: Tracer<'a, 'js>) {}
}

// SAFETY: the type has no lifetime and holds no JavaScript value bound to one; rquickjs documents
// this implementation as always sound.
#[expect(unsafe_code, reason = "a marker that rquickjs asks for; its derive would write the same")]
unsafe impl<'js> JsLifetime<'js> for JsSession {
    type Changed<'to> = Self;
}

impl<'js> JsClass<'js> for JsSession {
    const NAME: &'static str = "Session";
    type Mutable = Readable;

    fn constructor(_ctx: &Ctx<'js>) -> Result<Option<Constructor<'js>>> {
        Ok(None)
    }

    fn prototype(ctx: &Ctx<'js>) -> Result<Option<Object<'js>>> {
        let proto = Object::new(ctx.clone())?;
        readers(ctx, &proto)?;
        writers(ctx, &proto)?;
        Ok(Some(proto))
    }
}

type Me<'js> = This<Class<'js, JsSession>>;

fn readers<'js>(ctx: &Ctx<'js>, proto: &Object<'js>) -> Result<()> {
    proto.set("get", Function::new(ctx.clone(), get)?)?;
    proto.set("contains", Function::new(ctx.clone(), contains)?)?;
    proto.set(
        "isFailed",
        Function::new(ctx.clone(), |me: Me<'_>| me.borrow().session.is_failed())?,
    )?;
    proto.set("userId", Function::new(ctx.clone(), user_id)?)?;
    proto.set(
        "scenario",
        Function::new(ctx.clone(), |me: Me<'_>| me.borrow().session.scenario.to_string())?,
    )?;
    proto.set("groups", Function::new(ctx.clone(), groups)?)?;
    proto.set("toString", Function::new(ctx.clone(), |me: Me<'_>| me.borrow().session.to_string())?)
}

fn writers<'js>(ctx: &Ctx<'js>, proto: &Object<'js>) -> Result<()> {
    proto.set("set", Function::new(ctx.clone(), set)?)?;
    proto.set("setAll", Function::new(ctx.clone(), set_all)?)?;
    proto.set("setByteArray", Function::new(ctx.clone(), set_byte_array)?)?;
    proto.set("remove", Function::new(ctx.clone(), remove)?)?;
    proto.set("removeAll", Function::new(ctx.clone(), remove_all)?)?;
    for (name, change) in [
        ("reset", Session::reset as fn(&mut Session)),
        ("markAsSucceeded", Session::mark_as_succeeded),
        ("markAsFailed", Session::mark_as_failed),
    ] {
        let method = move |ctx: Ctx<'js>, me: Me<'js>| derive(ctx, &me, change);
        proto.set(name, Function::new(ctx.clone(), method)?)?;
    }
    Ok(())
}

/// A new session that differs from `me` by `change`.
fn derive<'js>(
    ctx: Ctx<'js>,
    me: &Me<'js>,
    change: impl FnOnce(&mut Session),
) -> Result<Class<'js, JsSession>> {
    let mine = me.borrow();
    let mut session = mine.session.clone();
    change(&mut session);
    Class::instance(ctx, JsSession::new(session, Rc::clone(&mine.host)))
}

fn get<'js>(ctx: Ctx<'js>, me: Me<'js>, key: rquickjs::String<'js>) -> Result<JsValue<'js>> {
    let mine = me.borrow();
    let key = key.to_string()?;
    to_js(&ctx, mine.session.get(&key).unwrap_or(&Value::Null), &mine.host)
}

fn contains<'js>(me: Me<'js>, key: rquickjs::String<'js>) -> Result<bool> {
    Ok(me.borrow().session.contains(&key.to_string()?))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape rquickjs calls")]
fn user_id(me: Me<'_>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "JavaScript's numbers are doubles")]
    let id = me.borrow().session.shown_id() as f64;
    id
}

fn groups<'js>(ctx: Ctx<'js>, me: Me<'js>) -> Result<Array<'js>> {
    let array = Array::new(ctx)?;
    for (index, group) in me.borrow().session.groups.iter().enumerate() {
        array.set(index, &**group)?;
    }
    Ok(array)
}

fn set<'js>(
    ctx: Ctx<'js>,
    me: Me<'js>,
    key: rquickjs::String<'js>,
    value: JsValue<'js>,
) -> Result<Class<'js, JsSession>> {
    let value = from_js(&ctx, &value)?;
    let key = key.to_string()?;
    derive(ctx, &me, |session| session.set(key, value))
}

fn set_all<'js>(ctx: Ctx<'js>, me: Me<'js>, values: JsValue<'js>) -> Result<Class<'js, JsSession>> {
    let Value::Map(entries) = from_js(&ctx, &values)? else {
        return Err(Exception::throw_type(&ctx, "setAll takes an object"));
    };
    derive(ctx, &me, |session| {
        for (key, value) in entries.iter() {
            session.set(Arc::clone(key), value.clone());
        }
    })
}

fn set_byte_array<'js>(
    ctx: Ctx<'js>,
    me: Me<'js>,
    key: rquickjs::String<'js>,
    bytes: JsValue<'js>,
) -> Result<Class<'js, JsSession>> {
    let key = key.to_string()?;
    let Some(bytes) = to_bytes(&from_js(&ctx, &bytes)?) else {
        return Err(Exception::throw_type(&ctx, "setByteArray takes an array of bytes"));
    };
    derive(ctx, &me, |session| session.set(key, Value::Bytes(bytes)))
}

/// Bytes as JavaScript has them: numbers from -128 to 255.
fn to_bytes(value: &Value) -> Option<Arc<[u8]>> {
    let Value::List(items) = value else {
        return None;
    };
    let byte = |item: &Value| match item {
        Value::Int(number) if (-128..=255).contains(number) => {
            u8::try_from(number.rem_euclid(256)).ok()
        }
        _ => None,
    };
    items.iter().map(byte).collect()
}

fn remove<'js>(
    ctx: Ctx<'js>,
    me: Me<'js>,
    key: rquickjs::String<'js>,
) -> Result<Class<'js, JsSession>> {
    let key = key.to_string()?;
    derive(ctx, &me, |session| session.remove(&key))
}

fn remove_all<'js>(
    ctx: Ctx<'js>,
    me: Me<'js>,
    keys: Rest<String>,
) -> Result<Class<'js, JsSession>> {
    derive(ctx, &me, |session| {
        for key in keys.iter() {
            session.remove(key);
        }
    })
}
