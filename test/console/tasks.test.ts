import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accessibilityFaults, launchBrowser, noBrowser, openPage } from '../support/browser.ts'
import { Client } from '../support/client.ts'
import { adapterFiles, modelDir } from '../support/fixtures.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

const reason = noBrowser()

interface Task {
  readonly routes: readonly { readonly adapter: string; readonly version: string; readonly weight: number }[]
  readonly shadow: object | null
}

describe.skipIf(reason !== null)(`the console: tasks${reason === null ? '' : ` (${reason})`}`, () => {
  let server: RunningServer
  let browser: Browser
  let client: Client

  const routes = async (): Promise<string[]> =>
    (await client.get<Task>('/v1/tasks/extract')).body.routes.map(
      ({ adapter, version, weight }) => `${adapter}@${version} ${weight}`,
    )

  beforeAll(async () => {
    server = await startTestServer({ model: modelDir('llama'), maxBatch: 2 })
    client = new Client(server.url)
    await client.upload('json', adapterFiles('llama', 'lora-r4'))
    await client.upload('json', adapterFiles('llama', 'bn-seq'))
    await client.put('/v1/tasks/extract', { adapter: 'json', version: 'v1' })
    browser = await launchBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    await server?.close()
  })

  it('activates, rolls back with one click, and takes that back with another', async () => {
    const { page, faults } = await openPage(browser, `${server.url}/#/tasks`)
    await page.getByRole('option', { name: /extract/ }).click()
    const form = page.getByRole('region', { name: 'Activate' })
    await form.getByLabel('Version').selectOption('v2')
    await form.getByRole('button', { name: 'Activate' }).click()
    await page.getByText('extract answers with json@v2').waitFor()
    expect(await routes()).toEqual(['json@v2 1'])
    expect(await page.getByRole('region', { name: 'History' }).innerText()).toContain('json@v1')

    await page.getByRole('button', { name: 'Roll back' }).click()
    const toast = page.getByText('Rolled back to json@v1').locator('..')
    await toast.waitFor()
    expect(await routes()).toEqual(['json@v1 1'])
    await toast.getByRole('button', { name: 'Undo' }).click()
    await page.getByText('extract is where it was').waitFor()
    expect(await routes()).toEqual(['json@v2 1'])
    expect(await page.locator('.call-list').textContent()).toContain(
      `curl -X POST ${server.url}/v1/tasks/extract/rollback`,
    )
    expect(await accessibilityFaults(page)).toEqual([])
    expect(faults).toEqual([])
  })

  it('gives a canary its share, and ends it', async () => {
    await client.put('/v1/tasks/extract', { adapter: 'json', version: 'v1' })
    const { page } = await openPage(browser, `${server.url}/#/tasks/extract`)
    const canary = page.getByRole('form', { name: 'Canary' })
    await canary.getByLabel('Version').selectOption('v2')
    await canary.getByRole('slider').fill('25')
    await canary.getByRole('button', { name: 'Start canary' }).click()
    await page.getByText('The canary gets 25 %').waitFor()
    expect(await routes()).toEqual(['json@v1 75', 'json@v2 25'])
    await canary.getByRole('slider').fill('100')
    await canary.getByRole('button', { name: 'Set share' }).click()
    await page.getByText('The canary has ended').waitFor()
    expect(await routes()).toEqual(['json@v2 1'])
  })

  it('runs a shadow and shows how far it agrees', async () => {
    const { page } = await openPage(browser, `${server.url}/#/tasks/extract`)
    const shadow = page.getByRole('region', { name: 'Shadow' })
    await shadow.getByLabel('Version').selectOption('v1')
    await shadow.getByRole('button', { name: 'Start shadow' }).click()
    await shadow.getByText('nothing compared yet').waitFor()
    await client.post('/v1/tasks/extract/generate', { input: 'a', max_tokens: 4 })
    await shadow.getByText(/of 1$/).waitFor()
    await shadow.getByRole('button', { name: 'Stop shadow' }).click()
    await shadow.getByText('No version runs behind the answers.').waitFor()
    expect((await client.get<Task>('/v1/tasks/extract')).body.shadow).toBeNull()
  })
})
