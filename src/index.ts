// The package in Node.
export { connect } from './client/node-connect.ts'
export * from './names.ts'
