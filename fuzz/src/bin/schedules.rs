//! The objects of a fleet's rota: the index of schedules, and the shifts of one.

#![no_main]

use fleet::{FleetIncidents, RotaIndex, ScheduleShifts};
use libfuzzer_sys::fuzz_target;
use policy::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(index) = RotaIndex::parse(bytes) {
        assert_eq!(RotaIndex::parse(&index.to_bytes()).as_ref(), Ok(&index));
        let now = Timestamp::from_unix(1_795_950_000);
        for schedule in index.schedules() {
            assert_eq!(index.find(&schedule.source, &schedule.id), Some(schedule));
            let resolved = schedule.resolve(now);
            assert!(resolved.read <= now && resolved.horizon >= resolved.read);
        }
        // What a publisher takes over from it stays what it is.
        let all: Vec<_> = index.schedules().iter().map(|schedule| schedule.resolve(now)).collect();
        let (again, read) = RotaIndex::new(all.clone()).expect("it was an index");
        let resolved = again.schedules().iter().map(|schedule| schedule.resolve(read.unwrap_or(now)));
        for (one, other) in resolved.zip(all) {
            assert!(one.read == other.read && one.horizon <= other.horizon && one.shifts == other.shifts);
        }
    }
    if let Ok(incidents) = FleetIncidents::parse(bytes) {
        assert_eq!(FleetIncidents::parse(&incidents.to_bytes()), Ok(incidents));
    }
    if let Ok(shifts) = ScheduleShifts::parse(bytes) {
        assert_eq!(ScheduleShifts::parse(&shifts.to_bytes()).as_ref(), Ok(&shifts));
        assert_eq!(ScheduleShifts::new(shifts.shifts().to_vec()), Ok(shifts));
    }
});
