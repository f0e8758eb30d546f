// The package in a browser: nothing of Node.
export { connect } from './client/browser-connect.ts'
export * from './names.ts'
