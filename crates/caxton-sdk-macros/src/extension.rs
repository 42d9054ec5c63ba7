//! `#[extension]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, ExprLit, Ident, Item, ItemFn, Lit, Meta, spanned::Spanned as _};

use crate::exports::{allocator, exported, no_options};

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    no_options(&options)?;
    match syn::parse2(item.clone())? {
        Item::Struct(of) if of.generics.params.is_empty() => {
            Ok(with_exports(&item, &TokenStream::new(), &of.ident))
        }
        Item::Fn(function) if function.sig.inputs.len() == 1 => {
            let name = Ident::new("__CaxtonExtension", function.sig.ident.span());
            Ok(with_exports(&item, &of_function(&function, &name), &name))
        }
        other => Err(syn::Error::new(
            other.span(),
            "#[extension] goes on a type that implements `Extension`, or on a function of one input",
        )),
    }
}

/// A type whose only action is the function.
fn of_function(function: &ItemFn, name: &Ident) -> TokenStream {
    let called = &function.sig.ident;
    let action = called.to_string().replace('_', "-");
    let description = documentation(&function.attrs);
    quote! {
        #[doc(hidden)]
        #[derive(Default)]
        struct #name;
        impl ::caxton_sdk::Extension for #name {
            fn describe(&self) -> ::caxton_sdk::ExtensionInfo {
                ::caxton_sdk::ExtensionInfo {
                    name: ::std::string::String::from(::core::env!("CARGO_PKG_NAME")),
                    version: ::std::string::String::from(::core::env!("CARGO_PKG_VERSION")),
                    actions: ::std::vec![::caxton_sdk::ActionInfo::new(#action, #description)],
                    ..::core::default::Default::default()
                }
            }
            fn call(
                &mut self,
                action: &str,
                input: &::caxton_sdk::rt::Value,
            ) -> ::core::result::Result<::caxton_sdk::rt::Value, ::std::string::String> {
                if action != #action {
                    return ::core::result::Result::Err(::std::format!("no action `{action}`"));
                }
                ::caxton_sdk::rt::typed_action(input, |input| #called(input))
            }
        }
    }
}

fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(text),
                    ..
                }) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        });
    lines.collect::<Vec<_>>().join(" ")
}

fn with_exports(item: &TokenStream, extension: &TokenStream, name: &Ident) -> TokenStream {
    let (exported, allocator) = (exported(), allocator());
    quote! {
        #item
        #extension
        #allocator
        #exported
        pub extern "C" fn extension_describe(at: *mut u8, room: usize) -> i32 {
            ::caxton_sdk::rt::extension_describe::<#name>(at, room)
        }
        #exported
        pub extern "C" fn extension_call(at: *const u8, length: usize) -> i32 {
            ::caxton_sdk::rt::extension_call::<#name>(at, length)
        }
    }
}
