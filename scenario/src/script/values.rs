//! Values between JavaScript and the session. Arrays and objects are copied both ways, so a script
//! cannot change a session behind the engine's back. What goes to JavaScript answers the idioms of
//! the JVM too (`list.get(0)`, `list.size()`, `map.get("k")`): simulations written for Gatling use
//! both. Functions, symbols and sessions are refused: nothing but data is kept in a session.

use std::cell::RefCell;

use rquickjs::class::Class;
use rquickjs::{
    Array, Coerced, Ctx, Exception, FromJs as _, Function, Object, Persistent, Result,
    Value as JsValue,
};

use super::session::JsSession;
use crate::value::{Value, ValueMap};

/// Deeper nesting than this is an error, which also ends circular structures.
const DEPTH_MAX: u32 = 128;

/// Beyond this, a double no longer tells neighbouring integers apart.
const SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// The prototypes that give lists and maps their host methods; made by `sdk/base.js`. Sessions on
/// the JavaScript heap share this cell, and the collector cannot see through it: [`Self::clear`]
/// must be called before the runtime goes, or the runtime would find objects still in use.
#[derive(Default)]
pub(super) struct HostPrototypes {
    made: RefCell<Option<Prototypes>>,
}

struct Prototypes {
    list: Persistent<Object<'static>>,
    bytes: Persistent<Object<'static>>,
    map: Persistent<Object<'static>>,
    /// Makes a `BigInt` of its digits.
    whole: Persistent<Function<'static>>,
}

impl HostPrototypes {
    /// # Errors
    /// The object of natives lacks what `sdk/base.js` adds to it.
    pub(super) fn fill<'js>(&self, ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
        let object = |name| native.get(name).map(|found: Object<'js>| Persistent::save(ctx, found));
        *self.made.borrow_mut() = Some(Prototypes {
            list: object("listPrototype")?,
            bytes: object("bytesPrototype")?,
            map: object("mapPrototype")?,
            whole: Persistent::save(ctx, native.get::<_, Function<'js>>("whole")?),
        });
        Ok(())
    }

    pub(super) fn clear(&self) {
        *self.made.borrow_mut() = None;
    }

    fn list<'js>(&self, ctx: &Ctx<'js>) -> Result<Option<Object<'js>>> {
        self.made.borrow().as_ref().map(|made| made.list.clone().restore(ctx)).transpose()
    }

    fn bytes<'js>(&self, ctx: &Ctx<'js>) -> Result<Option<Object<'js>>> {
        self.made.borrow().as_ref().map(|made| made.bytes.clone().restore(ctx)).transpose()
    }

    fn whole<'js>(&self, ctx: &Ctx<'js>, digits: &str) -> Result<JsValue<'js>> {
        let whole = self.made.borrow().as_ref().map(|made| made.whole.clone().restore(ctx));
        match whole {
            Some(whole) => whole?.call((digits,)),
            // Before the SDK is there no value comes here.
            None => Ok(rquickjs::String::from_str(ctx.clone(), digits)?.into_value()),
        }
    }

    fn map<'js>(&self, ctx: &Ctx<'js>) -> Result<Option<Object<'js>>> {
        self.made.borrow().as_ref().map(|made| made.map.clone().restore(ctx)).transpose()
    }
}

pub(super) fn to_js<'js>(
    ctx: &Ctx<'js>,
    value: &Value,
    host: &HostPrototypes,
) -> Result<JsValue<'js>> {
    Ok(match value {
        Value::Null => JsValue::new_null(ctx.clone()),
        Value::Bool(flag) => JsValue::new_bool(ctx.clone(), *flag),
        Value::Int(number) => integer_to_js(ctx, *number, host)?,
        Value::Big(number) => host.whole(ctx, number.as_str())?,
        Value::Double(number) => JsValue::new_float(ctx.clone(), *number),
        Value::Str(text) => rquickjs::String::from_str(ctx.clone(), text)?.into_value(),
        Value::Bytes(bytes) => {
            let array = Array::new(ctx.clone())?;
            for (index, byte) in bytes.iter().enumerate() {
                // Java's bytes are signed.
                array.set(index, i32::from(byte.cast_signed()))?;
            }
            with_prototype(array.into_object(), host.bytes(ctx)?.as_ref())?
        }
        Value::List(items) => {
            let array = Array::new(ctx.clone())?;
            for (index, item) in items.iter().enumerate() {
                array.set(index, to_js(ctx, item, host)?)?;
            }
            with_prototype(array.into_object(), host.list(ctx)?.as_ref())?
        }
        Value::Map(entries) => {
            let object = Object::new(ctx.clone())?;
            for (key, item) in entries.iter() {
                object.set(&**key, to_js(ctx, item, host)?)?;
            }
            with_prototype(object, host.map(ctx)?.as_ref())?
        }
    })
}

fn with_prototype<'js>(
    object: Object<'js>,
    prototype: Option<&Object<'js>>,
) -> Result<JsValue<'js>> {
    if prototype.is_some() {
        object.set_prototype(prototype)?;
    }
    Ok(object.into_value())
}

/// A double where it holds the number, else a `BigInt`: its text is exact, and mixing it with
/// numbers is an error, not another number.
fn integer_to_js<'js>(ctx: &Ctx<'js>, number: i64, host: &HostPrototypes) -> Result<JsValue<'js>> {
    if let Ok(small) = i32::try_from(number) {
        return Ok(JsValue::new_int(ctx.clone(), small));
    }
    #[expect(clippy::cast_precision_loss, reason = "what is not exact is no double")]
    let double = number as f64;
    if double.abs() <= SAFE_INTEGER {
        return Ok(JsValue::new_float(ctx.clone(), double));
    }
    host.whole(ctx, &number.to_string())
}

/// # Errors
/// A pending JavaScript exception naming what cannot be kept.
pub(super) fn from_js<'js>(ctx: &Ctx<'js>, value: &JsValue<'js>) -> Result<Value> {
    convert(ctx, value, 0)
}

fn convert<'js>(ctx: &Ctx<'js>, value: &JsValue<'js>, depth: u32) -> Result<Value> {
    if let Some(number) = value.as_int() {
        return Ok(Value::Int(i64::from(number)));
    }
    if value.is_undefined() || value.is_null() {
        return Ok(Value::Null);
    }
    if let Some(flag) = value.as_bool() {
        return Ok(Value::Bool(flag));
    }
    if let Some(number) = value.as_float() {
        return Ok(number_from_js(number));
    }
    if let Some(text) = value.as_string() {
        return Ok(Value::from(text.to_string()?));
    }
    if value.as_big_int().is_some() {
        // By its digits: what the engine offers cuts to 64 bits.
        let Coerced(digits) = Coerced::<String>::from_js(ctx, value.clone())?;
        return Value::integer(&digits).ok_or_else(|| refuse(ctx, "BigInt without digits"));
    }
    let Some(object) = value.as_object() else {
        return Err(refuse(ctx, value.type_name()));
    };
    if depth >= DEPTH_MAX {
        return Err(Exception::throw_range(
            ctx,
            "the value is nested too deeply or refers to itself",
        ));
    }
    object_from_js(ctx, value, object, depth)
}

fn object_from_js<'js>(
    ctx: &Ctx<'js>,
    value: &JsValue<'js>,
    object: &Object<'js>,
    depth: u32,
) -> Result<Value> {
    if let Some(array) = value.as_array() {
        let mut items = Vec::with_capacity(array.len());
        for item in array.iter::<JsValue<'js>>() {
            items.push(convert(ctx, &item?, depth + 1)?);
        }
        return Ok(Value::list(items));
    }
    if value.is_function() {
        return Err(refuse(ctx, "function"));
    }
    if Class::<JsSession>::from_object(object).is_some() {
        return Err(refuse(ctx, "session"));
    }
    if value.is_promise() {
        return Err(refuse(ctx, "promise"));
    }
    if let Some(plain) = plain_form(object)? {
        let plain: JsValue<'js> = plain.call((rquickjs::function::This(object.clone()),))?;
        return convert(ctx, &plain, depth + 1);
    }
    let mut entries = ValueMap::new();
    for property in object.props::<String, JsValue<'js>>() {
        let (key, item) = property?;
        entries.insert(key.into(), convert(ctx, &item, depth + 1)?);
    }
    Ok(Value::map(entries))
}

/// Map, Set and typed arrays have a plain form, defined in `sdk/base.js`; dates have `toJSON`.
fn plain_form<'js>(object: &Object<'js>) -> Result<Option<Function<'js>>> {
    for name in ["onrushPlain", "toJSON"] {
        if let Some(form) = object.get::<_, JsValue<'js>>(name)?.into_function() {
            return Ok(Some(form));
        }
    }
    Ok(None)
}

fn number_from_js(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() <= SAFE_INTEGER {
        #[expect(clippy::cast_possible_truncation, reason = "a safe integer, just checked")]
        return Value::Int(number as i64);
    }
    Value::Double(number)
}

fn refuse(ctx: &Ctx<'_>, what: &str) -> rquickjs::Error {
    Exception::throw_type(ctx, &format!("a {what} is no value a session can hold"))
}
