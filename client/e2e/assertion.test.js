'use strict'
// An app in another language than the gateway's verifies assertions with a JWT
// library that knows nothing of it, and finds the keys at jwks.json.
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { createRemoteJWKSet, jwtVerify } = require('jose')
const { createClient } = require('..')
const { start, binary } = require('./gateway')
const { makeWx } = require('./wx')

test('assertions verify with another library', async (t) => {
  const path = binary(t)
  if (!path) return
  const env = await start(path, { site: 'assertion X-Signed-User {\n audience shop\n lifetime 30s\n}' })
  t.after(() => env.stop())
  const client = createClient({ baseURL: env.gateway, wx: makeWx(env, 'alice') })
  const res = await client.request({ url: '/json', header: { 'X-Signed-User': 'forged' } })
  const keys = createRemoteJWKSet(new URL(env.gateway + '/wechat/jwks.json'))
  const text = res.data.headers['x-signed-user']
  const { payload, protectedHeader } = await jwtVerify(text, keys, {
    issuer: 'caddy-wechat',
    audience: 'shop',
    typ: 'wxgw-assertion+jwt',
    algorithms: ['EdDSA'],
    requiredClaims: ['sub', 'exp', 'iat']
  })
  assert.equal(payload.sub, res.data.headers['x-openid'])
  assert.equal(payload.unionid, res.data.headers['x-unionid'])
  assert.equal(payload.appid, env.appID)
  assert.equal(payload.exp - payload.iat, 30)
  assert.ok(protectedHeader.kid)
  await assert.rejects(jwtVerify(text, keys, { audience: 'another app' }), /aud/)
  const forged = text.slice(0, -8) + 'AAAAAAAA'
  await assert.rejects(jwtVerify(forged, keys, {}), /signature/)
})
