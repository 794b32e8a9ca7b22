// caddy-wechat.js is a copy of client/index.js; with npm it is
// require('caddy-wechat-client').
const { createClient } = require('./caddy-wechat.js')

module.exports = createClient({ baseURL: 'http://127.0.0.1:8080' })
