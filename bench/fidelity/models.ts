import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A model to measure: the demo's own, or one that train.py made. */
export interface TrainedModel {
  readonly family: string
  readonly dir: string
}

const HERE = import.meta.dirname
const ROOT = join(HERE, '../..')
const TRAINED = [
  ...['mistral', 'qwen2', 'qwen3', 'gemma2', 'gemma3_text', 'phi3'],
  ...['smollm3', 'granite', 'gpt2', 'gpt_neox', 'opt'],
]

/** The models that are there, and the families whose model is missing. */
export function trainedModels(): { models: TrainedModel[]; missing: string[] } {
  const dirOf = (family: string): string => join(HERE, '.work', family)
  const there = TRAINED.filter((family) => existsSync(join(dirOf(family), 'config.json')))
  const demo = { family: 'llama', dir: join(ROOT, 'models/demo') }
  return {
    models: [demo, ...there.map((family) => ({ family, dir: dirOf(family) }))],
    missing: TRAINED.filter((family) => !there.includes(family)),
  }
}

/** The held-out documents. */
export function heldoutText(): string {
  return readFileSync(join(HERE, 'heldout.txt'), 'utf8')
}

/** Our pages: English prose and some code. */
export function pagesText(): string {
  const pages = ['README.md', 'docs/adapters.md', 'docs/engine.md', 'docs/operations.md', 'docs/text.md']
  return pages.map((page) => readFileSync(join(ROOT, page), 'utf8')).join('\n')
}
