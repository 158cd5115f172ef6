import { writeFileSync } from 'node:fs'
import { renderReport } from '../bench/report.ts'
import type { Row } from '../bench/report.ts'
import type { Settings } from '../config/schema.ts'
import { checkKeys, checkModel, checkStore, checkTokenizer } from './doctor-folders.ts'
import { checkCpu, checkMemory, checkNode, checkOnnxRuntime, checkPlatform } from './doctor-machine.ts'

/** What one check found; a failed one says how to fix it. */
export interface Finding {
  readonly ok: boolean
  readonly what: string
  readonly detail: string
  readonly fix?: string
}

/**
 * Checks machine, store and model folder, prints a line for each and returns whether all is well.
 * @param json `true` prints the convention's JSON instead, a path writes it there too
 */
export async function doctor(settings: Settings, json?: string | true): Promise<boolean> {
  const keys = checkKeys(settings.keys)
  const findings = [
    checkNode(),
    checkPlatform(),
    await checkOnnxRuntime(),
    checkCpu(),
    checkMemory(),
    await checkStore(settings.store),
    ...(keys ? [keys] : []),
    checkModel(settings.model),
    await checkTokenizer(settings.model),
  ]
  const document = renderReport('troupe doctor', findings.map(rowOf))
  if (json === true) process.stdout.write(document)
  else for (const finding of findings) console.log(renderFinding(finding))
  if (typeof json === 'string') writeFileSync(json, document)
  return findings.every(({ ok }) => ok)
}

/** One promise per check; what was found is its note. */
function rowOf({ ok, what, detail, fix }: Finding): Row {
  const note = fix === undefined ? detail : `${detail}; fix: ${fix}`
  return { name: what, value: ok ? 1 : 0, unit: 'ok', target: '= 1', met: ok, note }
}

export function renderFinding({ ok, what, detail, fix }: Finding): string {
  const line = `${ok ? 'ok  ' : 'FAIL'} ${what.padEnd(13)} ${detail}`
  return fix === undefined ? line : `${line}\n     ${''.padEnd(13)} fix: ${fix}`
}
