CREATE TABLE application (id INTEGER PRIMARY KEY, name TEXT UNIQUE, key TEXT);
CREATE TABLE role (id INTEGER PRIMARY KEY, name TEXT UNIQUE, display_order INTEGER DEFAULT 1);
CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT UNIQUE, email TEXT, active INTEGER DEFAULT 1);
CREATE TABLE team_subscription (team_id INTEGER, subscription_id INTEGER, role_id INTEGER);
CREATE TABLE user (id INTEGER PRIMARY KEY, name TEXT UNIQUE, full_name TEXT, time_zone TEXT, photo_url TEXT,
    active INTEGER DEFAULT 1, god INTEGER DEFAULT 0);
CREATE TABLE contact_mode (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE user_contact (user_id INTEGER, mode_id INTEGER, destination TEXT);
CREATE TABLE event (id INTEGER PRIMARY KEY, team_id INTEGER, role_id INTEGER, schedule_id INTEGER, link_id TEXT,
    user_id INTEGER, start INTEGER, end INTEGER, note TEXT);
INSERT INTO application VALUES (1, 'cache', 'secretOfTheTest');
INSERT INTO role VALUES (1, 'primary', 1), (2, 'secondary', 2), (3, 'shadow', 3), (5, 'vacation', 5);
INSERT INTO contact_mode VALUES (1, 'email'), (2, 'slack');
INSERT INTO team (id, name) VALUES (1, 'my team'), (2, 'db');
INSERT INTO user (id, name, full_name) VALUES (1, 'alice', 'Alice Example'), (2, 'bob', 'Bob Example'),
    (3, 'carol', 'Carol Example'), (4, 'dave', 'Dave Example');
INSERT INTO user_contact SELECT id, 1, name || '@example.com' FROM user;
INSERT INTO user_contact SELECT id, 2, name FROM user;
