import { BlockList, isIP, isIPv6 } from 'node:net'
import { TroupeError } from '../../core/errors.ts'

/** Names for networks, as the web framework and others write them. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

/**
 * Whether an address belongs to a proxy whose `X-Forwarded-*` headers are believed.
 *
 * @throws TroupeError `invalid_config` for what is neither an address nor a network
 */
export function trustedProxies(entries: readonly string[]): (address: string) => boolean {
  const networks = new BlockList()
  for (const entry of entries.flatMap((name) => NAMED[name] ?? [name])) add(networks, entry)
  return (address) => {
    const plain = unmapped(address)
    return isIP(plain) !== 0 && networks.check(plain, familyOf(plain))
  }
}

function add(networks: BlockList, entry: string): void {
  const [address = '', prefix] = entry.split('/')
  const bits = prefix === undefined ? (isIPv6(address) ? 128 : 32) : Number(prefix)
  if (isIP(address) === 0 || bits > (isIPv6(address) ? 128 : 32))
    throw new TroupeError('invalid_config', `trustedProxies: "${entry}" is neither an address nor a network`, {
      param: 'trustedProxies',
    })
  networks.addSubnet(address, bits, familyOf(address))
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4'
}

/** `::ffff:10.0.0.1` → `10.0.0.1`: how a socket for both families shows IPv4 clients. */
export function unmapped(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
}
