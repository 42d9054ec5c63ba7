//! `#[processor]`.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::{FnArg, ItemFn, Type, spanned::Spanned as _};

use crate::exports::{exported, no_options};

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    no_options(&options)?;
    let function: ItemFn = syn::parse2(item.clone())?;
    let (exported, called) = (exported(), &function.sig.ident);
    if called == "process" {
        return Err(syn::Error::new(
            called.span(),
            "`process` is the export's name; take another",
        ));
    }
    let process = match parameter(&function).as_deref() {
        Some("&str") => quote! {
            #exported
            pub extern "C" fn process(input: *const u8) -> *mut u8 {
                ::caxton_sdk::rt::process_text(input, |text| #called(text))
            }
            #exported
            pub extern "C" fn get_module_info() -> *const u8 {
                ::core::concat!(
                    "{\"name\":\"", ::core::env!("CARGO_PKG_NAME"),
                    "\",\"version\":\"", ::core::env!("CARGO_PKG_VERSION"),
                    "\",\"output_freed_by\":\"host\",\"dependencies\":[]}\0"
                ).as_ptr()
            }
        },
        Some("&[u8]") => quote! {
            #exported
            pub extern "C" fn process(at: *const u8, length: usize, out_length: *mut u32) -> *mut u8 {
                ::caxton_sdk::rt::process_bytes(at, length, out_length, |bytes| #called(bytes))
            }
        },
        _ => {
            return Err(syn::Error::new(
                function.sig.inputs.span(),
                "a processor takes one `&str` (text) or one `&[u8]` (bytes)",
            ));
        }
    };
    Ok(quote! {
        #item
        #process
        #exported
        pub extern "C" fn allocate(size: usize) -> *mut u8 {
            ::caxton_sdk::rt::alloc(size)
        }
        #exported
        pub extern "C" fn deallocate(at: *mut u8, size: usize) {
            ::caxton_sdk::rt::free(at, size)
        }
    })
}

/// The type of the only parameter, without lifetimes and spaces.
fn parameter(function: &ItemFn) -> Option<String> {
    let mut inputs = function.sig.inputs.iter();
    let (Some(FnArg::Typed(input)), None) = (inputs.next(), inputs.next()) else {
        return None;
    };
    let Type::Reference(reference) = &*input.ty else {
        return None;
    };
    let inner = reference
        .elem
        .to_token_stream()
        .to_string()
        .replace(' ', "");
    Some(format!("&{inner}"))
}
