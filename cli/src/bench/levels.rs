//! What each gzip level costs and saves.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::meter::{Contender, by_turns, real};

/// Compresses `lines` at each level; prints speed, ratio, and each level beside the writer's.
pub(super) fn run(lines: &[u8], own: u32, rounds: u32, out: &mut dyn Write) -> anyhow::Result<()> {
    let gzip = |level: u32| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(level));
        gzip.write_all(lines)?;
        anyhow::Ok(gzip.finish()?)
    };
    let sizes = (1..=9)
        .map(|level| Ok(real(gzip(level)?.len() as u64)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let contenders = (1..=9).map(|level| -> Contender<'_> {
        Box::new(move || {
            std::hint::black_box(gzip(level)?);
            Ok(())
        })
    });
    let samples = by_turns(rounds, contenders.collect())?;
    let measured: Vec<_> = (1..=9).zip(samples.iter().zip(&sizes)).collect();
    let Some((_, (own_samples, own_size))) = measured.iter().find(|(level, _)| *level == own)
    else {
        anyhow::bail!("levels go from 1 to 9");
    };
    let bytes = real(lines.len() as u64);
    writeln!(
        out,
        "  level      MB/s   ratio   CPU / level {own}   bytes / level {own}"
    )?;
    for (level, (samples, size)) in &measured {
        writeln!(
            out,
            "  {level:>5}{:>10.0}{:>8.2}{:>16.2}{:>18.3}",
            bytes / 1e6 / samples.median(),
            bytes / *size,
            samples.ratio_to(own_samples),
            *size / *own_size,
        )?;
    }
    Ok(())
}
