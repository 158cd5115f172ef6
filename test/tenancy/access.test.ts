import { describe, expect, it } from 'vitest'
import { assertMayAlterAdapter, assertMayAlterTask, viewOf } from '../../src/tenancy/access.ts'
import { BareBook, newTask, newVersion } from '../support/catalogue.ts'
import { codeOf } from '../support/rooms.ts'

const acme = { tenant: 'acme', role: 'publisher' } as const
const ops = { tenant: 'ops', role: 'admin' } as const

const book = new BareBook()
for (const name of ['zeta/lent', 'zeta/kept', 'zeta/open']) book.take('version.added', newVersion(name, 0.5))
book.take('adapter.described', { adapter: 'zeta/lent', sharedWith: ['acme', 'other'] })
book.take('adapter.described', { adapter: 'zeta/open', sharedWith: ['*'] })
book.take('task.imported', { ...newTask('zeta/task', 1), routes: [], shadow: null, sharedWith: ['acme'] })

describe('who may alter a name', () => {
  it.each([
    [acme, 'acme/x', 'none'],
    [acme, 'zeta/x', 'adapter_not_found'],
    [acme, 'zeta/kept', 'adapter_not_found'],
    [acme, 'zeta/lent', 'forbidden'],
    [acme, 'zeta/open', 'forbidden'],
    [acme, 'acmex/x', 'adapter_not_found'],
    [acme, 'acme', 'forbidden'],
    [acme, 'x', 'forbidden'],
    [ops, 'x', 'none'],
    [ops, 'zeta/kept', 'none'],
  ])('%j and the adapter %s: %s', async (caller, name, code) => {
    expect(await codeOf(() => assertMayAlterAdapter(book.state, caller, name))).toBe(code)
  })

  it.each([
    [acme, 'acme/t', 'none'],
    [acme, 'zeta/t', 'task_not_found'],
    [acme, 'zeta/task', 'forbidden'],
    [{ ...acme, tenant: 'other' }, 'zeta/task', 'task_not_found'],
  ])('%j and the task %s: %s', async (caller, name, code) => {
    expect(await codeOf(() => assertMayAlterTask(book.state, caller, name))).toBe(code)
  })

  it('shows administrators everything, tenants their own view', () => {
    expect([viewOf(ops), viewOf(acme)]).toEqual(['*', 'acme'])
  })
})
