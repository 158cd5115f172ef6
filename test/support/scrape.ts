import type { Client } from './client.ts'

/** The server's metrics as they are now, by name and labels: `troupe_tier_bytes{tier="memory"}`. */
export async function scrape(client: Client): Promise<ReadonlyMap<string, number>> {
  const { body } = await client.get<string>('/metrics')
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ')
      return [line.slice(0, space), Number(line.slice(space + 1))]
    }),
  )
}
