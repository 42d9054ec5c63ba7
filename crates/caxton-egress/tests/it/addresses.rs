//! The address that is connected to is the one that was checked.

use std::net::IpAddr;

use caxton_egress::{Egress, EgressOptions};
use caxton_model::HostCode;

use crate::harness::{Guest, Server, TestResolver, egress, get, local, ok, options, send, send_as};

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
    let guest = Guest::without(&["127.0.0.2"]);
    let url = format!("http://name.example:{port}/");
    let reply = send_as(&egress, &guest, get(&url)).await.unwrap();
    assert_eq!(&*reply.body, b"good");
    assert_eq!(
        guest.audited()[1..],
        [format!("allowed name.example:{port} at 127.0.0.1")]
    );
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
    let guest = Guest::without(&["127.0.0.2"]);
    let both = get(&format!("http://both.example:{port}/"));
    assert_eq!(
        &*send_as(&egress, &guest, both).await.unwrap().body,
        b"good"
    );
    let none = get(&format!("http://none.example:{port}/"));
    let denied = send_as(&egress, &guest, none).await.unwrap_err();
    assert_eq!(
        (denied.word(), denied.code()),
        ("address-denied", HostCode::Denied)
    );
    assert!(
        denied
            .to_string()
            .contains(&format!("http:read=10.0.0.1:{port}")),
        "{denied}"
    );
    assert_eq!(bad.connections(), 0);
    for name in ["empty.example", "unknown.example"] {
        let failed = send_as(&egress, &guest, get(&format!("http://{name}/"))).await;
        assert_eq!(failed.unwrap_err().word(), "name-lookup-failed");
    }
}

#[tokio::test]
async fn every_spelling_of_an_address_is_checked_as_that_address() {
    let guest = Guest::without(&["127.0.0.1", "[::1]"]);
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
        "１２７.0.0.1",
    ];
    for host in spellings {
        let denied = send_as(&egress, &guest, get(&format!("http://{host}:9/"))).await;
        assert_eq!(denied.unwrap_err().word(), "request-denied", "{host}");
        let last = guest.audited().pop().unwrap();
        let address = last.strip_prefix("denied GET http://").unwrap();
        let known = ["127.0.0.1:9/", "[::1]:9/", "[::ffff:127.0.0.1]:9/"];
        assert!(known.contains(&address), "{last}");
    }
}

#[tokio::test]
async fn a_kept_connection_serves_nobody_who_may_not_make_it() {
    let server = Server::start(|_, _| ok("")).await;
    let egress = with_names(&[("shared.example", &[&[local(1)]])]);
    let port = server.address.port();
    let url = format!("http://shared.example:{port}/");
    send(&egress, get(&url)).await.unwrap();
    let narrow = Guest::without(&["127.0.0.1"]);
    let denied = send_as(&egress, &narrow, get(&url)).await.unwrap_err();
    assert_eq!(denied.word(), "address-denied");
    assert_eq!(server.seen().len(), 1);
    // Whoever may make it gets it.
    let wide = Guest::default();
    send_as(&egress, &wide, get(&url)).await.unwrap();
    assert_eq!(
        wide.audited()[1..],
        [format!("allowed shared.example:{port} at 127.0.0.1")]
    );
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
    let guest = Guest::without(&["127.0.0.1"]);
    for _ in 0..2 {
        let reply = send_as(&egress, &guest, get(&url)).await.unwrap();
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
    let place = format!("localhost:{}", server.address.port());
    let guest = Guest::with_rules(&[], &[format!("http:read={place}")]);
    let reply = send_as(&egress(), &guest, get(&format!("http://{place}/"))).await;
    assert_eq!(reply.unwrap().status, 200);
    let reached = format!("allowed {place} at 127.0.0.1");
    assert!(guest.audited().contains(&reached));
}

#[tokio::test]
async fn a_right_that_was_taken_does_not_reach_over_a_kept_connection() {
    let server = Server::start(|_, _| ok("")).await;
    let (egress, guest) = (egress(), Guest::default());
    send_as(&egress, &guest, get(&server.url("/")))
        .await
        .unwrap();
    guest.revoke();
    let denied = send_as(&egress, &guest, get(&server.url("/")))
        .await
        .unwrap_err();
    assert_eq!(
        (denied.word(), denied.code()),
        ("request-denied", HostCode::Denied)
    );
    assert_eq!(server.seen().len(), 1);
}
