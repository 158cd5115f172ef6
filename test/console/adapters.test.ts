import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accessibilityFaults, launchBrowser, noBrowser, openPage } from '../support/browser.ts'
import { Client } from '../support/client.ts'
import { adapterFiles, badFiles, modelDir } from '../support/fixtures.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'
import { dropFiles } from './drop-files.ts'

const reason = noBrowser()

// Needs a Chromium: `reason` says where it was looked for.
describe.skipIf(reason !== null)(`the console: adapters${reason === null ? '' : ` (${reason})`}`, () => {
  let server: RunningServer
  let browser: Browser
  let client: Client

  beforeAll(async () => {
    server = await startTestServer({ model: modelDir('llama'), maxBatch: 2 })
    client = new Client(server.url)
    await client.upload('acme/json', adapterFiles('llama', 'lora-r4'))
    browser = await launchBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    await server?.close()
  })

  it('lists them and shows versions and proof of one, without faults of policy or accessibility', async () => {
    const { page, faults } = await openPage(browser, `${server.url}/#/adapters`)
    await page.getByRole('option', { name: /acme\/json/ }).click()
    await page.getByRole('heading', { name: 'Proof of acme/json@v1' }).waitFor()
    expect(await page.getByRole('region', { name: 'Proof' }).innerText()).toMatch(/sha256:[0-9a-f]{12}/)
    expect(await page.getByRole('row', { name: /v1/ }).first().innerText()).toContain('ready')
    expect(await accessibilityFaults(page)).toEqual([])
    expect(faults).toEqual([])
  })

  it('takes what is dropped and shows the report; a refusal says why', async () => {
    const { page, faults } = await openPage(browser, `${server.url}/#/adapters`)
    const files = { ...adapterFiles('llama', 'bn-seq'), 'notes.txt': Buffer.from('not a weight') }
    await dropFiles(page, 'form.drop', files)
    await page.getByLabel('Name', { exact: true }).fill('acme/dropped')
    await page.getByRole('button', { name: 'Upload' }).click()
    await page.getByText('Taken as acme/dropped@v1').waitFor()
    await page.getByText('1 ignored').click()
    expect(await page.locator('.report').innerText()).toContain('notes.txt')
    await page.getByRole('heading', { name: 'acme/dropped', exact: true }).waitFor()

    await dropFiles(page, 'form.drop', badFiles('lora-pickle'))
    await page.getByRole('button', { name: 'Upload' }).click()
    expect(await page.locator('.report .error').innerText()).toContain('safetensors')
    expect(faults).toEqual([])
  })

  it('says what a load would evict, pins, describes and deletes, and shows the calls', async () => {
    await client.upload('acme/short', adapterFiles('llama', 'lora-r4'))
    const { page, faults } = await openPage(browser, `${server.url}/#/adapters/acme/short`)
    await page.getByRole('button', { name: 'Plan' }).click()
    expect(await page.getByRole('region', { name: 'Plan' }).innerText()).toContain('Would be evicted')
    await page.getByRole('button', { name: 'Pin', exact: true }).click()
    await page.getByRole('button', { name: 'Pinned' }).waitFor()
    await page.getByLabel('Description').fill('for invoices')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Description saved').waitFor()
    expect((await client.get('/v1/adapters/acme%2Fshort')).body).toMatchObject({
      pinned: true,
      description: 'for invoices',
    })

    await page.locator('.detail-head').getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page
      .getByText(/^(Deleted|Draining)/)
      .first()
      .waitFor()
    expect((await client.get('/v1/adapters/acme%2Fshort')).status).toBe(404)
    expect(await page.locator('.call-list').textContent()).toContain(
      `curl -X DELETE ${server.url}/v1/adapters/acme%2Fshort`,
    )
    expect(faults).toEqual([])
  })
})
