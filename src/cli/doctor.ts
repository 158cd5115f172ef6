import type { Settings } from '../config/schema.ts'
import { checkModel, checkStore, checkTokenizer } from './doctor-folders.ts'
import { checkCpu, checkMemory, checkNode, checkOnnxRuntime, checkPlatform } from './doctor-machine.ts'

/** What one check found; a failed one says how to fix it. */
export interface Finding {
  readonly ok: boolean
  readonly what: string
  readonly detail: string
  readonly fix?: string
}

/** Checks machine, store and model folder, prints a line for each; returns whether all is well. */
export async function doctor(settings: Settings): Promise<boolean> {
  const findings = [
    checkNode(),
    checkPlatform(),
    await checkOnnxRuntime(),
    checkCpu(),
    checkMemory(),
    await checkStore(settings.store),
    checkModel(settings.model),
    await checkTokenizer(settings.model),
  ]
  for (const finding of findings) console.log(renderFinding(finding))
  return findings.every(({ ok }) => ok)
}

export function renderFinding({ ok, what, detail, fix }: Finding): string {
  const line = `${ok ? 'ok  ' : 'FAIL'} ${what.padEnd(13)} ${detail}`
  return fix === undefined ? line : `${line}\n     ${''.padEnd(13)} fix: ${fix}`
}
