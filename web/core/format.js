const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** `1536` → `1.5 KiB` */
export function bytes(count) {
  let value = count
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`
}

/** Thousands parted: `12,345`. */
export function count(value) {
  return Math.round(value).toLocaleString('en')
}

/** Three digits that matter: `0.0123`, `12.3`, `1,230`. */
export function figure(value) {
  if (value === null || value === undefined) return '–'
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(1)
  return Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 4 })
}

export function percent(share) {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`
}

export function milliseconds(value) {
  if (value === null || value === undefined) return '–'
  return value < 1000 ? `${value < 10 ? value.toFixed(1) : Math.round(value)} ms` : `${(value / 1000).toFixed(2)} s`
}

const STEPS = [
  [60, 'second'],
  [60, 'minute'],
  [24, 'hour'],
  [30, 'day'],
  [12, 'month'],
  [Infinity, 'year'],
]
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

/** `3 hours ago` */
export function ago(iso) {
  let value = (Date.parse(iso) - Date.now()) / 1000
  for (const [size, unit] of STEPS) {
    if (Math.abs(value) < size) return relative.format(Math.round(value), unit)
    value /= size
  }
  return iso
}

/** The beginning of a digest that is enough to tell it. */
export function shortDigest(digest) {
  return digest.slice(0, 'sha256:'.length + 12)
}
