package simulator

import (
	"fmt"
	"time"
)

var errmsgs = map[int]string{
	-1: "system error", 40001: "invalid credential, access_token is invalid or not latest", 40002: "invalid grant_type",
	40013: "invalid appid", 40029: "invalid code", 40125: "invalid appsecret", 40163: "code been used",
	40097: "invalid args", 40169: "invalid length for scene, or the data is not json string", 41030: "invalid page",
	40164: "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist", 40226: "code blocked", 40243: "AppSecret frozen",
	41002: "appid missing", 41004: "appsecret missing", 41008: "missing code", 43001: "require GET method", 43002: "require POST method",
	45009: "reach max api daily quota limit", 45011: "api minute-quota reach limit, mustslower, retry next minute", 47001: "data format error",
	87007: "session_key is not existed or expired", 87008: "invalid sig_method", 87009: "invalid signature", 87011: "invalid kv_list",
	268490001: "openid error", 268490002: "parameter error", 268490003: "signature error", 268490004: "repeated operation",
	268490006: "insufficient balance", 268490009: "session_key is not existed or expired, login again",
}

func errmsg(errcode int) string {
	text, found := errmsgs[errcode]
	if !found {
		text = "simulated error"
	}
	return fmt.Sprintf("%s, rid: %08x-%s-%s", text, time.Now().Unix(), randomHex(4), randomHex(4))
}

// ok is an answer without more in it.
func ok() map[string]any { return map[string]any{"errcode": 0, "errmsg": "ok"} }
