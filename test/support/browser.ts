import { existsSync } from 'node:fs'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'

/** Where Debian and others put it; `CHROMIUM` names another one. */
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync', '--force-color-profile=srgb'],
]

/** The browser that tests run in; null = there is none here. */
export function browserPath(): string | null {
  const given = process.env['CHROMIUM']
  return given ?? PLACES.find((path) => existsSync(path)) ?? null
}

/** Why tests in a browser are skipped; null = they are not. */
export function noBrowser(): string | null {
  return browserPath() === null
    ? `no browser: install chromium, or set CHROMIUM to one (looked for ${PLACES.join(', ')})`
    : null
}

export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: browserPath()!, args: FLAGS })
}

/** A page that keeps what went wrong in it. */
export interface WatchedPage {
  readonly page: Page
  /** Uncaught errors, and what the page's policy forbade. */
  readonly faults: string[]
}

export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options })
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(String(error.stack)))
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) faults.push(message.text())
  })
  await page.goto(url)
  return { page, faults }
}

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

/** What axe finds wrong on the page as it is, one line each. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  // Through the debugger, not a script element: the page's policy stays as it is.
  await page.evaluate(readFileSync(AXE, 'utf8'))
  return page.evaluate(async () => {
    interface Axe {
      run(): Promise<{ violations: { id: string; help: string; nodes: { html: string }[] }[] }>
    }
    const { axe } = globalThis as unknown as { axe: Axe }
    const { violations } = await axe.run()
    return violations.flatMap(({ id, help, nodes }) => nodes.map(({ html }) => `${id}: ${help}: ${html.slice(0, 160)}`))
  })
}
