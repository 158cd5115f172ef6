import type { Page } from 'playwright-core'

/** Drops files on an element as a person does. */
export async function dropFiles(
  page: Page,
  selector: string,
  files: Readonly<Record<string, Uint8Array>>,
): Promise<void> {
  const contents = Object.entries(files).map(([name, bytes]) => ({
    name,
    base64: Buffer.from(bytes).toString('base64'),
  }))
  const transfer = await page.evaluateHandle((given) => {
    // The types here are Node's; the function runs in the page.
    const { DataTransfer } = globalThis as unknown as {
      DataTransfer: new () => { readonly items: { add(file: File): void } }
    }
    const made = new DataTransfer()
    for (const { name, base64 } of given)
      made.items.add(new File([Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0))], name))
    return made
  }, contents)
  await page.dispatchEvent(selector, 'drop', { dataTransfer: transfer })
}
