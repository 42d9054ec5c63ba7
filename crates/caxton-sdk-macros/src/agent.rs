//! `#[agent]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Ident, Item, ItemFn, spanned::Spanned as _};

use crate::exports::{allocator, exported};

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let with_migrate = match options.to_string().as_str() {
        "" => false,
        "migrate" => true,
        _ => {
            return Err(syn::Error::new_spanned(
                options,
                "the only option is `migrate`",
            ));
        }
    };
    let parsed: Item = syn::parse2(item.clone())?;
    match parsed {
        Item::Struct(of) if of.generics.params.is_empty() => Ok(with_exports(
            &item,
            &TokenStream::new(),
            &of.ident,
            with_migrate,
        )),
        Item::Enum(of) if of.generics.params.is_empty() => Ok(with_exports(
            &item,
            &TokenStream::new(),
            &of.ident,
            with_migrate,
        )),
        Item::Fn(function) if with_migrate => Err(syn::Error::new(
            function.sig.span(),
            "`migrate` is a method of `Agent`: put the attribute on a type",
        )),
        Item::Fn(function) => {
            let name = Ident::new("__CaxtonAgent", function.sig.ident.span());
            let agent = of_function(&function, &name)?;
            Ok(with_exports(&item, &agent, &name, false))
        }
        other => Err(syn::Error::new(
            other.span(),
            "#[agent] goes on a type that implements `Agent`, or on a function",
        )),
    }
}

/// A type whose turn is the function.
fn of_function(function: &ItemFn, name: &Ident) -> syn::Result<TokenStream> {
    let called = &function.sig.ident;
    let method = match function.sig.inputs.len() {
        0 => quote! {
            fn init(&mut self) -> ::core::result::Result<(), ::std::string::String> {
                let mut error = ::core::option::Option::None;
                let code = ::caxton_sdk::Outcome::finish(#called(), &mut |text: &str| {
                    error = ::core::option::Option::Some(::std::string::String::from(text));
                });
                match (code, error) {
                    (0, _) => ::core::result::Result::Ok(()),
                    (_, ::core::option::Option::Some(error)) => ::core::result::Result::Err(error),
                    (code, _) => ::core::result::Result::Err(::std::format!("init answered {code}")),
                }
            }
        },
        1 => quote! {
            fn handle(&mut self, message: &::caxton_sdk::FipaMessage) -> i32 {
                ::caxton_sdk::Outcome::finish(#called(message), &mut |text: &str| {
                    ::caxton_sdk::send_failure(message, text);
                })
            }
        },
        _ => {
            return Err(syn::Error::new(
                function.sig.inputs.span(),
                "an agent's function takes nothing (it is `init`) or one `&FipaMessage`",
            ));
        }
    };
    Ok(quote! {
        #[doc(hidden)]
        #[derive(Default)]
        struct #name;
        impl ::caxton_sdk::Agent for #name { #method }
    })
}

fn with_exports(
    item: &TokenStream,
    agent: &TokenStream,
    name: &Ident,
    with_migrate: bool,
) -> TokenStream {
    let (exported, allocator) = (exported(), allocator());
    let migrate = with_migrate.then(|| {
        quote! {
            #exported
            pub extern "C" fn migrate(at: *const u8, length: usize) -> i32 {
                ::caxton_sdk::rt::migrate::<#name>(at, length)
            }
        }
    });
    quote! {
        #item
        #agent
        #allocator
        #migrate
        #exported
        pub extern "C" fn agent_init() -> i32 {
            ::caxton_sdk::rt::agent_init::<#name>()
        }
        #exported
        pub extern "C" fn handle_message(at: *const u8, length: usize) -> i32 {
            ::caxton_sdk::rt::handle_message::<#name>(at, length)
        }
        #exported
        pub extern "C" fn handle_timer(timer_id: i32) -> i32 {
            ::caxton_sdk::rt::handle_timer::<#name>(timer_id)
        }
        #exported
        pub extern "C" fn agent_shutdown() {
            ::caxton_sdk::rt::agent_shutdown::<#name>()
        }
        #exported
        pub extern "C" fn get_capabilities(at: *mut u8, room: usize) -> i32 {
            ::caxton_sdk::rt::get_capabilities::<#name>(at, room)
        }
    }
}
