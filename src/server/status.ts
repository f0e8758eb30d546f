// What a node tells about itself, as `GET /status` prints it. Made on the replica thread, completed on the main thread.

export interface PeerStatus {
  readonly replica: number
  readonly address: string
  readonly connected: boolean
  /** What this node last heard of the peer; 0 before anything was heard. */
  readonly view: number
  readonly op: number
  readonly commit: number
  /** Age of the last frame from it; null when none came since this node started. */
  readonly lastHeardMs: number | null
  /** Mean time until it answers this node; null when it never did. */
  readonly roundTripMs: number | null
}

export interface ReplicaStatus {
  /** 32 hex digits. */
  readonly cluster: string
  readonly replica: number
  readonly replicas: number
  readonly view: number
  readonly status: 'opening' | 'normal' | 'view_change' | 'recovering' | 'recovering_head'
  /** Index of the primary, null while unknown. */
  readonly primary: number | null
  readonly isPrimary: boolean
  /** Newest op in this node's log, newest known committed and executed op, op of the last checkpoint. */
  readonly op: number
  readonly commit: number
  readonly checkpoint: number
  /** While the node takes a checkpoint of another one because it is too far behind: which, and segments that are here, of all. */
  readonly transfer: { readonly phase: string; readonly checkpoint: number; readonly segments: string } | null
  /** Segments that are known to be damaged, and those that were repaired from another node since the start. */
  readonly segments: { readonly damaged: number; readonly repaired: number }
  /** It stands in for a lost directory and has not joined yet: it is no part of any quorum. */
  readonly replacement: boolean
  readonly durability: 'disk' | 'memory'
  /** Everything up to this op was executed here and is on this node's disk. */
  readonly durable: number
  /** With durability `memory`: a power cut may have taken what it acknowledged; it takes part in nothing until it is told. */
  readonly lossy: boolean
  /** How often the cluster has lost what it may have acknowledged. */
  readonly lossEpoch: number
  /** How often this node has stepped down as the primary because it was slow, since it started. */
  readonly stepDowns: number
  readonly driver: { readonly kind: string; readonly reason: string }
  readonly connections: number
  readonly buffers: { readonly used: number; readonly total: number }
  readonly peers: readonly PeerStatus[]
}

export interface NodeStatus extends ReplicaStatus {
  readonly pid: number
  readonly version: string
  readonly uptimeMs: number
  readonly data: string
  /** null: nobody is served in this way. */
  readonly addresses: {
    readonly client: string | null
    readonly tls: string | null
    readonly websocket: string | null
    readonly replica: string
    readonly http: string | null
  }
}
