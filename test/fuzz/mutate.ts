import type { JsonObject } from '../../src/core/json.ts'
import { isJsonObject } from '../../src/core/json.ts'
import { pick, seededRandom } from '../chaos/scenarios/scale.ts'
import { withHeader } from '../support/safetensors-writer.ts'

/** The files of an adapter. */
export type Files = Readonly<Record<string, Uint8Array>>

type Random = () => number

/** What nobody expects in a field. */
const HOSTILE: readonly unknown[] = [
  ...[
    null,
    true,
    -1,
    0,
    0.5,
    1e308,
    2 ** 53,
    1e9,
    '',
    'q_proj',
    '(a+)+$',
    '.*',
    '\u0000',
    '__proto__',
    'ü'.repeat(1000),
  ],
  ...[[], [[]], {}, { a: { b: [] } }, ['q_proj', 3], [-1, 5], nested(100), Array.from({ length: 1000 }, (_, i) => i)],
]
const DTYPES = ['F32', 'F16', 'BF16', 'F64', 'I64', 'BOOL', 'F8_E4M3', 'f32', '', 'U8']
const SIZES = [0, 1, 2, 3, 7, 8, 1e6, 2 ** 31, 2 ** 53, -1, 1.5]

/**
 * The files with one to three things wrong, the same for the same seed and index: bytes, fields of the configuration, the header
 * of the weights, or the weights themselves.
 */
export function mutate(files: Files, seed: number, index: number): Files {
  const random = seededRandom(seed * 1_000_003 + index)
  const times = 1 + Math.floor(random() * 3)
  let out = files
  for (let i = 0; i < times; i++) out = mutateOnce(out, random)
  return out
}

function mutateOnce(files: Files, random: Random): Files {
  if (Object.keys(files).length === 0) return files
  const name = pick(Object.keys(files), random())
  const bytes = files[name]!
  const kind = random()
  if (kind < 0.02) return Object.fromEntries(Object.entries(files).filter(([file]) => file !== name))
  if (kind < 0.04)
    return { ...files, [pick(['extra.bin', 'adapter_config.json', '../x', name.toUpperCase()], random())]: bytes }
  if (kind < 0.3) return { ...files, [name]: mutateBytes(bytes, random) }
  const changed = name.endsWith('.json') ? mutateConfig(bytes, random) : mutateWeights(bytes, random)
  return { ...files, [name]: changed }
}

function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const at = Math.floor(random() * bytes.length)
  const out = Uint8Array.from(bytes)
  switch (Math.floor(random() * 5)) {
    case 0:
      return out.subarray(0, at)
    case 1:
      return Buffer.concat([out, out.subarray(at)])
    case 2:
      return Buffer.concat([out.subarray(0, at), Buffer.from([Math.floor(random() * 256)]), out.subarray(at)])
    case 3:
      if (bytes.length > 0) out[Math.min(at, 7)] = Math.floor(random() * 256)
      return out
    default:
      for (let i = 0; i < 4 && bytes.length > 0; i++)
        out[Math.floor(random() * out.length)] = Math.floor(random() * 256)
      return out
  }
}

function mutateConfig(bytes: Uint8Array, random: Random): Uint8Array {
  const config = parsed(bytes)
  return config === null ? mutateBytes(bytes, random) : Buffer.from(JSON.stringify(mutateValue(config, random)))
}

/** One field of an object, at any depth, left out, renamed, or with a hostile value. */
function mutateValue(value: unknown, random: Random): unknown {
  const list: readonly unknown[] | null = Array.isArray(value) ? (value as unknown[]) : null
  if (!list && !isJsonObject(value)) return pick(HOSTILE, random())
  const entries: (readonly [string, unknown])[] = Object.entries(list ?? (value as JsonObject))
  const kind = random()
  if (entries.length === 0 || kind < 0.1)
    return list ? [...list, pick(HOSTILE, random())] : { ...(value as JsonObject), riddle: 1 }
  const [key, child] = pick(entries, random())
  const others = entries.filter(([name]) => name !== key)
  const changed =
    kind < 0.25
      ? others
      : kind < 0.35
        ? [...others, [`${key}x`, child] as const]
        : [...others, [key, kind < 0.65 ? pick(HOSTILE, random()) : mutateValue(child, random)] as const]
  return list ? changed.map(([, item]) => item) : Object.fromEntries(changed)
}

function mutateWeights(bytes: Uint8Array, random: Random): Uint8Array {
  const length = bytes.length < 8 ? 0 : Number(Buffer.from(bytes).readBigUInt64LE(0))
  const header = length > 0 && 8 + length <= bytes.length ? parsed(bytes.subarray(8, 8 + length)) : null
  if (header === null) return mutateBytes(bytes, random)
  const data = bytes.subarray(8 + length)
  if (random() < 0.15) return withHeader(JSON.stringify(header), hostileValues(data, random))
  const text = JSON.stringify(random() < 0.5 ? mutateEntry(header, random) : mutateValue(header, random))
  return withHeader(random() < 0.1 ? text.replace('"data_offsets"', '"dtype":"F32","data_offsets"') : text, data)
}

/** A tensor of another name, dtype, shape or place. */
function mutateEntry(header: JsonObject, random: Random): unknown {
  const [name, entry] = pick(Object.entries(header), random())
  const { dtype, shape, data_offsets: offsets }: JsonObject = isJsonObject(entry) ? entry : {}
  const sizes: unknown[] = Array.isArray(shape) ? [...(shape as unknown[])] : [4]
  const places: unknown[] = Array.isArray(offsets) ? [...(offsets as unknown[])] : [0, 4]
  switch (Math.floor(random() * 5)) {
    case 0:
      return { ...header, [name]: { dtype: pick(DTYPES, random()), shape, data_offsets: offsets } }
    case 1:
      sizes[Math.floor(random() * sizes.length)] = pick(SIZES, random())
      return { ...header, [name]: { dtype, shape: sizes, data_offsets: offsets } }
    case 2:
      return { ...header, [name]: { dtype, shape: sizes.reverse(), data_offsets: offsets } }
    case 3:
      places[Math.floor(random() * places.length)] = pick(SIZES, random())
      return { ...header, [name]: { dtype, shape, data_offsets: places } }
    default: {
      const others = Object.entries(header).filter(([other]) => other !== name)
      return Object.fromEntries([
        ...others,
        [name.replace(pick(['0', 'lora_A', 'weight', 'model.', '.'], random()), '9'), entry],
      ])
    }
  }
}

/** NaN, infinity or huge numbers among the values. */
function hostileValues(data: Uint8Array, random: Random): Uint8Array {
  const out = Buffer.from(data)
  for (let i = 0; i < 3 && out.length >= 4; i++)
    out.writeFloatLE(
      pick([NaN, Infinity, -Infinity, 3e38, 1e-45], random()),
      4 * Math.floor(random() * (out.length >> 2)),
    )
  return out
}

function parsed(bytes: Uint8Array): JsonObject | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    return isJsonObject(value) && Object.keys(value).length > 0 ? value : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : { a: nested(depth - 1) }
}
