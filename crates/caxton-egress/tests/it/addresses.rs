//! The address that is connected to is the one that was checked.

use std::net::IpAddr;

use caxton_egress::{Egress, EgressOptions};
use caxton_model::HostCode;

use crate::harness::{
    Server, TestGuard, TestResolver, egress, get, local, ok, options, send, send_as,
};

fn with_names(names: &[(&str, &[&[IpAddr]])]) -> Egress {
    Egress::new(EgressOptions {
        resolver: Some(TestResolver::new(names)),
        ..options()
    })
    .unwrap()
}

#[tokio::test]
async fn a_name_that_changes_its_address_after_the_check_changes_nothing() {
    let good = Server::start(|_, _| ok("good")).await;
    let port = good.address.port();
    let bad = Server::start_at([127, 0, 0, 2].into(), port, |_, _| ok("bad")).await;
    // The second look-up would give the address that is refused; there is none for one request.
    let egress = with_names(&[("name.example", &[&[local(1)], &[local(2)]])]);
    let guard = TestGuard {
        refused: vec![local(2)],
        ..TestGuard::default()
    };
    let url = format!("http://name.example:{port}/");
    let reply = send_as(&egress, &guard, get(&url)).await.unwrap();
    assert_eq!(&*reply.body, b"good");
    assert_eq!(guard.asked()[1..], ["name.example is 127.0.0.1"]);
    assert_eq!(bad.connections(), 0);
}

#[tokio::test]
async fn a_name_with_refused_addresses_is_reached_at_the_permitted_one_alone() {
    let good = Server::start(|_, _| ok("good")).await;
    let port = good.address.port();
    let bad = Server::start_at([127, 0, 0, 2].into(), port, |_, _| ok("bad")).await;
    let ten: IpAddr = "10.0.0.1".parse().unwrap();
    let egress = with_names(&[
        ("both.example", &[&[ten, local(2), local(1)]]),
        ("none.example", &[&[ten, local(2)]]),
        ("empty.example", &[&[]]),
    ]);
    let guard = TestGuard {
        refused: vec![local(2)],
        ..TestGuard::default()
    };
    let both = get(&format!("http://both.example:{port}/"));
    assert_eq!(
        &*send_as(&egress, &guard, both).await.unwrap().body,
        b"good"
    );
    let none = get(&format!("http://none.example:{port}/"));
    let denied = send_as(&egress, &guard, none).await.unwrap_err();
    assert_eq!(
        (denied.word(), denied.code()),
        ("address-denied", HostCode::Denied)
    );
    assert!(
        denied
            .to_string()
            .contains("10.0.0.1 needs a grant of its own"),
        "{denied}"
    );
    assert_eq!(bad.connections(), 0);
    for name in ["empty.example", "unknown.example"] {
        let failed = send_as(&egress, &guard, get(&format!("http://{name}/"))).await;
        assert_eq!(failed.unwrap_err().word(), "name-lookup-failed");
    }
}

#[tokio::test]
async fn every_spelling_of_an_address_is_checked_as_that_address() {
    let guard = TestGuard {
        refused: vec![local(1), "::1".parse().unwrap()],
        ..TestGuard::default()
    };
    let egress = egress();
    let spellings = [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0x7f000001",
        "[::1]",
        "[0:0::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "127.0.0.1.",
        "１２７.0.0.1",
    ];
    for host in spellings {
        let denied = send_as(&egress, &guard, get(&format!("http://{host}:9/"))).await;
        assert_eq!(denied.unwrap_err().word(), "address-denied", "{host}");
        let last = guard.asked().pop().unwrap();
        let address = last.rsplit(' ').next().unwrap();
        assert!(["127.0.0.1", "::1"].contains(&address), "{last}");
    }
}

#[tokio::test]
async fn a_kept_connection_serves_nobody_who_may_not_make_it() {
    let server = Server::start(|_, _| ok("")).await;
    let egress = with_names(&[("shared.example", &[&[local(1)]])]);
    let url = format!("http://shared.example:{}/", server.address.port());
    send(&egress, get(&url)).await.unwrap();
    let narrow = TestGuard {
        refused: vec![local(1)],
        ..TestGuard::default()
    };
    let denied = send_as(&egress, &narrow, get(&url)).await.unwrap_err();
    assert_eq!(denied.word(), "address-denied");
    assert_eq!(server.seen().len(), 1);
    // Whoever may make it gets it.
    let wide = TestGuard::default();
    send_as(&egress, &wide, get(&url)).await.unwrap();
    assert_eq!(wide.asked()[1..], ["shared.example is 127.0.0.1"]);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_kept_connection_to_a_refused_address_is_passed_over_for_a_permitted_one() {
    let one = Server::start(|_, _| ok("one")).await;
    let port = one.address.port();
    let two = Server::start_at([127, 0, 0, 2].into(), port, |_, _| ok("two")).await;
    let egress = with_names(&[("moving.example", &[&[local(1)], &[local(2)]])]);
    let url = format!("http://moving.example:{port}/");
    assert_eq!(&*send(&egress, get(&url)).await.unwrap().body, b"one");
    let guard = TestGuard {
        refused: vec![local(1)],
        ..TestGuard::default()
    };
    for _ in 0..2 {
        let reply = send_as(&egress, &guard, get(&url)).await.unwrap();
        assert_eq!(&*reply.body, b"two");
    }
    assert_eq!((one.connections(), two.connections()), (1, 1));
}

#[tokio::test]
async fn another_name_or_port_never_shares_a_connection() {
    let server = Server::start(|_, _| ok("")).await;
    let egress = with_names(&[("a.example", &[&[local(1)]]), ("b.example", &[&[local(1)]])]);
    let port = server.address.port();
    for host in ["a.example", "b.example", "127.0.0.1", "a.example"] {
        send(&egress, get(&format!("http://{host}:{port}/")))
            .await
            .unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_does_not_answer() {
    let server = Server::start(|_, _| ok("")).await;
    let port = server.address.port();
    let egress = with_names(&[
        ("two.example", &[&[local(3), local(1)]]),
        ("dead.example", &[&[local(3)]]),
    ]);
    let two = get(&format!("http://two.example:{port}/"));
    assert_eq!(send(&egress, two).await.unwrap().status, 200);
    let dead = get(&format!("http://dead.example:{port}/"));
    let failed = send(&egress, dead).await.unwrap_err();
    assert_eq!(
        (failed.word(), failed.code()),
        ("connect-failed", HostCode::Unavailable)
    );
    assert!(
        failed.to_string().contains(&format!("dead.example:{port}")),
        "{failed}"
    );
}

#[tokio::test]
async fn the_systems_resolver_knows_this_machine() {
    let server = Server::start(|_, _| ok("")).await;
    let guard = TestGuard::default();
    let url = format!("http://localhost:{}/", server.address.port());
    assert_eq!(
        send_as(&egress(), &guard, get(&url)).await.unwrap().status,
        200
    );
    assert!(guard.asked().contains(&"localhost is 127.0.0.1".to_owned()));
}
