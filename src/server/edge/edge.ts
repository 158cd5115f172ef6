import type { Settings } from '../../config/schema.ts'
import { defaultSettings } from '../../config/defaults.ts'
import { Lifecycle } from './lifecycle.ts'
import type { TlsPair } from './tls-files.ts'

/** The settings that decide who may connect, from where, and how long that may take. */
export type EdgeSettings = Pick<
  Settings,
  | 'host'
  | 'allowedHosts'
  | 'allowedOrigins'
  | 'trustedProxies'
  | 'maxConnections'
  | 'maxConnectionsPerAddress'
  | 'headerSeconds'
  | 'bodySeconds'
  | 'idleSeconds'
  | 'stallSeconds'
>

/** Everything between the network and the routes. */
export interface Edge {
  readonly settings: EdgeSettings
  readonly lifecycle: Lifecycle
  /** Null = plain HTTP. */
  readonly tls: TlsPair | null
}

/** An edge with default settings but for those given. */
export function edgeOf(settings: Partial<EdgeSettings> = {}): Edge {
  return { settings: { ...(defaultSettings() as Settings), ...settings }, lifecycle: new Lifecycle(), tls: null }
}
