import { downloadFile, listFiles } from '@huggingface/hub'
import type { FolderEntry } from './folder-report.ts'
import type { RemoteFolder } from './folder-source.ts'

const HUB = 'https://huggingface.co'
/** Where that hub keeps large files. Other hubs have to answer themselves. */
const HOSTS_OF_HUB = /(^|\.)(huggingface\.co|hf\.co)$/
const MAX_HOPS = 5

/**
 * A model's repository at one revision. The hub is that of `HF_ENDPOINT`, asked with the token of `HF_TOKEN`, as every client of it does.
 *
 * @param source `hf:organisation/name@revision`
 */
export async function openHubFolder(source: string, signal: AbortSignal): Promise<RemoteFolder> {
  const hubUrl = (process.env.HF_ENDPOINT ?? HUB).replace(/\/$/, '')
  const accessToken = process.env.HF_TOKEN
  const [name = '', revision = ''] = source.slice('hf:'.length).split('@')
  const place = {
    ...{ repo: { type: 'model' as const, name }, revision, hubUrl, fetch: confined(new URL(hubUrl), signal) },
    ...(accessToken !== undefined && { accessToken }),
  }

  async function* files(): AsyncGenerator<FolderEntry, void, void> {
    for await (const { type, path, size } of listFiles({ ...place, recursive: true })) {
      if (type === 'file') yield { path, bytes: size }
    }
  }

  return Promise.resolve({
    files: files(),
    read: async (path) => {
      // Its own protocol for large files asks hosts that answers name.
      const file = await downloadFile({ ...place, path, xet: false })
      if (!file) throw new Error(`${path} is gone`)
      return file.stream()
    },
  })
}

/** A fetch that follows redirects within the hub's own hosts only, and takes the token to none but the hub. */
function confined(hub: URL, signal: AbortSignal): typeof fetch {
  const isAllowed = ({ protocol, host, hostname }: URL): boolean =>
    protocol === hub.protocol && (host === hub.host || (hub.href.startsWith(HUB) && HOSTS_OF_HUB.test(hostname)))
  return async (input, init = {}) => {
    let url = new URL(input instanceof Request ? input.url : input)
    for (let hop = 0; hop <= MAX_HOPS; hop++) {
      if (!isAllowed(url)) throw new Error(`it redirects to ${url.host}, which is not one of the hub’s own hosts`)
      const headers = new Headers(init.headers)
      if (url.host !== hub.host) headers.delete('authorization')
      const answer = await fetch(url, { ...init, headers, redirect: 'manual', signal })
      const location = answer.headers.get('location')
      if (answer.status < 300 || answer.status >= 400 || location === null) return answer
      await answer.body?.cancel()
      url = new URL(location, url)
    }
    throw new Error(`it redirects more than ${MAX_HOPS} times`)
  }
}
