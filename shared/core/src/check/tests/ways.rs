//! What stands between Sealift and an endpoint.

use super::*;

#[test]
fn each_obstacle_on_the_way_to_an_endpoint_has_its_own_words() {
    for (obstacle, problem, who, cause, what) in [
        (
            Obstacle::NoAddress,
            Problem::NoAddress,
            Who::Customer,
            "https://minio.example.com:9000 has no address",
            "cannot be resolved",
        ),
        (
            Obstacle::NotPublic,
            Problem::NotPublic,
            Who::Customer,
            "not on the public internet",
            "allowed by the operator",
        ),
        (
            Obstacle::Unreachable,
            Problem::Unreachable,
            Who::Customer,
            "does not take connections",
            "firewall",
        ),
        (
            Obstacle::Tls,
            Problem::TlsFailed,
            Who::Customer,
            "no TLS session comes about",
            "certificate",
        ),
        (
            Obstacle::TimedOut,
            Problem::NoAnswer,
            Who::Nobody,
            "cannot be told now",
            "nothing is proved",
        ),
    ] {
        let blocked_look = looked(Err(blocked(obstacle)), None);
        let world = World::new()
            .looks([blocked_look])
            .writes([Err(blocked(obstacle))]);
        let expected = Expected {
            problem,
            who,
            cause,
            what,
            mend: &[],
        };
        let report = world.check(&elsewhere());
        assert_told(&report, &expected);
        assert_eq!(outcome(&report, Step::PutObject), Outcome::Unknown);
        assert_eq!(world.slept(), Vec::<u64>::new());
        // Another header does not open the way; another host might.
        let styles = world.styles.lock().unwrap();
        match obstacle {
            Obstacle::NotPublic | Obstacle::TimedOut => assert_eq!(*styles, [false]),
            _ => assert_eq!(*styles, [false, true]),
        }
    }
}

#[test]
fn what_is_in_the_way_to_aws_itself_is_the_operators_unless_the_region_has_no_name() {
    for (obstacle, who, what) in [
        (Obstacle::NoAddress, Who::Customer, "`region`"),
        (Obstacle::Unreachable, Who::Operator, "functions to AWS"),
        (Obstacle::Tls, Who::Operator, "functions to AWS"),
    ] {
        let world = World::new().writes([Err(blocked(obstacle))]);
        let advice = world.check(&with_role()).advice.unwrap();
        assert_eq!(advice.who, who, "{obstacle:?}");
        assert!(advice.what.contains(what), "{advice:?}");
    }
}
