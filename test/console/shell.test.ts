import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scratchFolder } from '../support/at-exit.ts'
import { accessibilityFaults, launchBrowser, noBrowser, openPage } from '../support/browser.ts'
import { Client } from '../support/client.ts'
import { adapterFiles, modelDir } from '../support/fixtures.ts'
import { startTestServer } from '../support/server.ts'

const reason = noBrowser()
const MODEL = { model: modelDir('llama'), maxBatch: 2 }
const PAGE = 200
const ADAPTERS = 10_000

// Needs a Chromium: `reason` says where it was looked for.
describe.skipIf(reason !== null)(`the console${reason === null ? '' : ` (${reason})`}`, () => {
  let browser: Browser

  beforeAll(async () => {
    browser = await launchBrowser()
  })
  afterAll(async () => browser?.close())

  it('asks for a key where there are tenants, and shows what the key may do', async () => {
    const keys = join(scratchFolder('troupe-keys-'), 'keys.json')
    const given = [
      { tenant: 'acme', key: 'acme-publisher-key' },
      { tenant: 'zeta', key: 'zeta-caller-key', role: 'caller' },
    ]
    writeFileSync(keys, JSON.stringify(given))
    const server = await startTestServer({ ...MODEL, keys })
    await new Client(server.url, 'acme-publisher-key').upload('acme/json', adapterFiles('llama', 'lora-r4'))
    const { page, faults } = await openPage(browser, `${server.url}/#/adapters`)
    const dialog = page.getByRole('dialog', { name: 'Sign in' })
    await dialog.getByLabel('API key').fill('wrong')
    await dialog.getByRole('button', { name: 'Sign in' }).click()
    await dialog.getByText('does not know this key').waitFor()
    expect(await accessibilityFaults(page)).toEqual([])
    await dialog.getByLabel('API key').fill('acme-publisher-key')
    await dialog.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('option', { name: /acme\/json/ }).click()
    await page.locator('.detail-head').getByRole('button', { name: 'Delete' }).waitFor()
    expect(await page.locator('.call-list').textContent()).toContain('-H "authorization: Bearer $TROUPE_KEY"')
    expect(await page.content()).not.toContain('acme-publisher-key')

    // The key outlives a reload, but not its being signed out.
    await page.reload()
    await page.getByRole('option', { name: /acme\/json/ }).waitFor()
    await page.getByRole('button', { name: 'acme · sign out' }).click()
    await dialog.getByLabel('API key').fill('zeta-caller-key')
    await dialog.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('button', { name: 'zeta · sign out' }).waitFor()
    await expect.poll(() => page.locator('.detail-head').count()).toBe(0)
    expect(faults).toEqual([])
    await page.context().close()
    await server.close()
  })

  it('lists ten thousand adapters with a few rows, by mouse and by keyboard', async () => {
    const server = await startTestServer(MODEL)
    const { page } = await openPage(browser, `${server.url}/#/live`)
    const names = Array.from({ length: ADAPTERS }, (_, index) => `acme/adapter-${String(index).padStart(5, '0')}`)
    let pages = 0
    await page.route('**/v1/adapters?*', async (route) => {
      pages += 1
      const after = new URL(route.request().url()).searchParams.get('after') ?? ''
      const from = after === '' ? 0 : names.indexOf(after) + 1
      const data = names
        .slice(from, from + PAGE)
        .map((name) => ({ name, created_at: '', description: '', labels: {}, pinned: false, versions: [] }))
      await route.fulfill({ json: { data, next: from + PAGE < ADAPTERS ? data.at(-1)!.name : null } })
    })
    await page.getByRole('link', { name: 'Adapters' }).click()
    const list = page.getByRole('listbox', { name: 'Adapters' })
    await list.getByRole('option').first().waitFor()
    expect(pages).toBeLessThan(3)

    // To the end, as fast as pages come.
    await expect
      .poll(
        async () => {
          await list.evaluate((element) => {
            const scroller = element as unknown as { scrollTop: number; readonly scrollHeight: number }
            scroller.scrollTop = scroller.scrollHeight
          })
          return list.getByText('acme/adapter-09999').count()
        },
        { timeout: 60_000, interval: 30 },
      )
      .toBe(1)
    expect(pages).toBe(ADAPTERS / PAGE)
    expect(await list.getByRole('option').count()).toBeLessThan(60)

    await list.focus()
    await page.keyboard.press('Home')
    await page.keyboard.press('ArrowDown')
    const active = await list.getAttribute('aria-activedescendant')
    expect(await page.locator(`#${active}`).innerText()).toContain('acme/adapter-00001')
    await page.keyboard.press('Enter')
    await expect.poll(() => page.url()).toContain('#/adapters/acme/adapter-00001')
    await page.context().close()
    await server.close()
  })

  it('stays open while the server restarts, and shows the new one', async () => {
    const store = scratchFolder('troupe-store-')
    const first = await startTestServer({ ...MODEL, store })
    const { page, faults } = await openPage(browser, `${first.url}/#/adapters`)
    await page.getByText('No adapters.').waitFor()
    await first.close()
    await page.getByText('Reconnecting…').waitFor()
    // What happens meanwhile elsewhere is to be seen afterwards.
    const elsewhere = await startTestServer({ ...MODEL, store })
    await new Client(elsewhere.url).upload('json', adapterFiles('llama', 'lora-r4'))
    await elsewhere.close()
    const second = await startTestServer({ ...MODEL, store, port: Number(new URL(first.url).port) })
    await page.getByRole('option', { name: /json/ }).waitFor()
    expect(await page.getByText('Reconnecting…').count()).toBe(0)
    expect(faults).toEqual([])
    await page.context().close()
    await second.close()
  })

  it('shows what the server does now, in the light, in the dark and on a phone', async () => {
    const server = await startTestServer(MODEL)
    const client = new Client(server.url)
    await client.upload('json', adapterFiles('llama', 'lora-r4'))
    const { page, faults } = await openPage(browser, `${server.url}/#/live`, { colorScheme: 'dark' })
    await page.getByRole('heading', { name: /In the batch: 0 of 2/ }).waitFor()
    await client.post('/v1/completions', { model: 'json', prompt: 'a', max_tokens: 8 })
    await page.getByText(/^[1-9][\d,]*, [\d.]+ s busy$/).waitFor()
    expect(await page.locator('canvas').count()).toBe(4)
    expect(await accessibilityFaults(page)).toEqual([])

    await page.setViewportSize({ width: 360, height: 740 })
    for (const view of ['playground', 'adapters', 'adapters/json', 'tasks', 'live']) {
      await page.goto(`${server.url}/#/${view}`)
      await page
        .getByRole('navigation', { name: 'Views' })
        .getByRole('link', { name: new RegExp(view.split('/')[0]!, 'i') })
        .and(page.locator('[aria-current=page]'))
        .waitFor()
      const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
      expect([view, overflow]).toEqual([view, 0])
      expect([view, await accessibilityFaults(page)]).toEqual([view, []])
    }
    expect(faults).toEqual([])
    await page.context().close()
    await server.close()
  })
})
