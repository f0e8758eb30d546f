// What this build calls itself, towards people, clients and other replicas.
import packageFile from '../../package.json' with { type: 'json' }

export const VERSION: string = packageFile.version

/** Replicas of one cluster run the same release; it stands in every frame between them. */
export const RELEASE = 1

/** What a login is answered: Iggy's server protocol 0.11.0, as major · 2^20 + minor · 2^10 + patch. */
export const PROTOCOL_VERSION = 11 << 10
