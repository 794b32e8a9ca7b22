// Does for a test what a line in /etc/hosts does on a server: leads requests for
// api.weixin.qq.com, port 80, to the address in WECHAT_API.
const http = require('http')

const [host, port] = process.env.WECHAT_API.split(':')
const request = http.request
http.request = (url, options, callback) => {
  const to = new URL(url)
  if (to.host !== 'api.weixin.qq.com') return request(url, options, callback)
  const headers = { ...options.headers, Host: to.host }
  return request({ ...options, host, port, path: to.pathname + to.search, headers }, callback)
}
