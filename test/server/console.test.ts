import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

const TENANTS = [
  { name: 'acme', keys: ['acme-key'] },
  { name: 'root', keys: ['root-key'], role: 'admin' as const },
]

let served: TestApp

describe('the console', () => {
  beforeEach(async () => {
    served = await testApp({ tenants: TENANTS })
  })
  afterEach(() => served.app.close())

  it('is served without a key, under a policy that lets it load its own files only', async () => {
    const page = await served.app.inject({ url: '/' })
    expect(page.statusCode).toBe(200)
    expect(page.headers['content-type']).toContain('text/html')
    expect(page.headers['content-security-policy']).toMatch(/default-src 'none'; script-src 'self'/)
    expect(page.body).not.toMatch(/<script(?![^>]*src=)|<style|style="|https?:\/\//)
    for (const [, url] of page.body.matchAll(/(?:src|href)="(\/console\/[^"]+)"/g)) {
      const file = await served.app.inject({ url: url! })
      expect([url, file.statusCode]).toEqual([url, 200])
      expect(file.headers['cache-control']).toBe('no-cache')
    }
  })

  it('gives nothing beside its files', async () => {
    for (const url of ['/console/../package.json', '/console/..%2fpackage.json', '/console/nothing.js'])
      expect((await served.app.inject({ url })).statusCode).toBe(404)
  })

  it('needs a key for its figures, and shows each tenant its own', async () => {
    expect((await served.call({ url: '/v1/live' })).statusCode).toBe(401)
    await served.addAdapter('root/secret', 'cccc')
    const lease = await served.rooms.residency.acquire(served.rooms.catalogue.resolve({ model: 'root/secret' }, '*'))
    served.admission.enter('root', 1)
    const live = async (key: string) =>
      (await served.call({ url: '/v1/live', headers: { 'x-api-key': key } })).json<{
        memory: { versions: { name: string }[] }
      }>()
    const all = await live('root-key')
    expect(all).toMatchObject({
      caller: { tenant: 'root', role: 'admin', open: false },
      queue: { running: 1, tenants: [{ tenant: 'root', waiting: 0, running: 1 }] },
    })
    expect(all.memory.versions.find(({ name }) => name === 'root/secret')).toMatchObject({ leases: 1, pinned: true })
    const others = await live('acme-key')
    expect(others).toMatchObject({
      queue: { running: 1, tenants: [] },
      memory: { others: { versions: 1, bytes: 512 } },
    })
    expect(JSON.stringify(others)).not.toContain('secret')
    lease.release()
  })
})
