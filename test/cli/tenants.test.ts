import { describe, expect, it } from 'vitest'
import { runCommand } from '../support/command.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { testApp } from '../support/test-app.ts'

describe('troupe tenants', () => {
  it('makes the first key in a store, with the key alone on stdout', async () => {
    const store = ['--store', await temporaryFolder()]
    const refused = await runCommand(['tenants', 'create', 'acme', ...store])
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('must be of the role admin') as string })
    const made = await runCommand(['tenants', 'create', 'ops', '--role', 'admin', '--expires', '90d', ...store])
    expect(made).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^troupe_[0-9a-f]{12}_[\w-]{43}\n$/) as string,
    })
    const id = made.stdout.slice(7, 19)
    const rotated = await runCommand(['tenants', 'keys', 'rotate', 'ops', id, '--grace', '7d', ...store])
    expect(rotated.stdout).toMatch(/^troupe_/)
    await runCommand(['tenants', 'keys', 'revoke', 'ops', id, ...store])
    const listed = await runCommand(['tenants', 'keys', 'list', 'ops', ...store])
    expect(listed.stdout).toMatch(new RegExp(`^${rotated.stdout.slice(7, 19)}  admin  made \\S+  ends \\S+`))
    expect((await runCommand(['tenants', 'list', ...store])).stdout).toMatch(/^acme .*\nops {2}1 key/)
    expect(await runCommand(['tenants', 'keys', 'create', 'ops', '--expires', 'soon', ...store])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--expires takes a time') as string,
    })
  })

  it('does the same at a server, with the admin’s key', async () => {
    const { app } = await testApp({ tenants: [{ name: 'ops', keys: ['root-key-0001'], role: 'admin' }] })
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const asOps = { TROUPE_KEY: 'root-key-0001' }
    const run = (args: string[], env: Record<string, string> = asOps) => runCommand([...args, '--url', url], env)
    const made = await run(['tenants', 'create', 'acme', '--role', 'admin', '--description', 'a team'])
    expect(made.stdout).toMatch(/^troupe_/)
    expect((await run(['tenants', 'list'])).stdout).toBe('acme  1 key  a team\n')
    const id = made.stdout.slice(7, 19)
    await run(['tenants', 'keys', 'expire', 'acme', id, '--at', '2099-01-01'])
    expect((await run(['tenants', 'keys', 'list', 'acme'])).stdout).toContain('ends 2099-01-01T00:00:00.000Z')
    expect(await run(['tenants', 'delete', 'nobody'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('answers 404: there is no tenant "nobody"') as string,
    })
    expect(await run(['tenants', 'list'], { TROUPE_KEY: '' })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('answers 401') as string,
    })
    await app.close()
  })
})
