// What a Request frame asks for: the operation byte at 176, and for NonReplicated the command code at 196.

export const Operation = {
  reserved: 0,
  register: 1,
  nonReplicated: 2,
  logout: 3,
  // Never taken from clients.
  createTopicWithAssignments: 64,
  createPartitionsWithAssignments: 65,
  removeConsumerGroupMember: 66,
  completeConsumerGroupRevocation: 67,
  truncatePartition: 68,
  createRoot: 71,
  storePolledOffset: 72,
  // Ours, and for clients.
  endAccessLogin: 73,
  // Metadata.
  createStream: 128,
  updateStream: 129,
  deleteStream: 130,
  purgeStream: 131,
  createTopic: 132,
  updateTopic: 133,
  deleteTopic: 134,
  purgeTopic: 135,
  createPartitions: 136,
  deletePartitions: 137,
  deleteSegments: 138,
  createConsumerGroup: 139,
  deleteConsumerGroup: 140,
  createUser: 141,
  updateUser: 142,
  deleteUser: 143,
  changePassword: 144,
  updatePermissions: 145,
  createPersonalAccessToken: 146,
  deletePersonalAccessToken: 147,
  joinConsumerGroup: 148,
  leaveConsumerGroup: 149,
  // Partitions.
  sendMessages: 160,
  storeConsumerOffset: 161,
  deleteConsumerOffset: 162,
} as const
export type Operation = (typeof Operation)[keyof typeof Operation]

/** Command codes. Those with an operation of their own travel under it; the rest as NonReplicated. */
export const Code = {
  ping: 1,
  stats: 10,
  snapshot: 11,
  clusterMetadata: 12,
  describeOptions: 13,
  me: 20,
  getClient: 21,
  listClients: 22,
  getUser: 31,
  listUsers: 32,
  createUser: 33,
  deleteUser: 34,
  updateUser: 35,
  updatePermissions: 36,
  changePassword: 37,
  loginUser: 38,
  logoutUser: 39,
  loginRegister: 40,
  listPersonalAccessTokens: 41,
  createPersonalAccessToken: 42,
  deletePersonalAccessToken: 43,
  loginWithPersonalAccessToken: 44,
  loginRegisterWithPersonalAccessToken: 45,
  pollMessages: 100,
  sendMessages: 101,
  flushUnsavedBuffer: 102,
  getConsumerOffset: 120,
  storeConsumerOffset: 121,
  deleteConsumerOffset: 122,
  getStream: 200,
  listStreams: 201,
  createStream: 202,
  deleteStream: 203,
  updateStream: 204,
  purgeStream: 205,
  getTopic: 300,
  listTopics: 301,
  createTopic: 302,
  deleteTopic: 303,
  updateTopic: 304,
  purgeTopic: 305,
  createPartitions: 402,
  deletePartitions: 403,
  deleteSegments: 503,
  getConsumerGroup: 600,
  listConsumerGroups: 601,
  createConsumerGroup: 602,
  deleteConsumerGroup: 603,
  joinConsumerGroup: 604,
  leaveConsumerGroup: 605,
  syncConsumerGroup: 606,
  /** Ours. */
  issueAccessToken: 9001,
} as const
export type Code = (typeof Code)[keyof typeof Code]

const NAMES = new Map<number, string>(Object.entries(Operation).map(([name, operation]) => [operation, name]))
const CODE_NAMES = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]))

export function operationName(operation: number): string {
  return NAMES.get(operation) ?? `operation${operation}`
}

export function codeName(code: number): string {
  return CODE_NAMES.get(code) ?? `code${code}`
}

export function isOperation(operation: number): operation is Operation {
  return operation !== Operation.reserved && NAMES.has(operation)
}

export function isCode(code: number): code is Code {
  return CODE_NAMES.has(code)
}

/** Ops that only the cluster itself may put into the log. */
export function isInternal(operation: number): boolean {
  return operation >= 64 && operation <= 72
}

/** 64..149: the client advances its request number for these. */
export function isMetadata(operation: number): boolean {
  return operation >= 64 && operation <= 149 && NAMES.has(operation)
}

/** 160..162: Iggy's clients repeat their request number for these; ours advance it. */
export function isPartition(operation: number): boolean {
  return operation >= 160 && operation <= 162
}

/** Goes through the log. */
export function isReplicated(operation: number): boolean {
  return (
    isMetadata(operation) ||
    isPartition(operation) ||
    operation === Operation.register ||
    operation === Operation.logout
  )
}

/** Does the body of a reply with status 0 begin with a result section? */
export function isResultFramed(operation: number, bodyLength: number): boolean {
  if (operation === Operation.register) return bodyLength > 0
  if (operation === Operation.deleteSegments || operation === Operation.sendMessages) return false
  return isMetadata(operation) || isPartition(operation)
}
