import client from './index.js'

export const createClient = client.createClient
export const getHeader = client.getHeader
export default client
