const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

export const BYTE_SIZE_HELP = 'bytes, or a number with B, KB, MB, GB, TB (1000) or KiB, MiB, GiB, TiB (1024)'

/** Reads `512MB`, `2GiB`, `1.5 GB` or plain bytes; null when it is none of these. */
export function parseByteSize(text: string): number | null {
  const parts = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  const factor = parts && UNITS[parts[2]!.toUpperCase() || 'B']
  if (!parts || factor === undefined) return null
  const bytes = Number(parts[1]) * (factor as number)
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : null
}

/** `1.5 GiB`: for people. */
export function formatByteSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 2 ** (10 * power)
  return `${Number(value.toFixed(value < 10 ? 1 : 0))} ${units[power]}`
}
