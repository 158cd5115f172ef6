import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { defaultSettings } from '../src/config/defaults.ts'
import { launchBrowser, noBrowser, openPage } from '../test/support/browser.ts'
import { scratchFolder } from '../test/support/at-exit.ts'
import { startTestServer } from '../test/support/server.ts'

const TARGET = 'docs/images'
const STORE = 'adapters-store'
const INPUT = 'Hello, the white camera arrived cracked and scratched. Order number NK-84597. Yours, Diana Schmidt'

interface Shot {
  readonly file: string
  readonly hash: string
  readonly options?: BrowserContextOptions
  readonly prepare: (page: Page) => Promise<void>
}

async function compare(page: Page): Promise<void> {
  await page.getByRole('button', { name: '+ Mix' }).click()
  const third = page.getByRole('region', { name: 'Mix C' })
  await third.getByRole('button', { name: '+ Adapter' }).click()
  await third.getByLabel('Adapter 1 of mix C').fill('ticket-json-bn')
  await page.getByRole('textbox', { name: 'Input', exact: true }).fill(INPUT)
  await page.getByRole('button', { name: 'Run' }).click()
  await page.getByRole('group', { name: 'Answer to compare with' }).waitFor()
}

const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 }
const SHOTS: readonly Shot[] = [
  { file: 'playground.png', hash: 'playground/ticket-json', prepare: compare },
  {
    file: 'adapters-dark.png',
    hash: 'adapters/ticket-json',
    options: { colorScheme: 'dark' },
    prepare: (page) => page.getByRole('region', { name: 'Proof' }).waitFor(),
  },
  {
    file: 'tasks-phone.png',
    hash: 'tasks/ticket-json',
    options: PHONE,
    prepare: (page) => page.getByRole('region', { name: 'Shadow' }).waitFor(),
  },
]

const reason = noBrowser()
if (reason !== null) {
  console.error(`screenshots: ${reason}`)
  process.exit(1)
}
const store = scratchFolder('troupe-screenshots-')
cpSync(STORE, store, { recursive: true })
const server = await startTestServer({ model: defaultSettings().model, store, precision: 'bf16' })
const browser = await launchBrowser()
mkdirSync(TARGET, { recursive: true })
for (const { file, hash, options, prepare } of SHOTS) {
  const { page } = await openPage(browser, `${server.url}/#/${hash}`, {
    viewport: { width: 1280, height: 800 },
    ...options,
  })
  await prepare(page)
  const path = join(TARGET, file)
  await page.screenshot({ path })
  console.log(path)
  await page.context().close()
}
await browser.close()
await server.close()
