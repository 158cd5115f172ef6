import { writeFileSync } from 'node:fs'
import { renderReport } from '../bench/report.ts'
import type { Row } from '../bench/report.ts'
import type { Settings } from '../config/schema.ts'
import { checkKeys, checkModel, checkStore, checkTokenizer } from './doctor-folders.ts'
import { checkPlan } from './doctor-plan.ts'
import { checkAddon, checkCpu, checkMemory, checkNode, checkOnnxRuntime, checkPlatform } from './doctor-machine.ts'

/** What one check found; a failed one says how to fix it, a good one with a `fix` how it would be better. */
export interface Finding {
  readonly ok: boolean
  readonly what: string
  readonly detail: string
  readonly fix?: string
  /** Numbers behind it, for programs. */
  readonly figures?: readonly Row[]
}

/**
 * Checks machine, store and model folder, plans memory and disk of a server with these settings, prints a line for each and returns whether all is well.
 * @param json `true` prints the convention's JSON instead, a path writes it there too
 */
export async function doctor(settings: Settings, json?: string | true): Promise<boolean> {
  const keys = checkKeys(settings.keys)
  const model = checkModel(settings.model)
  const findings = [
    checkNode(),
    checkPlatform(),
    await checkOnnxRuntime(),
    checkAddon(),
    checkCpu(),
    checkMemory(),
    await checkStore(settings.store),
    ...(keys ? [keys] : []),
    model,
    await checkTokenizer(settings.model),
    ...(model.ok ? await checkPlan(settings) : []),
  ]
  const document = renderReport('troupe doctor', findings.flatMap(rowsOf))
  if (json === true) process.stdout.write(document)
  else for (const finding of findings) console.log(renderFinding(finding))
  if (typeof json === 'string') writeFileSync(json, document)
  return findings.every(({ ok }) => ok)
}

/** One promise per check, with what was found as its note; then its figures. */
function rowsOf({ ok, what, detail, fix, figures = [] }: Finding): readonly Row[] {
  const note = fix === undefined ? detail : `${detail}; fix: ${fix}`
  return [{ name: what, value: ok ? 1 : 0, unit: 'ok', target: '= 1', met: ok, note }, ...figures]
}

export function renderFinding({ ok, what, detail, fix }: Finding): string {
  const verdict = ok ? (fix === undefined ? 'ok  ' : 'warn') : 'FAIL'
  const line = `${verdict} ${what.padEnd(13)} ${detail}`
  return fix === undefined ? line : `${line}\n     ${''.padEnd(13)} fix: ${fix}`
}
