import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { inspectAdapter } from '../adapters/read.ts'
import type { AdapterInspection } from '../adapters/read.ts'
import { formatByteSize } from '../config/byte-size.ts'
import { TroupeError } from '../core/errors.ts'

/** Prints what is in an adapter's files, for people or as JSON. Throws what is wrong with them. */
export function inspect(path: string, options: { readonly json?: boolean }): void {
  const inspection = inspectAdapter(adapterFolder(path))
  if (options.json) {
    const { description, ...rest } = inspection
    console.log(JSON.stringify({ ...description, ...rest }, null, 2))
  } else console.log(renderInspection(inspection))
}

/** The folder of an adapter that was named by its folder or by a file in it. */
export function adapterFolder(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (!stats) throw new TroupeError('invalid_adapter', `${path} does not exist: give an adapter’s folder or file`)
  return stats.isDirectory() ? path : dirname(path)
}

function renderInspection({ description, digest, tensors }: AdapterInspection): string {
  const { format, method, rank, sites, virtualTokens, parameters, bytes, baseModel } = description
  const facts = [
    ['format', format],
    ['method', method],
    ['rank', rank],
    ['sites', sites.length === 0 ? 'none' : `${sites.length}: ${summariseSites(sites)}`],
    ...(virtualTokens === 0 ? [] : ([['virtual', `${virtualTokens} tokens before every prompt`]] as const)),
    ['tensors', tensors.length],
    ['parameters', parameters.toLocaleString('en')],
    ['memory', `${formatByteSize(bytes)} (${bytes} bytes)`],
    ['digest', digest],
    ['base', baseModel ?? 'not named'],
  ] as const
  return facts.map(([name, value]) => `${name.padEnd(11)} ${value}`).join('\n')
}

/** `lm_head, layers.0-3.q_proj, layers.0-3.v_proj`: the same kind in consecutive layers as one entry. */
export function summariseSites(sites: readonly string[]): string {
  const layersOf = new Map<string, number[]>()
  const others: string[] = []
  for (const site of sites) {
    const [, layer, kind] = /^layers\.(\d+)\.(.+)$/.exec(site) ?? []
    if (layer === undefined || kind === undefined) others.push(site)
    else layersOf.set(kind, [...(layersOf.get(kind) ?? []), Number(layer)])
  }
  return [...others, ...[...layersOf].map(([kind, layers]) => `layers.${ranges(layers)}.${kind}`)].join(', ')
}

function ranges(layers: readonly number[]): string {
  const runs: [number, number][] = []
  for (const layer of [...layers].sort((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last && last[1] === layer - 1) last[1] = layer
    else runs.push([layer, layer])
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',')
}
