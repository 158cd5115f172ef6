import { expect, it } from 'vitest'
import { renderConfigDocs } from '../../src/config/docs.ts'

it('docs/configuration.md is made from the schema (update it with `npx vitest run test/config -u`)', async () => {
  await expect(renderConfigDocs()).toMatchFileSnapshot('../../docs/configuration.md')
})
