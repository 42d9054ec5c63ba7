//! The attributes of `caxton-sdk`: they write the exports that the host calls, and nothing else.
//!
//! What the exports do is in the SDK's hidden module `rt`.

use proc_macro::TokenStream;

mod agent;
mod exports;
mod extension;
mod processor;

/// Makes a type or a function an agent.
///
/// - On a type with `caxton_sdk::Agent` and `Default`: its methods are the turns.
///   `#[agent(migrate)]` also exports `migrate`.
/// - On a function without parameters: it runs as `init` and registers handlers.
/// - On a function of a `&FipaMessage`: it handles every message.
#[proc_macro_attribute]
pub fn agent(options: TokenStream, item: TokenStream) -> TokenStream {
    agent::expand(options.into(), item.into())
        .unwrap_or_else(|e| e.to_compile_error())
        .into()
}

/// Makes a function a processor.
///
/// - `fn(&str) -> String` (or a `Result` of one): text in, text out, as C strings.
/// - `fn(&[u8]) -> Vec<u8>` (or a `Result` of one): bytes with their lengths.
#[proc_macro_attribute]
pub fn processor(options: TokenStream, item: TokenStream) -> TokenStream {
    processor::expand(options.into(), item.into())
        .unwrap_or_else(|e| e.to_compile_error())
        .into()
}

/// Makes a type or a function an extension.
///
/// - On a type with `caxton_sdk::Extension` and `Default`: its methods are the calls.
/// - On a function `fn(Input) -> Result<Output, Error>`: it is the one action, with its name in
///   kebab case and its documentation as description.
#[proc_macro_attribute]
pub fn extension(options: TokenStream, item: TokenStream) -> TokenStream {
    extension::expand(options.into(), item.into())
        .unwrap_or_else(|e| e.to_compile_error())
        .into()
}
