import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accessibilityFaults, launchBrowser, noBrowser, openPage } from '../support/browser.ts'
import { Client } from '../support/client.ts'
import { adapterFiles, modelDir } from '../support/fixtures.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

const reason = noBrowser()

// Needs a Chromium: `reason` says where it was looked for.
describe.skipIf(reason !== null)(`the console: playground${reason === null ? '' : ` (${reason})`}`, () => {
  let server: RunningServer
  let browser: Browser

  beforeAll(async () => {
    server = await startTestServer({ model: modelDir('llama'), maxBatch: 4 })
    const client = new Client(server.url)
    await client.upload('json', adapterFiles('llama', 'lora-r4'))
    await client.upload('json-bn', adapterFiles('llama', 'bn-seq'))
    await client.put('/v1/tasks/extract', { adapter: 'json', prompt: 'Text: {input}\nJSON:' })
    browser = await launchBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    await server?.close()
  })

  it('opens with a comparison to run, streams the answers and marks where they differ', async () => {
    const { page, faults } = await openPage(browser, server.url)
    await page.getByRole('region', { name: 'Mix C' }).waitFor()
    expect(await page.getByLabel('Input as').inputValue()).toBe('task:extract')
    await page.getByRole('spinbutton', { name: 'Tokens' }).fill('12')
    await page.getByLabel('How likely').check()
    await page.getByRole('button', { name: 'Run' }).click()
    await page.getByRole('group', { name: 'Answer to compare with' }).waitFor()

    const answers = page.getByRole('article')
    expect(await answers.count()).toBe(3)
    expect(await answers.nth(1).innerText()).toContain('json@v1')
    expect(await answers.nth(2).innerText()).toMatch(/json-bn@v1[\s\S]*\d+ tokens/)
    expect(await page.getByRole('list', { name: 'First difference' }).innerText()).toMatch(/part at token \d+/)
    expect(await page.getByRole('region', { name: 'Likelihoods' }).getByRole('row').count()).toBe(4)
    // B is the reference: it is not marked, A and C are.
    expect(await answers.nth(1).locator('mark').count()).toBe(0)
    expect(await answers.nth(0).locator('mark').count()).toBeGreaterThan(0)
    await page.getByRole('group', { name: 'Answer to compare with' }).getByRole('button', { name: 'A' }).click()
    expect(await answers.nth(0).locator('mark').count()).toBe(0)
    expect(await answers.nth(1).locator('mark').count()).toBeGreaterThan(0)
    expect(await accessibilityFaults(page)).toEqual([])
    expect(faults).toEqual([])
  })

  it('sends scales, a schema and sampling, and shows the same as code', async () => {
    const { page } = await openPage(browser, `${server.url}/#/playground/json`)
    const scale = page.getByRole('slider', { name: 'Scale of json in mix B' })
    await scale.fill('0.5')
    await page.getByText('Structured output').click()
    await page.getByLabel('JSON Schema').fill('{"type":"boolean"}')
    await page.getByLabel('Temperature').fill('0.7')
    await page.getByLabel('Seed').fill('7')
    await page.getByText('The same as code').click()
    const code = page.getByLabel('Code')
    expect(await code.innerText()).toContain(`${server.url}/v1/compare`)
    await page.getByRole('button', { name: 'OpenAI, Python: B' }).click()
    expect(await code.innerText()).toMatch(
      /client\.completions\.create\(\n {4}model="model",[\s\S]*seed=7,[\s\S]*extra_body=\{"adapters": \[\{"name": "json", "scale": 0\.5\}\]\}/,
    )

    const sent = page.waitForRequest('**/v1/compare')
    await page.getByRole('button', { name: 'Run' }).click()
    expect((await sent).postDataJSON()).toMatchObject({
      task: 'extract',
      temperature: 0.7,
      seed: 7,
      response_format: { type: 'json_schema', json_schema: { schema: { type: 'boolean' } } },
      mixes: [{ model: 'base' }, { adapters: [{ name: 'json', scale: 0.5 }] }],
      stream: true,
    })
    await page.getByRole('group', { name: 'Answer to compare with' }).waitFor()
    expect(await page.locator('.answer-text').nth(1).innerText()).toMatch(/^\s*(true|false)$/)
  })

  it('says what is wrong with a mix, and what the server refuses', async () => {
    const { page } = await openPage(browser, `${server.url}/#/playground/json`)
    await page
      .getByRole('textbox', { name: 'Adapter 1 of mix B' })
      .or(page.getByRole('combobox', { name: 'Adapter 1 of mix B' }))
      .fill('nothing')
    await page.getByRole('button', { name: 'Run' }).click()
    expect(await page.locator('.summary .error').innerText()).toContain('nothing')
  })
})
