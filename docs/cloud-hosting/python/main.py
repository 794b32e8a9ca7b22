"""An app for WeChat Cloud Hosting, as its documentation says to write one: the
platform tells who the user is in headers, and WeChat's open APIs are called over
plain http without an access_token. Python 3.9, nothing to install."""

import json
import os
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ.get("PORT", "80"))
ENV_ID = os.environ.get("CBR_ENV_ID")


def openapi(path, body):
    """Calls an open API ("开放接口服务")."""
    request = urllib.request.Request(
        "http://api.weixin.qq.com" + path,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return {**json.load(response), "seqid": response.headers["X-Openapi-Seqid"]}


class Handler(BaseHTTPRequestHandler):
    def user(self):
        """The user of a request that came through WeChat, else None."""
        if not self.headers.get("X-WX-SOURCE"):
            return None
        if ENV_ID and self.headers.get("X-WX-ENV") != ENV_ID:
            return None
        return {
            "openid": self.headers.get("X-WX-OPENID") or self.headers.get("X-WX-FROM-OPENID"),
            "unionid": self.headers.get("X-WX-UNIONID", ""),
            "appid": self.headers.get("X-WX-APPID"),
        }

    def answer(self, status, body):
        data = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        user = self.user()
        if user is None:
            self.answer(401, {"error": "not called through WeChat"})
        elif self.path == "/api/wx_openid":
            self.answer(200, user)
        else:
            self.answer(404, {"error": "not found"})

    def do_POST(self):
        user = self.user()
        if user is None:
            self.answer(401, {"error": "not called through WeChat"})
            return
        if self.path != "/api/greet":
            self.answer(404, {"error": "not found"})
            return
        try:
            sent = openapi("/cgi-bin/message/custom/send", {
                "touser": user["openid"], "msgtype": "text", "text": {"content": "你好"},
            })
        except OSError as err:
            self.answer(502, {"error": str(err)})
            return
        self.answer(200, sent)


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()
