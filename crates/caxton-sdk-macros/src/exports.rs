//! Parts all three attributes share.

use proc_macro2::TokenStream;
use quote::quote;

/// Put before an export: its plain name, in wasm only, so that native tests link side by side.
pub(crate) fn exported() -> TokenStream {
    quote! {
        #[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
        #[allow(
            missing_docs,
            unsafe_code,
            unreachable_pub,
            clippy::not_unsafe_ptr_arg_deref,
            reason = "an export for the host, written by the SDK"
        )]
    }
}

/// Where the host puts its input.
pub(crate) fn allocator() -> TokenStream {
    let exported = exported();
    quote! {
        #exported
        pub extern "C" fn caxton_alloc(length: usize) -> *mut u8 {
            ::caxton_sdk::rt::alloc(length)
        }
        #exported
        pub extern "C" fn caxton_free(at: *mut u8, length: usize) {
            ::caxton_sdk::rt::free(at, length)
        }
    }
}

/// Refuses options where there are none.
pub(crate) fn no_options(options: &TokenStream) -> syn::Result<()> {
    if options.is_empty() {
        return Ok(());
    }
    Err(syn::Error::new_spanned(
        options,
        "this attribute takes no options",
    ))
}
