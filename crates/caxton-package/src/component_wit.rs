//! A component's world as WIT text, for people; a WIT parser reads it again.

use std::{collections::BTreeMap, fmt::Write as _};

use wasmparser::{Parser, Payload};
use wit_parser::{
    Function, FunctionKind, Handle, InterfaceId, PackageName, Resolve, Type, TypeDef, TypeDefKind,
    TypeId, TypeOwner, WorldItem,
    decoding::{DecodedWasm, decode},
};

use crate::recognise_features::shortened;

/// Sections of types that are decoded. Unit: bytes. Each level of nesting takes two at least, so that
/// this bounds how deep the decoder recurses.
const TYPE_BYTES_MAX: usize = 256 << 10;

/// Text of one interface, and of the world itself. Unit: bytes.
const TEXT_BYTES_MAX: usize = 256 << 10;

/// Words that mean something in WIT. A name that is one of them is written with a `%` before it.
const KEYWORDS: [&str; 43] = [
    "as",
    "async",
    "bool",
    "borrow",
    "char",
    "constructor",
    "enum",
    "error-context",
    "export",
    "f32",
    "f64",
    "flags",
    "from",
    "func",
    "future",
    "import",
    "include",
    "interface",
    "list",
    "map",
    "option",
    "own",
    "package",
    "record",
    "resource",
    "result",
    "s16",
    "s32",
    "s64",
    "s8",
    "static",
    "stream",
    "string",
    "tuple",
    "type",
    "u16",
    "u32",
    "u64",
    "u8",
    "use",
    "variant",
    "with",
    "world",
];

/// A name as WIT text writes it.
fn name(plain: &str) -> String {
    let escape = if KEYWORDS.contains(&plain) { "%" } else { "" };
    format!("{escape}{plain}")
}

/// The name of a package, without its version.
fn package_path(package: &PackageName) -> String {
    format!("{}:{}", name(&package.namespace), name(&package.name))
}

/// The version of a package as it follows the name.
fn version(package: &PackageName) -> String {
    package
        .version
        .as_ref()
        .map_or_else(String::new, |version| format!("@{version}"))
}

/// The world of a valid component as WIT text.
///
/// Not for a node: the decoder recurses as deep as the component's types are nested. Call it on a
/// thread with a stack of 256 MiB. Errors: why there is no text.
pub fn component_wit(bytes: &[u8]) -> Result<String, String> {
    let mut type_bytes = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::ComponentTypeSection(section) = payload.map_err(|e| shortened(&e))? {
            type_bytes = type_bytes.saturating_add(section.range().len());
        }
    }
    if type_bytes > TYPE_BYTES_MAX {
        return Err(format!(
            "its types take {type_bytes} bytes, and at most {TYPE_BYTES_MAX} are decoded"
        ));
    }
    match decode(bytes).map_err(|error| format!("{error:#}"))? {
        DecodedWasm::Component(resolve, world) => {
            let world = resolve.worlds.get(world).ok_or("it has no world")?;
            let mut printer = Printer::new(&resolve);
            printer.items("import", world.imports.values().zip(world.imports.keys()));
            printer.items("export", world.exports.values().zip(world.exports.keys()));
            Ok(printer.finish())
        }
        DecodedWasm::WitPackage(..) => Err("it holds WIT packages alone, and no code".to_owned()),
    }
}

/// Whether a text has reached its bound; it then says so.
fn is_full(text: &mut String) -> bool {
    let full = text.len() > TEXT_BYTES_MAX;
    if full {
        text.push_str("// more was left out here\n");
    }
    full
}

struct Printer<'a> {
    resolve: &'a Resolve,
    world: String,
    /// The text of each interface, by its package and its own name.
    interfaces: BTreeMap<String, BTreeMap<String, String>>,
}

impl<'a> Printer<'a> {
    const fn new(resolve: &'a Resolve) -> Self {
        Self {
            resolve,
            world: String::new(),
            interfaces: BTreeMap::new(),
        }
    }
    fn finish(self) -> String {
        // The name that other tools give the package of a component's world, too.
        let world = &self.world;
        let mut text = format!("package root:component;\n\nworld root {{\n{world}}}\n");
        for (package, interfaces) in self.interfaces {
            let _ = write!(text, "\npackage {package} {{\n");
            for (own, body) in interfaces {
                let _ = write!(text, "  interface {own} {{\n{body}  }}\n");
            }
            text.push_str("}\n");
        }
        text
    }
    fn items<'b>(
        &mut self,
        verb: &str,
        items: impl Iterator<Item = (&'b WorldItem, &'b wit_parser::WorldKey)>,
    ) {
        for (item, key) in items {
            let shown = match key {
                wit_parser::WorldKey::Name(plain) => name(plain),
                wit_parser::WorldKey::Interface(id) => self.interface_name(*id),
            };
            let line = match item {
                WorldItem::Interface { id, .. } => {
                    let body = self.interface(*id, "    ");
                    self.keep(*id, body.clone());
                    match key {
                        wit_parser::WorldKey::Interface(_) => format!("  {verb} {shown};\n"),
                        wit_parser::WorldKey::Name(_) => {
                            format!("  {verb} {shown}: interface {{\n{body}  }}\n")
                        }
                    }
                }
                WorldItem::Function(function) => {
                    let signature = self.signature(function, false);
                    format!("  {verb} {shown}: {signature};\n")
                }
                WorldItem::Type { id, .. } => self.definition(*id, "  "),
            };
            self.world.push_str(&line);
            if is_full(&mut self.world) {
                return;
            }
        }
    }
    /// Keeps an interface that has a name of its own, to be printed under its package.
    fn keep(&mut self, id: InterfaceId, body: String) {
        let Some(interface) = self.resolve.interfaces.get(id) else {
            return;
        };
        let package = interface
            .package
            .and_then(|id| self.resolve.packages.get(id));
        if let (Some(plain), Some(package)) = (&interface.name, package) {
            let package = &package.name;
            self.interfaces
                .entry(package_path(package) + &version(package))
                .or_default()
                .insert(name(plain), body);
        }
    }
    fn interface_name(&self, id: InterfaceId) -> String {
        let known = || {
            let interface = self.resolve.interfaces.get(id)?;
            let package = &self.resolve.packages.get(interface.package?)?.name;
            let own = name(interface.name.as_ref()?);
            Some(format!(
                "{}/{own}{}",
                package_path(package),
                version(package)
            ))
        };
        known().unwrap_or_else(|| "unnamed".to_owned())
    }
    fn interface(&self, id: InterfaceId, indent: &str) -> String {
        let Some(interface) = self.resolve.interfaces.get(id) else {
            return String::new();
        };
        let mut text = String::new();
        for (plain, ty) in &interface.types {
            let methods = self.methods(*ty, interface.functions.values(), indent);
            if methods.is_empty() {
                text.push_str(&self.definition(*ty, indent));
            } else {
                let _ = write!(
                    text,
                    "{indent}resource {} {{\n{methods}{indent}}}\n",
                    name(plain)
                );
            }
            if is_full(&mut text) {
                return text;
            }
        }
        for (plain, function) in &interface.functions {
            if function.kind.resource().is_none() {
                let signature = self.signature(function, false);
                let _ = writeln!(text, "{indent}{}: {signature};", name(plain));
            }
            if is_full(&mut text) {
                break;
            }
        }
        text
    }
    /// The functions of a resource, if the type is one.
    fn methods<'b>(
        &self,
        ty: TypeId,
        functions: impl Iterator<Item = &'b Function>,
        indent: &str,
    ) -> String {
        let mut text = String::new();
        for function in functions.filter(|function| function.kind.resource() == Some(ty)) {
            let own = name(function.name.rsplit(['.', ']']).next().unwrap_or_default());
            let line = match function.kind {
                FunctionKind::Constructor(_) => {
                    let made = format!(" -> {}", self.ty(&Type::Id(ty)));
                    let signature = self.signature(function, false).replace(&made, "");
                    signature.replacen("func", "constructor", 1)
                }
                FunctionKind::Static(_) | FunctionKind::AsyncStatic(_) => {
                    format!("{own}: static {}", self.signature(function, false))
                }
                _ => format!("{own}: {}", self.signature(function, true)),
            };
            let _ = writeln!(text, "{indent}  {line};");
        }
        text
    }
    fn signature(&self, function: &Function, is_method: bool) -> String {
        let params: Vec<_> = function
            .params
            .iter()
            .skip(usize::from(is_method))
            .map(|param| format!("{}: {}", name(&param.name), self.ty(&param.ty)))
            .collect();
        let word = if function.kind.is_async() {
            "async func"
        } else {
            "func"
        };
        match &function.result {
            Some(result) => format!("{word}({}) -> {}", params.join(", "), self.ty(result)),
            None => format!("{word}({})", params.join(", ")),
        }
    }
    /// The line, or lines, that define a named type.
    fn definition(&self, id: TypeId, indent: &str) -> String {
        let Some(definition) = self.resolve.types.get(id) else {
            return String::new();
        };
        let own = definition
            .name
            .as_deref()
            .map_or("unnamed".to_owned(), name);
        let fields = |fields: Vec<String>| fields.join(", ");
        let text = match &definition.kind {
            TypeDefKind::Record(record) => {
                let all = record.fields.iter();
                let all = all.map(|field| format!("{}: {}", name(&field.name), self.ty(&field.ty)));
                format!("record {own} {{ {} }}", fields(all.collect()))
            }
            TypeDefKind::Resource => format!("resource {own};"),
            TypeDefKind::Flags(flags) => {
                let all = flags.flags.iter().map(|flag| name(&flag.name));
                format!("flags {own} {{ {} }}", fields(all.collect()))
            }
            TypeDefKind::Variant(variant) => {
                let all = variant.cases.iter().map(|case| match &case.ty {
                    Some(ty) => format!("{}({})", name(&case.name), self.ty(ty)),
                    None => name(&case.name),
                });
                format!("variant {own} {{ {} }}", fields(all.collect()))
            }
            TypeDefKind::Enum(one) => {
                let all = one.cases.iter().map(|case| name(&case.name));
                format!("enum {own} {{ {} }}", fields(all.collect()))
            }
            TypeDefKind::Type(ty) => match self.used_from(definition, ty) {
                Some(other) => format!("use {other};"),
                None => format!("type {own} = {};", self.ty(ty)),
            },
            kind => format!("type {own} = {};", self.anonymous(kind)),
        };
        format!("{indent}{text}\n")
    }
    /// The interface and name of the type that this one stands for, if it is another interface's.
    fn used_from(&self, definition: &TypeDef, ty: &Type) -> Option<String> {
        let Type::Id(other) = ty else { return None };
        let other = self.resolve.types.get(*other)?;
        let TypeOwner::Interface(id) = other.owner else {
            return None;
        };
        let (theirs, ours) = (
            name(other.name.as_deref()?),
            name(definition.name.as_deref()?),
        );
        let renamed = if theirs == ours {
            String::new()
        } else {
            format!(" as {ours}")
        };
        if other.owner == definition.owner {
            return None;
        }
        // A package does not name itself in a path to one of its interfaces.
        let interface = self.resolve.interfaces.get(id)?;
        let is_neighbour = match definition.owner {
            TypeOwner::Interface(own) => self
                .resolve
                .interfaces
                .get(own)
                .is_some_and(|own| own.package == interface.package),
            _ => false,
        };
        let path = match &interface.name {
            Some(plain) if is_neighbour => name(plain),
            _ => self.interface_name(id),
        };
        Some(format!("{path}.{{{theirs}{renamed}}}"))
    }
    fn ty(&self, ty: &Type) -> String {
        let Type::Id(id) = ty else {
            return primitive(ty).to_owned();
        };
        match self.resolve.types.get(*id) {
            Some(TypeDef {
                name: Some(plain), ..
            }) => name(plain),
            Some(definition) => self.anonymous(&definition.kind),
            None => "unknown".to_owned(),
        }
    }
    /// A type without a name, such as `list<u8>`.
    fn anonymous(&self, kind: &TypeDefKind) -> String {
        let or_blank = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), |ty| self.ty(ty));
        let of = |word: &str, ty: &Option<Type>| match ty {
            Some(ty) => format!("{word}<{}>", self.ty(ty)),
            None => word.to_owned(),
        };
        match kind {
            TypeDefKind::Handle(Handle::Own(id)) => self.ty(&Type::Id(*id)),
            TypeDefKind::Handle(Handle::Borrow(id)) => {
                format!("borrow<{}>", self.ty(&Type::Id(*id)))
            }
            TypeDefKind::Tuple(tuple) => {
                let all: Vec<_> = tuple.types.iter().map(|ty| self.ty(ty)).collect();
                format!("tuple<{}>", all.join(", "))
            }
            TypeDefKind::Option(ty) => format!("option<{}>", self.ty(ty)),
            TypeDefKind::Result(result) => match (&result.ok, &result.err) {
                (None, None) => "result".to_owned(),
                (ok, None) => of("result", ok),
                (ok, err) => format!("result<{}, {}>", or_blank(ok), or_blank(err)),
            },
            TypeDefKind::List(ty) => format!("list<{}>", self.ty(ty)),
            TypeDefKind::Map(key, value) => format!("map<{}, {}>", self.ty(key), self.ty(value)),
            TypeDefKind::FixedLengthList(ty, len) => format!("list<{}, {len}>", self.ty(ty)),
            TypeDefKind::Future(ty) => of("future", ty),
            TypeDefKind::Stream(ty) => of("stream", ty),
            TypeDefKind::Type(ty) => self.ty(ty),
            other => other.as_str().to_owned(),
        }
    }
}

const fn primitive(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(_) => "unknown",
    }
}
