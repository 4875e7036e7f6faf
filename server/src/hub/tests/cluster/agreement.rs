//! Whatever happens, all nodes agree in the end on who is in a room.

use super::*;

#[test]
fn a_claim_that_was_given_up_and_is_answered_last_takes_nobody_out_of_the_room() {
    let mut cluster = Cluster::with_room("a");
    // Nobody is given a seat for a while.
    cluster.act(Act::Forget);
    for act in [Act::Join(1, 0), Act::Leave(1, 0), Act::Join(1, 0)] {
        cluster.act(act);
    }
    // Who comes next is given the seat that is given up as one of the room's.
    cluster.act(Act::Join(2, 0));
    cluster.step();
    let asks = &mut cluster.nodes[1].asks;
    let claims = |ask: &(u32, Region, Ask)| matches!(ask.2, Ask::Claim(..));
    assert!(asks.len() == 2 && asks.iter().all(claims));
    asks.reverse();
    for _ in 0..200 {
        cluster.step();
    }
    let all = BTreeSet::from([id('a'), id('b'), id('c')]);
    assert_eq!(cluster.inside(&named(0)), all);
    for (seen, _) in cluster.seen(&named(0)) {
        assert_eq!(seen, all);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_all_nodes_agree_on_who_is_in_after_a_while(
        acts in proptest::collection::vec(act(), 1..60),
        seed in any::<u64>(),
    ) {
        all_agree_in_the_end(Cluster::new(seed), acts)?;
    }

    #[test]
    fn whatever_happens_between_two_regions_all_nodes_agree_on_who_is_in_after_a_while(
        acts in proptest::collection::vec(act_among_regions(), 1..60),
        seed in any::<u64>(),
        far in 0..5u32,
    ) {
        all_agree_in_the_end(Cluster::of_two_regions(seed, far), acts)?;
    }
}

fn act_among_regions() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => act(),
        1 => (1..300u32).prop_map(Act::Sever),
    ]
}

fn all_agree_in_the_end(mut cluster: Cluster, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let mut sound = true;
    for act in acts {
        // A broker that forgets while a node cannot say what it holds may give a seat twice, until the node is back.
        sound &= !matches!(act, Act::Forget | Act::Cut(..) | Act::Sever(_));
        cluster.act(act);
        for number in 0..2 {
            let inside = cluster.inside(&named(number)).len();
            prop_assert!(
                !sound || inside <= usize::from(CAPACITY),
                "{} in room {}",
                inside,
                number
            );
        }
    }
    cluster.calm = true;
    cluster.severed = 0;
    for node in &mut cluster.nodes {
        node.cut = 0;
    }
    // Links that were given up, seats of nobody and renewals: each is over within a lease or two.
    for _ in 0..500 {
        cluster.step();
    }
    for number in 0..2 {
        let room = named(number);
        let inside = cluster.inside(&room);
        prop_assert!(inside.len() <= usize::from(CAPACITY), "{:?}", inside);
        for (seen, _) in cluster.seen(&room) {
            prop_assert_eq!(&seen, &inside, "in room {}", number);
        }
        for (who, others) in cluster.told(&room) {
            let mut all = others;
            all.insert(id(who));
            prop_assert_eq!(&all, &inside, "as {} was told of room {}", who, number);
        }
    }
    Ok(())
}
