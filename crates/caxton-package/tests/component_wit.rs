//! The WIT text of a component is one that a WIT parser reads again, with the same names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says by panicking what went wrong"
)]

use std::collections::BTreeSet;

use caxton_package::component_wit;
use wit_parser::{
    Resolve, TypeDefKind, WorldId,
    decoding::{DecodedWasm, decode},
};

/// Every word that the WIT language gives a meaning, and one that it does not.
const WORDS: &str = "as async bool borrow char constructor enum error-context export f32 f64 flags \
    from func future import include interface list map option own package plain record resource \
    result s16 s32 s64 s8 static stream string tuple type u16 u32 u64 u8 use variant with world";

/// Whatever has a name in a world, with all its names.
fn names(resolve: &Resolve, world: WorldId) -> BTreeSet<String> {
    let world = &resolve.worlds[world];
    let keys = |verb: &'static str, keys: Vec<&wit_parser::WorldKey>| -> Vec<String> {
        keys.iter()
            .map(|key| format!("{verb} {}", resolve.name_world_key(key)))
            .collect()
    };
    let mut all: BTreeSet<String> = keys("import", world.imports.keys().collect())
        .into_iter()
        .chain(keys("export", world.exports.keys().collect()))
        .collect();
    for (id, interface) in resolve.interfaces.iter() {
        let own = resolve.id_of(id).unwrap_or_default();
        for function in interface.functions.values() {
            let params: Vec<_> = function.params.iter().map(|param| &param.name).collect();
            all.insert(format!("{own} {} {params:?}", function.name));
        }
        for (name, id) in &interface.types {
            let parts: Vec<&String> = match &resolve.types[*id].kind {
                TypeDefKind::Record(record) => record.fields.iter().map(|at| &at.name).collect(),
                TypeDefKind::Variant(variant) => variant.cases.iter().map(|at| &at.name).collect(),
                TypeDefKind::Enum(one) => one.cases.iter().map(|at| &at.name).collect(),
                TypeDefKind::Flags(flags) => flags.flags.iter().map(|at| &at.name).collect(),
                _ => Vec::new(),
            };
            all.insert(format!("{own} {name} {parts:?}"));
        }
    }
    all
}

/// Each word in a form of its own, all in a row.
fn each(form: impl Fn(&str) -> String) -> String {
    WORDS.split_whitespace().map(form).collect()
}

/// A component that has every word wherever a component has names.
fn component() -> Vec<u8> {
    let fields = each(|word| format!("(field \"{word}\" u32)"));
    let cases = each(|word| format!("(case \"{word}\" u32)"));
    let quoted = each(|word| format!("\"{word}\" "));
    let flags: Vec<&str> = WORDS.split_whitespace().take(32).collect();
    let flags = format!("\"{}\"", flags.join("\" \""));
    let params = each(|word| format!("(param \"{word}\" u32)"));
    let functions = each(|word| format!("(export \"{word}\" (func))"));
    // A method is called neither as its resource nor as another of its functions.
    let methods = each(|word| match word {
        "resource" | "static" => String::new(),
        _ => format!(
            "(export \"[method]resource.{word}\" (func (param \"self\" $borrow) (result $own)))"
        ),
    });
    let instances = each(|word| {
        format!(
            "(import \"test:{word}/{word}@1.0.0\" (instance (export \"record\" (type (eq $record))) \
             (export \"use\" (type (eq $record)))))"
        )
    });
    let plain = each(|word| {
        format!("(import \"{word}\" (instance (export \"{word}\" (func (param \"{word}\" u32)))))")
    });
    let text = format!(
        r#"(component
        (import "import:package/interface@1.0.0" (instance $types
          (export "resource" (type $resource (sub resource)))
          (type $own (own $resource)) (type $borrow (borrow $resource))
          (type $r (record {fields})) (export "record" (type (eq $r)))
          (type $v (variant {cases})) (export "variant" (type (eq $v)))
          (type $e (enum {quoted})) (export "enum" (type (eq $e)))
          (type $f (flags {flags})) (export "flags" (type (eq $f)))
          (type $l (list u8)) (export "list" (type (eq $l)))
          (export "[constructor]resource" (func {params} (result $own)))
          (export "[static]resource.static" (func {params})) {methods}))
        (alias export $types "record" (type $record))
        (import "import:package/func@1.0.0" (instance {functions}))
        (import "import:package/use@1.0.0" (instance (export "record" (type (eq $record)))))
        {instances} {plain})"#
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn the_text_of_a_world_is_read_again_whatever_its_names_are() {
    let bytes = component();
    let DecodedWasm::Component(resolve, world) = decode(&bytes).unwrap() else {
        panic!("no component");
    };
    let before = names(&resolve, world);
    let wit = component_wit(&bytes).unwrap();
    let mut again = Resolve::default();
    let package = again
        .push_source("world.wit", &wit)
        .unwrap_or_else(|error| panic!("{error:#}\n{wit}"));
    let world = again.select_world(&[package], None).unwrap();
    let after = names(&again, world);
    let differ: Vec<_> = before.symmetric_difference(&after).collect();
    assert!(
        before.len() > 100 && differ.is_empty(),
        "{differ:#?}\n{wit}"
    );
    assert!(wit.contains("%record: func();") && wit.contains(" plain: func();"));
}
