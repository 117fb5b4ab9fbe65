//! What runs cost, and what follows from many of them.

/// One run of a command.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub wall_ms: f64,
    pub cpu_ms: f64,
    pub rss_mib: f64,
    pub status: i32,
}

/// The runs of one command, in the order of the rounds.
#[derive(Debug, Clone, Default)]
pub struct Series(pub Vec<Sample>);

impl Series {
    pub fn wall(&self) -> Vec<f64> {
        self.0.iter().map(|sample| sample.wall_ms).collect()
    }

    pub fn cpu(&self) -> Vec<f64> {
        self.0.iter().map(|sample| sample.cpu_ms).collect()
    }

    /// The largest peak of any run.
    pub fn rss(&self) -> f64 {
        self.0.iter().map(|sample| sample.rss_mib).fold(0.0, f64::max)
    }

    /// How often this took as long as `floor` in the same round, as a rule: the median of the ratios.
    pub fn ratio(&self, floor: &Self) -> f64 {
        median(self.0.iter().zip(&floor.0).map(|(own, floor)| own.wall_ms / floor.wall_ms))
    }
}

/// The value in the middle; NaN of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value below which the part `part` of all lies.
pub fn quantile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    values.get((last * part).round() as usize).copied().unwrap_or(f64::NAN)
}
