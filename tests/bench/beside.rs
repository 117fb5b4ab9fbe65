//! What runs beside logins: the doctor by its timer, the timer that ends sessions, and what tells of the record.

use std::time::Instant;

use harness::records::AUDIT;
use harness::suite::{instant, now};
use harness::{Host, wait_until, wait_within};

use crate::machine::{Machine, words};
use crate::samples::{Series, median, quantile};
use crate::table::{Table, at_most, figure};

const STATE: &str = "/var/lib/oncall-notify";
const LOG: &str = "/var/log/oncall-notify.log";

/// Records that a host has written, where its record is large.
const LARGE: usize = 200_000;

/// Records that arrive each second, and for how many seconds; then nothing arrives for as long.
const EACH_SECOND: usize = 1_000;
const SECONDS: usize = 20;

/// What the doctor may take by its timer, of a processor; what the other timer may, on the clock; what the program that tells may
/// of a core while nothing arrives, and of memory; in ms, ms, % and MiB.
const DOCTOR: f64 = 150.0;
const END: f64 = 10.0;
const IDLE: f64 = 0.1;
const MEMORY: f64 = 12.0;

pub fn measure(machine: &Machine, rounds: usize) {
    by_timer(machine, rounds);
    following(&machine.suite.host);
}

/// A record of a session that opened.
fn record(number: usize) -> String {
    format!(
        "{{\"version\":1,\"seq\":{number},\"time\":\"{}\",\"host\":\"db1\",\"id\":\"{number:016x}\",\"phase\":\"session\",\"pid\":4711,\
         \"boot_id\":\"7d0c2f11-5a0e-4c52-9d3e-0b8f6f1a2c33\",\"person\":\"p{}\",\"account\":\"root\",\"service\":\"sudo\",\
         \"verdict\":\"allow\",\"reason\":\"oncall\",\"effect\":\"pass\",\"mode\":\"enforce\",\"guard\":\"uid-0\",\
         \"rule\":\"everywhere\",\"schedule\":\"rota/primary\",\"tty\":\"/dev/pts/3\"}}\n",
        instant(now()),
        number % 300
    )
}

fn records(from: usize, count: usize) -> String {
    (from..from + count).map(record).collect()
}

fn by_timer(machine: &Machine, rounds: usize) {
    let host = &machine.suite.host;
    let end = [words("/usr/bin/oncall-cache end")];
    // The first run looks twice at what it finds; those that are measured find the same, and look once.
    let watch = [words("/usr/bin/oncall-cache watch --again-after 1")];
    host.must(&watch[0].join(" "));
    let mut table = Table::new(
        &format!("By timers, whole processes with what they start, {rounds} rounds"),
        &["", "median ms", "p95 ms", "cpu ms", "RSS MiB", "to reach"],
    );
    let mut row = |what: &str, series: &Series, reach: String| {
        assert!(series.0.iter().all(|sample| sample.status == 0), "{what} failed");
        table.row(vec![
            what.to_string(),
            figure(median(series.wall())),
            figure(quantile(series.wall(), 0.95)),
            figure(median(series.cpu())),
            figure(series.rss()),
            reach,
        ]);
    };
    let series = &machine.run("root", rounds, &watch)[0];
    row("the doctor, nothing new", series, at_most(median(series.cpu()), DOCTOR, "ms of a processor"));
    host.write(AUDIT, "", 0o640);
    let series = &machine.run("root", rounds, &end)[0];
    row("ends, no session open", series, at_most(median(series.wall()), END, "ms"));
    let held = ["script", "-qec", "runuser -u alice -- sudo -n sleep 10000", "/dev/null"];
    host.daemon(&held, "/dev/null");
    wait_until("a session is open", || host.sh("ls /run/authkeys/sessions/*").status.success());
    for (what, lines) in [("ends, a session with a right", 0), ("the same, a large record", LARGE)] {
        host.write(AUDIT, records(1, lines), 0o640);
        let series = &machine.run("root", rounds, &end)[0];
        // It writes what it remembers, and waits for the disk.
        row(what, series, at_most(median(series.cpu()), END, "ms of a processor"));
    }
    table.print();
    host.must("pkill -x sleep");
}

/// Counts what arrives by TCP, as GELF ends it, and writes the count down now and then.
const RECEIVER: &str = r#"
import os, socket
server = socket.create_server(("127.0.0.1", 12201))
count = 0
while True:
    client, _ = server.accept()
    while data := client.recv(1 << 16):
        count += data.count(0)
        with open("/run/taken.new", "w") as file: file.write(str(count))
        os.rename("/run/taken.new", "/run/taken")
    client.close()
"#;

fn following(host: &Host) {
    host.write("/root/receiver.py", RECEIVER, 0o644);
    host.daemon(&["python3", "/root/receiver.py"], "/dev/null");
    host.wait_for_port(12201);
    let config = format!(
        "files = [\"{AUDIT}\"]\n[[channel]]\nname = \"logs\"\nmost = 100000\ngelf = {{ server = \"127.0.0.1:12201\", transport = \"tcp\" }}\n"
    );
    host.write("/etc/authkeys/notify.toml", config, 0o644);
    host.write(AUDIT, records(1, LARGE), 0o640);
    host.must(&format!(
        "ln -sf /run/suite/build/oncall-notify /usr/bin/oncall-notify
         useradd --system --user-group --home-dir {STATE} --shell /usr/sbin/nologin oncall-notify
         install -d -o oncall-notify -g oncall-notify -m 700 {STATE}
         chgrp oncall-notify /var/log/authkeys {AUDIT}; mkdir /root/parts"
    ));
    for second in 0..SECONDS {
        let part = records(LARGE + 1 + second * EACH_SECOND, EACH_SECOND);
        host.write(&format!("/root/parts/{second}"), part, 0o644);
    }
    host.daemon(&["/usr/sbin/runuser", "-u", "oncall-notify", "--", "oncall-notify", "run"], LOG);
    wait_until("it follows the record", || {
        host.path(LOG).exists() && host.read(LOG).contains("oncall-notify: following; ")
    });
    let before = ticks(host);
    let last = SECONDS - 1;
    let feed = format!(
        "for part in $(seq 0 {last}); do cat /root/parts/$part >>{AUDIT}; [ $part = {last} ] || sleep 1; done"
    );
    host.must(&feed);
    let fed = Instant::now();
    wait_until("all is followed", || {
        let end = host.must(&format!("stat -c %s {AUDIT}"));
        host.read(&format!("{STATE}/state.json")).contains(&format!("\"offset\":{},", end.trim()))
    });
    let followed = fed.elapsed().as_secs_f64();
    wait_within(600, "all is told", || {
        let taken = host.sh("cat /run/taken").stdout;
        String::from_utf8_lossy(&taken).trim().parse().unwrap_or(0) >= SECONDS * EACH_SECOND
    });
    let told = fed.elapsed().as_secs_f64();
    let busy = (ticks(host) - before) / SECONDS as f64;
    let before = ticks(host);
    host.must(&format!("sleep {SECONDS}"));
    let idle = (ticks(host) - before) / SECONDS as f64;
    let memory = |field: &str| -> f64 {
        let kib = host.must(&format!("awk '/^{field}:/ {{ print $2 }}' /proc/$(pidof oncall-notify)/status"));
        kib.trim().parse::<f64>().expect("KiB") / 1_024.0
    };
    let mut table = Table::new(
        &format!(
            "oncall-notify, {EACH_SECOND} records a second for {SECONDS} s behind {LARGE} that it has read"
        ),
        &["", "figure", "to reach"],
    );
    let rows = [
        ("followed behind the last, s", followed, at_most(followed, 2.0, "s")),
        ("told behind the last, s", told, String::new()),
        ("ms of a processor for each second's", 10.0 * busy, String::new()),
        ("% of a core while nothing does", idle, at_most(idle, IDLE, "%")),
        ("most memory, MiB", memory("VmHWM"), String::new()),
        ("memory then, MiB", memory("VmRSS"), at_most(memory("VmRSS"), MEMORY, "MiB")),
    ];
    for (what, value, reach) in rows {
        table.row(vec![what.to_string(), figure(value), reach]);
    }
    table.print();
}

/// Processor time of the program so far, in hundredths of a second, as proc(5) has it; a hundredth in a second is 1 % of a core.
fn ticks(host: &Host) -> f64 {
    let stat = host.must("cat /proc/$(pidof oncall-notify)/stat");
    let (_, fields) = stat.rsplit_once(") ").expect("a process's stat");
    fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks")).sum()
}
