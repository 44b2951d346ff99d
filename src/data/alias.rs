//! Drawing from a fixed discrete distribution in constant time, by the alias method (Walker 1977, Vose 1991).

/// A distribution over `0..n`.
pub struct Alias {
    /// Column i keeps a coin below `keep[i]` (out of 2^32) and sends the others to `other[i]`.
    keep: Vec<u64>,
    other: Vec<u32>,
}

impl Alias {
    /// The table of a distribution. `probabilities` are positive and sum to 1.
    pub fn new(probabilities: &[f64]) -> Self {
        let n = probabilities.len();
        let mut scaled: Vec<f64> = probabilities.iter().map(|p| p * n as f64).collect();
        let mut keep = vec![1_u64 << 32; n];
        let mut other: Vec<u32> = (0..n as u32).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| scaled[i] < 1.0);
        while let (Some(&low), Some(&high)) = (small.last(), large.last()) {
            small.pop();
            keep[low] = (scaled[low] * (1_u64 << 32) as f64) as u64;
            other[low] = high as u32;
            scaled[high] -= 1.0 - scaled[low];
            if scaled[high] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        Self { keep, other }
    }

    /// The outcome that 64 random bits stand for.
    pub fn draw(&self, word: u64) -> u16 {
        let column = ((word >> 32) * self.keep.len() as u64) >> 32;
        let coin = word & 0xffff_ffff;
        let column = column as usize;
        if coin < self.keep[column] { column as u16 } else { self.other[column] as u16 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::Stream;
    use super::*;

    #[test]
    fn draws_follow_the_distribution() {
        let probabilities = [0.5, 0.2, 0.15, 0.1, 0.05];
        let alias = Alias::new(&probabilities);
        let mut stream = Stream::new(3);
        let mut counts = [0_u32; 5];
        for _ in 0..200_000 {
            counts[usize::from(alias.draw(stream.word()))] += 1;
        }
        let chi_squared: f64 =
            probabilities.iter().zip(counts).map(|(p, n)| (f64::from(n) - p * 2e5).powi(2) / (p * 2e5)).sum();
        // With 4 degrees of freedom, 23.5 is exceeded once in 10,000.
        assert!(chi_squared < 23.5, "{chi_squared}");
    }
}
