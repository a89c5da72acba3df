//! The page at `/metrics`, read the way Prometheus reads it.

/// The samples of one scrape: name with labels, and value.
#[derive(Debug)]
pub struct Samples(Vec<(String, f64)>);

impl Samples {
    /// Reads the text format.
    pub fn read(page: &str) -> Self {
        let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }

    fn name_of(sample: &str) -> &str {
        sample.split('{').next().unwrap_or_default()
    }

    /// The sum over all labels; `None` where there is no such metric.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let of_name = self.0.iter().filter(|(sample, _)| Self::name_of(sample) == name);
        of_name.map(|(_, value)| *value).reduce(|sum, value| sum + value)
    }

    /// The sum over those samples that have a label with this value.
    pub fn sum_where(&self, name: &str, label: &str, value: &str) -> f64 {
        let wanted = format!("{label}=\"{value}\"");
        let of_label = self
            .0
            .iter()
            .filter(|(sample, _)| Self::name_of(sample) == name && sample.contains(&wanted));
        of_label.map(|(_, value)| *value).sum()
    }

    /// What is not over yet: every gauge that counts something alive and is not zero. Registrations end with their devices, not
    /// with a call, and do not count.
    pub fn active(&self) -> Vec<String> {
        let live = |(sample, value): &&(String, f64)| {
            let name = Self::name_of(sample);
            name.ends_with("_active") && name != "tandem_sip_registrations_active" && *value != 0.0
        };
        self.0
            .iter()
            .filter(live)
            .map(|(sample, value)| format!("{sample} {value}"))
            .collect()
    }

    /// The names of all metrics and labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(sample, _)| sample.as_str())
    }
}
