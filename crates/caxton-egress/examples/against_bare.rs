//! Measures the broker against `hyper-util`'s client, both on loopback with kept connections.
//!
//! Prints the median time of one request at a time, and requests a second with 32 in flight.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use caxton_egress::{Bounds, Budgets, Caller, Egress, EgressOptions, HttpCall, Secrets};
use caxton_gate::{Allowed, AuditEntry, AuditSink, Gate, Grants, Rights, SecretUse};
use caxton_model::{Limits, Timestamp};
use http_body_util::{BodyExt as _, Full};
use hyper::{Response, service::service_fn};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::TcpListener, task::JoinSet};

const ONE_AT_A_TIME: usize = 20_000;
const IN_FLIGHT: usize = 32;
const FOR_EACH: usize = 2_000;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Keeps no audit and no secrets.
struct Nothing;

impl AuditSink for Nothing {
    fn append(&self, _: &AuditEntry<'_>) -> Result<(), String> {
        Ok(())
    }
}

impl Secrets for Nothing {
    fn read(&self, _: Allowed<SecretUse>) -> Result<Bytes, String> {
        Err("there is none".to_owned())
    }
}

fn now() -> Timestamp {
    Timestamp(1)
}

async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let answer = |_| async {
                Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("hello"))))
            };
            let server = hyper::server::conn::http1::Builder::new();
            let _ = server
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

async fn measure<F>(name: &str, ask: impl Fn() -> F + Clone + Send + 'static) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send,
{
    let mut times = Vec::with_capacity(ONE_AT_A_TIME);
    for _ in 0..ONE_AT_A_TIME {
        let began = Instant::now();
        ask().await?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let median = times
        .get(times.len() / 2)
        .copied()
        .unwrap_or(Duration::ZERO);
    let began = Instant::now();
    let mut asking = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let ask = ask.clone();
        asking.spawn(async move {
            for _ in 0..FOR_EACH {
                ask().await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = asking.join_next().await {
        ended??;
    }
    let each = began.elapsed() / u32::try_from(IN_FLIGHT * FOR_EACH)?;
    let rate = 1.0 / each.as_secs_f64();
    println!("{name}: {median:?} one at a time, {rate:.0} requests a second with {IN_FLIGHT}");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let mut server = JoinSet::new();
    server.spawn(serve(listener));

    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let uri: http::Uri = url.parse()?;
    let bare = move || {
        let (client, uri) = (client.clone(), uri.clone());
        async move {
            let reply = client.get(uri).await?;
            reply.into_body().collect().await?;
            Ok(())
        }
    };
    let rule = "http:read=[127.0.0.0/8]:*".parse()?;
    let rights = Rights::granted(Grants::from_rules([rule], "operator", Timestamp(0)));
    let gate = Gate::new("guest", &rights, Arc::new(Nothing));
    let egress = Arc::new(Egress::new(EgressOptions::default())?);
    let budgets = Arc::new(Budgets::default());
    let limits = Arc::new(Limits::unlimited());
    let brokered = move || {
        let (egress, budgets, url) = (Arc::clone(&egress), Arc::clone(&budgets), url.clone());
        let (gate, limits) = (gate.clone(), Arc::clone(&limits));
        async move {
            let bounds = Bounds {
                limits: &limits,
                field_bytes: 64 << 10,
                total: Duration::from_secs(30),
                budgets: &budgets,
            };
            let call = HttpCall {
                method: "GET".to_owned(),
                url,
                headers: Vec::new(),
                body: Bytes::new(),
                timeout: None,
            };
            let caller = Caller {
                gate: &gate,
                now: &now,
                secrets: &Nothing,
            };
            egress.send(call, caller, bounds, None).await?;
            Ok(())
        }
    };
    for _ in 0..2 {
        measure("bare client", bare.clone()).await?;
        measure("the broker", brokered.clone()).await?;
    }
    Ok(())
}
