import { openBackend } from '../app/backend.ts'
import type { Settings } from '../config/schema.ts'
import { openSource, takeFiles } from '../intake/take-files.ts'
import { createLogger } from '../telemetry/log.ts'
import { renderReport } from './render-report.ts'
import { ProgressLine } from './progress-line.ts'

export interface ImportOptions {
  /** Task that is created or pointed at the new version. */
  readonly task?: string
  /** The task's prompt with `{input}` in it. */
  readonly prompt?: string
  readonly description?: string
}

/** Who changed it, in the store's records. */
const IMPORTER = 'cli'

/** Validates an adapter against the base model, probes it and stores it as a version; a running server picks it up. */
export async function importAdapter(
  name: string,
  path: string,
  options: ImportOptions,
  settings: Settings,
): Promise<void> {
  const source = await openSource(path, settings.uploadLimit)
  const progress = new ProgressLine('preparing the model')
  const backend = await openBackend({ ...settings, maxBatch: 1 }, createLogger('warn'), (...step) =>
    progress.update(...step),
  ).finally(() => progress.finish())
  try {
    const { intake, changes } = backend.rooms
    const origin = { by: IMPORTER }
    const staging = await intake.stage()
    const report = await takeFiles(source, staging.dir)
    console.log(renderReport(report).join('\n'))
    const { record, created } = await intake.add(name, staging, { source: 'folder', ...origin })
    console.log(`${name}@v${record.version} ${created ? 'stored' : 'was there already'}: ${record.digest}`)
    if (options.task === undefined) return
    const { prompt, description } = options
    const routes = [{ adapter: name, version: record.version }]
    const change = await changes.putTask(options.task, { routes, prompt, description }, origin)
    console.log(`task ${change.task.name} ${change.created ? 'created' : 'now routes to it'}`)
  } finally {
    await backend.close()
  }
}
