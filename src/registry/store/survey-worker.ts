import { statSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import type { Mark } from './disk.ts'
import { sameMark } from './disk.ts'
import type { SurveyOrder } from './survey.ts'

const port = parentPort
if (!port) throw new Error('survey-worker runs as a thread only')

const marks = new Map<string, Mark | null>()

port.on('message', ({ watch, forget }: SurveyOrder) => {
  for (const path of forget) marks.delete(path)
  for (const [path, mark] of watch) marks.set(path, mark)
  const changed: string[] = []
  for (const [path, mark] of marks) if (!isUnchanged(path, mark)) changed.push(path)
  for (const path of changed) marks.delete(path)
  port.postMessage(changed)
})

/** What cannot be looked at counts as changed: whoever reads it finds out why. */
function isUnchanged(path: string, mark: Mark | null): boolean {
  try {
    return sameMark(statSync(path, { throwIfNoEntry: false }) ?? null, mark)
  } catch {
    return false
  }
}
