//! Rows of shared tables: which record has them, and when they are written.

use caxton_model::{Micros, Record};
use expect_test::expect;

use super::{
    script::{BEGIN, Script, check},
    world::World,
};

#[test]
fn rows_are_written_once_the_turns_record_is_published_and_before_what_it_sends() {
    check(
        r#"
        deploy a init=ok
        deploy b init=ok
        post c -> a inform
        row main/t k 1
        row main/t l
        turn a ok send -> b inform
        turn b ok
        "#,
        expect![[r#"
            deploy a init=ok
            deploy b init=ok
            post c -> a inform
              journal 0-7 posted [inform agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a inform null conv=c-0-7
            row main/t k 1
            row main/t l
            turn a ok send -> b inform
              journal 0-8 turn 2 returned 0
              write rows main/t k main/t l
              host answered send=-2
            turn b ok
              nothing runs
        "#]],
    );
}

#[test]
fn a_fault_takes_its_rows_back() {
    check(
        r#"
        deploy a init=ok
        post c -> a inform
        row main/t k 1
        turn a trap
        "#,
        expect![[r#"
            deploy a init=ok
            post c -> a inform
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a inform null conv=c-0-4
            row main/t k 1
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-5 turn 2 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-4 re=c-0-4
        "#]],
    );
}

#[test]
fn rows_of_an_agent_that_keeps_nothing_have_a_record_of_their_own() {
    check(
        r#"
        deploy a init=ok memory
        post c -> a inform
        row main/t k 1
        turn a ok
        "#,
        expect![[r#"
            deploy a init=ok memory
            post c -> a inform
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 memory
              run a 2 message c -> a inform null conv=c-0-4
            row main/t k 1
            turn a ok
              journal 0-5 rows-written
              write rows main/t k
        "#]],
    );
}

#[test]
fn the_journal_alone_tells_what_the_tables_hold() {
    let mut script = Script::new(1);
    for line in [
        "deploy a init=ok",
        "deploy m init=ok memory",
        "post c -> a inform",
        "row main/t k 1",
        "row main/t l 2",
        "turn a ok",
        "post c -> m inform",
        "row main/t k 3",
        "turn m ok",
        "post c -> a inform",
        "row main/t l",
        "turn a ok",
        "post c -> a inform",
        "row main/t k 4",
        "turn a trap",
    ] {
        script.line(line);
    }
    let tables = World::replayed(&script.world.journal).tables;
    let rows = tables["main/t"].iter();
    let rows: Vec<(&str, &str)> = rows.map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(rows, [("k", "3")]);
    let kernels = &script.world.kernels;
    assert!(
        kernels
            .iter()
            .all(|kernel| kernel.state().tables.is_empty())
    );
}

#[test]
fn without_a_journal_rows_are_written_all_the_same() {
    let mut world = World::new(1, false, BEGIN);
    let spec = std::sync::Arc::new(super::script::spec(10, "a"));
    world.step(
        0,
        crate::Event::Deploy {
            ticket: crate::Ticket(1),
            spec: spec.clone(),
            granted: caxton_model::GrantedRules::default(),
        },
    );
    world.rows = vec![caxton_model::RowWrite {
        table: "main/t".into(),
        key: "k".into(),
        value: Some("1".into()),
    }];
    world.end_turn(spec.id, |_, _| Ok(0));
    world.pass(Micros::secs(1));
    let is_rows = |entry: &std::sync::Arc<caxton_model::Entry>| {
        matches!(entry.record, Record::RowsWritten { .. })
    };
    assert!(!world.journal.iter().any(is_rows));
    assert!(world.transcript.contains("write rows main/t k"));
}
