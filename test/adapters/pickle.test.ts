import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { inspectAdapter } from '../../src/adapters/read.ts'
import { TroupeError } from '../../src/core/errors.ts'
import { folderSource } from '../../src/intake/folder-source.ts'
import { reportFolder } from '../../src/intake/folder-report.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { tinyBottleneck, tinyLora } from '../support/tiny-adapters.ts'

/** A Python with torch and safetensors; null where there is none. */
function findPython(): string | null {
  const candidates = [process.env['PYTHON'], 'python3', 'python'].filter((name) => name !== undefined)
  const works = (name: string): boolean =>
    spawnSync(name, ['-c', 'import torch, safetensors.torch'], { timeout: 60_000 }).status === 0
  return candidates.find(works) ?? null
}

const python = findPython()
if (python === null) console.warn('skipped: no Python with torch and safetensors (set PYTHON to one)')

/** Saves what a fixture's file has as `torch.save` does; two tensors share their memory, as in older files of both libraries. */
const PICKLING = `
import json, sys, torch
shapes = json.loads(sys.argv[1])
tensors = {name: torch.randn(shape) for name, shape in shapes.items()}
names = list(tensors)
first = next(a for a in names for b in names if a < b and tensors[a].shape == tensors[b].shape)
twin = next(b for b in names if b > first and tensors[b].shape == tensors[first].shape)
tensors[twin] = tensors[first]
torch.save(tensors, sys.argv[2])
`

// Needs a Python with torch to write a pickle and to run the line; the project's tests need none.
describe.skipIf(python === null)('the line that converts a pickle', () => {
  it.each([
    ['adapter_model.bin', tinyLora()],
    ['pytorch_adapter.bin', tinyBottleneck()],
    // A pickle under the name that safetensors has.
    ['adapter_model.safetensors', tinyLora()],
  ])(
    'works when it is pasted: %s',
    async (name, { config, tensors }) => {
      const dir = await temporaryFolder()
      writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify(config))
      const shapes = Object.fromEntries(Object.entries(tensors).map(([tensor, { shape }]) => [tensor, shape]))
      execFileSync(python!, ['-c', PICKLING, JSON.stringify(shapes), join(dir, name)])
      const { entries } = await folderSource(dir)
      const message = refusalOf(() => (reportFolder(entries), inspectAdapter(dir)))
      const line = /python -c (".*")$/.exec(message)?.[1]
      execFileSync('sh', ['-c', `'${python!}' -c ${line}`], { cwd: dir })
      const { description, tensors: found } = inspectAdapter(dir)
      expect(description.sites.length).toBeGreaterThan(0)
      expect(found.map((tensor) => tensor.name).sort()).toEqual(Object.keys(tensors).sort())
    },
    120_000,
  )
})

function refusalOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof TroupeError && error.code === 'pickle_refused') return error.message
    throw error
  }
  throw new Error('nothing was refused')
}
