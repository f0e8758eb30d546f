// Names of directories and files that nothing refers to any more.

/** Those of `names` that are neither in use nor above anything that is; what lies in a directory goes with it. */
export function unused(names: readonly string[], inUse: readonly string[]): string[] {
  const kept = new Set(inUse.flatMap((name) => [name, ...parents(name)]))
  const rest = new Set(names.filter((name) => !kept.has(name)))
  return [...rest].filter((name) => !parents(name).some((parent) => rest.has(parent)))
}

export function isWithin(name: string, directoryOrFile: string): boolean {
  return name === directoryOrFile || name.startsWith(`${directoryOrFile}/`)
}

/** The directories that it lies in. */
function parents(name: string): string[] {
  const found: string[] = []
  for (let at = name.lastIndexOf('/'); at > 0; at = name.lastIndexOf('/', at - 1)) found.push(name.slice(0, at))
  return found
}
