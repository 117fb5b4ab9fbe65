//! Whose the members of a group at GitLab are: those whom this sink has added, by what it wrote and has read since.

use super::*;

const ME: &str = "/api/v4/user";

/// A member since then, whom this user has added.
fn by(id: u64, since: &str, (number, name): (u64, &str)) -> Value {
    let mut member = member(id, 30, ("created_by", json!({ "id": number, "username": name })));
    member["created_at"] = json!(since);
    if id == 1 {
        member["username"] = json!("alice.smith");
    }
    member
}

fn writes(site: &Site) -> Vec<String> {
    site.asked().into_iter().filter(|line| !line.starts_with("GET ")).collect()
}

fn deleted(id: u64) -> String {
    format!("DELETE /fleet{MEMBERS}/{id}?skip_subresources=true")
}

const US: (u64, &str) = (90, "oncall-bot");
const ERIN: (u64, &str) = (8, "erin");
const OWNER: (u64, &str) = (1, "root");

/// alice is on call, and this sink has added her.
fn with_alice() -> Site {
    let site = Site::start();
    site.configure(&[("gitlab_group", gitlab())]);
    site.answer(ME, 200, &json!({ "id": US.0, "username": US.1, "state": "active" }));
    play_gitlab(&site, &[by(7, "2020-01-01T00:00:00.000Z", OWNER)]);
    site.says(0, 0);
    assert_eq!(writes(&site), [format!("POST /fleet{MEMBERS}")]);
    site
}

#[test]
fn a_member_whom_somebody_added_again_is_theirs() {
    for (seen, again) in [(false, false), (false, true), (true, false), (true, true)] {
        let site = with_alice();
        let owner = by(7, "2020-01-01T00:00:00.000Z", OWNER);
        let ours = by(1, "2026-11-30T10:00:00.000Z", US);
        if seen {
            play_gitlab(&site, &[owner.clone(), ours.clone()]);
            site.says(0, 0);
        }
        let now = if again { by(1, "2026-11-30T10:00:30.000Z", ERIN) } else { ours };
        play_gitlab(&site, &[owner, now]);
        site.says(0, 0);
        site.asked();
        site.says(2 * HOUR, 0);
        let mut expected = vec![format!("POST /fleet{MEMBERS}")];
        expected.extend((!again).then(|| deleted(1)));
        assert_eq!(writes(&site), expected, "{seen} {again}");
    }
}

/// A page need not be full for another one to follow, and a member on that is one.
#[test]
fn members_are_on_each_page_that_there_is() {
    let site = Site::start();
    site.configure(&[("gitlab_group", gitlab())]);
    play_gitlab(&site, &[]);
    let page = |number: u32, members: &[Value], next: &str| {
        let path = format!("{MEMBERS}?per_page=100&page={number}");
        site.answer_with(&path, 200, &json!(members), vec![("x-next-page", next.to_string())]);
    };
    page(1, &[by(7, "2020-01-01T00:00:00.000Z", OWNER)], "2");
    page(2, &[by(1, "2020-01-01T00:00:00.000Z", OWNER)], "");
    site.says(0, 0);
    assert_eq!(writes(&site), [""; 0], "alice was one before");
    site.asked();
    page(2, &[], "1");
    let said = site.says(0, 1);
    assert!(said.contains("GitLab names \"1\" as the page after 2"), "{said}");
    assert_eq!(writes(&site), [""; 0]);
}

#[test]
fn a_robot_of_somebody_who_adds_for_a_rota_stays() {
    let site = Site::start();
    let since = "2026-11-30T10:00:00.000Z";
    let members = [by(7, "2020-01-01T00:00:00.000Z", OWNER), by(4, since, ERIN), by(5, since, ERIN)];
    play_gitlab(&site, &members);
    site.answer(
        "/api/v4/users/4",
        200,
        &json!({ "id": 4, "username": "u4", "state": "active", "bot": false }),
    );
    site.answer(
        "/api/v4/users/5",
        200,
        &json!({ "id": 5, "username": "u5", "state": "active", "bot": true }),
    );
    site.configure(&[("gitlab_group", gitlab() + "\nadded_by = ['erin']")]);
    let said = site.says(0, 0);
    assert!(
        said.contains("removed u4")
            && said.contains("u5, whom somebody in `added_by` added, is a robot and stays"),
        "{said}"
    );
    assert_eq!(writes(&site), [format!("POST /fleet{MEMBERS}"), deleted(4)]);
}

#[test]
fn a_large_group_is_read_to_its_last_page() {
    let site = Site::start();
    play_gitlab(&site, &[]);
    let first: Vec<Value> = (100..200).map(|id| by(id, "2020-01-01T00:00:00.000Z", OWNER)).collect();
    let page = |number: usize, members: &[Value]| {
        site.answer(&format!("{MEMBERS}?per_page=100&page={number}"), 200, &json!(members));
    };
    page(1, &first);
    page(2, &[by(1, "2026-11-30T10:00:00.000Z", OWNER), by(4, "2026-11-30T10:00:00.000Z", ERIN)]);
    site.answer("/api/v4/users/4", 200, &json!({ "id": 4, "username": "u4", "state": "active" }));
    site.configure(&[("gitlab_group", gitlab() + "\nadded_by = ['erin']")]);
    // alice, who is on the second page, is in it; and u4, who is there too, goes.
    let said = site.says(0, 0);
    assert!(said.contains("removed u4"), "{said}");
    assert_eq!(writes(&site), [deleted(4)]);
    // Half a list is none.
    site.answer(&format!("{MEMBERS}?per_page=100&page=2"), 500, &json!({}));
    let said = site.says(0, 1);
    assert!(said.contains("GitLab answers status 500"), "{said}");
    assert_eq!(writes(&site), [""; 0]);
}

#[test]
fn one_who_cannot_be_removed_is_said_and_keeps_no_other_from_it() {
    let site = Site::start();
    let since = "2026-11-30T10:00:00.000Z";
    play_gitlab(&site, &[by(4, since, ERIN), by(5, since, ERIN), by(6, since, ERIN)]);
    for id in 4..7 {
        let user = json!({ "id": id, "username": format!("u{id}"), "state": "active" });
        site.answer(&format!("/api/v4/users/{id}"), 200, &user);
    }
    site.configure(&[("gitlab_group", gitlab() + "\nadded_by = ['erin']")]);
    site.web.lie(&format!("{MEMBERS}/5"), Some(Lie::status(403)));
    let said = site.says(0, 1);
    assert!(
        said.contains("removed u4") && said.contains("removed u6") && !said.contains("removed u5"),
        "{said}"
    );
    assert!(said.contains("u5 is not removed: GitLab does not accept the token (status 403)"), "{said}");
    assert_eq!(writes(&site), [format!("POST /fleet{MEMBERS}"), deleted(4), deleted(5), deleted(6)]);
    // To whoever is to be left alone nothing more is sent.
    site.web.lie(&format!("{MEMBERS}/4"), Some(Lie::status(429)));
    let said = site.says(0, 1);
    assert!(said.contains("u4 is not removed: GitLab asks to be left alone"), "{said}");
    assert_eq!(writes(&site), [format!("POST /fleet{MEMBERS}"), deleted(4)]);
}

#[test]
fn who_is_revoked_is_removed_also_where_nobody_else_is() {
    let site = with_alice();
    let members = [by(7, "2020-01-01T00:00:00.000Z", OWNER), by(1, "2026-11-30T10:00:00.000Z", US)];
    play_gitlab(&site, &members);
    site.says(0, 0);
    // It is not known who is on call.
    let said = site.says(400 * HOUR, 1);
    assert!(said.contains("cannot tell who is on call"), "{said}");
    assert_eq!(writes(&site), [""; 0]);
    site.suite.host.must("oncall-cache revoke alice --reason lost");
    let said = site.says(400 * HOUR, 1);
    assert!(said.contains("removed alice.smith, who is revoked or not eligible any more"), "{said}");
    assert_eq!(writes(&site), [deleted(1)]);
}
