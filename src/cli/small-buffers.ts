/**
 * Without pooled Buffers: under the driver's V8 flags the slabs behind them (64 KiB each) outlive their use, and memory grows with
 * every certificate. Imported first, before anything makes a Buffer.
 */
Buffer.poolSize = 0
