// What the node that is asked says about itself and its cluster.
import type { Writer } from '../../protocol/bytes.ts'
import { decodeClusterMetadataReply } from '../../protocol/commands/cluster-metadata.ts'
import { decodeDescribeOptionsReply, encodeDescribeOptions } from '../../protocol/commands/describe-options.ts'
import { decodeGetClientReply, encodeGetClient } from '../../protocol/commands/get-client.ts'
import { decodeListClientsReply } from '../../protocol/commands/list-clients.ts'
import { decodeSnapshotReply } from '../../protocol/commands/snapshot.ts'
import { decodeStatsReply } from '../../protocol/commands/stats.ts'
import { Code } from '../../protocol/operations.ts'
import { Bodies, scopeOf, u32Of } from './bodies.ts'
import { type Call, json, NOTHING, type Route, route } from './call.ts'
import { notFound } from './errors.ts'
import { clientDetailsJson, clientJson, clusterJson, optionJson, statsJson } from './shapes.ts'

const NOT_PADDED = /[-:]|\.\d+/g

/** An archive for support, made by this node. */
async function snapshot(call: Call): Promise<Response> {
  const { compression, snapshot_types: types } = call.body(Bodies.snapshot)
  const write = (w: Writer): void => {
    w.u8(compression).u8(types.length)
    for (const type of types) w.u8(type)
  }
  const archive = await call.here(Code.snapshot, write, decodeSnapshotReply)
  const name = `galgo_snapshot_${new Date().toISOString().replaceAll(NOT_PADDED, '')}.zip`
  const headers = { 'Content-Type': 'application/zip', 'Content-Disposition': `attachment; filename="${name}"` }
  return new Response(Buffer.from(archive), { headers })
}

export const NODE_ROUTES: readonly Route[] = [
  route('GET', '/ping', () => new Response('pong', { headers: { 'Content-Type': 'text/plain' } }), 'open'),
  route('GET', '/stats', async (call) => json(statsJson(await call.here(Code.stats, NOTHING, decodeStatsReply)))),
  route('GET', '/cluster/metadata', async (call) =>
    json(clusterJson(await call.here(Code.clusterMetadata, NOTHING, decodeClusterMetadataReply))),
  ),
  route('GET', '/clients', async (call) =>
    json((await call.here(Code.listClients, NOTHING, decodeListClientsReply)).map(clientJson)),
  ),
  route('GET', '/clients/:client', async (call) => {
    const clientId = u32Of({ client_id: call.param('client') }, 'client_id')
    const client = await call.here(Code.getClient, (w) => encodeGetClient(w, { clientId }), decodeGetClientReply)
    if (client === null) throw notFound()
    return json(clientDetailsJson(client))
  }),
  route('POST', '/snapshot', snapshot, 'here'),
  route('GET', '/options/:scope', async (call) => {
    const scope = scopeOf(call.param('scope'))
    const write = Code.describeOptions
    const options = await call.here(write, (w) => encodeDescribeOptions(w, { scope }), decodeDescribeOptionsReply)
    return json(options.map(optionJson))
  }),
]
