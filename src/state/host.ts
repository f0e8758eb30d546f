// Whose an address is, as far as bounds are concerned that hold for each host.

/**
 * Without the port: the next connection has another one. Of IPv6 the first 64 bits: whoever has one address of such a network
 * has all of them. IPv4 inside IPv6 is IPv4.
 */
export function hostOf(address: string): string {
  const colon = address.lastIndexOf(':')
  const host = colon < 0 ? address : address.slice(0, colon)
  return host.startsWith('[') ? networkOf(host.slice(1, -1)) : host
}

function networkOf(host: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)
  if (mapped !== null) return mapped[1] as string
  // What `::` stands for.
  const [head = '', tail] = host.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':')
    groups.push(...Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => '0'), ...rest)
  }
  return `${groups.slice(0, 4).join(':')}::/64`
}
