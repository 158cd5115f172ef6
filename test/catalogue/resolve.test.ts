import { describe, expect, it } from 'vitest'
import { Catalogue } from '../../src/catalogue/catalogue.ts'
import type { Resolution, Target } from '../../src/catalogue/records.ts'
import type { Route, TaskRecord } from '../../src/catalogue/task.ts'
import type { Version } from '../../src/catalogue/version.ts'
import { chooseRoute, resolveTarget, stickyPoint } from '../../src/catalogue/resolve.ts'
import { codeOf, messageOf } from '../support/rooms.ts'
import { BareBook, newTask, newVersion } from '../support/catalogue.ts'

const bare = new BareBook()
const catalogue = new Catalogue(bare.state, { name: 'Base-1B', fingerprint: 'sha256:0' }, () => 0)

function add(adapter: string, version: number, effect: number, fingerprint = 'sha256:0'): Version {
  const document = { ...newVersion(adapter, effect, version), base: { name: 'base', fingerprint } }
  bare.take('version.added', document)
  return document
}

const v1 = add('plain', 1, 1)
const v2 = add('plain', 2, 2)
add('plain', 3, 3, 'sha256:another-base')
const owned = add('acme/own', 1, 4)
add('copy', 1, 1)
add('foreign', 1, 5, 'sha256:another-base')

function task(name: string, routes: readonly Route[]): TaskRecord {
  return { ...newTask(name, 1), routes, shadow: null }
}

for (const record of [
  task('reply', [{ adapter: 'plain', version: 1, weight: 1 }]),
  task('acme/reply', [{ adapter: 'acme/own', version: 1, weight: 1 }]),
  task('bare', []),
  task('canary', [
    { adapter: 'plain', version: 1, weight: 95 },
    { adapter: 'plain', version: 2, weight: 5 },
  ]),
  {
    ...task('shadowed', [{ adapter: 'plain', version: 1, weight: 1 }]),
    shadow: { adapter: 'plain', version: 2, sample: 0.25 },
  },
  {
    ...task('stale-shadow', [{ adapter: 'plain', version: 1, weight: 1 }]),
    shadow: { adapter: 'plain', version: 3, sample: 1 },
  },
  {
    ...task('own-shadow', [{ adapter: 'plain', version: 1, weight: 1 }]),
    shadow: { adapter: 'copy', version: 1, sample: 1 },
  },
  task('stale', [{ adapter: 'plain', version: 3, weight: 1 }]),
  task('dangling', [{ adapter: 'plain', version: 9, weight: 1 }]),
  task('plain-task', [{ adapter: 'plain', version: 1, weight: 1 }]),
])
  bare.state.tasks.set(record.name, record)

function resolve(target: Target, tenant = 'acme', random = 0): Resolution {
  return resolveTarget(catalogue, { baseName: 'Base-1B', random: () => random }, target, tenant)
}

function mixOf(target: Target, tenant?: string, random?: number): string[] {
  return resolve(target, tenant, random).adapters.map(
    ({ adapter, version, scale }) => `${adapter}@v${version}*${scale}`,
  )
}

describe('resolveTarget', () => {
  it.each<[Target, string[]]>([
    [{ task: 'reply' }, ['plain@v1*1']],
    [{ model: 'reply' }, ['plain@v1*1']],
    [{ model: 'plain' }, ['plain@v2*1']],
    [{ model: 'plain@v1' }, ['plain@v1*1']],
    [{ model: 'plain@2' }, ['plain@v2*1']],
    [{ model: `plain@${v1.digest}` }, ['plain@v1*1']],
    [{ model: `plain@${v2.digest.slice(0, 19)}` }, ['plain@v2*1']],
    [{ model: 'acme/own' }, ['acme/own@v1*1']],
    [{ model: 'Base-1B' }, []],
    [{ task: 'bare' }, []],
    [{ task: 'reply', adapters: [] }, []],
    [{ task: 'reply', adapters: [{ name: 'acme/own', scale: 0.5 }] }, ['acme/own@v1*0.5']],
    [
      { model: 'Base-1B', adapters: [{ name: 'plain', version: 1 }, { name: 'acme/own' }] },
      ['plain@v1*1', 'acme/own@v1*1'],
    ],
    [{ model: 'plain@v1', adapters: [{ name: 'acme/own', scale: -2 }] }, ['plain@v1*1', 'acme/own@v1*-2']],
    [{ model: 'Base-1B', adapters: [{ name: 'plain@v1', scale: 100 }] }, ['plain@v1*100']],
  ])('%j → %j', (target, mix) => expect(mixOf(target)).toEqual(mix))

  it('pins digests and keeps the task for its prompt and defaults', () => {
    const resolution = resolve({ task: 'reply', adapters: [{ name: 'acme/own' }] })
    expect(resolution.task?.name).toBe('reply')
    expect(resolution.adapters[0]?.digest).toBe(owned.digest)
    expect(resolve({ model: 'plain' }).task).toBeNull()
  })

  it.each<[Target, string]>([
    [{ task: 'nope' }, 'task_not_found'],
    [{ task: 'plain' }, 'task_not_found'],
    [{ model: 'nope' }, 'model_not_found'],
    [{ model: 'nope@v1' }, 'model_not_found'],
    [{ model: '' }, 'model_not_found'],
    [{ model: 'plain@v9' }, 'version_not_found'],
    [{ model: `plain@sha256:${'0'.repeat(12)}` }, 'version_not_found'],
    [{ model: 'plain@newest' }, 'invalid_request'],
    [{ model: 'plain@v3' }, 'adapter_not_ready'],
    [{ model: 'foreign' }, 'adapter_not_ready'],
    [{ task: 'stale' }, 'adapter_not_ready'],
    [{ task: 'dangling' }, 'version_not_found'],
    [{ model: 'Base-1B', adapters: [{ name: 'nope' }] }, 'adapter_not_found'],
    [{ model: 'Base-1B', adapters: [{ name: 'plain', version: 9 }] }, 'version_not_found'],
    [{ model: 'Base-1B', adapters: [{ name: 'plain@v1', version: 1 }] }, 'invalid_request'],
    [{ model: 'Base-1B', adapters: [{ name: 'plain', version: 1 }, { name: 'copy' }] }, 'invalid_request'],
    [{ model: 'Base-1B', adapters: [{ name: 'plain', scale: NaN }] }, 'invalid_request'],
    [{ model: 'Base-1B', adapters: [{ name: 'plain', scale: 101 }] }, 'invalid_request'],
    [{}, 'invalid_request'],
    [{ model: 'plain', task: 'reply' }, 'invalid_request'],
    [{ model: 'Base-1B', adapters: Array.from({ length: 17 }, () => ({ name: 'plain' })) }, 'invalid_request'],
  ])('%j is refused with %s', async (target, code) => expect(await codeOf(() => resolve(target))).toBe(code))

  it('hides what belongs to others as if it did not exist', async () => {
    for (const tenant of ['other', 'acm', 'acme/own', '']) {
      expect(await codeOf(() => resolve({ task: 'acme/reply' }, tenant))).toBe('task_not_found')
      expect(await codeOf(() => resolve({ model: 'acme/reply' }, tenant))).toBe('model_not_found')
      expect(await codeOf(() => resolve({ model: 'acme/own@v1' }, tenant))).toBe('model_not_found')
      const mix = { model: 'Base-1B', adapters: [{ name: 'acme/own', version: 7 }] }
      expect(await messageOf(() => resolve(mix, tenant))).toBe('there is no adapter "acme/own"')
      expect(mixOf({ task: 'reply' }, tenant)).toEqual(['plain@v1*1'])
    }
    expect(mixOf({ task: 'acme/reply' }, '*')).toEqual(['acme/own@v1*1'])
  })

  it('says which task routes to what is not there', async () => {
    expect(await messageOf(() => resolve({ task: 'dangling' }))).toContain('task "dangling" routes to plain@v9')
  })

  it('shares requests among routes by weight', () => {
    expect(mixOf({ task: 'canary' }, 'x', 0.949)).toEqual(['plain@v1*1'])
    expect(mixOf({ task: 'canary' }, 'x', 0.951)).toEqual(['plain@v2*1'])
    const routes = [0.1, 0, 0.2, 0].map((weight, index) => ({ adapter: 'a', version: index + 1, weight }))
    expect(chooseRoute(routes, 0.999999)?.version).toBe(3)
    expect(chooseRoute(routes, 1)?.version).toBe(3)
    expect(chooseRoute(routes, 0.33)?.version).toBe(1)
    const counts = new Map<number, number>()
    for (let n = 0; n < 3_000; n++) {
      const version = chooseRoute(routes, n / 3_000)?.version ?? 0
      counts.set(version, (counts.get(version) ?? 0) + 1)
    }
    expect([...counts]).toEqual([
      [1, 1_000],
      [3, 2_000],
    ])
  })
})

describe('a sticky key', () => {
  const shareOf = (version: number, keys: number): number => {
    let hits = 0
    for (let n = 0; n < keys; n++)
      if (resolve({ task: 'canary', sticky: `user-${n}` }).adapters[0]?.version === version) hits++
    return hits / keys
  }

  it('always takes the same route, and the keys share the routes by weight', () => {
    for (const random of [0, 0.5, 0.999])
      expect(mixOf({ task: 'canary', sticky: 'ann' }, 'acme', random)).toEqual(mixOf({ task: 'canary', sticky: 'ann' }))
    expect(shareOf(2, 20_000)).toBeGreaterThan(0.045)
    expect(shareOf(2, 20_000)).toBeLessThan(0.055)
  })

  it('falls differently for different tasks, and stays with a canary that grows', () => {
    expect(stickyPoint('a', 'ann')).not.toBe(stickyPoint('b', 'ann'))
    const routes = (canary: number): Route[] => [
      { adapter: 'plain', version: 1, weight: 100 - canary },
      { adapter: 'plain', version: 2, weight: canary },
    ]
    for (let n = 0; n < 1_000; n++) {
      const point = stickyPoint('canary', `user-${n}`)
      if (chooseRoute(routes(5), point)?.version === 2) expect(chooseRoute(routes(20), point)?.version).toBe(2)
    }
  })
})

describe('a shadow', () => {
  it('goes with its sample of the requests that took the task’s routes', () => {
    expect(resolve({ task: 'shadowed' }, 'x', 0.24).shadow).toMatchObject({ adapter: 'plain', version: 2 })
    expect(resolve({ task: 'shadowed' }, 'x', 0.25).shadow).toBeNull()
    expect(resolve({ task: 'shadowed', adapters: [] }, 'x', 0).shadow).toBeNull()
    expect(resolve({ model: 'plain' }, 'x', 0).shadow).toBeNull()
  })

  it('is left out, and nothing fails, when it cannot be served or is what answers', () => {
    expect(resolve({ task: 'stale-shadow' }, 'x', 0)).toMatchObject({ shadow: null, adapters: [{ version: 1 }] })
    expect(resolve({ task: 'own-shadow' }, 'x', 0).shadow).toBeNull()
  })
})
