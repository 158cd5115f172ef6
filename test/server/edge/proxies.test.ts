import { describe, expect, it } from 'vitest'
import { trustedProxies } from '../../../src/server/edge/proxies.ts'

describe('trustedProxies', () => {
  const isProxy = trustedProxies(['10.0.0.0/8', '192.168.7.7', 'loopback', '2001:db8::/32'])

  it.each(['10.255.0.1', '::ffff:10.0.0.1', '192.168.7.7', '127.9.9.9', '::1', '2001:db8:1::5'])(
    'trusts %s',
    (address) => expect(isProxy(address)).toBe(true),
  )

  it.each(['11.0.0.1', '192.168.7.8', '::ffff:11.0.0.1', '2001:db9::1', '', 'unix'])('does not trust %j', (address) =>
    expect(isProxy(address)).toBe(false),
  )

  it.each(['10.0.0.0/33', '1.2.3', ':::', '2001:db8::/129'])('refuses %s', (entry) =>
    expect(() => trustedProxies([entry])).toThrow(/trustedProxies: ".*" is neither an address nor a network/),
  )
})
