//! Schemas of types that live in the model, which knows no API.

use caxton_model::{LimitName, Performative, Permission};
use utoipa::openapi::{
    Ref, RefOr, Schema,
    schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type},
};

type Made = RefOr<Schema>;

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String))
}
fn words<const N: usize>(values: [&str; N]) -> Made {
    text().enum_values(Some(values)).into()
}
fn one_of(types: impl IntoIterator<Item = Type>, description: &str) -> Made {
    types
        .into_iter()
        .fold(OneOfBuilder::new(), |one, kind| {
            let base = ObjectBuilder::new().schema_type(SchemaType::Type(kind.clone()));
            one.item(match kind {
                Type::Integer => base.minimum(Some(0)).maximum(Some(u64::MAX)),
                _ => base,
            })
        })
        .description(Some(description))
        .into()
}

pub(crate) fn durability() -> Made {
    words(["durable", "memory"])
}
pub(crate) fn profile() -> Made {
    words(["hardened", "metered", "deterministic", "async", "wide"])
}
pub(crate) fn callable() -> Made {
    words(["processor", "extension"])
}
pub(crate) fn status() -> Made {
    words(caxton_model::AgentStatus::ALL.map(caxton_model::AgentStatus::as_str))
}
pub(crate) fn performative() -> Made {
    words(caxton_model::Performative::ALL.map(caxton_model::Performative::as_str))
}
pub(crate) fn duration() -> Made {
    let micros = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .minimum(Some(0))
        .maximum(Some(caxton_model::Micros::LONGEST.0));
    // Nothing of this is longer than 100 years.
    let text = text().pattern(Some("^([0-9]{1,9}(us|ms|s)|[0-9]{1,7}m|[0-9]{1,5}h)$"));
    OneOfBuilder::new()
        .item(micros)
        .item(text)
        .description(Some("Microseconds, or a text such as \"250ms\", \"5m\"."))
        .into()
}
pub(crate) fn message() -> Made {
    Ref::from_schema_name("FipaMessage").into()
}

pub(crate) fn limits() -> Made {
    const ALIASES: [&str; 6] = [
        "max_memory_bytes",
        "max_cpu_micros",
        "max_execution_time_micros",
        "max_host_calls",
        "max_messages_per_second",
        "max_allocations",
    ];
    let kinds = || [Type::Integer, Type::String, Type::Null];
    let mut object = ObjectBuilder::new();
    for name in LimitName::ALL {
        object = object.property(name.as_str(), one_of(kinds(), name.what()));
    }
    for alias in ALIASES {
        object = object.property(alias, one_of(kinds(), "Another name of a limit above."));
    }
    object
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .into()
}

pub(crate) fn grants() -> Made {
    let pattern = || {
        ObjectBuilder::new()
            .property("to", ArrayBuilder::new().items(text()))
            .property("reason", text())
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
    };
    let performed = Permission::ALL.iter().filter(|p| p.is_performed());
    performed
        .fold(ObjectBuilder::new(), |object, permission| {
            object.property(permission.as_str(), pattern())
        })
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .into()
}

pub(crate) fn performatives() -> Made {
    let names = words(Performative::ALL.map(Performative::as_str));
    ArrayBuilder::new().items(names).into()
}

pub(crate) fn services() -> Made {
    let texts = || ArrayBuilder::new().items(text());
    let latency = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .minimum(Some(0))
        .maximum(Some(u32::MAX));
    let service = ObjectBuilder::new()
        .property("name", text())
        .property("description", text())
        .property("type", text())
        .property("estimated_latency_ms", latency)
        .property("protocols", texts())
        .property("ontologies", texts())
        .property("languages", texts())
        .required("name");
    ArrayBuilder::new().items(service).into()
}

pub(crate) fn supervision() -> Made {
    let count = || {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Integer))
            .minimum(Some(0))
            .maximum(Some(u32::MAX))
    };
    let group = ObjectBuilder::new()
        .property("name", text())
        .property(
            "strategy",
            words(["one-for-one", "one-for-all", "rest-for-one"]),
        )
        .required("name")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let group = OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(SchemaType::Type(Type::Null)))
        .item(group);
    ObjectBuilder::new()
        .property("restart", words(["permanent", "transient", "temporary"]))
        .property("group", group)
        .property("max_failures", count())
        .property("window_micros", duration())
        .property("backoff_micros", duration())
        .property("backoff_max_micros", duration())
        .property("max_attempts", count())
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .into()
}

pub(crate) fn backtrace() -> Made {
    let source =
        ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    let frame = ObjectBuilder::new()
        .property("function", text())
        .property("source", source)
        .property(
            "module_offset",
            ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)),
        );
    ArrayBuilder::new().items(frame).into()
}
