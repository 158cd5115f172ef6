import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const BENCH = join(import.meta.dirname, '../../bench')

interface Lock {
  readonly packages: Readonly<Record<string, { version?: string; integrity?: string; resolved?: string }>>
}

it('pins the peers that their package asks for, by content and without naming a registry', () => {
  const { packages } = readJson('package-lock.json') as Lock
  const { dependencies } = readJson('package.json') as { dependencies: Record<string, string> }
  for (const [name, version] of Object.entries(dependencies))
    expect(packages[`node_modules/${name}`]?.version, name).toBe(version)
  for (const [path, { integrity, resolved }] of Object.entries(packages)) {
    if (path === '') continue
    expect(integrity, path).toMatch(/^sha512-/)
    expect(resolved, path).toBeUndefined()
  }
})

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(join(BENCH, file), 'utf8'))
}
