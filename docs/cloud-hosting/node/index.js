// An app for WeChat Cloud Hosting, as its documentation says to write one: the
// platform tells who the user is in headers, and WeChat's open APIs are called
// over plain http without an access_token. Node 18, nothing to install.
const http = require('http')

const PORT = process.env.PORT || 80
const ENV_ID = process.env.CBR_ENV_ID

// The user of a request that came through WeChat, else null.
function wechatUser (req) {
  const h = req.headers
  if (!h['x-wx-source']) return null
  if (ENV_ID && h['x-wx-env'] !== ENV_ID) return null
  return { openid: h['x-wx-openid'] || h['x-wx-from-openid'], unionid: h['x-wx-unionid'] || '', appid: h['x-wx-appid'] }
}

// Calls an open API ("开放接口服务").
function openapi (path, body) {
  const data = JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const req = http.request('http://api.weixin.qq.com' + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(data) }
    }, (res) => {
      let text = ''
      res.setEncoding('utf8')
      res.on('data', (chunk) => { text += chunk })
      res.on('end', () => {
        try { resolve({ ...JSON.parse(text), seqid: res.headers['x-openapi-seqid'] }) } catch (err) { reject(err) }
      })
    })
    req.on('error', reject)
    req.end(data)
  })
}

function answer (res, status, body) {
  res.writeHead(status, { 'Content-Type': 'application/json' })
  res.end(JSON.stringify(body))
}

http.createServer(async (req, res) => {
  const user = wechatUser(req)
  if (!user) return answer(res, 401, { error: 'not called through WeChat' })
  if (req.method === 'GET' && req.url === '/api/wx_openid') return answer(res, 200, user)
  if (req.method === 'POST' && req.url === '/api/greet') {
    try {
      const sent = await openapi('/cgi-bin/message/custom/send', {
        touser: user.openid, msgtype: 'text', text: { content: '你好' }
      })
      return answer(res, 200, sent)
    } catch (err) {
      return answer(res, 502, { error: String(err) })
    }
  }
  answer(res, 404, { error: 'not found' })
}).listen(PORT, () => console.log('listening on ' + PORT))
