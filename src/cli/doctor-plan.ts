import { formatByteSize } from '../config/byte-size.ts'
import type { Settings } from '../config/schema.ts'
import { TroupeError } from '../core/errors.ts'
import type { Row } from '../bench/report.ts'
import type { MemoryPlan } from '../app/memory-plan.ts'
import { renderMemoryPlan } from '../app/memory-plan.ts'
import type { ServerPlan } from '../app/server-plan.ts'
import { checkServerPlan, planServer } from '../app/server-plan.ts'
import type { Finding } from './doctor.ts'
import { failed } from './doctor-folders.ts'

/** What a server with these settings would take of memory and disk; needs a model that can be served. */
export async function checkPlan(settings: Settings, available?: number): Promise<readonly Finding[]> {
  try {
    const plan = await planServer(settings, available)
    return [memoryFinding(plan.memory), diskFinding(plan)]
  } catch (error) {
    return [failed('memory plan', error)]
  }
}

function memoryFinding(plan: MemoryPlan): Finding {
  const { lines, total, available, verdict, wayOut } = plan
  const figures: Row[] = lines.map(({ what, bytes }) => figure(`memory plan: ${what}`, bytes))
  figures.push({ ...figure('memory plan: total', total), target: `<= ${available}`, met: total <= available })
  const detail =
    renderMemoryPlan(plan) + (verdict === 'tight' ? ': weights would be read from disk again and again' : '')
  return { ok: verdict !== 'too much', what: 'memory plan', detail, figures, ...(wayOut !== '' && { fix: wayOut }) }
}

function diskFinding(plan: ServerPlan): Finding {
  const { folder, bytes, free, maybePrepared } = plan.disk
  const figures = [figure('disk plan: prepared model', bytes), figure('disk plan: free', free)]
  if (plan.storeCacheBytes > 0) figures.push(figure('disk plan: store cache', plan.storeCacheBytes))
  const needs = bytes === 0 ? 'is prepared' : maybePrepared ? 'may be prepared' : `takes ${formatByteSize(bytes)}`
  const detail = `the model ${needs} in ${folder}, ${formatByteSize(free)} free`
  const common = { what: 'disk plan', detail, figures }
  try {
    // Of memory there is a finding already.
    const warnings = checkServerPlan({ ...plan, memory: { ...plan.memory, verdict: 'fits' } })
    return { ok: true, ...common, ...(warnings.length > 0 && { fix: warnings.join('; ') }) }
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error
    return { ...failed('disk plan', error), figures }
  }
}

function figure(name: string, bytes: number): Row {
  return { name, value: bytes, unit: 'bytes', target: null, met: null }
}
