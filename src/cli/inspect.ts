import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspectAdapter } from '../adapters/read.ts'
import type { AdapterInspection } from '../adapters/read.ts'
import { formatByteSize } from '../config/byte-size.ts'
import type { FolderReport } from '../intake/folder-report.ts'
import { reportFolder } from '../intake/folder-report.ts'
import type { FolderSource } from '../intake/folder-source.ts'
import type { MergedResult, Proof } from '../intake/proof.ts'
import { readProof } from '../intake/proof.ts'
import { openSource, takeFiles } from '../intake/take-files.ts'
import { renderReport } from './render-report.ts'

/** Unpacked; inspecting needs no server whose limit would count. */
const MAX_ARCHIVE_BYTES = 2 ** 34

/** Prints what is in an adapter's files, for people or as JSON; of a version in a store also the proof that it acts. Throws what is wrong with them. */
export async function inspect(path: string, options: { readonly json?: boolean }): Promise<void> {
  const source = await openSource(path, MAX_ARCHIVE_BYTES)
  const { dir } = source
  const { report, inspection } =
    dir === null
      ? await inspectUnpacked(source)
      : { report: reportFolder(source.entries), inspection: inspectAdapter(dir) }
  const proof = dir === null ? null : await readProof(dir)
  if (options.json) {
    const { description, ...rest } = inspection
    console.log(JSON.stringify({ ...description, ...rest, report, proof }, null, 2))
  } else console.log([renderInspection(inspection), ...renderReport(report), ...renderProof(proof)].join('\n'))
}

async function inspectUnpacked(source: FolderSource): Promise<{ report: FolderReport; inspection: AdapterInspection }> {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-inspect-'))
  try {
    return { report: await takeFiles(source, dir), inspection: inspectAdapter(dir) }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
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

/** What a server found when it took the version; only in its store. */
function renderProof(proof: Proof | null): string[] {
  const sites = [...(proof?.sites ?? [])].sort((a, b) => a.norm - b.norm)
  const show = (name: string, at: (typeof sites)[number] | undefined): string[] =>
    at === undefined ? [] : [`${name.padEnd(11)} ${at.site}, norm ${at.norm.toPrecision(3)}`]
  const lines = [...show('weakest', sites[0]), ...show('strongest', sites.at(-1))]
  return proof?.merged ? [...lines, `${'merged'.padEnd(11)} ${renderMerged(proof.merged)}`] : lines
}

function renderMerged({ deviation, tolerance, reason }: MergedResult): string {
  if (deviation === null || tolerance === null) return `not compared: ${reason}`
  const percent = (value: number): string => `${Number((100 * value).toPrecision(2))} %`
  return `within ${percent(deviation)} of merged weights, rounding explains ${percent(tolerance)}`
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
