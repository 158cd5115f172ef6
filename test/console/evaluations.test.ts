import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accessibilityFaults, launchBrowser, noBrowser, openPage } from '../support/browser.ts'
import { Client } from '../support/client.ts'
import { adapterFiles, modelDir } from '../support/fixtures.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

const reason = noBrowser()

// Needs a Chromium: `reason` says where it was looked for.
describe.skipIf(reason !== null)(`the console: evaluations${reason === null ? '' : ` (${reason})`}`, () => {
  let server: RunningServer
  let browser: Browser

  beforeAll(async () => {
    server = await startTestServer({ model: modelDir('llama'), maxBatch: 2 })
    await new Client(server.url).upload('json', adapterFiles('llama', 'lora-r4'))
    browser = await launchBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    await server?.close()
  })

  it('starts one, shows its scores with their intervals, runs it again and deletes it', async () => {
    const { page, faults } = await openPage(browser, `${server.url}/#/evaluations`)
    await page.getByText('New evaluation').click()
    await page.getByLabel('Mixes').fill('base, json')
    await page.getByLabel('Set, one').fill('{"prompt": "a", "expected": "b"}\nnot json')
    await page.getByRole('button', { name: 'Evaluate' }).click()
    await page.getByText('Line 2 of the set is no JSON').waitFor()
    await page.getByLabel('Set, one').fill('{"prompt": "a", "expected": "b"}\n{"prompt": "c", "expected": "d"}')
    await page.getByRole('button', { name: 'Evaluate' }).click()

    const scores = page.getByRole('region', { name: 'Scores' })
    await scores
      .getByRole('img', { name: /with 95 % confidence/ })
      .first()
      .waitFor()
    expect(await scores.getByRole('img').count()).toBe(2)
    expect(await page.getByRole('region', { name: 'Comparisons' }).innerText()).toContain('json')
    expect(await accessibilityFaults(page)).toEqual([])

    const first = page.url()
    await page.getByRole('button', { name: 'Run again' }).click()
    await expect.poll(() => page.url()).not.toBe(first)
    await page.locator('.detail-head').getByText('done').waitFor()
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.getByText('Pick an evaluation').waitFor()
    await expect.poll(() => page.getByRole('listbox').getByRole('option').count()).toBe(1)
    expect(faults).toEqual([])
  })
})
