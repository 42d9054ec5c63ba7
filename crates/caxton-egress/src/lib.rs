//! The egress broker: every HTTP request of a guest leaves the node through [`Egress::send`].
//!
//! The broker parses what the guest sent, asks the gate of its [`Caller`] about the method and URL,
//! resolves the host's name, asks again about each address, and connects to exactly the address that
//! was checked. Every redirect starts at the first of these steps. What it promises:
//!
//! - Only `http` and `https`; no user name or password in a URL; names in their ASCII form (IDNA).
//! - A connection is kept for the next request to the same scheme, host and port, and is used again
//!   only by a caller whose gate allows the address that it leads to.
//! - Bodies, heads, times and rates are bounded; each bound ends the request with a failure of its own.
//! - Bodies are passed as they are. Nothing is decompressed, so a small response stays small.
//! - Dropping the future that [`Egress::send`] returns closes the request: an HTTP/1.1 connection is
//!   closed, an HTTP/2 stream is reset.
//! - Neither bodies nor header values nor secrets are logged or named in a failure.
//!
//! # Headers
//!
//! `Host`, `Content-Length`, `Connection` and `Keep-Alive` are the broker's own: a guest may name them
//! with the values that the broker sends anyway (libraries do), and they are dropped; with any other
//! value the request is refused. `Transfer-Encoding`, `TE`, `Trailer`, `Upgrade`, `Expect`,
//! `HTTP2-Settings` and everything that begins with `Proxy-` are refused. `Referer` is never added;
//! `User-Agent` is added where the guest gives none. A redirect to another origin drops
//! `Authorization` and `Cookie`.
//!
//! # Secrets
//!
//! A header value may contain `{{secret:NAME}}`. It is replaced just before the head is written, if the
//! gate allows it for that header and host; a redirect to a host for which it does not makes the request
//! fail, and so does a placeholder in the URL, the body or a method.
//!
//! A secret that the server sends back is replaced by its placeholder: as it is, as JSON escapes it and
//! as a URL does. So a request with a secret asks for the whole response without an encoding, and an
//! encoded response to it is refused. What else a server makes of a secret is not recognised.

mod address;
mod bounds;
mod call;
mod caller;
mod connect;
mod egress;
mod exchange;
mod failure;
mod headers;
mod link;
mod options;
mod pool;
mod proxy;
mod redirect;
mod secret;
mod target;
mod tasks;
mod tls;

pub use address::{Resolve, Resolved};
pub use bounds::{Bounds, Budgets};
pub use call::{HttpCall, HttpReply};
pub use caller::{Caller, Secrets};
pub use egress::Egress;
pub use failure::HttpFailure;
pub use options::{EgressOptions, OptionsError, Proxies};
